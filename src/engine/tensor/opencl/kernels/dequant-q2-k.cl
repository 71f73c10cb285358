// Q2_K: w = d s q - dmin t. Plane 0: 2-bit, 64 bytes a block of 256; plane 1: d and dmin, two halves
// a block; plane 2: one byte a granule, s in the low nibble and t in the high one.
#define HAS_MIN 1
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  float2 dm = vload_half2 (g / 16, (__global const half *) (w + p1));
  uint s = (w + p2)[g];

  *d = dm.x * (float) (s & 15u);
  *m = -dm.y * (float) (s >> 4);
  return bytes_to_floats (unpack_pairs (((__global const uint *) w)[g]));
}
