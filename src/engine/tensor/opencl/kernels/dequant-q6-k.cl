// Q6_K: w = d s (q - 32). Plane 0: low nibbles, 128 bytes a block of 256; plane 1: d, one half a
// block; plane 2: s, one signed byte a granule; plane 3: the upper two bits, one word a granule.
#define HAS_MIN 1
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  uint4 low = unpack_nibbles (((__global const uint2 *) w)[g]);
  uint4 high = unpack_pairs (((__global const uint *) (w + p3))[g]);

  *d = vload_half (g / 16, (__global const half *) (w + p1)) *
       (float) ((__global const char *) (w + p2))[g];
  *m = -32.0f * *d;
  return bytes_to_floats (low | high << 4);
}
