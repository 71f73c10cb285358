/* The command line of `atelier-cli image`.
 *
 * Threading: the main thread.
 */
#pragma once

#include "client/client.h"
#include "media/picture.h"

G_BEGIN_DECLS

typedef struct
{
  char *model, *prompt, *negative, *size, *guidance, *seed, *sampler, *schedule, *weighting;
  char *like; /* (nullable) a picture with a recipe */
  gboolean shows_preview, has_seed;
  char *upscaler;        /* (nullable) "MODEL[:FACTOR]" */
  double upscale_factor; /* 0: its own */
  char **references;     /* (nullable) */
  char **loras;          /* (nullable) "FILE[:STRENGTH]" */
  char *method;          /* (nullable) of `faster` */
  char *image, *mask, *strength, *out, *device;
  int steps, count, threads;             /* 0 or less: not given */
  int faster;                            /* 1 to 3; -1: not given */
  guint width, height;                   /* px, 0: not given */
  double guidance_value, strength_value; /* NAN: not given */
  guint32 first_seed;
  char *folder, *stem, *ending; /* where the pictures go */
  AtlPictureFormat format;
  AtlLoadOptions load;
} AtlImageOptions;

/* Parses and checks all that can be checked without a model. Errors: G_OPTION_ERROR,
 * ATL_ERROR_INVALID in words. */
gboolean atl_image_options_parse (AtlImageOptions *self, int *argc, char ***argv, GError **error);
void atl_image_options_clear (AtlImageOptions *self);
/* a{sv} for picture `index`, floating: what was said, over what `recipe` (nullable) says. */
GVariant *atl_image_options_settings (const AtlImageOptions *self, GVariant *recipe, guint index);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlImageOptions, atl_image_options_clear)

G_END_DECLS
