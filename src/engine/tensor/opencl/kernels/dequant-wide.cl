// Types without kernels of their own: w = d q. Plane 0: signed bytes; plane 1: d, one float a granule.
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  *d = ((__global const float *) (w + p1))[g];
  return convert_float16 (as_char16 (((__global const uint4 *) w)[g]));
}
