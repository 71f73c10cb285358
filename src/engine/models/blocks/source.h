/* Where a network's weights come from: a weight table, a naming scheme, and LoRA files to merge.
 *
 * A network asks for its weights by one canonical name each (diffusers' or transformers'); files of
 * other origins use other names, which `map` translates. LoRA deltas are found by the canonical
 * module name (lora.h).
 *
 *   AtlSource s = { .weights = ws, .map = ldm_name, .loras = loras, .lora_places = places };
 *   w = atl_source_linear (&s, out, in, "%s.to_q", prefix);
 *
 * As in weights.h the first mistake is remembered by the weight table.
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/models/component.h"

G_BEGIN_DECLS

/* The file's name for a canonical one; NULL if this file cannot have it. The caller frees. */
typedef char *(*AtlNameMap) (const AtlSource *source, const char *canonical);

struct _AtlSource
{
  AtlWeights *weights;
  AtlNameMap map;          /* (nullable) identity */
  const char *prefix;      /* (nullable) put before mapped names */
  guint map_number;        /* a number the map needs (layers per level) */
  gboolean takes_low_rank; /* every linear layer goes through atl_apply() or atl_apply_act() */
  AtlLoras *loras;         /* (nullable) changes to apply, see lora.h */
  guint lora_places;       /* which parts of LoRA files are this network's */
  const char *lora_root;   /* (nullable) put before canonical module names in LoRA files */
  AtlNameMap lora_maps[3]; /* canonical names to others that LoRA files use; ends at NULL */
  /* Of what is asked for: its halves of rows change places from canonical names to the first map's.
   */
  gboolean turns_halves;
  /* Of what is asked for: only its bytes are used, so that changes are to be made in them. */
  gboolean only_bytes;
};

/* A weight and its bias. Where the file has it in few bits beside a low-rank branch (SVDQuant) and
 * the network takes that, (x * smooth) w^T + (x down^T) up^T + b instead of x w^T + b. */
typedef struct
{
  AtlWeight *w;
  AtlWeight *b;         /* (nullable) */
  AtlWeight *smooth;    /* (nullable) [in] */
  AtlWeight *down, *up; /* (nullable) [rank, in], [out, rank] */
  AtlWeight *whole;     /* (nullable) the layer in more bits: unused but for its deltas */
} AtlAffine;

/* Whether the file has "NAME.weight" (or NAME itself). */
gboolean atl_source_has (const AtlSource *self, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* Shape of "NAME.weight" as the file has it; FALSE if absent. */
gboolean atl_source_shape (const AtlSource *self, const char *name, guint *n_dims, gint64 *dim);

/* Outermost dimension of "NAME.weight" (output channels); -1 if absent. */
gint64 atl_source_rows (const AtlSource *self, const char *name);

/* NAME.weight [out, in] (trailing ones allowed: a 1x1 convolution), NAME.bias [out] if there. -1:
 * any. */
AtlAffine atl_source_linear (AtlSource *self, gint64 out, gint64 in, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
/* NAME.weight [out, in, k, k] or with kf > 0 [out, in, kf, k, k]. */
AtlAffine atl_source_conv (
    AtlSource *self, gint64 out, gint64 in, gint64 kf, gint64 k, const char *format, ...)
    G_GNUC_PRINTF (6, 7);
/* NAME.weight and NAME.bias [n]; both optional when `optional`. */
AtlAffine atl_source_norm (AtlSource *self, gint64 n, gboolean optional, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
/* `n` (at most 4) linear layers of one input that some files stack into one, row blocks in this
 * order: either each under its own name PREFIX.NAME, out[i] of rows[i] (-1 for one: the rest), or
 * slices of `fused`. Canonical names; LoRA files of either form fit either form. `fused` NULL:
 * never stacked. */
void atl_source_split (AtlSource *self,
                       gint64 in,
                       guint n,
                       const char *prefix,
                       const char *const *names,
                       const gint64 *rows,
                       const char *fused,
                       AtlAffine *out);
/* A tensor by its whole name. */
AtlWeight *atl_source_tensor (AtlSource *self,
                              AtlWeightUse use,
                              guint n_dims,
                              const gint64 *dim,
                              gboolean optional,
                              const char *format,
                              ...) G_GNUC_PRINTF (6, 7);

/* The end of a table: FALSE with its first mistake, or with a LoRA that does not fit; else uploads
 * all weights to `backend`. */
gboolean atl_source_finish (AtlSource *self,
                            AtlBackend *backend,
                            const AtlLoadOptions *options,
                            GError **error);

G_END_DECLS
