/* The parts that a pass through a denoiser falls into where steps are foretold: what is computed of
 * it is asked for by the functions of its stages (models/blocks/stages.h).
 *
 * Threading: one thread at a time. For step-cache*.c only.
 */
#pragma once

#include "engine/diffusion/step-cache.h"

G_BEGIN_DECLS

/* What each function takes and adds to: (borrowed) the request, and who runs it. */
typedef struct
{
  AtlRequest *request;
  AtlPassFunc run;
  gpointer user_data;
} AtlStepPass;

/* Runs a function and takes what it gives of the named ones, in `arrays`, the caller's; the first
 * must be there. */
gboolean atl_step_pass_call (const AtlStepPass *pass,
                             const char *function,
                             const char *const *names,
                             guint n,
                             AtlArray **arrays,
                             GError **error);
/* All of it. */
AtlArray *atl_step_pass_whole (const AtlStepPass *pass, GError **error);
/* The first block; what the rest needs is in the request then. */
gboolean
atl_step_pass_first (const AtlStepPass *pass, AtlArray **before, AtlArray **hidden, GError **error);
/* All other blocks: *last is the picture's tokens behind them. */
AtlArray *atl_step_pass_rest (const AtlStepPass *pass, AtlArray **last, GError **error);
/* Takes what stands for the tokens behind the last block. */
AtlArray *atl_step_pass_end (const AtlStepPass *pass, AtlArray *last, GError **error);

G_END_DECLS
