/* One thing after the other: folders are read, files are looked at by the engine, the person is
 * asked, the chosen ones are brought in. More may come at any time. */
#define G_LOG_DOMAIN "atl-app"

#include "app/models/model-adder.h"

#include <glib/gi18n.h>

#include "app/images/brought-parts.h"
#include "app/models/add-model.h"
#include "app/models/add-question.h"
#include "app/models/open-model.h"
#include "app/words.h"
#include "hub/library.h"
#include "hub/model-folder.h"

/* A folder with more models is not read file by file before the question. */
#define MAX_LOOKS 16
/* Refusals that are told one by one. */
#define MAX_TOLD 3

typedef struct
{
  char *path;
  AtlAddMode mode;
} Chosen;

struct _AtlModelAdder
{
  GObject parent_instance;

  AtlSession *session; /* borrowed: owns the adder */
  GtkWindow *parent;   /* (nullable) weak */
  GQueue to_scan;      /* of char: paths that were brought */
  GQueue to_look;      /* of AtlModelFile */
  GPtrArray *models;   /* (element-type AtlModelFile) the question is about */
  GHashTable *reasons; /* paths of those that cannot run here -> why */
  GHashTable *by_name; /* paths that were brought themselves, not in a folder */
  GPtrArray *refusals; /* of char: what cannot be brought at all, not yet told */
  GtkWidget *question; /* (nullable) weak */
  GQueue to_add;       /* of Chosen */
  gboolean is_looking; /* a scan or a look is on its way */
  guint n_damaged;     /* since the last question */
  GError *damage;      /* (nullable) of the first of them */
  char *damaged;       /* (nullable) its name */
  gboolean opens;      /* the next one that is added is opened */

  GCancellable *adding; /* (nullable) */
  char *name;           /* (nullable) of what is copied */
  char *words;
  double fraction;
};

G_DEFINE_FINAL_TYPE (AtlModelAdder, atl_model_adder, G_TYPE_OBJECT)

enum
{
  CHANGED,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static void look_on (AtlModelAdder *self);
static void add_on (AtlModelAdder *self);

static void
free_chosen (gpointer data)
{
  Chosen *chosen = data;

  g_free (chosen->path);
  g_free (chosen);
}

/* --- Bringing in --- */

static void
set_copying (AtlModelAdder *self, const char *name)
{
  atl_set_string (&self->name, name);
  atl_set_string (&self->words, "");
  self->fraction = 0;
  g_signal_emit (self, signals[CHANGED], 0);
}

static void
progress_cb (const AtlHubProgress *p, gpointer data)
{
  AtlModelAdder *self = data;
  g_autofree char *done = atl_format_bytes (p->done_bytes);
  g_autofree char *total = atl_format_bytes (p->total_bytes);

  if (self->name == NULL || p->total_bytes == 0)
    return;
  g_free (self->words);
  self->words = p->stage == ATL_HUB_CHECKING ? g_strdup (_ ("Checking…"))
                                             : g_strdup_printf (_ ("%s of %s"), done, total);
  self->fraction = MAX (self->fraction, (double) p->done_bytes / (double) p->total_bytes);
  g_signal_emit (self, signals[CHANGED], 0);
}

static void
added_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelAdder) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_library_add_finish (result, &error);

  g_clear_object (&self->adding);
  if (self->name != NULL)
    set_copying (self, NULL);
  if (self->session == NULL)
    return;
  if (path != NULL)
    {
      atl_session_emit_models_changed (self->session);
      if (self->opens && self->parent != NULL)
        atl_open_model (GTK_WIDGET (self->parent), self->session, path);
      self->opens = FALSE;
    }
  else
    {
      /* What stopped this one, a full disk or the person, stops the others as well. */
      g_queue_clear_full (&self->to_add, free_chosen);
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        atl_session_emit_notice (self->session, error->message);
    }
  add_on (self);
}

