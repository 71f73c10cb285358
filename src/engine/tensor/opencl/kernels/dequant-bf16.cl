// BF16: plane 0 holds the upper halves of floats, rows padded with zeros to a multiple of 32.
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  __global const uint4 *q = (__global const uint4 *) w + g * 2;
  uint4 a = q[0], b = q[1];
  uint8 c = (uint8) (a, b);
  float8 even = as_float8 (c << 16);
  float8 odd = as_float8 (c & 0xffff0000u);

  *d = 1.0f;
  return (float16) (even.s0, odd.s0, even.s1, odd.s1, even.s2, odd.s2, even.s3, odd.s3,
                    even.s4, odd.s4, even.s5, odd.s5, even.s6, odd.s6, even.s7, odd.s7);
}
