// The header of a Q4_K or Q5_K block as it is in the file: d and dmin (halves), then twelve bytes
// with eight pairs of 6-bit numbers. `part` is the index of a group of 32 in the block.
// x: d | dmin << 16. y, z: s and t of parts 0 to 3 in the low six bits of each byte, and the upper
// two bits of parts 4 to 7 above them. w: their lower nibbles, s low and t high.
void
k_scales (__global const uchar *headers, ulong block, uint part, float *d, float *m)
{
  uint4 h = ((__global const uint4 *) headers)[block];
  float2 dm = vload_half2 (block * 4, (__global const half *) headers);
  uint shift = (part & 3u) * 8;
  uint y = h.y >> shift, z = h.z >> shift, w = h.w >> shift;
  uint s = part < 4 ? (y & 63u) : (w & 15u) | (y >> 2 & 0x30u);
  uint t = part < 4 ? (z & 63u) : (w >> 4 & 15u) | (z >> 2 & 0x30u);

  *d = dm.x * (float) s;
  *m = -dm.y * (float) t;
}
