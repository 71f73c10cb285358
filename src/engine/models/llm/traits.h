/* What distinguishes one decoder family from another, as data.
 *
 * A family that these traits can say is one row of the table in traits.c; hparams.c reads the
 * numbers, decoder-weights.c the tensors, decoder-graph.c writes the forward pass from both.
 * Threading: constant data.
 */
#pragma once

#include "engine/tensor/ops.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_NORMS_PRE,      /* x += f(norm(x)) */
  ATL_NORMS_SANDWICH, /* x += post(f(norm(x))) */
  ATL_NORMS_POST,     /* x += post(f(x)) */
} AtlNormPlace;

typedef enum
{
  ATL_QK_NORM_NONE,
  ATL_QK_NORM_HEAD,       /* RMS over each head, weight [head_dim] */
  ATL_QK_NORM_WHOLE,      /* RMS over the whole projection, weight [heads * head_dim] */
  ATL_QK_NORM_LAYER_HEAD, /* layer norm per head, weight [heads, head_dim]; if the tensors are there
                           */
} AtlQkNorm;

/* Which layers see only a window of attention.sliding_window tokens. */
typedef enum
{
  ATL_WINDOW_NONE,
  ATL_WINDOW_ALL,
  ATL_WINDOW_EVEN,    /* layers 0, 2, 4… */
  ATL_WINDOW_5_OF_6,  /* all but every sixth */
  ATL_WINDOW_3_OF_4,  /* all but every fourth; if the key is there */
  ATL_WINDOW_PATTERN, /* attention.sliding_window_pattern, one flag a layer; if it is there */
} AtlWindowPattern;

/* Which layers rotate queries and keys. */
typedef enum
{
  ATL_ROTATE_ALL,
  ATL_ROTATE_3_OF_4,        /* none where (il + 1) % 4 == 0 */
  ATL_ROTATE_WINDOWED_ONLY, /* if the model has windows at all */
} AtlRotateLayers;

typedef enum
{
  ATL_LOGITS_PLAIN,
  ATL_LOGITS_MULTIPLIED, /* by logit_scale */
  ATL_LOGITS_DIVIDED,    /* by logit_scale */
} AtlLogitScaling;

typedef struct
{
  const char *architecture; /* general.architecture */
  AtlNormKind norm;
  AtlNormPlace norms;
  AtlRopePairing pairing;
  AtlQkNorm qk_norm;
  AtlAct act;
  gboolean ungated;       /* down(act(up x)) */
  gboolean fused_gate_up; /* ffn_up is [2F, D], gate rows first */
  gboolean embed_sqrt;    /* embedding * sqrt(n_embd) */
  AtlWindowPattern window;
  AtlRotateLayers rotate;
  AtlLogitScaling logits;
  double swa_rope_base; /* base of windowed layers if the key is absent; 0 = same as the others */
  guint
      embd_scale_layers; /* the size (in layers) whose scores are scaled by 1/sqrt(D/H); 0 = none */
  AtlRouteKind route;
  gboolean route_renorm;
} AtlLlmTraits;

/* NULL if no row has that name. */
const AtlLlmTraits *atl_llm_traits_find (const char *architecture);
/* "llama, qwen2, …", for messages; the caller frees. */
char *atl_llm_traits_list (void);

G_END_DECLS
