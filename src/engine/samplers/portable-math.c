/* Exponential, logarithm and random numbers with the same bits everywhere. */
#define G_LOG_DOMAIN "atl-samplers"

#include "engine/samplers/portable-math.h"

#include <math.h>
#include <string.h>

/* ln 2 in two parts, the first with trailing zero bits so that k times it is exact. */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define LOG2_E 1.44269504088896338700

double
atl_portable_exp (double x)
{
  double k, r, sum;
  gint64 whole, bits;

  if (isnan (x))
    return x;
  if (x < -708)
    return 0;
  if (x > 709)
    return INFINITY;
  /* x = k ln 2 + r with |r| <= ln 2 / 2, then a Taylor polynomial whose rest is below 2e-16;
   * written out because sampling without top-k takes one exponential a token of the vocabulary. */
  whole = (gint64) (x * LOG2_E + (x < 0 ? -0.5 : 0.5));
  k = (double) whole;
  r = (x - k * LN2_HIGH) - k * LN2_LOW;
  sum = 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  bits = (whole + 1023) << 52;
  memcpy (&k, &bits, sizeof k);
  return sum * k;
}

double
atl_portable_log (double x)
{
  int exponent;
  double m, s, square, sum;

  if (isnan (x) || x < 0)
    return NAN;
  if (x == 0)
    return -INFINITY;
  if (isinf (x))
    return x;
  /* x = m 2^exponent with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh ((m - 1) / (m + 1)). frexp
   * only takes the number apart. */
  m = frexp (x, &exponent);
  if (m < 0.70710678118654752)
    {
      m *= 2;
      exponent--;
    }
  s = (m - 1) / (m + 1);
  square = s * s;
  sum = 0;
  for (int n = 21; n >= 1; n -= 2)
    sum = sum * square + 1.0 / n;
  return exponent * LN2_HIGH + (2 * s * sum + exponent * LN2_LOW);
}

double
atl_portable_pow (double base, double exponent)
{
  if (exponent == 0)
    return 1;
  if (base == 0)
    return exponent > 0 ? 0 : INFINITY;
  return atl_portable_exp (exponent * atl_portable_log (base));
}

void
atl_random_init (AtlRandom *random, guint64 seed)
{
  for (guint i = 0; i < 4; i++)
    {
      guint64 z = seed += 0x9e3779b97f4a7c15u;

      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      random->state[i] = z ^ (z >> 31);
    }
}

static guint64
rotate_left (guint64 x, guint n)
{
  return x << n | x >> (64 - n);
}

double
atl_random_uniform (AtlRandom *random)
{
  guint64 *s = random->state;
  guint64 result = rotate_left (s[1] * 5, 7) * 9;
  guint64 t = s[1] << 17;

  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left (s[3], 45);
  return (double) (result >> 11) * 0x1p-53;
}
