/* Conversions between float and the small floating-point types: f16, bf16, f8 (E4M3, E5M2), and
 * the power-of-two scale E8M0 of microscaling formats.
 *
 *   guint16 h = atl_f32_to_f16 (1.0f / 3.0f);
 *   float x = atl_f16_to_f32 (h);
 *
 * Towards float every conversion is exact. From float they round to the nearest value, ties to
 * even; subnormals are kept, NaN stays NaN. Plain integer arithmetic, so the result does not depend
 * on flush-to-zero modes. These are the definitions; a backend may use instructions instead.
 *
 * Threading: pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

static inline float
atl_f32_from_bits (guint32 bits)
{
  float value;
  memcpy (&value, &bits, sizeof value);
  return value;
}

static inline guint32
atl_f32_to_bits (float value)
{
  guint32 bits;
  memcpy (&bits, &value, sizeof bits);
  return bits;
}

/* IEEE 754 binary16. */
static inline float
atl_f16_to_f32 (guint16 h)
{
  guint32 sign = (guint32) (h & 0x8000) << 16;
  guint32 magnitude = h & 0x7fff;

  if (magnitude >= 0x7c00)
    return atl_f32_from_bits (sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude < 0x400)
    return atl_f32_from_bits (sign | atl_f32_to_bits ((float) magnitude * 0x1p-24f));
  return atl_f32_from_bits (sign | ((magnitude << 13) + (112u << 23)));
}

/* Rounds the magnitude `abs` (bits of a float, not NaN) to a format with `mantissa` explicit bits
 * whose smallest normal number is 2^min_exp; the result is the format's bits without sign, and may
 * carry into an exponent that the format does not have. */
static inline guint32
atl_f32_round_magnitude (guint32 abs, guint mantissa, int min_exp)
{
  guint exponent = abs >> 23;
  guint first = (guint) (min_exp + 127); /* float's exponent field of the smallest normal */
  guint shift = 23 - mantissa;
  guint32 value, half, rest;

  if (exponent >= first)
    value = abs - ((first - 1) << 23);
  else
    {
      /* Subnormal: put the hidden bit back and shift it to where the format counts from. */
      if (first - exponent > mantissa + 2)
        return 0;
      value = (abs & 0x7fffff) | 0x800000;
      shift += first - exponent;
    }
  half = 1u << (shift - 1);
  rest = value & ((1u << shift) - 1);
  value >>= shift;
  return value + (rest > half || (rest == half && (value & 1) != 0));
}

/* Beyond 65504 (half a step included) becomes infinite. */
static inline guint16
atl_f32_to_f16 (float value)
{
  guint32 bits = atl_f32_to_bits (value);
  guint16 sign = (guint16) (bits >> 16 & 0x8000);
  guint32 abs = bits & 0x7fffffff;

  if (abs > 0x7f800000)
    return (guint16) (sign | 0x7e00 | (abs >> 13 & 0x3ff));
  if (abs >= 0x477ff000)
    return sign | 0x7c00;
  return (guint16) (sign | atl_f32_round_magnitude (abs, 10, -14));
}

static inline float
atl_bf16_to_f32 (guint16 h)
{
  return atl_f32_from_bits ((guint32) h << 16);
}

static inline guint16
atl_f32_to_bf16 (float value)
{
  guint32 bits = atl_f32_to_bits (value);

  if ((bits & 0x7fffffff) > 0x7f800000)
    return (guint16) (bits >> 16 | 0x40);
  return (guint16) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* E4M3 as in "float8_e4m3fn": no infinity, 0x7f and 0xff are NaN, the largest value is 448. */
static inline float
atl_f8_e4m3_to_f32 (guint8 v)
{
  guint32 sign = (guint32) (v & 0x80) << 24;
  guint32 magnitude = v & 0x7f;

  if (magnitude == 0x7f)
    return atl_f32_from_bits (sign | 0x7fc00000);
  if (magnitude < 8)
    return atl_f32_from_bits (sign | atl_f32_to_bits ((float) magnitude * 0x1p-9f));
  return atl_f32_from_bits (sign | ((magnitude << 20) + (120u << 23)));
}

/* Values beyond the range, infinities included, saturate at 448. */
static inline guint8
atl_f32_to_f8_e4m3 (float value)
{
  guint32 bits = atl_f32_to_bits (value);
  guint8 sign = (guint8) (bits >> 24 & 0x80);
  guint32 abs = bits & 0x7fffffff;

  if (abs > 0x7f800000)
    return sign | 0x7f;
  if (abs >= 0x43e00000)
    return sign | 0x7e;
  return (guint8) (sign | atl_f32_round_magnitude (abs, 3, -6));
}

/* E5M2: the upper byte of an f16, with infinities. */
static inline float
atl_f8_e5m2_to_f32 (guint8 v)
{
  return atl_f16_to_f32 ((guint16) (v << 8));
}

/* Beyond 57344 (half a step included) becomes infinite. */
static inline guint8
atl_f32_to_f8_e5m2 (float value)
{
  guint32 bits = atl_f32_to_bits (value);
  guint8 sign = (guint8) (bits >> 24 & 0x80);
  guint32 abs = bits & 0x7fffffff;

  if (abs > 0x7f800000)
    return (guint8) (sign | 0x7e | (abs >> 21 & 3));
  if (abs >= 0x47700000)
    return sign | 0x7c;
  return (guint8) (sign | atl_f32_round_magnitude (abs, 2, -14));
}

/* Half the E8M0 scale, 2^(e - 128): MXFP4 tables hold doubled values so that they are integers.
 * 255, which the standard calls NaN, is 2^127 here as in the files' reference. */
static inline float
atl_e8m0_half_to_f32 (guint8 e)
{
  return atl_f32_from_bits (e < 2 ? 0x00200000u << e : (guint32) (e - 1) << 23);
}

/* Half of an unsigned E4M3 scale (NVFP4); 0x7f is zero as in the files' reference. */
static inline float
atl_ue4m3_half_to_f32 (guint8 v)
{
  return (v & 0x7f) == 0x7f ? 0.0f : atl_f8_e4m3_to_f32 (v & 0x7f) * 0.5f;
}

/* Little-endian loads from any address: blocks in files are not aligned. */
static inline guint16
atl_load_u16 (const void *p)
{
  guint16 v;
  memcpy (&v, p, sizeof v);
  return GUINT16_FROM_LE (v);
}

static inline guint32
atl_load_u32 (const void *p)
{
  guint32 v;
  memcpy (&v, p, sizeof v);
  return GUINT32_FROM_LE (v);
}

static inline float
atl_load_f16 (const void *p)
{
  return atl_f16_to_f32 (atl_load_u16 (p));
}

static inline void
atl_store_u16 (void *p, guint16 v)
{
  v = GUINT16_TO_LE (v);
  memcpy (p, &v, sizeof v);
}

static inline void
atl_store_f16 (void *p, float value)
{
  atl_store_u16 (p, atl_f32_to_f16 (value));
}

G_END_DECLS
