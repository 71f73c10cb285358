// Q4_0: w = d (q - 8). Plane 0: nibbles, 16 bytes a block; plane 1: d, one half a block of 32.
#define HAS_MIN 1
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  *d = vload_half (g / 2, (__global const half *) (w + p1));
  *m = -8.0f * *d;
  return bytes_to_floats (unpack_nibbles (((__global const uint2 *) w)[g]));
}
