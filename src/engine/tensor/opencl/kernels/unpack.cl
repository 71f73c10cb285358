// Bit planes to bytes. A granule is sixteen neighbouring weights; its planes are written by
// repack.c so that one and, or one multiplication, yields four weights as the bytes of a word:
//   4-bit plane, two words: byte i of word h holds weight 8h+i low and weight 8h+4+i high;
//   2-bit plane, one word:  byte i holds weights i, 4+i, 8+i, 12+i from low to high;
//   1-bit plane, 16 bits:   bit i is weight i.
// The result is word j = weights 4j to 4j+3.

uint4
unpack_nibbles (uint2 w)
{
  return (uint4) (w.x, w.x >> 4, w.y, w.y >> 4) & 0x0f0f0f0fu;
}

uint4
unpack_pairs (uint w)
{
  return ((uint4) (w, w >> 2, w >> 4, w >> 6)) & 0x03030303u;
}

// Four bits spread to the lowest bits of four bytes: the four products do not overlap.
uint4
unpack_bits (uint h)
{
  return (((uint4) (h, h >> 4, h >> 8, h >> 12) & 15u) * 0x00204081u) & 0x01010101u;
}

float16
bytes_to_floats (uint4 v)
{
  return convert_float16 (as_uchar16 (v));
}

#define LOOK_UP16(lut, q)                                                                          \
  (float16) ((lut)[(q).s0], (lut)[(q).s1], (lut)[(q).s2], (lut)[(q).s3], (lut)[(q).s4],            \
             (lut)[(q).s5], (lut)[(q).s6], (lut)[(q).s7], (lut)[(q).s8], (lut)[(q).s9],            \
             (lut)[(q).sa], (lut)[(q).sb], (lut)[(q).sc], (lut)[(q).sd], (lut)[(q).se],            \
             (lut)[(q).sf])
