/* EXL2, ExLlamaV2's own form: each group of inputs has a number of bits of its own.
 *
 *   q_weight    i32 [words, out]: per group, from row q_groups[2 g + 1] on, a stream of
 *               q_groups[2 g] bits down each column, lowest first
 *   q_scale     i32 [groups, out / 8]: nibble k of word w belongs to output 8 w + k
 *   q_scale_max f16 [groups]
 *   q_groups    i16 [2 groups]: bits, first word
 *   q_invperm   i32 (or i16) [in]: where each input stands in the streams; or q_perm, the other way
 *
 *   w[o, i] = (q - 2^(bits - 1)) * (nibble + 1)^2 / 256 * max
 *
 * (turboderp, exllamav2, conversion/adaptivegptq.py and the CUDA kernels that read it,
 * q_matrix.cu.) There the factor and the product are rounded to half precision, and so are they
 * here: the rows are F16, the very numbers that ExLlamaV2 computes with.
 */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-source.h"

#include <glib/gi18n.h>
#include "engine/tensor/quants/half.h"

typedef struct
{
  guint bits;
  gint64 word, row, n_rows; /* where it begins in the words, and of which inputs */
} Group;

struct _AtlHfStreams
{
  Group *groups;
  gint64 n_groups;
  guint32 *place; /* of each input */
};

void
atl_hf_streams_free (AtlHfStreams *self)
{
  if (self == NULL)
    return;
  g_free (self->groups);
  g_free (self->place);
  g_free (self);
}

static gboolean
bad (const char *name, const char *what, GError **error)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               _ ("The weight “%s” in the EXL2 form: %s is missing or does not fit the rest"), name,
               what);
  return FALSE;
}

static gint64
length_of (const AtlTensorInfo *info)
{
  return info != NULL && info->n_dims == 1 ? info->dim[0] : 0;
}

static gint64
load_index (const AtlTensorInfo *info, gint64 i)
{
  return info->dtype == ATL_DTYPE_I16 ? (gint64) atl_load_u16 (info->data + 2 * i)
                                      : (gint64) atl_load_u32 (info->data + 4 * i);
}

static gboolean
is_index (const AtlTensorInfo *info)
{
  return info->dtype == ATL_DTYPE_I16 || info->dtype == ATL_DTYPE_I32;
}

/* Groups follow each other without gaps; the last ends with the inputs. */
static gboolean
read_groups (AtlHfSource *self, const char *name, gint64 n_words, gint64 *n_in, GError **error)
{
  const AtlTensorInfo *list = self->part[ATL_HF_EXL_GROUPS];
  AtlHfStreams *s = self->streams;
  gint64 row = 0;

  if (length_of (list) < 2 || list->dim[0] % 2 != 0 || list->dtype != ATL_DTYPE_I16)
    return bad (name, "q_groups", error);
  s->n_groups = list->dim[0] / 2;
  s->groups = g_new0 (Group, s->n_groups);
  for (gint64 g = 0; g < s->n_groups; g++)
    {
      Group *group = &s->groups[g];
      gint64 end = g + 1 < s->n_groups ? load_index (list, 2 * g + 3) : n_words, words;

      group->bits = (guint) load_index (list, 2 * g);
      group->word = load_index (list, 2 * g + 1);
      group->row = row;
      words = end - group->word;
      if (group->bits < 2 || group->bits > 8 || group->bits == 7 || words < 1 || end > n_words ||
          (g == 0 && group->word != 0))
        return bad (name, "q_groups", error);
      group->n_rows = words * 32 / group->bits;
      if (g + 1 == s->n_groups && *n_in > 0)
        {
          if (*n_in <= row || *n_in - row > group->n_rows)
            return bad (name, "q_groups", error);
          group->n_rows = *n_in - row;
        }
      row += group->n_rows;
    }
  *n_in = row;
  return TRUE;
}

