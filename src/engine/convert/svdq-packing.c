/* Where each number of Nunchaku's packed matrices lies. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/svdq-packing.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tensor/quants/half.h"

#define BLOCK 32
#define TILE 128    /* outputs and inputs are filled up to it */
#define LOW_RANK 16 /* the tile of the low-rank branch */
#define MAX_SIDE (1 << 20)
#define MAX_RANK 4096

static const struct
{
  const char *suffix;
  AtlSvdqPart part;
} parts[] = {
  { "qweight", ATL_SVDQ_WORDS },        { "wscales", ATL_SVDQ_SCALES },
  { "wcscales", ATL_SVDQ_ROW_SCALE },   { "wtscale", ATL_SVDQ_SCALE },
  { "wzeros", ATL_SVDQ_ZEROS },         { "smooth", ATL_SVDQ_SMOOTH },
  { "smooth_factor", ATL_SVDQ_SMOOTH }, { "lora_down", ATL_SVDQ_DOWN },
  { "proj_down", ATL_SVDQ_DOWN },       { "lora_up", ATL_SVDQ_UP },
  { "proj_up", ATL_SVDQ_UP },           { "bias", ATL_SVDQ_BIAS },
  { "scales", ATL_SVDQ_SCALES },        { "scaled_zeros", ATL_SVDQ_ZEROS },
};

AtlSvdqPart
atl_svdq_part_of (const char *name, gsize *module_length)
{
  const char *dot = strrchr (name, '.');

  for (gsize i = 0; dot != NULL && i < G_N_ELEMENTS (parts); i++)
    if (strcmp (dot + 1, parts[i].suffix) == 0)
      {
        *module_length = (gsize) (dot - name);
        return parts[i].part;
      }
  return ATL_SVDQ_N_PARTS;
}

gboolean
atl_svdq_is_matrix (const AtlSvdqMatrix *self)
{
  const AtlTensorInfo *words = self->part[ATL_SVDQ_WORDS];

  if (words == NULL)
    return FALSE;
  if (words->dtype == ATL_DTYPE_I8 || words->dtype == ATL_DTYPE_U8)
    return self->part[ATL_SVDQ_SCALES] != NULL;
  return (words->dtype == ATL_DTYPE_I32 || words->dtype == ATL_DTYPE_I16) &&
         self->part[ATL_SVDQ_ZEROS] != NULL;
}

/* --- Checking --- */

static gboolean
bad (const AtlSvdqMatrix *self,
     const char *module,
     const char *what,
     AtlSvdqPart part,
     GError **error)
{
  const AtlTensorInfo *info = self->part[part];

  if (info == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                 _ ("The quantised weight “%s”: “%s.%s” is missing"), module, module, what);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                 _ ("The quantised weight “%s”: “%s”, of the type %s, does not fit the others"),
                 module, info->name, atl_dtype_name (info->dtype));
  return FALSE;
}

static gboolean
is_halves (const AtlTensorInfo *info, gint64 n)
{
  return info != NULL && info->data != NULL &&
         (info->dtype == ATL_DTYPE_F16 || info->dtype == ATL_DTYPE_BF16) &&
         atl_tensor_info_n_elems (info) == n;
}

static gboolean
is_halves_or_none (const AtlTensorInfo *info, gint64 n)
{
  return info == NULL || is_halves (info, n);
}

static gboolean
check_low_rank (AtlSvdqMatrix *self, const char *module, GError **error)
{
  const AtlTensorInfo *down = self->part[ATL_SVDQ_DOWN], *up = self->part[ATL_SVDQ_UP];

  if (down == NULL && up == NULL)
    return TRUE;
  if (down == NULL || down->n_dims != 2 || down->dim[0] != self->n_in || down->dim[1] < 0 ||
      down->dim[1] > MAX_RANK || down->dim[1] % LOW_RANK != 0 ||
      (down->dim[1] > 0 && !is_halves (down, self->n_in * down->dim[1])))
    return bad (self, module, "lora_down", ATL_SVDQ_DOWN, error);
  self->rank = down->dim[1];
  if (up == NULL || up->n_dims != 2 || up->dim[1] != self->rank ||
      (self->rank > 0 && (up->dtype != down->dtype || !is_halves (up, self->n_out * self->rank))))
    return bad (self, module, "lora_up", ATL_SVDQ_UP, error);
  return TRUE;
}

