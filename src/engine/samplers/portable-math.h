/* Exponentials, logarithms and random numbers that are the same bits on every machine: libm's last
 * bit differs between systems, and one bit can change a drawn token and with it the whole text.
 *
 * Built from additions, multiplications and divisions of doubles only, which IEEE 754 fixes; the
 * library is compiled without contraction to fused multiply-adds.
 *
 * Threading: pure functions; an AtlRandom belongs to one thread at a time.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* e^x, relative error below 1e-13; 0 below -708 and infinity above 709. NaN stays NaN. */
double atl_portable_exp (double x);
/* The natural logarithm of x > 0, relative error below 1e-13; -infinity for 0, NaN below. */
double atl_portable_log (double x);
/* base^exponent for base >= 0. */
double atl_portable_pow (double base, double exponent);

/* xoshiro256** by Blackman and Vigna, seeded by splitmix64 (https://prng.di.unimi.it, public domain
 * algorithms). */
typedef struct
{
  guint64 state[4];
} AtlRandom;

void atl_random_init (AtlRandom *random, guint64 seed);
/* Uniform in [0, 1), 53 bits. */
double atl_random_uniform (AtlRandom *random);

G_END_DECLS