static void
add_on (AtlModelAdder *self)
{
  Chosen *chosen;

  if (self->adding != NULL || (chosen = g_queue_pop_head (&self->to_add)) == NULL)
    return;
  self->adding = g_cancellable_new ();
  if (chosen->mode == ATL_ADD_COPY)
    {
      g_autofree char *name = g_path_get_basename (chosen->path);
      set_copying (self, name);
    }
  atl_library_add_async (chosen->path, chosen->mode, progress_cb, self, self->adding, added_cb,
                         g_object_ref (self));
  free_chosen (chosen);
}

/* --- Asking --- */

static void
answered_cb (GtkWidget *question, AtlAddAnswer answer, gpointer data)
{
  AtlModelAdder *self = data;

  g_clear_weak_pointer (&self->question);
  if (answer != ATL_ADD_ANSWER_CANCEL && self->session != NULL)
    {
      gboolean is_first = TRUE;

      for (guint i = 0; i < self->models->len; i++)
        {
          const AtlModelFile *file = g_ptr_array_index (self->models, i);
          Chosen *chosen;

          if (!atl_add_question_is_chosen (question, i))
            continue;
          /* To open what cannot run would only say so again. */
          if (is_first)
            self->opens = !g_hash_table_contains (self->reasons, file->path);
          is_first = FALSE;
          chosen = g_new0 (Chosen, 1);
          chosen->path = g_strdup (file->path);
          chosen->mode = answer == ATL_ADD_ANSWER_COPY ? ATL_ADD_COPY : ATL_ADD_REFERENCE;
          g_queue_push_tail (&self->to_add, chosen);
        }
    }
  g_ptr_array_set_size (self->models, 0);
  g_hash_table_remove_all (self->reasons);
  add_on (self);
}

static void
ask (AtlModelAdder *self)
{
  GtkWidget *before = self->question;

  if (self->parent == NULL)
    {
      g_ptr_array_set_size (self->models, 0);
      return;
    }
  if (before != NULL)
    {
      g_clear_weak_pointer (&self->question);
      atl_add_question_withdraw (before);
    }
  g_set_weak_pointer (&self->question, atl_add_question_new (self->parent, self->models,
                                                             self->reasons, answered_cb, self));
  gtk_window_present (GTK_WINDOW (self->question));
}

/* --- Looking --- */

static gboolean
is_known (GPtrArray *models, const char *path)
{
  for (guint i = 0; i < models->len; i++)
    if (g_str_equal (((AtlModelFile *) g_ptr_array_index (models, i))->path, path))
      return TRUE;
  return FALSE;
}

static void
tell_damage (AtlModelAdder *self)
{
  if (self->damage == NULL)
    return;
  if (self->n_damaged > 1)
    {
      g_autofree char *others = g_strdup_printf (
          ngettext ("%u other file cannot be opened either.",
                    "%u other files cannot be opened either.", self->n_damaged - 1),
          self->n_damaged - 1);
      g_autofree char *both = g_strdup_printf ("%s\n%s", self->damage->message, others);
      atl_set_string (&self->damage->message, both);
    }
  g_signal_emit_by_name (self->session, "load-failed", self->damage, self->damaged);
  self->n_damaged = 0;
  g_clear_error (&self->damage);
}

static void
tell_refusals (AtlModelAdder *self)
{
  g_autoptr (GString) words = g_string_new (NULL);
  guint n = self->refusals->len;

  if (n == 0)
    return;
  for (guint i = 0; i < MIN (n, MAX_TOLD); i++)
    g_string_append_printf (words, "%s%s", i > 0 ? " " : "", (char *) self->refusals->pdata[i]);
  if (n > MAX_TOLD)
    {
      g_autofree char *others =
          g_strdup_printf (ngettext ("%u other cannot be opened either.",
                                     "%u others cannot be opened either.", n - MAX_TOLD),
                           n - MAX_TOLD);
      g_string_append_printf (words, " %s", others);
    }
  g_ptr_array_set_size (self->refusals, 0);
  atl_session_emit_notice (self->session, words->str);
}