float
atl_svdq_float (const AtlTensorInfo *info, guint16 bits)
{
  return info->dtype == ATL_DTYPE_F16 ? atl_f16_to_f32 (bits) : atl_bf16_to_f32 (bits);
}

static float
half_at (const AtlTensorInfo *info, gint64 i)
{
  return atl_svdq_float (info, atl_load_u16 (info->data + 2 * i));
}

/* Where the i-th channel's number lies in a row of numbers of all. */
static gint64
in_row (gint64 i)
{
  return i / 16 * 16 + i % 8 / 2 * 4 + i % 16 / 8 * 2 + i % 2;
}

static void
read_smoothing (AtlSvdqMatrix *self)
{
  const AtlTensorInfo *smooth = self->part[ATL_SVDQ_SMOOTH];

  self->unsmooth = g_new (float, self->n_in);
  for (gint64 i = 0; i < self->n_in; i++)
    self->unsmooth[i] = 1.0f;
  for (gint64 i = 0; smooth != NULL && i < self->n_in; i++)
    self->unsmooth[i] = 1.0f / half_at (smooth, in_row (i));
}

static gboolean
check_svdq (AtlSvdqMatrix *self, const char *module, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_SVDQ_WORDS], *scales = self->part[ATL_SVDQ_SCALES];
  const AtlTensorInfo *scale = self->part[ATL_SVDQ_SCALE];

  if (words->data == NULL || words->n_dims != 2 || words->dim[0] < 1 || words->dim[1] < 1 ||
      words->dim[0] > MAX_SIDE || words->dim[1] > MAX_SIDE || words->dim[0] % TILE != 0 ||
      words->dim[1] * 2 % TILE != 0)
    return bad (self, module, "qweight", ATL_SVDQ_WORDS, error);
  self->n_out = words->dim[0];
  self->n_in = words->dim[1] * 2;
  self->is_fp4 = scales->dtype == ATL_DTYPE_F8_E4M3;
  self->group = self->is_fp4 ? 16 : 64;
  if (self->is_fp4 ? scales->data == NULL || atl_tensor_info_n_elems (scales) !=
                                                 self->n_out * (self->n_in / self->group)
                   : !is_halves (scales, self->n_out * (self->n_in / self->group)))
    return bad (self, module, "wscales", ATL_SVDQ_SCALES, error);
  if (!is_halves_or_none (self->part[ATL_SVDQ_ROW_SCALE], self->n_out))
    return bad (self, module, "wcscales", ATL_SVDQ_ROW_SCALE, error);
  if (scale != NULL && !is_halves (scale, 1) &&
      (scale->dtype != ATL_DTYPE_F32 || scale->data == NULL ||
       atl_tensor_info_n_elems (scale) != 1))
    return bad (self, module, "wtscale", ATL_SVDQ_SCALE, error);
  if (!is_halves_or_none (self->part[ATL_SVDQ_SMOOTH], self->n_in))
    return bad (self, module, "smooth", ATL_SVDQ_SMOOTH, error);
  if (!is_halves_or_none (self->part[ATL_SVDQ_BIAS], self->n_out))
    return bad (self, module, "bias", ATL_SVDQ_BIAS, error);
  if (!check_low_rank (self, module, error))
    return FALSE;
  read_smoothing (self);
  return TRUE;
}

/* Groups of `size` inputs, filled up to whole words of 32 bits by the kernel that reads them. */
static gint64
filled_groups (gint64 n_in, gint64 size)
{
  gint64 factor = size >= 128 ? 8 : 16;

  return (n_in / size + factor - 1) / factor * factor;
}

