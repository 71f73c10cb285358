/* The line under Create: what it costs, asked anew a moment after something changed, and what costs
 * less where it does not fit or takes long. */
#include <glib/gi18n.h>

#include "app/images/images-page-private.h"
#include "app/images/picture-pane.h"
#include "app/images/picture-prepare.h"
#include "app/images/price-words.h"
#include "app/words.h"

#define WAIT_MS 250u
/* From here on quicker ways are offered. */
#define LONG_S 20.0
/* So often what was refused for want of memory is asked for again. */
#define RETRY_S 5u
/* Of the sides of a smaller picture. */
#define SMALLER 0.75

static AtlClient *
client_of (AtlImagesPage *self)
{
  return atl_session_get_client (atl_pictures_session_get_session (self->pictures));
}

/* --- Enlarging it afterwards --- */

static void
upscaler_inspected_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlImagesPage) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);

  /* Another one was chosen meanwhile, or it is damaged, which enlarging will say. */
  if (info == NULL)
    return;
  self->upscaler_bytes = info->needed_bytes;
  atl_images_page_reprice (self);
}

static void
stop_inspecting (AtlImagesPage *self)
{
  if (self->inspecting != NULL)
    g_cancellable_cancel (self->inspecting);
  g_clear_object (&self->inspecting);
}

/* The network itself and what it computes a tile with; 0 until that is known. */
static guint64
upscaler_bytes (AtlImagesPage *self, const char *upscaler)
{
  if (g_strcmp0 (upscaler, self->upscaler) != 0)
    {
      g_free (self->upscaler);
      self->upscaler = g_strdup (upscaler);
      self->upscaler_bytes = 0;
      stop_inspecting (self);
      self->inspecting = g_cancellable_new ();
      atl_client_inspect_async (client_of (self), (const char *[]){ upscaler, NULL }, NULL,
                                self->inspecting, upscaler_inspected_cb, g_object_ref (self));
    }
  return self->upscaler_bytes;
}

/* The seconds for enlarging one afterwards; 0 when that is not wanted, negative when nobody knows.
 * `bytes` (out, nullable): the memory for that, with the larger picture. */
static double
larger_seconds (AtlImagesPage *self, guint width, guint height, guint64 *bytes)
{
  guint64 times = atl_pictures_session_get_settings (self->pictures)->enlarge;
  g_autofree char *upscaler =
      times >= 2 ? atl_pictures_session_dup_upscaler (self->pictures) : NULL;

  if (bytes != NULL)
    *bytes = upscaler != NULL ? upscaler_bytes (self, upscaler) : 0;
  if (bytes != NULL && *bytes > 0)
    *bytes += times * times * width * height * 3;
  if (upscaler == NULL)
    return times < 2 ? 0 : -1;
  return atl_client_price_larger (client_of (self), upscaler, width, height);
}

/* --- What comes before --- */

/* The price, and how many are drawn before. */
static char *
queued_words (AtlImagesPage *self)
{
  guint n_before = atl_picture_queue_n_waiting (atl_pictures_session_get_queue (self->pictures)) +
                   (atl_pictures_session_get_current (self->pictures) != NULL);
  g_autofree char *before =
      /* Translators: behind a price, "≈ 40 s · 3 GB · after 2 others": pictures that come first. */
      g_strdup_printf (ngettext ("after %u other", "after %u others", n_before), n_before);

  return n_before > 0 ? g_strconcat (self->price_words, " · ", before, NULL)
                      : g_strdup (self->price_words);
}

void
atl_images_page_queue_changed (AtlImagesPage *self)
{
  g_autofree char *words = NULL;

  if (self->price_words == NULL)
    return;
  words = queued_words (self);
  atl_picture_pane_set_price_words (ATL_PICTURE_PANE (self->pane), words);
}

/* --- What would cost less --- */

typedef struct
{
  AtlImagesPage *self;
  char *quicker;
  guint width, height;
} Smaller;

static void
smaller_priced_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Smaller *smaller = data;
  g_autoptr (AtlImagesPage) self = smaller->self;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPicturePrice) price =
      atl_client_price_picture_finish (ATL_CLIENT (source), result, &error);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_clear_object (&self->pricing);
  if (price != NULL && price->fits && price->seconds >= 0)
    {
      double larger = larger_seconds (self, price->width, price->height, NULL);
      guint count = atl_pictures_session_get_settings (self->pictures)->count;
      g_autofree char *time = atl_price_time (price, count, price->steps, MAX (larger, 0));
      g_autofree char *offer = g_strdup_printf ("%u × %u: ≈ %s", price->width, price->height, time);
      g_autofree char *words = queued_words (self);

      self->fit_width = smaller->width;
      self->fit_height = smaller->height;
      atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane), words, smaller->quicker, offer);
    }
  g_free (smaller->quicker);
  g_free (smaller);
}

