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

typedef struct
{
  const char *tensor; /* its name; "" the first of at least two dimensions; "*…" how names end */
  double value;
  int power; /* not 0: numbers in BF16 times two to this power, instead of the value */
} Change;

static gboolean
is_meant (JsonObject *header, const char *name, const Change *change)
{
  JsonObject *info = json_object_get_object_member (header, name);

  if (*change->tensor == '*')
    return g_str_has_suffix (name, change->tensor + 1);
  if (*change->tensor != '\0')
    return g_str_equal (name, change->tensor);
  return json_object_has_member (info, "shape") &&
         json_array_get_length (json_object_get_array_member (info, "shape")) >= 2;
}

static void
change_numbers (char *at, char *end, const char *dtype, const Change *change)
{
  gsize width;
  guint32 bits = GUINT32_TO_LE (bits_of (change->value, dtype, &width));

  g_assert_true (change->power == 0 || g_str_equal (dtype, "BF16"));
  for (; at < end; at += width)
    if (change->power == 0)
      memcpy (at, &bits, width);
    else
      {
        guint16 number;

        memcpy (&number, at, sizeof number);
        number = GUINT16_FROM_LE (number);
        /* Its exponent stands above seven bits of fraction. */
        if ((number & 0x7f80) != 0)
          number = (guint16) (number + change->power * 128);
        number = GUINT16_TO_LE (number);
        memcpy (at, &number, sizeof number);
      }
}

static void
apply (const char *folder, const char *file, const Change *change)
{
  g_autofree char *path = g_build_filename (folder, file, NULL);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GList) names = NULL;
  g_autofree char *bytes = NULL;
  JsonObject *header;
  guint64 length;
  guint n_changed = 0;
  gsize size;

  g_file_get_contents (path, &bytes, &size, &error);
  g_assert_no_error (error);
  memcpy (&length, bytes, sizeof length);
  length = GUINT64_FROM_LE (length);
  json_parser_load_from_data (parser, bytes + 8, (gssize) length, &error);
  g_assert_no_error (error);
  header = json_node_get_object (json_parser_get_root (parser));
  names = json_object_get_members (header);
  for (GList *l = names; l != NULL && (n_changed == 0 || *change->tensor == '*'); l = l->next)
    if (is_meant (header, l->data, change))
      {
        JsonObject *info = json_object_get_object_member (header, l->data);
        JsonArray *offsets = json_object_get_array_member (info, "data_offsets");

        change_numbers (bytes + 8 + length + json_array_get_int_element (offsets, 0),
                        bytes + 8 + length + json_array_get_int_element (offsets, 1),
                        json_object_get_string_member (info, "dtype"), change);
        n_changed++;
      }
  g_assert_cmpuint (n_changed, >, 0);
  g_file_set_contents (path, bytes, (gssize) size, &error);
  g_assert_no_error (error);
}

void
patched_model_fill (const char *folder, const char *file, const char *tensor, double value)
{
  apply (folder, file, &(Change){ .tensor = tensor, .value = value });
}

void
patched_model_scale (const char *folder, const char *file, const char *ending, int power)
{
  g_autofree char *all = g_strconcat ("*", ending, NULL);

  apply (folder, file, &(Change){ .tensor = all, .power = power });
}
