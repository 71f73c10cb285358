// F8_E4M3_32: w = d q. Plane 0: bytes of E4M3; plane 1: d, one float a block of 32.
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  *d = ((__global const float *) (w + p1))[g / 2];
  return e4m3_16 (as_uchar16 (((__global const uint4 *) w)[g]));
}
