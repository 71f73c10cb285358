/* Numbers among the settings of a chat that do not count for an answer, but when the model is
 * loaded; those of the graphics card only where there is one.
 *
 * Threading: constants.
 */
#pragma once

#include "protocol/chat-params.h"

G_BEGIN_DECLS

#define ATL_LOAD_PARAM_N_CTX "n-ctx"
#define ATL_LOAD_PARAM_GPU_LAYERS "gpu-layers"
#define ATL_LOAD_PARAM_CPU_EXPERTS "cpu-experts"
/* The most, where a model does not say. */
#define ATL_LOAD_MAX_LAYERS 1024
#define ATL_LOAD_MAX_N_CTX (1 << 20)

extern const AtlChatParamSpec atl_load_n_ctx, atl_load_gpu_layers, atl_load_cpu_experts;

G_END_DECLS
