/* A list of parts, their sizes, one button. */
#include "app/images/missing-parts.h"

#include <glib/gi18n.h>

#include "app/accessible.h"
#include "app/fetch-progress.h"
#include "app/models/model-list.h"
#include "app/words.h"
#include "hub/model-parts.h"

struct _AtlMissingParts
{
  GtkWidget parent_instance;

  AtlPicturesSession *pictures; /* (nullable) borrowed */
  char *fetching;               /* (nullable) the file whose parts are fetched */

  GtkWidget *page;
  GtkWidget *fetch_button;
  GtkWidget *progress;
  GtkWidget *error_label;
};

G_DEFINE_FINAL_TYPE (AtlMissingParts, atl_missing_parts, GTK_TYPE_WIDGET)

/* As the hub takes them; borrows from `info`. */
static AtlModelPart *
wanted (const AtlModelInfo *info)
{
  AtlModelPart *parts = g_new0 (AtlModelPart, info->n_missing);

  for (guint i = 0; i < info->n_missing; i++)
    parts[i] = (AtlModelPart){ .repository = info->missing[i].repository,
                               .file = info->missing[i].file,
                               .name = info->missing[i].name,
                               .size_bytes = info->missing[i].size_bytes,
                               .is_optional = info->missing[i].is_optional };
  return parts;
}

/* "the text encoder T5 (4.9 GB): comfyanonymous/flux_text_encoders", one a line, as markup; files
 * of one part are one. */
static char *
list_parts (const AtlModelInfo *info)
{
  GString *words = g_string_new (NULL);

  for (guint i = 0; i < info->n_missing;)
    {
      guint64 bytes = 0;
      guint first = i;

      for (;
           i < info->n_missing && g_str_equal (info->missing[i].words, info->missing[first].words);
           i++)
        bytes += info->missing[i].size_bytes;
      g_string_append_printf (words, "%s%s", first > 0 ? "\n" : "", info->missing[first].words);
      if (bytes > 0)
        {
          g_autofree char *size = atl_format_bytes (bytes);

          g_string_append_printf (words, " (%s)", size);
        }
      if (*info->missing[first].repository != '\0')
        {
          g_autofree char *link = g_markup_printf_escaped (
              ": <a href=\"https://huggingface.co/%s\">%s</a>", info->missing[first].repository,
              info->missing[first].repository);

          g_string_append (words, link);
        }
    }
  return g_string_free (words, FALSE);
}

static gboolean
sizes_are_known (const AtlModelInfo *info)
{
  for (guint i = 0; i < info->n_missing; i++)
    if (info->missing[i].size_bytes == 0 && !info->missing[i].is_optional)
      return FALSE;
  return TRUE;
}

static void
refresh (AtlMissingParts *self)
{
  const char *path;
  const AtlModelInfo *info = atl_pictures_session_get_lacking (self->pictures, &path);
  gboolean can_fetch,
      fetching = atl_fetch_progress_get_is_running (ATL_FETCH_PROGRESS (self->progress));
  g_autofree AtlModelPart *parts = NULL;
  g_autofree char *name = NULL, *list = NULL, *size = NULL, *label = NULL, *description = NULL;

  if (info == NULL)
    return;
  parts = wanted (info);
  name = atl_model_list_get_name (
      atl_session_get_models (atl_pictures_session_get_session (self->pictures)), path);
  list = list_parts (info);
  size = atl_format_bytes (atl_model_parts_bytes (parts, info->n_missing));
  can_fetch = atl_model_info_can_be_completed (info);
  description = g_strdup_printf (
      "%s\n\n%s\n\n%s",
      can_fetch ? _ ("The file has the part that draws. Published files do for the rest:")
                : _ ("The file has the part that draws. It also needs:"),
      list, _ ("What you have of it, drop it here or choose it."));
  if (sizes_are_known (info))
    label = g_strdup_printf (_ ("Download %s"), size);
  else
    label = g_strdup_printf (_ ("Download %s or more"), size);
  adw_status_page_set_title (ADW_STATUS_PAGE (self->page), name);
  adw_status_page_set_description (ADW_STATUS_PAGE (self->page), description);
  gtk_button_set_label (GTK_BUTTON (self->fetch_button), label);
  gtk_widget_set_visible (self->fetch_button, can_fetch && !fetching);
}