/* Asks what a smaller one costs, to offer it beside what is offered already. */
static void
ask_smaller (AtlImagesPage *self, const AtlPicturePrice *price, const char *quicker)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  g_autoptr (AtlPictureSettings) settings =
      atl_picture_settings_copy (atl_pictures_session_get_settings (self->pictures));
  g_autoptr (AtlPictureRequest) request = NULL;
  guint width = (guint) (price->width * SMALLER), height = (guint) (price->height * SMALLER);
  Smaller *smaller;

  /* Smaller than that, what it was trained for falls apart. */
  if (info->n_sizes > 0 && MAX (width, height) < info->sizes[0].width / 2)
    return;
  atl_set_string (&settings->shape, "");
  settings->width = width;
  settings->height = height;
  request = atl_picture_prepare_price (settings, info);
  smaller = g_new0 (Smaller, 1);
  smaller->self = g_object_ref (self);
  smaller->quicker = g_strdup (quicker);
  smaller->width = width;
  smaller->height = height;
  self->pricing = g_cancellable_new ();
  atl_client_price_picture_async (client_of (self), atl_pictures_session_get_model (self->pictures),
                                  request, self->pricing, smaller_priced_cb, smaller);
}

/* --- What cannot be made --- */

static gboolean
retry_cb (gpointer data)
{
  AtlImagesPage *self = data;

  self->retry_source = 0;
  atl_images_page_reprice (self);
  return G_SOURCE_REMOVE;
}

/* `words` (nullable): nothing that is offered here makes it possible. */
static void
refuse (AtlImagesPage *self, const char *words)
{
  g_clear_handle_id (&self->retry_source, g_source_remove);
  atl_set_string (&self->refusal, words);
  atl_images_page_refresh_create (self);
}

/* Other programs may end. What is drawn before it may hold the memory that lacks, so that it can
 * wait its turn. */
static void
refuse_for_now (AtlImagesPage *self, const char *words)
{
  gboolean is_idle =
      atl_pictures_session_get_current (self->pictures) == NULL &&
      atl_picture_queue_n_waiting (atl_pictures_session_get_queue (self->pictures)) == 0;

  refuse (self, is_idle ? words : NULL);
  if (self->refusal != NULL)
    self->retry_source = g_timeout_add_seconds (RETRY_S, retry_cb, self);
}

/* --- The line --- */

static void
show (AtlImagesPage *self, AtlPicturePrice *price)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  const AtlPictureSettings *settings = atl_pictures_session_get_settings (self->pictures);
  guint64 larger_bytes;
  double larger = larger_seconds (self, price->width, price->height, &larger_bytes);
  guint n_fast = atl_quality_steps (ATL_QUALITY_FAST, info->steps);
  /* The price's steps are fewer where a picture is begun with, and more with some samplers. */
  guint chosen = atl_picture_settings_steps (settings, info);
  double seconds = (price->seconds + MAX (larger, 0)) * settings->count;
  g_autofree char *words = NULL, *quicker = NULL, *smaller = NULL;

  /* One after the other: what is idle gives way. */
  price->bytes = MAX (price->bytes, larger_bytes);
  words = atl_price_words (price, settings->count, info->runs_on, larger);
  self->has_price = TRUE;
  self->fit_width = self->fit_height = 0;
  if (!price->fits && price->fit_width > 0)
    {
      self->fit_width = price->fit_width;
      self->fit_height = price->fit_height;
      smaller = g_strdup_printf (_ ("Make it %u × %u pixels"), price->fit_width, price->fit_height);
    }
  else if (price->fits && price->seconds > 0 && seconds > LONG_S && chosen > n_fast)
    {
      g_autofree char *time =
          atl_price_time (price, settings->count,
                          (guint) ((guint64) price->steps * n_fast / chosen), MAX (larger, 0));

      /* Translators: a quality; a time such as "40 s". */
      quicker = g_strdup_printf (_ ("Fast: ≈ %s"), time);
    }
  /* What cannot be made does not come after anything, and a price without a time has no "after". */
  if (price->fits && price->seconds >= 0)
    {
      self->price_words = g_steal_pointer (&words);
      words = queued_words (self);
    }
  atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane), words, quicker, smaller);
  if (price->fits || smaller != NULL)
    refuse (self, NULL);
  else
    refuse_for_now (self, words);
  if (price->fits && price->seconds > 0 && seconds > LONG_S && settings->start == NULL)
    ask_smaller (self, price, quicker);
}

/* (nullable) What makes a size that the model does not have one that it has. The caller's. */
static char *
offer_size_within (AtlImagesPage *self)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (self->pictures);
  guint width, height;

  atl_picture_settings_size (atl_pictures_session_get_settings (self->pictures), info, &width,
                             &height);
  if (!atl_picture_size_within (info, &width, &height))
    return NULL;
  self->fit_width = width;
  self->fit_height = height;
  return g_strdup_printf (_ ("Make it %u × %u pixels"), width, height);
}

