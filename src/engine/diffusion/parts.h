/* A bundle's networks, loaded when they are needed: text encoders first, then the denoiser, then
 * the autoencoder, so that memory holds the largest of them and not all.
 *
 *   AtlParts *parts = atl_parts_new (bundle, backends, n);
 *   AtlComponent *unet = atl_parts_get (parts, "unet", "forward", cancellable, error);
 *   atl_parts_release (parts, "text_encoder");           may be freed now
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/diffusion/bundle.h"

G_BEGIN_DECLS

typedef struct _AtlParts AtlParts;

/* What parts are for, as bits: told by the function that they are asked for first. */
typedef enum
{
  ATL_PARTS_TEXT = 1 << 0,     /* what reads prompts and pictures for the denoiser */
  ATL_PARTS_DENOISER = 1 << 1, /* what draws */
  ATL_PARTS_VAE = 1 << 2,
} AtlPartKinds;

/* Borrows the bundle and the backends (the host's last). */
AtlParts *atl_parts_new (AtlBundle *bundle, AtlBackend *const *backends, guint n_backends);
void atl_parts_free (AtlParts *self);

/* Other backends: parts that were loaded on others are freed. */
void atl_parts_use (AtlParts *self, AtlBackend *const *backends, guint n_backends);
/* The host computes parts of these kinds; freed if they are loaded elsewhere. */
void atl_parts_set_on_host (AtlParts *self, AtlPartKinds kinds);

/* Whether a released part is freed at once (memory is short) or kept for the next run. */
void atl_parts_set_frugal (AtlParts *self, gboolean is_frugal);
/* Whether parts that are loaded from now on save memory (AtlLoadOptions.in_file), but for
 * `keep_bytes` of their weights on a device; parts loaded otherwise are freed. */
void atl_parts_set_streams (AtlParts *self, gboolean streams, guint64 keep_bytes);
/* Copies the list and takes references; parts loaded with other LoRAs are freed, those with the
 * same in other strengths only where they must be. Whether any were. */
gboolean atl_parts_set_loras (AtlParts *self, const AtlLoraFile *loras, guint n);

guint atl_parts_n_loras (const AtlParts *self);
/* Seconds that loading has taken so far. */
double atl_parts_load_seconds (const AtlParts *self);

/* What the LoRAs say that the parts loaded so far have no place for, in words; NULL without. The
 * caller frees. */
char *atl_parts_notice (const AtlParts *self);

/* The part, loaded now if it was not. Borrowed until it is released. Errors: those of the bundle
 * and of loading. */
AtlComponent *atl_parts_get (AtlParts *self,
                             const char *role,
                             const char *function,
                             GCancellable *cancellable,
                             GError **error);
/* It is not needed any more in this run: freed at once where memory is short. Never an error. */
void atl_parts_release (AtlParts *self, const char *role);
/* Frees it also where memory is not short. */
void atl_parts_forget (AtlParts *self, const char *role);
/* Frees all that is loaded. */
void atl_parts_drop (AtlParts *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlParts, atl_parts_free)

G_END_DECLS