static void
lacking_cb (AtlMissingParts *self)
{
  gtk_widget_set_visible (self->error_label, FALSE);
  refresh (self);
}

static void
progress_cb (const AtlHubProgress *progress, gpointer data)
{
  AtlMissingParts *self = data;

  if (self->pictures != NULL)
    atl_fetch_progress_show (ATL_FETCH_PROGRESS (self->progress), progress);
}

static void
fetched_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlMissingParts) self = data;
  g_autoptr (GError) error = NULL;
  gboolean ok = atl_model_parts_fetch_finish (result, &error);
  g_autofree char *path = g_steal_pointer (&self->fetching);
  const char *lacking;
  gboolean had_focus;

  if (self->pictures == NULL)
    return;
  had_focus = atl_fetch_progress_end (ATL_FETCH_PROGRESS (self->progress));
  if (ok)
    {
      atl_session_emit_models_changed (atl_pictures_session_get_session (self->pictures));
      /* Unless another model was chosen in the meantime. */
      if (atl_pictures_session_get_lacking (self->pictures, &lacking) != NULL &&
          g_strcmp0 (lacking, path) == 0)
        atl_pictures_session_load_model (self->pictures, (const char *[]){ path, NULL }, FALSE);
    }
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      gtk_label_set_text (GTK_LABEL (self->error_label), error->message);
      gtk_widget_set_visible (self->error_label, TRUE);
    }
  refresh (self);
  if (had_focus)
    gtk_widget_grab_focus (self->fetch_button);
  if (gtk_widget_get_visible (self->error_label))
    atl_accessible_announce (GTK_WIDGET (self), gtk_label_get_text (GTK_LABEL (self->error_label)));
}

static void
fetch_cb (AtlMissingParts *self)
{
  const char *path;
  const AtlModelInfo *info = atl_pictures_session_get_lacking (self->pictures, &path);
  g_autofree char *folder = info != NULL ? atl_client_parts_dir (path) : NULL;
  g_autofree AtlModelPart *parts = NULL;
  GCancellable *cancel;

  if (folder == NULL)
    return;
  parts = wanted (info);
  self->fetching = g_strdup (path);
  gtk_widget_set_visible (self->error_label, FALSE);
  cancel = atl_fetch_progress_begin (ATL_FETCH_PROGRESS (self->progress));
  refresh (self);
  atl_model_parts_fetch_async (parts, info->n_missing, folder, progress_cb, self, cancel,
                               fetched_cb, g_object_ref (self));
}

void
atl_missing_parts_set_session (AtlMissingParts *self, AtlPicturesSession *pictures)
{
  g_return_if_fail (self->pictures == NULL);

  self->pictures = pictures;
  g_signal_connect_object (pictures, "notify::lacking", G_CALLBACK (lacking_cb), self,
                           G_CONNECT_SWAPPED);
  refresh (self);
}

static void
atl_missing_parts_dispose (GObject *object)
{
  AtlMissingParts *self = ATL_MISSING_PARTS (object);

  self->pictures = NULL;
  g_clear_pointer (&self->page, gtk_widget_unparent);
  G_OBJECT_CLASS (atl_missing_parts_parent_class)->dispose (object);
}

static void
atl_missing_parts_finalize (GObject *object)
{
  g_free (ATL_MISSING_PARTS (object)->fetching);
  G_OBJECT_CLASS (atl_missing_parts_parent_class)->finalize (object);
}

static void
atl_missing_parts_class_init (AtlMissingPartsClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = atl_missing_parts_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_missing_parts_finalize;
  g_type_ensure (ATL_TYPE_FETCH_PROGRESS);
  gtk_widget_class_set_layout_manager_type (widget_class, GTK_TYPE_BIN_LAYOUT);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/io/github/atelier/Atelier/ui/missing-parts.ui");
#define BIND(name) gtk_widget_class_bind_template_child (widget_class, AtlMissingParts, name)
  BIND (page);
  BIND (fetch_button);
  BIND (progress);
  BIND (error_label);
#undef BIND
  gtk_widget_class_bind_template_callback (widget_class, fetch_cb);
}

static void
atl_missing_parts_init (AtlMissingParts *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
