/* The line under Create: what it costs, asked anew a moment after something changed, and what costs
 * less where it does not fit or takes long. */
#include <glib/gi18n.h>

#include "app/images/images-page-private.h"
#include "app/images/picture-pane.h"
#include "app/images/picture-prepare.h"
#include "app/images/price-words.h"
#include "app/words.h"

#define WAIT_MS 250u
/* From here on a quicker way is offered. */
#define LONG_S 60.0

static void
show (AtlImagesPage *self, const AtlPicturePrice *price)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  const AtlPictureSettings *settings = atl_pictures_session_get_settings (self->pictures);
  g_autofree char *words = atl_price_words (price, settings->count, info->runs_on);
  guint n_fast = atl_quality_steps (ATL_QUALITY_FAST, info->steps);
  g_autofree char *cheaper = NULL;

  self->has_price = TRUE;
  self->fit_width = self->fit_height = 0;
  if (!price->fits && price->fit_width > 0)
    {
      self->fit_width = price->fit_width;
      self->fit_height = price->fit_height;
      cheaper = g_strdup_printf (_ ("Make it %u × %u pixels"), price->fit_width, price->fit_height);
    }
  else if (price->fits && price->seconds * settings->count > LONG_S && price->steps > n_fast)
    {
      g_autofree char *time =
          atl_format_seconds ((double) (gint64) atl_price_seconds (price, settings->count, n_fast));

      /* Translators: a time such as "40 s". */
      cheaper = g_strdup_printf (_ ("Fast instead: ≈ %s"), time);
    }
  atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane), words, cheaper);
}

static void
priced_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlImagesPage) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPicturePrice) price =
      atl_client_price_picture_finish (ATL_CLIENT (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  g_clear_object (&self->pricing);
  if (atl_pictures_session_get_info (self->pictures) == NULL)
    return;
  if (price != NULL)
    show (self, price);
  else
    atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane), error->message, NULL);
}

static gboolean
ask_cb (gpointer data)
{
  AtlImagesPage *self = data;
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  g_autoptr (AtlPictureRequest) request = NULL;

  self->price_source = 0;
  if (info == NULL)
    return G_SOURCE_REMOVE;
  request = atl_picture_prepare_price (atl_pictures_session_get_settings (self->pictures), info);
  self->pricing = g_cancellable_new ();
  atl_client_price_picture_async (
      atl_session_get_client (atl_pictures_session_get_session (self->pictures)),
      atl_pictures_session_get_model (self->pictures), request, self->pricing, priced_cb,
      g_object_ref (self));
  return G_SOURCE_REMOVE;
}

void
atl_images_page_stop_pricing (AtlImagesPage *self)
{
  g_clear_handle_id (&self->price_source, g_source_remove);
  if (self->pricing != NULL)
    g_cancellable_cancel (self->pricing);
  g_clear_object (&self->pricing);
}

void
atl_images_page_reprice (AtlImagesPage *self)
{
  atl_images_page_stop_pricing (self);
  if (atl_pictures_session_get_info (self->pictures) == NULL)
    {
      const char *phase = atl_pictures_session_get_load_phase (self->pictures);

      atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane),
                                  !atl_pictures_session_get_is_loading (self->pictures)
                                      ? _ ("Choose a model for pictures first.")
                                      : (*phase != '\0' ? phase : _ ("Loading the model")),
                                  NULL);
      self->has_price = FALSE;
      return;
    }
  /* No longer that one; the line keeps its height until the price is there. */
  if (!self->has_price)
    atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane), " ", NULL);
  if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    self->price_source = g_timeout_add (WAIT_MS, ask_cb, self);
}

/* What was offered instead. */
static void
cheaper_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  AtlPictureSettings *settings =
      atl_picture_settings_copy (atl_pictures_session_get_settings (self->pictures));

  if (self->fit_width > 0)
    {
      atl_set_string (&settings->shape, "");
      settings->width = self->fit_width;
      settings->height = self->fit_height;
    }
  else
    {
      settings->quality = ATL_QUALITY_FAST;
      settings->steps = 0;
    }
  atl_pictures_session_take_settings (self->pictures, settings);
}

void
atl_images_page_install_price (GtkWidgetClass *widget_class)
{
  gtk_widget_class_install_action (widget_class, "images.cheaper", NULL, cheaper_action);
}
