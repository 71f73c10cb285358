// Q8_0: w = d q. Plane 0: signed bytes; plane 1: d, one half a block of 32.
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  *d = vload_half (g / 2, (__global const half *) (w + p1));
  return convert_float16 (as_char16 (((__global const uint4 *) w)[g]));
}
