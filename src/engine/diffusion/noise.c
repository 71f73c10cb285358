/* Mersenne twister (Matsumoto and Nishimura 1998) and Box and Muller's transform. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/noise.h"

#include <math.h>

#define N 624
#define M 397
#define RUN 16

struct _AtlNoise
{
  guint32 state[N];
  guint at;
  double spare; /* the second normal number of a pair */
  gboolean has_spare;
};

AtlNoise *
atl_noise_new (guint64 seed)
{
  AtlNoise *self = g_new0 (AtlNoise, 1);

  self->state[0] = (guint32) seed;
  for (guint32 i = 1; i < N; i++)
    self->state[i] = 1812433253u * (self->state[i - 1] ^ (self->state[i - 1] >> 30)) + i;
  self->at = N;
  return self;
}

void
atl_noise_free (AtlNoise *self)
{
  g_free (self);
}

static guint32
mix (guint32 high, guint32 low, guint32 far)
{
  guint32 y = (high & 0x80000000u) | (low & 0x7fffffffu);

  return far ^ (y >> 1) ^ ((low & 1) != 0 ? 0x9908b0dfu : 0);
}

static guint32
draw (AtlNoise *self)
{
  guint32 *s = self->state, y;

  if (self->at == N)
    {
      for (guint i = 0; i < N; i++)
        s[i] = mix (s[i], s[(i + 1) % N], s[(i + M) % N]);
      self->at = 0;
    }
  y = s[self->at++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

static float
uniform24 (AtlNoise *self)
{
  return (float) (draw (self) & 0xffffffu) * 0x1p-24f;
}

static double
uniform53 (AtlNoise *self)
{
  guint64 high = draw (self);
  guint64 bits = (high << 32) | draw (self);

  return (double) (bits & ((G_GUINT64_CONSTANT (1) << 53) - 1)) * 0x1p-53;
}

static void
normal_run (float *x)
{
  for (guint i = 0; i < RUN / 2; i++)
    {
      float radius = sqrtf (-2.0f * logf (1.0f - x[i]));
      float angle = 2.0f * (float) G_PI * x[i + RUN / 2];

      x[i] = radius * cosf (angle);
      x[i + RUN / 2] = radius * sinf (angle);
    }
}

static double
normal_one (AtlNoise *self)
{
  double angle, radius;

  if (self->has_spare)
    {
      self->has_spare = FALSE;
      return self->spare;
    }
  angle = 2.0 * G_PI * uniform53 (self);
  radius = sqrt (-2.0 * log1p (-uniform53 (self)));
  self->spare = radius * sin (angle);
  self->has_spare = TRUE;
  return radius * cos (angle);
}

void
atl_noise_fill (AtlNoise *self, float *x, gsize n)
{
  if (n < RUN)
    {
      for (gsize i = 0; i < n; i++)
        x[i] = (float) normal_one (self);
      return;
    }
  for (gsize i = 0; i < n; i++)
    x[i] = uniform24 (self);
  for (gsize i = 0; i + RUN <= n; i += RUN)
    normal_run (x + i);
  if (n % RUN != 0)
    {
      x += n - RUN;
      for (guint i = 0; i < RUN; i++)
        x[i] = uniform24 (self);
      normal_run (x);
    }
}
