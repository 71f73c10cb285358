// Shared by every program: activations, small helpers, the bits of `flags`.
//
// Rules of all kernels here (OpenCL C 1.2, any device):
// - Every tensor comes as a buffer and an offset in elements (bytes for packed types), 64 bits wide:
//   sub-buffers would need the device's alignment.
// - Optional operands come with a bit in `flags`; without it their buffer is some other buffer that is
//   never read.
// - Every kernel does nothing, and reads nothing beyond element 0, when all of its numbers are zero:
//   the host launches each one so to have it compiled before the sandbox closes.
// - Names and numbers of the host's enums come as -D options.

// - Group ids 1 and 2 stay below 65536, which some devices cannot exceed: rows go by in strides.

// Kernels that own one element (or block) per work-item.
#define ITEMS __attribute__ ((reqd_work_group_size (64, 1, 1)))
#define FOR_ITEMS(i, n) for (ulong i = get_global_id (0); i < (n); i += get_global_size (0))
#define FOR_ROWS(i, n) for (uint i = get_global_id (1); i < (n); i += get_global_size (1))

// Templates: name_##NUMBER with NUMBER expanded.
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_ (a, b)

#define HAS_BIAS 1
#define HAS_MUL 2
#define HAS_RESIDUAL 4
#define HAS_IDS 8
#define HAS_SCALE 16
#define HAS_SHIFT 32
#define HAS_WEIGHT 64
#define HAS_RANGES 128
#define HAS_SINKS 256
#define RENORM 512
#define GATE_SECOND 1024
#define RANGES_PER_BATCH 2048
#define IS_FINAL 4096
#define GROUP_BY_BEST 8192

float
activate (int act, float x)
{
  switch (act)
    {
    case ACT_SILU:
      return x / (1.0f + exp (-x));
    case ACT_GELU_TANH:
      return 0.5f * x * (1.0f + tanh (0.79788456080286535588f * (x + 0.044715f * x * x * x)));
    case ACT_GELU_ERF:
      return 0.5f * x * (1.0f + erf (x * 0.70710678118654752440f));
    case ACT_GELU_QUICK:
      return x / (1.0f + exp (-1.702f * x));
    case ACT_RELU:
      return fmax (x, 0.0f);
    case ACT_RELU_SQUARED:
      x = fmax (x, 0.0f);
      return x * x;
    case ACT_SIGMOID:
      return 1.0f / (1.0f + exp (-x));
    case ACT_TANH:
      return tanh (x);
    case ACT_EXP:
      return exp (x);
    case ACT_ABS:
      return fabs (x);
    case ACT_SQUARE:
      return x * x;
    case ACT_SQRT:
      return sqrt (x);
    case ACT_SOFTPLUS:
      // Above 20 the difference to x is below float's resolution.
      return x > 20.0f ? x : log1p (exp (x));
    case ACT_CLAMPED_QUICK:
      x = fmin (x, 7.0f);
      return x / (1.0f + exp (-1.702f * x));
    case ACT_CLAMPED_PLUS_ONE:
      return clamp (x, -7.0f, 7.0f) + 1.0f;
    case ACT_LEAKY_RELU:
      return fmax (x, 0.2f * x);
    default:
      return x;
    }
}

// Vectors as initialisers of arrays, whose loops are unrolled: no address is taken, so that they stay
// in registers.
#define SPREAD4(v) { (v).x, (v).y, (v).z, (v).w }
#define SPREAD8(v) { (v).s0, (v).s1, (v).s2, (v).s3, (v).s4, (v).s5, (v).s6, (v).s7 }
#define SPREAD16(v)                                                                                \
  { (v).s0, (v).s1, (v).s2, (v).s3, (v).s4, (v).s5, (v).s6, (v).s7,                                \
    (v).s8, (v).s9, (v).sa, (v).sb, (v).sc, (v).sd, (v).se, (v).sf }

float
sum4 (float4 v)
{
  return (v.x + v.y) + (v.z + v.w);
}

// Sixteen neighbouring floats; `p` is 16-byte aligned.
float16
load16 (__global const float *p)
{
  __global const float4 *q = (__global const float4 *) p;
  return (float16) (q[0], q[1], q[2], q[3]);
}

float
dot16 (float16 a, float16 b)
{
  float4 s = a.s0123 * b.s0123;
  s = mad (a.s4567, b.s4567, s);
  s = mad (a.s89ab, b.s89ab, s);
  s = mad (a.scdef, b.scdef, s);
  return sum4 (s);
}

float
sum16 (float16 a)
{
  return sum4 ((a.s0123 + a.s4567) + (a.s89ab + a.scdef));
}

// The sum and the maximum of one number a work-item, over all `wg` of the work-group, in every
// work-item. `buffer` holds wg floats, at least 16. Two steps, because barriers cost more than a few
// additions that everyone makes.
#define OVER_GROUP(name, join)                                                                     \
  float name (float v, uint wg, __local float *buffer)                                             \
  {                                                                                                \
    const uint t = get_local_id (0);                                                               \
    barrier (CLK_LOCAL_MEM_FENCE);                                                                 \
    buffer[t] = v;                                                                                 \
    barrier (CLK_LOCAL_MEM_FENCE);                                                                 \
    if (t < 16)                                                                                    \
      for (uint i = t + 16; i < wg; i += 16)                                                       \
        buffer[t] = join (buffer[t], buffer[i]);                                                   \
    barrier (CLK_LOCAL_MEM_FENCE);                                                                 \
    v = buffer[0];                                                                                 \
    for (uint i = 1; i < 16; i++)                                                                  \
      v = join (v, buffer[i]);                                                                     \
    return v;                                                                                      \
  }
#define ADD(a, b) ((a) + (b))
OVER_GROUP (sum_over, ADD)
OVER_GROUP (max_over, fmax)