static gboolean
check_affine (AtlSvdqMatrix *self, const char *module, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_SVDQ_WORDS], *scales = self->part[ATL_SVDQ_SCALES];
  gboolean is_short = words->dtype == ATL_DTYPE_I16;

  self->is_affine = TRUE;
  if (words->data == NULL || words->n_dims != 2 || words->dim[0] < 1 || words->dim[1] < 1 ||
      words->dim[0] > MAX_SIDE || words->dim[1] > MAX_SIDE)
    return bad (self, module, "qweight", ATL_SVDQ_WORDS, error);
  self->n_out = words->dim[0] * 4;
  self->n_in = is_short ? words->dim[1] : words->dim[1] * 2;
  if (self->n_in % 64 != 0)
    return bad (self, module, "qweight", ATL_SVDQ_WORDS, error);
  if (scales == NULL || scales->n_dims != 2 || scales->dim[1] != self->n_out)
    return bad (self, module, "wscales", ATL_SVDQ_SCALES, error);
  /* T5 shares scales among 128, modulations among 64. */
  self->group = is_short ? 128 : 64;
  if (self->n_in % self->group != 0 ||
      (scales->dim[0] != filled_groups (self->n_in, self->group) &&
       scales->dim[0] != self->n_in / self->group) ||
      !is_halves (scales, scales->dim[0] * self->n_out))
    return bad (self, module, "wscales", ATL_SVDQ_SCALES, error);
  if (!is_halves (self->part[ATL_SVDQ_ZEROS], atl_tensor_info_n_elems (scales)) ||
      self->part[ATL_SVDQ_ZEROS]->dtype != scales->dtype)
    return bad (self, module, "wzeros", ATL_SVDQ_ZEROS, error);
  if (!is_halves_or_none (self->part[ATL_SVDQ_BIAS], self->n_out))
    return bad (self, module, "bias", ATL_SVDQ_BIAS, error);
  return TRUE;
}

gboolean
atl_svdq_matrix_read (AtlSvdqMatrix *self, const char *module, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_SVDQ_WORDS];

  return words->dtype == ATL_DTYPE_I8 || words->dtype == ATL_DTYPE_U8
             ? check_svdq (self, module, error)
             : check_affine (self, module, error);
}

void
atl_svdq_matrix_clear (AtlSvdqMatrix *self)
{
  g_clear_pointer (&self->unsmooth, g_free);
}

/* --- Numbers --- */

float
atl_svdq_bias (const AtlSvdqMatrix *self, gint64 out)
{
  const AtlTensorInfo *bias = self->part[ATL_SVDQ_BIAS];

  return bias == NULL ? 0.0f : half_at (bias, self->is_affine ? out : in_row (out));
}

/* The scale of an output's group; of the affine form its zero too. */
static float
scale_at (const AtlSvdqMatrix *self, gint64 out, gint64 group, float *zero)
{
  const AtlTensorInfo *scales = self->part[ATL_SVDQ_SCALES];
  gint64 tile = out / TILE, n = out % TILE;

  if (self->is_affine)
    {
      *zero = half_at (self->part[ATL_SVDQ_ZEROS], group * self->n_out + out);
      return half_at (scales, group * self->n_out + out);
    }
  *zero = 0.0f;
  if (self->is_fp4)
    {
      gint64 k_tile = group / 4, n_k = self->n_in / 64;
      gint64 at = ((tile * n_k + k_tile) * 32 + n % 8 * 4 + n % 32 / 8) * 16 + n / 32 * 4;

      return atl_f8_e4m3_to_f32 (scales->data[at + group % 4]);
    }
  return half_at (scales, (tile * (self->n_in / self->group) + group) * TILE + in_row (n));
}

/* What multiplies all of an output's codes and scales besides. */
static float
row_scale (const AtlSvdqMatrix *self, gint64 out)
{
  const AtlTensorInfo *rows = self->part[ATL_SVDQ_ROW_SCALE], *whole = self->part[ATL_SVDQ_SCALE];
  float scale = rows != NULL ? half_at (rows, in_row (out)) : 1.0f;

  if (whole != NULL)
    scale *= whole->dtype == ATL_DTYPE_F32 ? atl_f32_from_bits (atl_load_u32 (whole->data))
                                           : half_at (whole, 0);
  return scale;
}

/* The 32 codes, 0 … 15, of an output's inputs from `in` on, which is a multiple of 32. */
static void
codes_at (const AtlSvdqMatrix *self, gint64 out, gint64 in, guint8 *codes)
{
  const guint8 *data = self->part[ATL_SVDQ_WORDS]->data;
  gint64 n_k = self->n_in / 64, k = in / 64, half = in % 64 / 32;

  if (self->is_affine)
    {
      gint64 at = ((out / 4 * n_k + k) * 4 + out % 4) * 16 + half * 8;

      for (guint j = 0; j < 8; j++)
        {
          guint16 word = atl_load_u16 (data + 2 * (at + j));

          for (guint i = 0; i < 4; i++)
            codes[8 * i + j] = word >> 4 * i & 15;
        }
      return;
    }
  gint64 tile = out / TILE * n_k + k, n = out % TILE;
  gint64 at = ((tile * 8 + n / 16) * 8 + n % 8) * 16 + n % 16 / 8 * 2 + half;

  for (guint lane = 0; lane < 4; lane++)
    {
      guint32 word = atl_load_u32 (data + 4 * (at + 4 * lane));

      for (guint i = 0; i < 8; i++)
        codes[8 * lane + i] = word >> 4 * i & 15;
    }
}

