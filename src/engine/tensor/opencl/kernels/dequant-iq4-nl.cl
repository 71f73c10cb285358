// IQ4_NL: w = d table[q]. Plane 0: nibbles, 16 bytes a block; plane 1: d, one half a block of 32.
// The table lies in local memory: work-items of a group look up different entries at once.
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

  *d = vload_half (g / 2, (__global const half *) (w + p1));
  return LOOK_UP16 (lut, q);
}
