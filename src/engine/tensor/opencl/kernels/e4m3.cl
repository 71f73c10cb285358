// Sixteen numbers in E4M3 (no infinity). Subnormals are made by multiplying: a device may flush
// subnormal floats, never these.
float16
e4m3_16 (uchar16 bytes)
{
  uint16 v = convert_uint16 (bytes);
  uint16 sign = (v & 0x80u) << 24;
  uint16 magnitude = v & 0x7fu;
  uint16 normal = (magnitude << 20) + (120u << 23);
  uint16 small = as_uint16 (convert_float16 (magnitude) * 0x1p-9f);
  uint16 bits = select (normal, small, magnitude < 8u);

  return as_float16 (sign | select (bits, (uint16) 0x7fc00000u, magnitude == 0x7fu));
}
