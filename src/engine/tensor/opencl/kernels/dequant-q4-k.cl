// Q4_K: w = d s q - dmin t. Plane 0: nibbles, 128 bytes a block of 256; plane 1: the block's 16-byte
// header (see k-scales.cl).
#define HAS_MIN 1
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  k_scales (w + p1, g / 16, (uint) (g % 16) / 2, d, m);
  return bytes_to_floats (unpack_nibbles (((__global const uint2 *) w)[g]));
}
