// MXFP4: w = 2^(e - 128) table[q], the table being twice the E2M1 values. Plane 0: nibbles, 16 bytes
// a block; plane 1: e, one byte a block of 32. The scales of e = 0 and 1 are subnormal: zero on a
// device that flushes those.
#define QUANTS_LUT(lut)                                                                            \
  do                                                                                               \
    {                                                                                              \
      float16 t = (float16) (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);             \
      vstore16 (t, 0, lut);                                                                        \
    }                                                                                              \
  while (0)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  uchar16 q = as_uchar16 (unpack_nibbles (((__global const uint2 *) w)[g]));
  uint e = (w + p1)[g / 2];

  *d = as_float (e < 2 ? 0x00200000u << e : (e - 1) << 23);
  return LOOK_UP16 (lut, q);
}