gboolean
atl_svdq_fits_blocks (const AtlSvdqMatrix *self)
{
  const AtlTensorInfo *of[] = { self->part[ATL_SVDQ_SCALES], self->part[ATL_SVDQ_ZEROS] };

  if (self->is_fp4 || self->part[ATL_SVDQ_ROW_SCALE] != NULL || self->part[ATL_SVDQ_SCALE] != NULL)
    return FALSE;
  for (guint t = 0; t < G_N_ELEMENTS (of); t++)
    if (of[t] != NULL && of[t]->dtype != ATL_DTYPE_F16)
      for (gint64 i = 0; i < atl_tensor_info_n_elems (of[t]); i++)
        {
          float value = half_at (of[t], i);

          if (atl_f16_to_f32 (atl_f32_to_f16 (value)) != value)
            return FALSE;
        }
  return TRUE;
}

void
atl_svdq_blocks (const AtlSvdqMatrix *self, gint64 out, guint8 *blocks)
{
  guint8 flip = self->is_affine ? 0 : 8;

  for (gint64 in = 0; in < self->n_in; in += BLOCK)
    {
      float zero, scale = scale_at (self, out, in / self->group, &zero);
      guint8 codes[BLOCK];

      codes_at (self, out, in, codes);
      atl_store_f16 (blocks, scale);
      blocks += 2;
      if (self->is_affine)
        {
          atl_store_f16 (blocks, zero);
          blocks += 2;
        }
      for (guint j = 0; j < BLOCK / 2; j++)
        *blocks++ = (guint8) ((codes[j] ^ flip) | (codes[j + BLOCK / 2] ^ flip) << 4);
    }
}

void
atl_svdq_row (const AtlSvdqMatrix *self, gint64 out, float *row)
{
  static const float e2m1[8] = { 0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f };
  float all = self->is_affine ? 1.0f : row_scale (self, out);

  for (gint64 in = 0; in < self->n_in; in += BLOCK)
    {
      guint8 codes[BLOCK];

      codes_at (self, out, in, codes);
      for (gint64 i = 0; i < BLOCK; i += 16)
        {
          float zero, scale = all * scale_at (self, out, (in + i) / self->group, &zero);

          for (gint64 k = i; k < i + 16; k++)
            {
              gint code = codes[k];

              if (self->is_affine)
                row[in + k] = (float) code * scale + zero;
              else if (self->is_fp4)
                row[in + k] = (code < 8 ? e2m1[code] : -e2m1[code - 8]) * scale;
              else
                row[in + k] = (float) (code < 8 ? code : code - 16) * scale;
            }
        }
    }
}

/* Inside a tile of 16 x 16, `n` of the outer and `k` of the inner side. */
static gint64
in_tile (gint64 n, gint64 k)
{
  return (n % 8 * 4 + k % 8 / 2) * 8 + n / 8 * 4 + k / 8 * 2 + k % 2;
}

guint16
atl_svdq_down (const AtlSvdqMatrix *self, gint64 rank, gint64 in)
{
  gint64 tile = in / LOW_RANK * (self->rank / LOW_RANK) + rank / LOW_RANK;

  return atl_load_u16 (self->part[ATL_SVDQ_DOWN]->data +
                       2 * (tile * 256 + in_tile (rank % LOW_RANK, in % LOW_RANK)));
}

guint16
atl_svdq_up (const AtlSvdqMatrix *self, gint64 out, gint64 rank)
{
  gint64 tile = out / LOW_RANK * (self->rank / LOW_RANK) + rank / LOW_RANK;

  return atl_load_u16 (self->part[ATL_SVDQ_UP]->data +
                       2 * (tile * 256 + in_tile (out % LOW_RANK, rank % LOW_RANK)));
}
