/* What the files of HiDream's transformer share (hidream.c says what is computed). */
#pragma once

#include "engine/models/blocks/denoiser.h"
#include "engine/models/blocks/runner.h"

G_BEGIN_DECLS

#define HIDREAM_MAX_BLOCKS 128
#define HIDREAM_N_AXES 3

/* SwiGLU. */
typedef struct
{
  AtlAffine w1, w2, w3;
} HiDreamGated;

typedef struct
{
  AtlAffine gate;          /* w nullable: no experts */
  AtlWeight *w1, *w2, *w3; /* [experts, out, in] */
  HiDreamGated shared;     /* without experts: the whole network */
} HiDreamExperts;

typedef struct
{
  AtlAffine q, k, v, out, norm_q, norm_k;
} HiDreamAttention;

typedef struct
{
  AtlAffine mod, caption;
  HiDreamAttention image, text; /* text: of double blocks */
  HiDreamExperts ff;
  HiDreamGated ff_text; /* of double blocks */
} HiDreamBlock;

typedef struct
{
  AtlNetwork net;
  GPtrArray *stacks; /* (owned) behind the weights */
  gint64 dim, head_dim, n_heads, patch, n_used, max_seq;
  gint64 axis[HIDREAM_N_AXES];
  guint n_double, n_blocks;                   /* n_blocks: double and single ones */
  guint n_entries;                            /* of llama_layer: a block each, perhaps one more */
  gint64 llama_layer[HIDREAM_MAX_BLOCKS + 1]; /* -1: as many as there are */
  HiDreamBlock blocks[HIDREAM_MAX_BLOCKS];
  AtlEmbedder time, pooled;
  AtlAffine x_embedder, caption_t5, out_mod, out;
} HiDream;

/* Reads the configuration and asks the source for all weights. FALSE when the configuration makes
 * no sense; the weights' mistakes are their table's. net and stacks are there. */
gboolean
hidream_read_weights (HiDream *self, AtlSource *source, const AtlCheckpoint *cp, GError **error);

G_END_DECLS
