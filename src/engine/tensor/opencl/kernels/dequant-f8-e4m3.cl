// F8_E4M3 (no infinity): plane 0 holds the bytes, rows padded with zeros to a multiple of 32.
// Subnormals are made by multiplying: a device may flush subnormal floats, never these.
#define QUANTS_LUT(lut)

float16
quants16 (__global const uchar *w, ulong p1, ulong p2, ulong p3, ulong g, __local const float *lut, float *d, float *m)
{
  uint16 v = convert_uint16 (as_uchar16 (((__global const uint4 *) w)[g]));
  uint16 sign = (v & 0x80u) << 24;
  uint16 magnitude = v & 0x7fu;
  uint16 normal = (magnitude << 20) + (120u << 23);
  uint16 small = as_uint16 (convert_float16 (magnitude) * 0x1p-9f);
  uint16 bits = select (normal, small, magnitude < 8u);

  *d = 1.0f;
  return as_float16 (sign | select (bits, (uint16) 0x7fc00000u, magnitude == 0x7fu));
}
