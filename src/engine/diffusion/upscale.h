/* Enlarging pictures of any size with the networks of the ESRGAN family.
 *
 *   g_autoptr (AtlUpscaler) up = atl_upscaler_open (maps, names, n, &error);
 *   atl_upscaler_use (up, backends, n_backends);
 *   AtlUpscaleRequest request = {
 *     .pixels = rgb, .width = w, .height = h, .channels = 3, .factor = 2
 *   };
 *   guint8 *larger = atl_upscaler_run (up, &request, &width, &height, NULL, &error);
 *
 * A picture is computed in tiles that overlap, so that memory does not grow with it; a factor that
 * the network does not have comes of its own by resampling. Transparency is resampled.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "base/file-map.h"
#include "engine/tensor/backend.h"

G_BEGIN_DECLS

#define ATL_UPSCALE_MAX_SIDE 32768
#define ATL_UPSCALE_MIN_FACTOR 0.0625
#define ATL_UPSCALE_MAX_FACTOR 8.0

typedef struct _AtlUpscaler AtlUpscaler;

/* Looks at names and shapes; loads nothing. The files are those of one network: a safetensors file,
 * an archive of PyTorch's, or .param and .bin. `names` as in formats/open.h. Errors:
 * ATL_ERROR_UNSUPPORTED (another network), ATL_ERROR_BAD_FILE. */
AtlUpscaler *
atl_upscaler_open (AtlFileMap *const *maps, const char *const *names, guint n, GError **error);
void atl_upscaler_free (AtlUpscaler *self);

/* The network's own factor: 1, 2, 3, 4, 8. */
guint atl_upscaler_scale (const AtlUpscaler *self);
/* "ESRGAN", "Compact"; static. */
const char *atl_upscaler_kind (const AtlUpscaler *self);
/* Bytes of weights and of what a tile takes while it is computed; not the two pictures. An estimate
 * from the widths of its layers. tile 0: as it would be chosen. */
guint64 atl_upscaler_memory (const AtlUpscaler *self, guint tile);

/* As atl_diffusion_model_dtypes(). */
void atl_upscaler_dtypes (const AtlUpscaler *self, guint64 *matrices, guint64 *convs);

/* Where it computes; borrowed, the host's last, and they outlive the upscaler. Weights are loaded
 * by the first run. */
void atl_upscaler_use (AtlUpscaler *self, AtlBackend *const *backends, guint n);
/* Frees the weights; the next run loads them again. */
void atl_upscaler_drop (AtlUpscaler *self);

typedef struct
{
  const guint8 *pixels; /* [height, width, channels] */
  guint width, height;
  guint channels; /* 1 grey, 2 with transparency, 3 colours, 4 with transparency */
  double factor;  /* ATL_UPSCALE_MIN_FACTOR to _MAX_FACTOR; 0: the network's own */
  guint tile;     /* side of a tile in pixels of the picture; 0: chosen */
  /* (nullable) After each tile. */
  void (*progress) (guint done, guint total, gpointer user_data);
  gpointer progress_data;
} AtlUpscaleRequest;

/* [*height, *width, channels], the caller's. Errors: ATL_ERROR_INVALID (sizes that are too large,
 * in words), ATL_ERROR_NO_MEMORY, what loading reports, cancelling. */
guint8 *atl_upscaler_run (AtlUpscaler *self,
                          const AtlUpscaleRequest *request,
                          guint *width,
                          guint *height,
                          GCancellable *cancellable,
                          GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlUpscaler, atl_upscaler_free)

G_END_DECLS
