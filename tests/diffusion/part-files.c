/* Making files of parts. */
#include "part-files.h"

#include <glib/gstdio.h>
#include <string.h>

void
part_files_init (PartFiles *self)
{
  g_autoptr (GError) error = NULL;

  self->folder = g_dir_make_tmp ("atelier-parts-XXXXXX", &error);
  g_assert_no_error (error);
  self->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  self->names = g_ptr_array_new_with_free_func (g_free);
}

void
part_files_clear (PartFiles *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (self->folder, name, NULL);

      g_unlink (path);
    }
  g_rmdir (self->folder);
  g_free (self->folder);
  g_ptr_array_unref (self->maps);
  g_ptr_array_unref (self->names);
}

void
part_files_add_bytes (PartFiles *self, const char *logical, const char *bytes, gsize n)
{
  g_autofree char *base = g_path_get_basename (logical);
  g_autofree char *path = g_build_filename (self->folder, base, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, bytes, (gssize) n, &error);
  g_assert_no_error (error);
  g_ptr_array_add (self->maps, atl_file_map_new (path, &error));
  g_assert_no_error (error);
  g_ptr_array_add (self->names, g_strdup (logical));
}

void
part_files_add (PartFiles *self,
                const char *logical,
                guint n,
                const char *const *tensors,
                guint rows,
                guint columns)
{
  g_autoptr (GString) header = g_string_new ("{");
  gsize size = (gsize) MAX (rows, 1) * columns * 4;
  g_autofree char *bytes = NULL;
  guint64 length;

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *shape =
          rows > 0 ? g_strdup_printf ("%u,%u", rows, columns) : g_strdup_printf ("%u", columns);

      g_string_append_printf (
          header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%u,%u]}",
          i > 0 ? "," : "", tensors[i], shape, (guint) (i * size), (guint) ((i + 1) * size));
    }
  g_string_append_c (header, '}');
  length = GUINT64_TO_LE (header->len);
  bytes = g_malloc0 (8 + header->len + n * size);
  memcpy (bytes, &length, 8);
  memcpy (bytes + 8, header->str, header->len);
  part_files_add_bytes (self, logical, bytes, 8 + header->len + n * size);
}

/* Enough of the names that a T5 is known by. */
void
part_files_add_t5 (PartFiles *self, const char *logical, guint width, gboolean is_umt5)
{
  const char *const tensors[] = {
    "shared.weight",
    "encoder.block.0.layer.0.SelfAttention.q.weight",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
    "encoder.block.1.layer.0.SelfAttention.q.weight",
    "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
  };

  part_files_add (self, logical, G_N_ELEMENTS (tensors) - !is_umt5, tensors, 2, width);
}

/* Enough of the names that a CLIP is known by; `width` numbers a token and a vector. */
void
part_files_add_clip (PartFiles *self, const char *logical, guint width)
{
  static const char *const tensors[] = { "text_model.embeddings.position_embedding.weight",
                                         "text_model.embeddings.token_embedding.weight",
                                         "text_model.encoder.layers.0.self_attn.q_proj.weight",
                                         "text_model.final_layer_norm.weight" };

  part_files_add (self, logical, G_N_ELEMENTS (tensors), tensors, 0, width);
}

void
part_files_add_chroma (PartFiles *self, const char *logical, guint width)
{
  static const char *const tensors[] = { "txt_in.weight", "distilled_guidance_layer.in_proj.weight",
                                         "double_blocks.0.img_attn.qkv.weight",
                                         "double_blocks.0.img_attn.norm.query_norm.scale" };

  part_files_add (self, logical, G_N_ELEMENTS (tensors), tensors, 4, width);
}

AtlBundle *
part_files_assign (PartFiles *files, const AtlDiffusionFamily *family)
{
  g_autoptr (GError) error = NULL;
  AtlBundle *bundle =
      atl_bundle_new ((AtlFileMap *const *) files->maps->pdata,
                      (const char *const *) files->names->pdata, files->maps->len, &error);

  g_assert_no_error (error);
  g_assert_true (atl_bundle_assign (bundle, family->parts, family->n_parts, &error));
  g_assert_no_error (error);
  return bundle;
}
