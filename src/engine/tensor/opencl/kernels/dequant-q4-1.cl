// Q4_1: w = d q + m. Plane 0: nibbles, 16 bytes a block; plane 1: d and m, two halves a block of 32.
#define HAS_MIN 1
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  float2 dm = vload_half2 (g / 2, (__global const half *) (w + p1));

  *d = dm.x;
  *m = dm.y;
  return bytes_to_floats (unpack_nibbles (((__global const uint2 *) w)[g]));
}
