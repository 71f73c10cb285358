/* Real models against headers that other programs recorded: names, types, shapes, places, settings.
 */
#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/formats/open.h"

#include "conformance.h"
#include "walk.h"

typedef struct
{
  AtlFileMap *map;
  AtlCheckpoint *cp;
  JsonNode *root;
  JsonObject *header;
} Recorded;

static gboolean
recorded_open (Recorded *self, const char *model, const char *header)
{
  g_autofree char *model_path = atl_test_conformance (model), *header_path = NULL, *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  if (model_path == NULL)
    return FALSE;
  header_path = atl_test_conformance (header);
  g_assert_nonnull (header_path);
  self->map = atl_file_map_new (model_path, &error);
  g_assert_no_error (error);
  self->cp = atl_checkpoint_open (&self->map, NULL, 1, &error);
  g_assert_no_error (error);
  walk_checkpoint (self->cp);
  g_file_get_contents (header_path, &text, &size, &error);
  g_assert_no_error (error);
  self->root = atl_json_parse (text, size, header, &error);
  g_assert_no_error (error);
  self->header = json_node_get_object (self->root);
  return TRUE;
}

static void
recorded_close (Recorded *self)
{
  json_node_unref (self->root);
  atl_checkpoint_unref (self->cp);
  atl_file_map_unref (self->map);
}

/* A number, truth or text as the header has it; lists are recorded by length and first elements. */
static void
compare_meta (const AtlMetaValue *value, JsonNode *node)
{
  g_assert_nonnull (value);
  if (JSON_NODE_HOLDS_OBJECT (node))
    {
      JsonObject *object = json_node_get_object (node);
      JsonArray *first = atl_json_array (object, "first");

      g_assert_cmpint (value->type, ==, ATL_META_ARRAY);
      g_assert_cmpint (atl_json_int (object, "array_length", -1), ==, (gint64) value->v_array.n);
      for (guint i = 0; i < json_array_get_length (first); i++)
        if (value->v_array.elem_type == ATL_META_STRING)
          g_assert_cmpstr (((char **) value->v_array.elems)[i], ==,
                           json_array_get_string_element (first, i));
        else if (value->v_array.elem_type == ATL_META_FLOAT)
          g_assert_cmpfloat (((double *) value->v_array.elems)[i], ==,
                             json_array_get_double_element (first, i));
        else
          g_assert_cmpint (((gint64 *) value->v_array.elems)[i], ==,
                           json_array_get_int_element (first, i));
      return;
    }
  switch (value->type)
    {
    case ATL_META_STRING:
      g_assert_cmpstr (value->v_string.chars, ==, json_node_get_string (node));
      break;
    case ATL_META_BOOL:
      g_assert_cmpint (value->v_bool, ==, json_node_get_boolean (node));
      break;
    case ATL_META_FLOAT:
      g_assert_cmpfloat (value->v_float, ==, json_node_get_double (node));
      break;
    default:
      g_assert_cmpint (value->v_int, ==, json_node_get_int (node));
      break;
    }
}

static void
compare_metadata (const Recorded *r, const char *prefix)
{
  JsonObject *metadata = atl_json_object (r->header, "metadata");
  JsonObjectIter iter;
  const char *key;
  JsonNode *node;

  g_assert_cmpuint (json_object_get_size (metadata), ==, atl_checkpoint_n_meta (r->cp));
  json_object_iter_init (&iter, metadata);
  while (json_object_iter_next (&iter, &key, &node))
    {
      g_autofree char *full = g_strconcat (prefix, key, NULL);
      compare_meta (atl_checkpoint_meta (r->cp, full), node);
    }
}

static void
test_gguf (gconstpointer user_data)
{
  const char *name = user_data;
  g_autofree char *model = g_strdup_printf ("models/%s.gguf", name);
  g_autofree char *header = g_strdup_printf ("models/%s.header.json", name);
  Recorded r;
  JsonArray *tensors;
  gint64 data_offset;

  if (!recorded_open (&r, model, header))
    return;
  compare_metadata (&r, "");
  tensors = atl_json_array (r.header, "tensors");
  data_offset = atl_json_int (r.header, "data_offset", -1);
  g_assert_cmpuint (json_array_get_length (tensors), ==, atl_checkpoint_n_tensors (r.cp));
  for (guint i = 0; i < json_array_get_length (tensors); i++)
    {
      JsonObject *object = json_array_get_object_element (tensors, i);
      const AtlTensorInfo *info = atl_checkpoint_tensor (r.cp, i);
      JsonArray *dims = atl_json_array (object, "dims");

      g_assert_cmpstr (info->name, ==, atl_json_string (object, "name", NULL));
      g_assert_cmpint (info->dtype == ATL_DTYPE_F16, ==,
                       atl_json_int (object, "ggml_type_id", -1) == 1);
      g_assert_cmpuint (info->n_dims, ==, json_array_get_length (dims));
      for (guint d = 0; d < info->n_dims; d++)
        g_assert_cmpint (info->dim[info->n_dims - 1 - d], ==, json_array_get_int_element (dims, d));
      g_assert_cmpint (info->data - atl_file_map_data (r.map), ==,
                       data_offset + atl_json_int (object, "offset", -1));
    }
  recorded_close (&r);
}

static void
test_safetensors (void)
{
  Recorded r;
  JsonArray *tensors;

  if (!recorded_open (&r, "models/lora-cloneofsimo-disney.safetensors",
                      "models/lora-cloneofsimo-disney.header.json"))
    return;
  compare_metadata (&r, "__metadata__.");
  tensors = atl_json_array (r.header, "tensors");
  g_assert_cmpuint (json_array_get_length (tensors), ==, atl_checkpoint_n_tensors (r.cp));
  for (guint i = 0; i < json_array_get_length (tensors); i++)
    {
      JsonObject *object = json_array_get_object_element (tensors, i);
      JsonArray *shape = atl_json_array (object, "shape");
      const AtlTensorInfo *info = atl_checkpoint_find (r.cp, atl_json_string (object, "name", ""));
      g_autofree char *sum = NULL;

      g_assert_nonnull (info);
      g_assert_cmpint (
          g_ascii_strcasecmp (atl_dtype_name (info->dtype), atl_json_string (object, "dtype", "")),
          ==, 0);
      g_assert_cmpuint (info->n_dims, ==, json_array_get_length (shape));
      for (guint d = 0; d < info->n_dims; d++)
        g_assert_cmpint (info->dim[d], ==, json_array_get_int_element (shape, d));
      sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, info->data, info->size_bytes);
      g_assert_cmpstr (sum, ==, atl_json_string (object, "sha256", ""));
    }
  recorded_close (&r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/formats/real/stories260K", "stories260K", test_gguf);
  g_test_add_data_func ("/formats/real/llama-2-tiny-random", "llama-2-tiny-random", test_gguf);
  g_test_add_func ("/formats/real/lora", test_safetensors);
  return g_test_run ();
}
