/* Activation functions on one float: the definition that vector forms are held to.
 *
 * Threading: any; functions of their arguments alone.
 */
#pragma once

#include <math.h>

#include "engine/tensor/ops.h"

G_BEGIN_DECLS

static inline float
atl_act_apply (AtlAct act, float x)
{
  switch (act)
    {
    case ATL_ACT_SILU:
      return x / (1.0f + expf (-x));
    case ATL_ACT_GELU_TANH:
      return 0.5f * x * (1.0f + tanhf (0.7978845608028654f * (x + 0.044715f * x * x * x)));
    case ATL_ACT_GELU_ERF:
      return 0.5f * x * (1.0f + erff (x * 0.7071067811865476f));
    case ATL_ACT_GELU_QUICK:
      return x / (1.0f + expf (-1.702f * x));
    case ATL_ACT_RELU:
      return x > 0.0f ? x : 0.0f;
    case ATL_ACT_RELU_SQUARED:
      return x > 0.0f ? x * x : 0.0f;
    case ATL_ACT_SIGMOID:
      return 1.0f / (1.0f + expf (-x));
    case ATL_ACT_TANH:
      return tanhf (x);
    case ATL_ACT_EXP:
      return expf (x);
    case ATL_ACT_ABS:
      return fabsf (x);
    case ATL_ACT_SQUARE:
      return x * x;
    case ATL_ACT_SQRT:
      return sqrtf (x);
    case ATL_ACT_SOFTPLUS:
      return x > 20.0f ? x : log1pf (expf (x));
    case ATL_ACT_CLAMPED_QUICK:
      x = x < 7.0f ? x : 7.0f;
      return x / (1.0f + expf (-1.702f * x));
    case ATL_ACT_CLAMPED_PLUS_ONE:
      return (x < -7.0f ? -7.0f : x > 7.0f ? 7.0f : x) + 1.0f;
    case ATL_ACT_LEAKY_RELU:
      return x > 0.0f ? x : 0.2f * x;
    case ATL_ACT_NONE:
    default:
      return x;
    }
}

G_END_DECLS
