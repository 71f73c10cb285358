// Q5_1: w = d q + m. Plane 0: low nibbles, 16 bytes a block; plane 1: d and m, two halves a block of
// 32; plane 2: the fifth bits, 16 a granule.
#define HAS_MIN 1
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  uint4 low = unpack_nibbles (((__global const uint2 *) w)[g]);
  uint4 high = unpack_bits (((__global const ushort *) (w + p2))[g]);
  float2 dm = vload_half2 (g / 2, (__global const half *) (w + p1));

  *d = dm.x;
  *m = dm.y;
  return bytes_to_floats (low | high << 4);
}
