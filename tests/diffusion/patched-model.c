/* Copying folders and changing safetensors files in place. */
#include "patched-model.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "engine/tensor/quants/half.h"

static void
spawn (const char *program, const char *option, const char *from, const char *to)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_spawn_sync (NULL,
                (char *[]){ (char *) program, (char *) option, (char *) from, (char *) to, NULL },
                NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &error);
  g_assert_no_error (error);
  g_assert_true (g_spawn_check_wait_status (status, NULL));
}

char *
patched_model_copy (const char *folder)
{
  g_autofree char *above = g_dir_make_tmp ("atelier-patched-XXXXXX", NULL);
  g_autofree char *to = g_build_filename (above, "model", NULL);

  spawn ("cp", "-rL", folder, to);
  spawn ("chmod", "-R", "u+w", to);
  return g_steal_pointer (&to);
}

void
patched_model_remove (const char *folder)
{
  g_autofree char *above = g_path_get_dirname (folder);

  spawn ("rm", "-r", above, NULL);
}

static guint32
bits_of (double value, const char *dtype, gsize *size)
{
  union
  {
    float number;
    guint32 bits;
  } x = { .number = (float) value };

  *size = g_str_equal (dtype, "F32") ? 4 : 2;
  return *size == 4                    ? x.bits
         : g_str_equal (dtype, "BF16") ? x.bits >> 16
                                       : atl_f32_to_f16 (x.number);
}

static gboolean
is_meant (JsonObject *header, const char *name, const char *tensor)
{
  JsonObject *info = json_object_get_object_member (header, name);

  if (*tensor != '\0')
    return g_str_equal (name, tensor);
  return json_object_has_member (info, "shape") &&
         json_array_get_length (json_object_get_array_member (info, "shape")) >= 2;
}

void
patched_model_fill (const char *folder, const char *file, const char *tensor, double value)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GList) names = NULL;
  g_autofree char *bytes = NULL;
  JsonObject *header;
  guint64 length;
  gboolean found = FALSE;
  gsize size;

  g_file_get_contents (path, &bytes, &size, &error);
  g_assert_no_error (error);
  memcpy (&length, bytes, sizeof length);
  length = GUINT64_FROM_LE (length);
  json_parser_load_from_data (parser, bytes + 8, (gssize) length, &error);
  g_assert_no_error (error);
  header = json_node_get_object (json_parser_get_root (parser));
  names = json_object_get_members (header);
  for (GList *l = names; l != NULL && !found; l = l->next)
    if (is_meant (header, l->data, tensor))
      {
        JsonObject *info = json_object_get_object_member (header, l->data);
        JsonArray *offsets = json_object_get_array_member (info, "data_offsets");
        gsize begin = 8 + length + (gsize) json_array_get_int_element (offsets, 0);
        gsize end = 8 + length + (gsize) json_array_get_int_element (offsets, 1), width;
        guint32 bits = bits_of (value, json_object_get_string_member (info, "dtype"), &width);

        bits = GUINT32_TO_LE (bits);
        for (gsize at = begin; at < end; at += width)
          memcpy (bytes + at, &bits, width);
        found = TRUE;
      }
  g_assert_true (found);
  g_file_set_contents (path, bytes, (gssize) size, &error);
  g_assert_no_error (error);
}
