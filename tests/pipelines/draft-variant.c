/* Metadata and tensors of a model, written again with a few of them changed. */
#include "draft-variant.h"

#include <math.h>
#include <string.h>

#include "engine/formats/gguf-writer.h"
#include "engine/tokenizers/tokenizer.h"
#include "model-fixture.h"

/* The list with other strings or numbers at the end; the caller frees elems. */
static AtlMetaValue
longer_list (const AtlMetaValue *list, const DraftVariant *v, guint mark)
{
  AtlMetaValue out = *list;
  gsize n = list->v_array.n + (gsize) v->n_more;

  out.v_array.n = n;
  out.v_array.lengths = NULL;
  if (list->v_array.elem_type == ATL_META_STRING)
    {
      char **texts = g_new0 (char *, n + 1);

      for (gsize i = 0; i < n; i++)
        texts[i] = i < list->v_array.n ? g_strdup (((char **) list->v_array.elems)[i])
                                       : g_strdup_printf ("%s%u]", v->more, (guint) i);
      if (v->renamed)
        {
          g_free (texts[mark]);
          texts[mark] = g_strdup ("otherwise");
        }
      out.v_array.elems = texts;
    }
  else
    {
      guint64 *numbers = g_new0 (guint64, n);

      for (gsize i = 0; i < n; i++)
        numbers[i] = i < list->v_array.n ? ((guint64 *) list->v_array.elems)[i] : ATL_TOKEN_NORMAL;
      out.v_array.elems = numbers;
    }
  return out;
}

/* The first token that is no text. */
static guint
find_mark (const AtlCheckpoint *cp)
{
  const AtlMetaValue *types = atl_checkpoint_meta (cp, "tokenizer.ggml.token_type");
  guint i = 0;

  while (i < types->v_array.n && ((gint64 *) types->v_array.elems)[i] != ATL_TOKEN_CONTROL)
    i++;
  g_assert_cmpuint (i, <, types->v_array.n);
  return i;
}

static void
add_meta (AtlGgufWriter *w, const AtlCheckpoint *cp, const DraftVariant *v)
{
  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);
      const AtlMetaValue *value = atl_checkpoint_meta (cp, key);

      if (g_str_equal (key, "tokenizer.ggml.tokens") ||
          g_str_equal (key, "tokenizer.ggml.token_type"))
        {
          AtlMetaValue longer = longer_list (value, v, v->renamed ? find_mark (cp) : 0);

          atl_gguf_writer_add_meta (w, key, &longer);
          if (longer.v_array.elem_type == ATL_META_STRING)
            for (gsize k = 0; k < longer.v_array.n; k++)
              g_free (((char **) longer.v_array.elems)[k]);
          g_free (longer.v_array.elems);
        }
      else
        atl_gguf_writer_add_meta (w, key, value);
    }
}

/* The weights before the last product decide what is guessed. */
static void
change_bytes (const AtlTensorInfo *info, Draft draft, guint8 *bytes)
{
  gboolean is_last = g_str_equal (info->name, "output_norm.weight") ||
                     g_str_equal (info->name, "token_embd_norm.weight");

  if (!is_last || info->dtype != ATL_DTYPE_F32)
    return;
  for (gsize i = 0; i < info->size_bytes / sizeof (float); i++)
    {
      float value;

      memcpy (&value, bytes + i * sizeof value, sizeof value);
      if (draft == DRAFT_HOSTILE || (draft == DRAFT_BLIND && i * 7 % 3 == 1))
        value = -value;
      if (draft == DRAFT_BROKEN)
        value = NAN;
      memcpy (bytes + i * sizeof value, &value, sizeof value);
    }
}

char *
draft_variant_write (const char *folder, const char *family, const DraftVariant *v)
{
  g_autoptr (AtlCheckpoint) cp = model_fixture_open (family, "model.gguf");
  g_autofree char *name = g_strdup_printf ("%s-%d-%d-%d-%s.gguf", family, v->draft, v->n_more,
                                           v->renamed, v->more != NULL ? "more" : "same");
  char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlGgufWriter) w = atl_gguf_writer_new (path, &error);

  g_assert_no_error (error);
  add_meta (w, cp, v);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      atl_gguf_writer_add_tensor (w, info->name, info->dtype, info->n_dims, info->dim);
    }
  atl_gguf_writer_begin (w, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      g_autofree guint8 *bytes = g_memdup2 (info->data, info->size_bytes);

      change_bytes (info, v->draft, bytes);
      atl_gguf_writer_append (w, bytes, info->size_bytes, &error);
      g_assert_no_error (error);
    }
  atl_gguf_writer_finish (w, &error);
  g_assert_no_error (error);
  return path;
}
