/* A denoiser's pass in parts, for what leaves out its blocks while their result can be foretold
 * (diffusion/step-cache.h). Beside "forward" it then answers, each with the same inputs:
 *
 *   "forward_probe": "before", the picture's tokens [B, T, D] before the first block, and "probe"
 *     (Wan also "probe_projected"), what TeaCache compares from step to step
 *   "forward_first": "before", and "hidden" and (where text goes along) "hidden_text" after the
 *     first block
 *   "forward_rest": from the inputs "hidden" and "hidden_text" on: "last", the picture's tokens
 *     after the last block, and "output"
 *   "forward_end": "output" of the input "last"
 *
 * Threading: as the graph's.
 */
#pragma once

#include "engine/models/component.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_STAGE_WHOLE,
  ATL_STAGE_PROBE,
  ATL_STAGE_FIRST,
  ATL_STAGE_REST,
  ATL_STAGE_END
} AtlStage;

/* A class's functions. */
#define ATL_STAGE_FUNCTIONS                                                                        \
  "forward", "forward_probe", "forward_first", "forward_rest", "forward_end"

AtlStage atl_stage_of (const AtlRequest *request);
/* Adds the request's arrays that the stage goes on from; `has_text`: text goes along. FALSE with
 * ATL_ERROR_INVALID when they are not there. */
gboolean atl_stage_add_inputs (AtlStage stage,
                               const AtlRequest *request,
                               gboolean has_text,
                               GPtrArray *inputs,
                               GError **error);

G_END_DECLS