static gboolean
read_places (AtlHfSource *self, const char *name, gint64 n_in, GError **error)
{
  const AtlTensorInfo *inverse = self->part[ATL_HF_EXL_INVPERM],
                      *perm = self->part[ATL_HF_EXL_PERM];
  const AtlTensorInfo *list = inverse != NULL ? inverse : perm;
  g_autofree guint8 *seen = g_malloc0 ((gsize) n_in);

  self->streams->place = g_new (guint32, n_in);
  for (gint64 i = 0; i < n_in; i++)
    {
      gint64 at = list != NULL ? load_index (list, i) : i;

      if (at < 0 || at >= n_in || seen[at])
        return bad (name, inverse != NULL ? "q_invperm" : "q_perm", error);
      seen[at] = 1;
      if (list == perm && perm != NULL)
        self->streams->place[at] = (guint32) i;
      else
        self->streams->place[i] = (guint32) at;
    }
  return TRUE;
}

static float
factor_of (const AtlHfSource *self, gint64 g, gint64 o)
{
  gint64 per_row = self->part[ATL_HF_EXL_SCALE]->dim[1];
  guint32 word = atl_load_u32 (self->part[ATL_HF_EXL_SCALE]->data + 4 * (g * per_row + o / 8));
  float nibble = (float) ((word >> o % 8 * 4 & 15) + 1);
  float max = atl_load_f16 (self->part[ATL_HF_EXL_SCALE_MAX]->data + 2 * g);
  /* Both steps as the authors' kernels round them. */
  float step = atl_f16_to_f32 (atl_f32_to_f16 (max / 256));

  return atl_f16_to_f32 (atl_f32_to_f16 (nibble * nibble * step));
}

static void
exl2_rows (const AtlHfSource *self, gint64 first, gint64 stride, gint64 n, guint8 *out)
{
  const AtlTensorInfo *words = self->part[ATL_HF_EXL_WEIGHT];
  const AtlHfStreams *s = self->streams;
  gint64 n_in = self->dim[1], n_out = words->dim[1];
  g_autofree float *row = g_new (float, n_in);

  for (gint64 o = first; n > 0; o += stride, n--, out += self->row_bytes)
    {
      for (gint64 g = 0; g < s->n_groups; g++)
        {
          const Group *group = &s->groups[g];
          const guint8 *column = words->data + 4 * (gsize) (group->word * n_out + o);
          float factor = factor_of (self, g, o);
          gint zero = 1 << (group->bits - 1);

          for (gint64 i = 0; i < group->n_rows; i++)
            row[group->row + i] =
                (float) ((gint) atl_hf_take_bits (column, n_out, i, group->bits) - zero) * factor;
        }
      for (gint64 i = 0; i < n_in; i++)
        atl_store_f16 (out + 2 * i, row[s->place[i]]);
    }
}

gboolean
atl_hf_exl2_init (AtlHfSource *self, const char *name, GError **error)
{
  const AtlTensorInfo *words = self->part[ATL_HF_EXL_WEIGHT];
  const AtlTensorInfo *scale = self->part[ATL_HF_EXL_SCALE],
                      *max = self->part[ATL_HF_EXL_SCALE_MAX];
  const AtlTensorInfo *list = self->part[ATL_HF_EXL_INVPERM] != NULL
                                  ? self->part[ATL_HF_EXL_INVPERM]
                                  : self->part[ATL_HF_EXL_PERM];
  gint64 n_in = length_of (list);

  if (words == NULL || words->dtype != ATL_DTYPE_I32 || words->n_dims != 2 || words->dim[0] < 1 ||
      words->dim[1] < 1 || words->dim[1] % 8 != 0)
    return bad (name, "q_weight", error);
  if (list != NULL && (n_in < 1 || !is_index (list)))
    return bad (name, "q_invperm", error);
  self->streams = g_new0 (AtlHfStreams, 1);
  if (!read_groups (self, name, words->dim[0], &n_in, error) ||
      !read_places (self, name, n_in, error))
    return FALSE;
  if (scale == NULL || scale->dtype != ATL_DTYPE_I32 || scale->n_dims != 2 ||
      scale->dim[0] != self->streams->n_groups || scale->dim[1] != words->dim[1] / 8)
    return bad (name, "q_scale", error);
  if (length_of (max) != self->streams->n_groups || max->dtype != ATL_DTYPE_F16)
    return bad (name, "q_scale_max", error);
  self->n_dims = 2;
  self->dim[0] = words->dim[1];
  self->dim[1] = n_in;
  self->dtype = ATL_DTYPE_F16;
  self->rows = exl2_rows;
  return TRUE;
}
