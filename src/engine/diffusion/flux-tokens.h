/* The denoisers of Flux.1, Chroma and Flux.2 as their pipelines ask them: tokens of picture and
 * text with a position each, pictures to follow behind those that are drawn.
 *
 *   g_auto (AtlFluxTokens) tokens = { .guidance = 3.5, .image_ids = …, .context_ids = … };
 *   atl_flow_draw (run, schedule, &(AtlFlowWalk){ …, atl_flux_tokens_predict }, &tokens, error);
 *
 * Threading: as the run's.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

typedef struct
{
  AtlArray *context; /* (owned) [1, T, dim] */
  AtlArray *pooled;  /* (owned, nullable) [1, n] */
  AtlArray *mask;    /* (owned, nullable) i32 [1, T + tokens] */
} AtlFluxText;

typedef struct
{
  AtlFluxText positive, negative; /* negative.context NULL: one pass a step */
  double cfg_scale;               /* of two passes */
  double guidance;                /* told to the network; NAN: it has no input for it */
  AtlArray *image_ids;            /* (owned) [tokens, axes], those of references behind */
  AtlArray *context_ids;          /* (owned) [T, axes] */
  AtlArray *extra;      /* (owned, nullable) channels behind the latent's, [1, tokens, n] */
  AtlArray *references; /* (owned, nullable) tokens behind the latent's, [1, n, C] */
} AtlFluxTokens;

/* A zeroed one is fine. */
void atl_flux_tokens_clear (AtlFluxTokens *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlFluxTokens, atl_flux_tokens_clear)

/* A picture's tokens [1, n, C] and their positions [n, axes] behind those that are there. Takes
 * both. */
void atl_flux_tokens_add_reference (AtlFluxTokens *self, AtlArray *tokens, AtlArray *ids);

/* An AtlPredictFunc whose user_data is an AtlFluxTokens. */
gboolean atl_flux_tokens_predict (AtlRun *run,
                                  const AtlArray *scaled,
                                  double timestep,
                                  guint call,
                                  AtlArray *out,
                                  gpointer user_data,
                                  GError **error);

G_END_DECLS