/* A whole model of a kind that nobody runs here; it may be a part of another one. */
static gboolean
is_of_no_use_alone (const AtlModelInfo *info)
{
  return info != NULL && !info->can_run && !info->is_picture && !info->is_lora &&
         !info->is_upscaler && info->fit_words[0] != '\0';
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelAdder) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelFile) file = g_queue_pop_head (&self->to_look);
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);

  self->is_looking = FALSE;
  if (self->session == NULL)
    return;
  if (g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE) ||
      g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
    {
      if (self->n_damaged++ == 0)
        {
          self->damage = g_steal_pointer (&error);
          atl_set_string (&self->damaged, file->name);
        }
    }
  /* What is no model by itself goes where it belongs. */
  else if (info != NULL && info->is_lora)
    g_ptr_array_add (self->refusals,
                     g_strdup_printf (_ ("“%s” is a LoRA, which changes a model for pictures: drop "
                                         "it on the Images page."),
                                      file->name));
  else if (info != NULL && *info->part != '\0' &&
           g_hash_table_contains (self->by_name, file->path) &&
           atl_brought_parts_take (atl_pictures_session_get (self->session), file->path, info))
    ;
  else
    {
      if (is_of_no_use_alone (info))
        g_hash_table_insert (self->reasons, g_strdup (file->path), g_strdup (info->fit_words));
      g_ptr_array_add (self->models, g_steal_pointer (&file));
    }
  look_on (self);
}

static void
look (AtlModelAdder *self)
{
  AtlModelFile *file = g_queue_peek_head (&self->to_look);
  const char *paths[] = { file->path, NULL };

  self->is_looking = TRUE;
  atl_client_inspect_async (atl_session_get_client (self->session), paths, NULL, NULL, looked_cb,
                            g_object_ref (self));
}

static void
scanned_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelAdder) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_queue_pop_head (&self->to_scan);
  g_autofree char *name = g_path_get_basename (path);
  g_autoptr (GPtrArray) found = atl_library_scan_finish (result, &error);

  self->is_looking = FALSE;
  if (self->session == NULL)
    return;
  if (found == NULL)
    g_ptr_array_add (self->refusals, g_strdup (error->message));
  else if (found->len == 0 &&
           !atl_brought_parts_take_folder (atl_pictures_session_get (self->session), path))
    g_ptr_array_add (
        self->refusals,
        g_strdup_printf (_ ("There is no model in “%s”. Models that Atelier can use end in "
                            ".gguf or .safetensors."),
                         name));
  for (guint i = 0; found != NULL && i < found->len; i++)
    {
      const AtlModelFile *file = g_ptr_array_index (found, i);
      gboolean waits = is_known (self->models, file->path);

      for (GList *l = self->to_look.head; l != NULL && !waits; l = l->next)
        waits = g_str_equal (((AtlModelFile *) l->data)->path, file->path);
      if (!waits && found->len > MAX_LOOKS)
        g_ptr_array_add (self->models, atl_model_file_copy (file));
      else if (!waits)
        g_queue_push_tail (&self->to_look, atl_model_file_copy (file));
    }
  look_on (self);
}

static void
look_on (AtlModelAdder *self)
{
  if (self->is_looking || atl_session_get_client (self->session) == NULL)
    return;
  if (!g_queue_is_empty (&self->to_scan))
    {
      self->is_looking = TRUE;
      atl_library_scan_async (g_queue_peek_head (&self->to_scan), NULL, scanned_cb,
                              g_object_ref (self));
    }
  else if (!g_queue_is_empty (&self->to_look))
    look (self);
  else
    {
      tell_damage (self);
      tell_refusals (self);
      if (self->models->len > 0)
        ask (self);
    }
}

/* A sentence when nothing can be done with it. */
static char *
refusal (GFile *file, const char *path)
{
  g_autofree char *name = g_file_get_basename (file);

  if (path == NULL)
    return g_strdup (_ ("Only files on this computer can be used. Download the file first."));
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return g_strdup_printf (_ ("“%s” is not there any more."), name);
  if (!g_file_test (path, G_FILE_TEST_IS_DIR) && !atl_add_model_is_model (file))
    return g_strdup_printf (
        _ ("“%s” is no model file. Those that Atelier can use end in .gguf or .safetensors."),
        name);
  return NULL;
}

