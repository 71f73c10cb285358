/* How fast pictures were made on this machine, in a small file. Private to client/.
 *
 *   AtlPictureRates *rates = atl_picture_rates_new ();
 *   atl_picture_rates_note (rates, "/home/ada/sdxl", "CPU, 2 threads", work, 40);
 *   atl_picture_rates_seconds (rates, "/home/ada/sdxl", "CPU, 2 threads", work, &is_own)
 *
 * Of each model and place the last measurement counts; a model that was never measured has the one
 * of any model in that place. What a picture begins with, prompts and other pictures, counts by its
 * work, and loading by the size of the weights. Where steps are left out, the share counts that the
 * last picture of that model computed in the same way.
 *
 * Threading: the client's thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _AtlPictureRates AtlPictureRates;

/* Knows nothing. NULL is fine for free. */
AtlPictureRates *atl_picture_rates_new (void);
void atl_picture_rates_free (AtlPictureRates *self);

/* Reads what is in the file `path` (nullable: nowhere), and writes to it from now on. */
void atl_picture_rates_set_file (AtlPictureRates *self, const char *path);
/* `work` is a{sv} with ATL_WORK_* of a finished picture that took `seconds`. */
void atl_picture_rates_note (
    AtlPictureRates *self, const char *model, const char *place, GVariant *work, double seconds);
/* Of a picture with that work; negative when nothing was measured there. */
double atl_picture_rates_seconds (
    AtlPictureRates *self, const char *model, const char *place, GVariant *work, gboolean *is_own);

/* An enlarger took `seconds` for a picture that had so many pixels before. */
void atl_picture_rates_note_larger (AtlPictureRates *self,
                                    const char *model,
                                    guint64 pixels,
                                    double seconds);
/* Of a picture of so many; negative when nothing was measured with it. */
double atl_picture_rates_larger_seconds (AtlPictureRates *self, const char *model, guint64 pixels);

G_END_DECLS
