/* A denoiser's pass in parts, for what leaves out its blocks, or attention in them, while their
 * result can be foretold (diffusion/step-cache.h). Beside "forward" it then answers, each with the
 * same inputs:
 *
 *   "forward_probe": "before", the tokens [B, T, D] before the first block, and, where TeaCache is
 *     fitted to the network, what it compares from step to step: "probe" (Wan also
 *     "probe_projected")
 *   "forward_first": "before", and "hidden" and (where text goes along) "hidden_text" after the
 *     first block
 *   "forward_rest": from the inputs "hidden" and "hidden_text" on: "last", the tokens after the
 *     last block, and "output"
 *   "forward_end": "output" of the input "last"
 *   "forward_attention" (some): "output", and what each attention gave as "reuse.KIND.BLOCK"; those
 *     that are inputs stand for what would be computed
 *
 * The tokens are the picture's, or those of picture and text in one stream.
 *
 *   if (!atl_stage_resume (stage, g, inputs, &image, &text))
 *     {
 *       ... embed both
 *       atl_stage_begin (stage, g, image);
 *     }
 *   for (guint i = atl_stage_first_block (stage); i < n_blocks; i++)
 *     {
 *       ... block i
 *       if (atl_stage_pause (stage, g, image, text))
 *         return;
 *     }
 *   atl_stage_finish (stage, g, image);
 *
 * Threading: as the graph's.
 */
#pragma once

#include "engine/models/component.h"
#include "engine/tensor/graph.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_STAGE_WHOLE,
  ATL_STAGE_PROBE,
  ATL_STAGE_FIRST,
  ATL_STAGE_REST,
  ATL_STAGE_END,
  ATL_STAGE_ATTENTION
} AtlStage;

/* A class's functions. */
#define ATL_STAGE_FUNCTIONS                                                                        \
  "forward", "forward_probe", "forward_first", "forward_rest", "forward_end"
#define ATL_STAGE_OF_ATTENTION "forward_attention"
/* What names of attention's results begin with; of text's keys and values: "reuse.cross.". */
#define ATL_STAGE_REUSE "reuse."

/* What the request's function asks for; ATL_STAGE_WHOLE for any other function. */
AtlStage atl_stage_of (const AtlRequest *request);
/* Adds the request's arrays that the stage goes on from, or that stand for attention; `has_text`:
 * text goes along. FALSE with ATL_ERROR_INVALID when they are not there. */
gboolean atl_stage_add_inputs (AtlStage stage,
                               const AtlRequest *request,
                               gboolean has_text,
                               GPtrArray *inputs,
                               GError **error);

/* TRUE where the stage goes on from tokens that are given: `*image`, and `*text` (nullable) before
 * the second block. */
gboolean atl_stage_resume (
    AtlStage stage, AtlGraph *g, GPtrArray *inputs, AtlTensor **image, AtlTensor **text);
/* The tokens before the first block. TRUE where they are all that was asked for. */
gboolean atl_stage_begin (AtlStage stage, AtlGraph *g, AtlTensor *image);
/* Of the blocks that the stage runs, if it runs any. */
guint atl_stage_first_block (AtlStage stage);
/* After a block. TRUE where the stage ends there; text nullable. */
gboolean atl_stage_pause (AtlStage stage, AtlGraph *g, AtlTensor *image, AtlTensor *text);
/* The tokens after the last block. */
void atl_stage_finish (AtlStage stage, AtlGraph *g, AtlTensor *image);

/* What stands for attention of a kind in a block; NULL where it is to be computed, and given to
 * atl_stage_keep(). */
AtlTensor *
atl_stage_reuse (AtlStage stage, AtlGraph *g, GPtrArray *inputs, const char *kind, guint block);
/* Returns x. */
AtlTensor *
atl_stage_keep (AtlStage stage, AtlGraph *g, AtlTensor *x, const char *kind, guint block);

G_END_DECLS
