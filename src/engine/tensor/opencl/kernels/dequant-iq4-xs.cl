// IQ4_XS: w = d (s - 32) table[q]. Plane 0: nibbles, 128 bytes a block of 256; plane 1, 8 bytes a
// block: d (half), the upper two bits of the eight s (16 bits), their lower nibbles (4 bytes).
#define QUANTS_LUT(lut)                                                                            \
  do                                                                                               \
    {                                                                                              \
      float16 t = (float16) (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89,  \
                             113);                                                                 \
      vstore16 (t, 0, lut);                                                                        \
    }                                                                                              \
  while (0)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  uchar16 q = as_uchar16 (unpack_nibbles (((__global const uint2 *) w)[g]));
  uint2 head = ((__global const uint2 *) (w + p1))[g / 16];
  uint part = (uint) (g % 16) / 2;
  uint s = (head.y >> (4 * part) & 15u) | (head.x >> (16 + 2 * part) & 3u) << 4;

  *d = vload_half (g / 16 * 4, (__global const half *) (w + p1)) * ((float) s - 32.0f);
  return LOOK_UP16 (lut, q);
}
