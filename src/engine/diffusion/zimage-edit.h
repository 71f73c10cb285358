/* The pictures that Z-Image works from in its mode that edits: each is seen as the latent of its
 * pixels and by SigLIP 2.
 *
 *   g_auto (AtlZImageReferences) references = { 0 };
 *   atl_zimage_references_read (run, &latent, &references, error);
 *   atl_zimage_references_add (&references, request, target);
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

#define ATL_ZIMAGE_MAX_PICTURES 10
#define ATL_ZIMAGE_SIGLIP "siglip" /* the part */

typedef struct
{
  guint n;
  AtlArray *latents[ATL_ZIMAGE_MAX_PICTURES];  /* (owned) [C, 1, h, w] */
  AtlArray *features[ATL_ZIMAGE_MAX_PICTURES]; /* (owned) [rows, columns, dim] */
} AtlZImageReferences;

/* A zeroed one is fine. */
void atl_zimage_references_clear (AtlZImageReferences *self);

/* How many there are: image_1, image_2, …, or "image". */
guint atl_zimage_references_count (const AtlRun *run);
/* Reads n of them, cut in their middle to multiples of 16 px. What SigLIP sees are the inputs
 * condition_1… (0…1, sides multiples of its patches), else the pictures in the size that its
 * processor gives them. Both parts are released. */
gboolean atl_zimage_references_read (AtlRun *run,
                                     const AtlLatent *latent,
                                     AtlZImageReferences *self,
                                     GError **error);
/* Adds them and the target [1, C, h, w] to a request of the network. */
void atl_zimage_references_add (const AtlZImageReferences *self,
                                AtlRequest *request,
                                const AtlArray *target);
/* The pieces that the text is cut into around n > 0 pictures, NULL-terminated: n + 2. The caller's
 * (g_strfreev). */
char **atl_zimage_pieces (const char *prompt, guint n);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlZImageReferences, atl_zimage_references_clear)

G_END_DECLS
