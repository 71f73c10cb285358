/* The fields that the files of the page share: images-page.c shows and draws, images-page-inputs.c
 * takes pictures that go in, images-page-gallery.c shows those that are there,
 * images-page-price.c tells what it costs, images-page-stop.c asks what stopping means. */
#pragma once

#include "app/images/images-page.h"
#include "app/images/pictures-session.h"

struct _AtlImagesPage
{
  GtkWidget parent_instance;

  AtlPicturesSession *pictures; /* (nullable) borrowed */
  GSignalGroup *task;
  GdkTexture *result; /* (nullable) the picture that is shown when nothing is drawn */
  char *result_words;
  char *result_path;           /* (nullable) */
  AtlPictureTask *failed;      /* (nullable) why nothing is shown */
  const char *then;            /* (nullable) an action, once the picture to begin with is read */
  gboolean brings_start;       /* the picture to begin with that is being read was just given */
  gboolean fronts_start;       /* and is shown instead of the result */
  gboolean has_price;          /* the line tells one, of now or a moment ago */
  char *price_words;           /* (nullable) it, without what comes before */
  guint price_source;          /* something changed a moment ago */
  GCancellable *pricing;       /* (nullable) while the price is asked for */
  guint fit_width, fit_height; /* offered instead of what is too large or takes long; or 0 */
  char *refusal;               /* (nullable) why no such picture can be made, and no tap mends it */
  guint retry_source;          /* memory may be free in a moment */
  GCancellable *reading;       /* (nullable) of a mask that is to be painted on */
  GCancellable *showing;       /* (nullable) of a picture that is to be shown */

  GCancellable *inspecting; /* (nullable) while the upscaler is looked into */
  char *upscaler;           /* (nullable) of which is known: */
  guint64 upscaler_bytes;   /* what it takes beside the pictures; 0: that is being asked */

  GtkWidget *split;
  GtkWidget *pane;
  GtkWidget *side;
  GtkWidget *work_stack;
  GtkWidget *canvas;
  GtkWidget *mask_editor;
  GtkWidget *extend_editor;
  GtkWidget *job_bar;
  GtkWidget *strip_row;
  GtkWidget *strip;
  GtkWidget *all_button;
  GtkWidget *gallery;
};

void atl_images_page_refresh_canvas (AtlImagesPage *self);
/* A picture that is there, on the canvas until the next is drawn. */
void atl_images_page_show_result (AtlImagesPage *self,
                                  const char *path,
                                  GdkTexture *texture,
                                  const char *words);

/* Of images-page-gallery.c: */
void atl_images_page_install_gallery (GtkWidgetClass *widget_class);
void atl_images_page_connect_gallery (AtlImagesPage *self);
void atl_images_page_stop_showing (AtlImagesPage *self);
/* What can be done with the result, on it, while it is what the canvas shows. */
void atl_images_page_offer_menu (AtlImagesPage *self, gboolean shows_result);
/* No result any more: it was deleted. */
void atl_images_page_forget_result (AtlImagesPage *self);
/* Of images-page-inputs.c: */
void atl_images_page_install_inputs (GtkWidgetClass *widget_class);
void atl_images_page_init_inputs (AtlImagesPage *self);
void atl_images_page_connect_inputs (AtlImagesPage *self);
/* Takes over what is painted or extended, and leaves that: who goes on to something else means it.
 */
void atl_images_page_finish_editing (AtlImagesPage *self);
/* Of images-page-price.c: */
void atl_images_page_install_price (GtkWidgetClass *widget_class);
/* Something changed: the price is asked for soon. */
void atl_images_page_reprice (AtlImagesPage *self);
/* More or fewer are drawn before. */
void atl_images_page_queue_changed (AtlImagesPage *self);
void atl_images_page_dispose_price (AtlImagesPage *self);
/* What is to be said of a picture that costs `price`, or that was refused with `error`; one of them
 * is NULL. */
void atl_images_page_tell_price (AtlImagesPage *self, AtlPicturePrice *price, const GError *error);
/* Of images-page.c: what failed becomes the draft, with other settings, which are taken over. */
void atl_images_page_draw_instead (AtlImagesPage *self, AtlPictureSettings *settings);
/* Of images-page.c: whether Create can be pressed, and why not. */
void atl_images_page_refresh_create (AtlImagesPage *self);
/* Of images-page-stop.c: */
void atl_images_page_ask_to_stop (AtlImagesPage *self);
/* The pane in front, or what is drawn, where only one has room. */
void atl_images_page_show_side (AtlImagesPage *self);
