/* Taking a cache out of memory and putting it back: what it holds as a row of bytes.
 *
 *   AtlLlmCacheImage image;
 *   atl_llm_cache_describe (cache, &image);
 *   atl_llm_cache_write (cache, &image, write_cb, file, error);
 *   ...
 *   if (atl_llm_cache_image_bytes (empty, &image) == what the file holds)
 *     atl_llm_cache_read (empty, &image, read_cb, file, error);
 *
 * The bytes mean something to the same model only, whose numbers come about in the same way:
 * atl_llm_cache_identify() tells two of them apart. An image is 96 bytes of plain numbers which may
 * come from anywhere; every function here looks at them first. What the bytes themselves say cannot
 * be wrong, only senseless: they are numbers that attention reads.
 *
 * Threading: that of the AtlLlm.
 */
#pragma once

#include "engine/models/llm/hparams.h"
#include "engine/models/llm/llm.h"

G_BEGIN_DECLS

typedef struct
{
  guint32 length;     /* tokens, at least 1 */
  guint32 local_base; /* the first token that windowed layers hold */
  guint32 n_slots;    /* of a recurrent model, else 0; the first holds the sequence as it is */
  guint32 reserved;   /* 0 */
  struct
  {
    guint32 length;
    guint32 is_checkpoint; /* 0 or 1 */
  } slots[ATL_LLM_MAX_SLOTS];
} AtlLlmCacheImage;

/* Takes or fills `n` bytes at `data`; FALSE ends it with that error. */
typedef gboolean (*AtlLlmImageFunc) (void *data, gsize n, gpointer user_data, GError **error);

/* What the cache holds; FALSE when it is empty. */
gboolean atl_llm_cache_describe (const AtlLlmCache *self, AtlLlmCacheImage *image);
/* How many bytes follow such an image of a cache like this one; 0 when there can be no such image.
 */
guint64 atl_llm_cache_image_bytes (const AtlLlmCache *self, const AtlLlmCacheImage *image);
/* Memory that putting it into this empty cache would take beyond what it has. */
guint64 atl_llm_cache_image_growth (const AtlLlmCache *self, const AtlLlmCacheImage *image);
/* Where a cache with this image could go on of the first `length` tokens: see
 * atl_llm_cache_reach(). */
guint
atl_llm_cache_image_reach (const AtlLlmCache *self, const AtlLlmCacheImage *image, guint length);

/* The bytes, in one order, in pieces of at most 4 MiB. */
gboolean atl_llm_cache_write (const AtlLlmCache *self,
                              const AtlLlmCacheImage *image,
                              AtlLlmImageFunc write,
                              gpointer user_data,
                              GError **error);
/* Into an empty cache, which is empty again on error. ATL_ERROR_INVALID for an impossible image,
 * ATL_ERROR_NO_MEMORY, or read's own error. */
gboolean atl_llm_cache_read (AtlLlmCache *self,
                             const AtlLlmCacheImage *image,
                             AtlLlmImageFunc read,
                             gpointer user_data,
                             GError **error);

/* Adds to `sum` whatever decides what numbers are in the cache for some tokens, but for the model's
 * and the adapters' files and the adapters' strengths: how positions are turned, what computes, of
 * which type the cache is. */
void atl_llm_cache_identify (const AtlLlmCache *self, GChecksum *sum);

G_END_DECLS
