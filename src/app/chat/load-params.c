/* What these numbers are called, and what can be set. */
#include "app/chat/load-params.h"

#include <glib/gi18n.h>

const AtlChatParamSpec atl_load_n_ctx = {
  .key = ATL_LOAD_PARAM_N_CTX,
  .kind = ATL_PARAM_INT,
  .min = 0,
  .max = ATL_LOAD_MAX_N_CTX,
  .step = 1024,
  .label = N_ ("Context length"),
  .term = "n_ctx",
  .tooltip = N_ ("How many tokens of the chat the model can see. 0 chooses by itself. Counts when "
                 "the model is loaded."),
};

const AtlChatParamSpec atl_load_gpu_layers = {
  .key = ATL_LOAD_PARAM_GPU_LAYERS,
  .kind = ATL_PARAM_INT,
  .min = -1,
  .max = ATL_LOAD_MAX_LAYERS,
  .step = 1,
  .label = N_ ("Layers on the graphics card"),
  .term = "n_gpu_layers",
  .tooltip =
      N_ ("How many of the model's layers the graphics card keeps; the processor computes the "
          "others. -1: as many as fit. Counts when the model is loaded."),
};

const AtlChatParamSpec atl_load_cpu_experts = {
  .key = ATL_LOAD_PARAM_CPU_EXPERTS,
  .kind = ATL_PARAM_INT,
  .min = -1,
  .max = ATL_LOAD_MAX_LAYERS,
  .step = 1,
  .label = N_ ("Experts on the processor"),
  .term = "n_cpu_experts",
  .tooltip =
      N_ ("In how many layers the experts stay with the processor, so that the rest of the "
          "model finds room on the graphics card. -1: as many as must. Counts when the model "
          "is loaded."),
};