void
atl_images_page_tell_price (AtlImagesPage *self, AtlPicturePrice *price, const GError *error)
{
  g_autofree char *smaller = NULL;

  g_clear_pointer (&self->price_words, g_free);
  if (price != NULL)
    {
      show (self, price);
      return;
    }
  self->fit_width = self->fit_height = 0;
  smaller = offer_size_within (self);
  atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane), error->message, NULL, smaller);
  /* An engine that is gone is started again by who asks. */
  if (g_error_matches (error, ATL_ERROR, ATL_ERROR_INVALID) ||
      g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
    refuse (self, error->message);
  else if (g_error_matches (error, ATL_ERROR, ATL_ERROR_NO_MEMORY))
    refuse_for_now (self, error->message);
  else
    refuse (self, NULL);
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
  if (atl_pictures_session_get_info (self->pictures) != NULL)
    atl_images_page_tell_price (self, price, error);
  else
    g_clear_pointer (&self->price_words, g_free);
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
  atl_client_price_picture_async (client_of (self), atl_pictures_session_get_model (self->pictures),
                                  request, self->pricing, priced_cb, g_object_ref (self));
  return G_SOURCE_REMOVE;
}

static void
stop_pricing (AtlImagesPage *self)
{
  g_clear_handle_id (&self->price_source, g_source_remove);
  if (self->pricing != NULL)
    g_cancellable_cancel (self->pricing);
  g_clear_object (&self->pricing);
}

void
atl_images_page_dispose_price (AtlImagesPage *self)
{
  stop_pricing (self);
  stop_inspecting (self);
  g_clear_handle_id (&self->retry_source, g_source_remove);
  g_clear_pointer (&self->refusal, g_free);
  g_clear_pointer (&self->upscaler, g_free);
  g_clear_pointer (&self->price_words, g_free);
}

void
atl_images_page_reprice (AtlImagesPage *self)
{
  const char *path;

  stop_pricing (self);
  if (atl_pictures_session_get_lacking (self->pictures, &path) != NULL)
    {
      atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane),
                                  _ ("Get what the model lacks, or choose another one."), NULL,
                                  NULL);
      refuse (self, NULL);
      self->has_price = FALSE;
      g_clear_pointer (&self->price_words, g_free);
      return;
    }
  if (atl_pictures_session_get_info (self->pictures) == NULL)
    {
      const char *phase = atl_pictures_session_get_load_phase (self->pictures);

      atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane),
                                  !atl_pictures_session_get_is_loading (self->pictures)
                                      ? _ ("Choose a model for pictures first.")
                                      : (*phase != '\0' ? phase : _ ("Loading the model")),
                                  NULL, NULL);
      refuse (self, NULL);
      self->has_price = FALSE;
      g_clear_pointer (&self->price_words, g_free);
      return;
    }
  /* No longer that one; the line keeps its height until the price is there. */
  if (!self->has_price)
    atl_picture_pane_set_price (ATL_PICTURE_PANE (self->pane), " ", NULL, NULL);
  if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    self->price_source = g_timeout_add (WAIT_MS, ask_cb, self);
}

/* --- What was offered instead --- */

static void
quicker_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  AtlPictureSettings *settings =
      atl_picture_settings_copy (atl_pictures_session_get_settings (self->pictures));

  settings->quality = ATL_QUALITY_FAST;
  settings->steps = 0;
  atl_pictures_session_take_settings (self->pictures, settings);
}

static void
smaller_size_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  AtlPictureSettings *settings;

  if (self->fit_width == 0)
    return;
  settings = atl_picture_settings_copy (atl_pictures_session_get_settings (self->pictures));
  atl_set_string (&settings->shape, "");
  settings->width = self->fit_width;
  settings->height = self->fit_height;
  atl_pictures_session_take_settings (self->pictures, settings);
}

/* Three quarters of the sides of what did not fit. */
static void
smaller_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AtlImagesPage *self = ATL_IMAGES_PAGE (widget);
  AtlPictureSettings *settings;
  guint width, height;

  if (self->failed == NULL)
    return;
  settings = atl_picture_settings_copy (atl_picture_task_get_settings (self->failed));
  atl_picture_settings_size (settings, atl_pictures_session_get_info (self->pictures), &width,
                             &height);
  atl_set_string (&settings->shape, "");
  settings->width = width * 3 / 4;
  settings->height = height * 3 / 4;
  /* The price of the same size has told which one fits. */
  if (self->fit_width > 0 && self->fit_width < settings->width)
    {
      settings->width = self->fit_width;
      settings->height = self->fit_height;
    }
  atl_images_page_draw_instead (self, settings);
}

void
atl_images_page_install_price (GtkWidgetClass *widget_class)
{
  gtk_widget_class_install_action (widget_class, "images.smaller", NULL, smaller_action);
  gtk_widget_class_install_action (widget_class, "images.quicker", NULL, quicker_action);
  gtk_widget_class_install_action (widget_class, "images.smaller-size", NULL, smaller_size_action);
}