void
atl_model_adder_bring (AtlModelAdder *self, GtkWindow *parent, GFile *const *files, guint n)
{
  g_autofree char *open = NULL;

  if (self->session == NULL)
    return;
  g_set_weak_pointer (&self->parent, parent);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *given = g_file_get_path (files[i]);
      char *pair = given != NULL ? atl_model_pair_of_weights (given) : NULL;
      /* Of two files that belong together the one with the description stands for both. */
      g_autofree char *path = pair != NULL ? pair : g_strdup (given);
      char *words = refusal (files[i], path);
      g_autofree char *inside = words == NULL ? atl_library_find (path) : NULL;

      if (words != NULL)
        g_ptr_array_add (self->refusals, words);
      else if (inside == NULL)
        {
          g_hash_table_add (self->by_name, g_strdup (path));
          g_queue_push_tail (&self->to_scan, g_steal_pointer (&path));
        }
      else if (open == NULL)
        open = g_steal_pointer (&inside);
    }
  if (open != NULL)
    atl_open_model (GTK_WIDGET (parent), self->session, open);
  look_on (self);
}

/* --- For the bar --- */

const char *
atl_model_adder_get_name (AtlModelAdder *self)
{
  return self->name;
}

const char *
atl_model_adder_get_words (AtlModelAdder *self)
{
  return self->words != NULL ? self->words : "";
}

double
atl_model_adder_get_fraction (AtlModelAdder *self)
{
  return self->fraction;
}

void
atl_model_adder_cancel (AtlModelAdder *self)
{
  g_queue_clear_full (&self->to_add, free_chosen);
  if (self->adding != NULL)
    g_cancellable_cancel (self->adding);
}

/* --- GObject --- */

/* The session ends: whatever is on its way finds nobody to tell. */
static void
session_gone (gpointer data)
{
  AtlModelAdder *self = data;

  atl_model_adder_cancel (self);
  self->session = NULL;
  g_object_unref (self);
}

AtlModelAdder *
atl_model_adder_get (AtlSession *session)
{
  AtlModelAdder *self = g_object_get_data (G_OBJECT (session), "atl-model-adder");

  if (self == NULL)
    {
      self = g_object_new (ATL_TYPE_MODEL_ADDER, NULL);
      self->session = session;
      g_object_set_data_full (G_OBJECT (session), "atl-model-adder", self, session_gone);
    }
  return self;
}

static void
atl_model_adder_finalize (GObject *object)
{
  AtlModelAdder *self = ATL_MODEL_ADDER (object);

  g_clear_weak_pointer (&self->parent);
  g_clear_weak_pointer (&self->question);
  g_queue_clear_full (&self->to_scan, g_free);
  g_queue_clear_full (&self->to_look, (GDestroyNotify) atl_model_file_free);
  g_queue_clear_full (&self->to_add, free_chosen);
  g_ptr_array_unref (self->models);
  g_hash_table_unref (self->reasons);
  g_hash_table_unref (self->by_name);
  g_ptr_array_unref (self->refusals);
  g_clear_error (&self->damage);
  g_free (self->damaged);
  g_clear_object (&self->adding);
  g_free (self->name);
  g_free (self->words);
  G_OBJECT_CLASS (atl_model_adder_parent_class)->finalize (object);
}

static void
atl_model_adder_class_init (AtlModelAdderClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_model_adder_finalize;
  signals[CHANGED] = g_signal_new ("changed", ATL_TYPE_MODEL_ADDER, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 0);
}

static void
atl_model_adder_init (AtlModelAdder *self)
{
  self->models = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_model_file_free);
  self->reasons = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->by_name = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->refusals = g_ptr_array_new_with_free_func (g_free);
}
