/* Prints a model's metadata and tensors for a person or, as JSON, for a script. What comes out of a
 * file is made harmless first: a terminal obeys control characters. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/inspect.h"

#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/formats/open.h"
#include "engine/tools/parts.h"
#include "engine/tools/usage.h"

/* What a person is shown of lists and texts. */
#define SHOWN_ELEMS 6
#define SHOWN_CHARS 100

typedef struct
{
  gboolean json;
  gboolean tensors;  /* and nothing else */
  gboolean metadata; /* and nothing else */
  GPtrArray *paths;  /* (owned) char */
} Options;

typedef struct
{
  guint64 tensors;
  guint64 elements;
  guint64 bytes;
} Total;

static void
count_totals (const AtlCheckpoint *cp, Total *totals)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      totals[info->dtype].tensors++;
      totals[info->dtype].elements += (guint64) atl_tensor_info_n_elems (info);
      totals[info->dtype].bytes += info->size_bytes;
    }
}

/* --- For a person --- */

/* Valid text on one line, cut after `max_chars`. */
static char *
harmless (const char *bytes, gsize length, guint max_chars)
{
  gsize cut = MIN (length, 4 * (gsize) max_chars);
  g_autofree char *valid = g_utf8_make_valid (bytes, (gssize) cut);
  GString *out = g_string_new (NULL);
  const char *p = valid;

  for (guint n = 0; *p != '\0' && n < max_chars; p = g_utf8_next_char (p), n++)
    {
      gunichar c = g_utf8_get_char (p);

      if (c == '\n')
        g_string_append (out, "\\n");
      else if (c == '\t')
        g_string_append (out, "\\t");
      else if (g_unichar_iscntrl (c) || g_unichar_type (c) == G_UNICODE_FORMAT)
        g_string_append_printf (out, "\\u%04x", c);
      else
        g_string_append_unichar (out, c);
    }
  if (*p != '\0' || cut < length)
    g_string_append (out, "…");
  return g_string_free (out, FALSE);
}

static void
print_text (const char *bytes, gsize length)
{
  g_autofree char *text = harmless (bytes, length, SHOWN_CHARS);

  printf ("“%s”", text);
}

static void
print_element (const AtlMetaValue *value, gsize i)
{
  switch (value->v_array.elem_type)
    {
    case ATL_META_BOOL:
      printf ("%s", ((gboolean *) value->v_array.elems)[i] ? "true" : "false");
      break;
    case ATL_META_INT:
      printf ("%" G_GINT64_FORMAT, ((gint64 *) value->v_array.elems)[i]);
      break;
    case ATL_META_UINT:
      printf ("%" G_GUINT64_FORMAT, ((guint64 *) value->v_array.elems)[i]);
      break;
    case ATL_META_FLOAT:
      printf ("%.7g", ((double *) value->v_array.elems)[i]);
      break;
    case ATL_META_STRING:
      print_text (((char **) value->v_array.elems)[i], value->v_array.lengths[i]);
      break;
    case ATL_META_ARRAY:
      g_assert_not_reached ();
    }
}

static void
print_value (const AtlMetaValue *value)
{
  switch (value->type)
    {
    case ATL_META_BOOL:
      printf ("%s", value->v_bool ? "true" : "false");
      break;
    case ATL_META_INT:
      printf ("%" G_GINT64_FORMAT, value->v_int);
      break;
    case ATL_META_UINT:
      printf ("%" G_GUINT64_FORMAT, value->v_uint);
      break;
    case ATL_META_FLOAT:
      printf ("%.7g", value->v_float);
      break;
    case ATL_META_STRING:
      print_text (value->v_string.chars, value->v_string.length);
      break;
    case ATL_META_ARRAY:
      printf ("[");
      for (gsize i = 0; i < MIN (value->v_array.n, SHOWN_ELEMS); i++)
        {
          printf ("%s", i > 0 ? ", " : "");
          print_element (value, i);
        }
      if (value->v_array.n > SHOWN_ELEMS)
        printf (", … %" G_GSIZE_FORMAT " in all", value->v_array.n);
      printf ("]");
      break;
    }
}

static void
print_metadata (const AtlCheckpoint *cp)
{
  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);
      g_autofree char *shown = harmless (key, strlen (key), SHOWN_CHARS);

      printf ("%s = ", shown);
      print_value (atl_checkpoint_meta (cp, key));
      printf ("\n");
    }
}

static void
print_tensors (const AtlCheckpoint *cp)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);
      g_autofree char *shown = harmless (info->name, strlen (info->name), 4 * SHOWN_CHARS);

      printf ("%s  %s  [", shown, atl_dtype_name (info->dtype));
      for (guint d = 0; d < info->n_dims; d++)
        printf ("%s%" G_GINT64_FORMAT, d > 0 ? ", " : "", info->dim[d]);
      printf ("]  %" G_GSIZE_FORMAT "\n", info->size_bytes);
    }
}

static void
print_totals (const AtlCheckpoint *cp)
{
  Total totals[ATL_N_DTYPES] = { 0 };
  g_autofree char *all =
      g_format_size_full (atl_checkpoint_weight_bytes (cp), G_FORMAT_SIZE_IEC_UNITS);

  count_totals (cp, totals);
  printf ("%u tensors, %s\n", atl_checkpoint_n_tensors (cp), all);
  for (guint i = 0; i < ATL_N_DTYPES; i++)
    if (totals[i].tensors > 0)
      {
        g_autofree char *size = g_format_size_full (totals[i].bytes, G_FORMAT_SIZE_IEC_UNITS);

        printf ("  %s: %" G_GUINT64_FORMAT " tensors, %" G_GUINT64_FORMAT " elements, %s\n",
                atl_dtype_name (i), totals[i].tensors, totals[i].elements, size);
      }
}

static void
print_words (const AtlCheckpoint *cp, const Options *options)
{
  if (!options->tensors)
    print_metadata (cp);
  if (!options->metadata)
    {
      print_tensors (cp);
      print_totals (cp);
    }
}

/* --- For a script --- */

static void
add_uint (JsonBuilder *b, guint64 number)
{
  /* The builder knows signed numbers only; what is beyond keeps its digits as a text. */
  if (number <= G_MAXINT64)
    json_builder_add_int_value (b, (gint64) number);
  else
    {
      g_autofree char *digits = g_strdup_printf ("%" G_GUINT64_FORMAT, number);
      json_builder_add_string_value (b, digits);
    }
}

static void
add_float (JsonBuilder *b, double number)
{
  if (isfinite (number))
    json_builder_add_double_value (b, number);
  else
    json_builder_add_null_value (b);
}

static void
add_text (JsonBuilder *b, const char *bytes, gsize length)
{
  g_autofree char *valid = g_utf8_make_valid (bytes, (gssize) length);

  json_builder_add_string_value (b, valid);
}

static void
add_array (JsonBuilder *b, const AtlMetaValue *value)
{
  gconstpointer elems = value->v_array.elems;

  json_builder_begin_array (b);
  for (gsize i = 0; i < value->v_array.n; i++)
    switch (value->v_array.elem_type)
      {
      case ATL_META_BOOL:
        json_builder_add_boolean_value (b, ((const gboolean *) elems)[i]);
        break;
      case ATL_META_INT:
        json_builder_add_int_value (b, ((const gint64 *) elems)[i]);
        break;
      case ATL_META_UINT:
        add_uint (b, ((const guint64 *) elems)[i]);
        break;
      case ATL_META_FLOAT:
        add_float (b, ((const double *) elems)[i]);
        break;
      case ATL_META_STRING:
        add_text (b, ((char *const *) elems)[i], value->v_array.lengths[i]);
        break;
      case ATL_META_ARRAY:
        g_assert_not_reached ();
      }
  json_builder_end_array (b);
}

static void
add_value (JsonBuilder *b, const AtlMetaValue *value)
{
  switch (value->type)
    {
    case ATL_META_BOOL:
      json_builder_add_boolean_value (b, value->v_bool);
      break;
    case ATL_META_INT:
      json_builder_add_int_value (b, value->v_int);
      break;
    case ATL_META_UINT:
      add_uint (b, value->v_uint);
      break;
    case ATL_META_FLOAT:
      add_float (b, value->v_float);
      break;
    case ATL_META_STRING:
      add_text (b, value->v_string.chars, value->v_string.length);
      break;
    case ATL_META_ARRAY:
      add_array (b, value);
      break;
    }
}

static void
add_tensors (JsonBuilder *b, const AtlCheckpoint *cp)
{
  json_builder_begin_array (b);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      json_builder_begin_object (b);
      json_builder_set_member_name (b, "name");
      json_builder_add_string_value (b, info->name);
      json_builder_set_member_name (b, "dtype");
      json_builder_add_string_value (b, atl_dtype_name (info->dtype));
      json_builder_set_member_name (b, "shape");
      json_builder_begin_array (b);
      for (guint d = 0; d < info->n_dims; d++)
        json_builder_add_int_value (b, info->dim[d]);
      json_builder_end_array (b);
      json_builder_set_member_name (b, "bytes");
      add_uint (b, info->size_bytes);
      json_builder_end_object (b);
    }
  json_builder_end_array (b);
}

static void
add_totals (JsonBuilder *b, const AtlCheckpoint *cp)
{
  Total totals[ATL_N_DTYPES] = { 0 };

  count_totals (cp, totals);
  json_builder_begin_array (b);
  for (guint i = 0; i < ATL_N_DTYPES; i++)
    if (totals[i].tensors > 0)
      {
        json_builder_begin_object (b);
        json_builder_set_member_name (b, "dtype");
        json_builder_add_string_value (b, atl_dtype_name (i));
        json_builder_set_member_name (b, "tensors");
        add_uint (b, totals[i].tensors);
        json_builder_set_member_name (b, "elements");
        add_uint (b, totals[i].elements);
        json_builder_set_member_name (b, "bytes");
        add_uint (b, totals[i].bytes);
        json_builder_end_object (b);
      }
  json_builder_end_array (b);
}

static void
print_json (const AtlCheckpoint *cp, const Options *options)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_begin_object (b);
  json_builder_set_member_name (b, "name");
  json_builder_add_string_value (b, atl_checkpoint_name (cp));
  json_builder_set_member_name (b, "weight_bytes");
  add_uint (b, atl_checkpoint_weight_bytes (cp));
  if (!options->tensors)
    {
      json_builder_set_member_name (b, "metadata");
      json_builder_begin_object (b);
      for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
        {
          json_builder_set_member_name (b, atl_checkpoint_meta_key (cp, i));
          add_value (b, atl_checkpoint_meta (cp, atl_checkpoint_meta_key (cp, i)));
        }
      json_builder_end_object (b);
    }
  if (!options->metadata)
    {
      json_builder_set_member_name (b, "tensors");
      add_tensors (b, cp);
      json_builder_set_member_name (b, "totals");
      add_totals (b, cp);
    }
  json_builder_end_object (b);

  root = json_builder_get_root (b);
  json_generator_set_root (generator, root);
  text = json_generator_to_data (generator, NULL);
  printf ("%s\n", text);
}

/* --- Arguments and files --- */

static gboolean
parse_options (int argc, char **argv, Options *options)
{
  gboolean only_paths = FALSE;

  for (int i = 1; i < argc; i++)
    {
      if (only_paths || argv[i][0] != '-')
        g_ptr_array_add (options->paths, g_strdup (argv[i]));
      else if (strcmp (argv[i], "--") == 0)
        only_paths = TRUE;
      else if (strcmp (argv[i], "--json") == 0)
        options->json = TRUE;
      else if (strcmp (argv[i], "--tensors") == 0)
        options->tensors = TRUE;
      else if (strcmp (argv[i], "--metadata") == 0)
        options->metadata = TRUE;
      else
        return FALSE;
    }
  return options->paths->len > 0 && !(options->tensors && options->metadata);
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* Replaces a folder by the regular files that lie in it and are not hidden. */
static gboolean
expand_folder (GPtrArray *paths, GError **error)
{
  g_autofree char *folder = NULL;
  g_autoptr (GDir) dir = NULL;
  const char *name;

  if (paths->len != 1 || !g_file_test (paths->pdata[0], G_FILE_TEST_IS_DIR))
    return TRUE;
  folder = g_strdup (paths->pdata[0]);
  dir = g_dir_open (folder, 0, error);
  if (dir == NULL)
    return FALSE;
  g_ptr_array_set_size (paths, 0);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (name[0] != '.' && g_file_test (path, G_FILE_TEST_IS_REGULAR))
        g_ptr_array_add (paths, g_steal_pointer (&path));
    }
  g_ptr_array_sort (paths, compare_paths);
  if (paths->len == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s holds no files"), folder);
      return FALSE;
    }
  return TRUE;
}

/* Adds the other parts of a model that lie beside the one. */
static void
expand_parts (GPtrArray *paths)
{
  g_autofree char *only = g_path_get_basename (paths->pdata[0]);
  g_autofree char *folder = g_path_get_dirname (paths->pdata[0]);
  g_autoptr (GDir) dir = paths->len == 1 ? g_dir_open (folder, 0, NULL) : NULL;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (strcmp (name, only) != 0 && atl_tool_same_parts (name, only))
      g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
}

static AtlCheckpoint *
open_paths (GPtrArray *paths, GError **error)
{
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  gboolean folder = paths->len == 1 && g_file_test (paths->pdata[0], G_FILE_TEST_IS_DIR);

  if (!expand_folder (paths, error))
    return NULL;
  if (!folder)
    expand_parts (paths);
  for (guint i = 0; i < paths->len; i++)
    {
      g_autoptr (GError) local = NULL;
      AtlFileMap *map = atl_file_map_new (paths->pdata[i], &local);

      if (map != NULL)
        g_ptr_array_add (maps, map);
      else if (!folder || (i + 1 == paths->len && maps->len == 0))
        {
          /* An empty file among others in a folder is no obstacle. */
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
    }
  return atl_checkpoint_open ((AtlFileMap *const *) maps->pdata, NULL, maps->len, error);
}

int
atl_tool_inspect (int argc, char **argv)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);
  Options options = { .paths = paths };
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;

  if (!parse_options (argc, argv, &options))
    return atl_tool_usage (argc, argv,
                           _ ("[--json] [--tensors | --metadata] FILE…\n\n"
                              "Says what is in a model's files, or in a folder of them.\n\n"
                              "  --json      one JSON object on one line\n"
                              "  --tensors   only the tensors: names, types, shapes\n"
                              "  --metadata  only the metadata, whole\n"));
  cp = open_paths (paths, &error);
  if (cp == NULL)
    {
      g_autofree char *message = harmless (error->message, strlen (error->message), 1000);

      fprintf (stderr, "%s\n", message);
      return 1;
    }
  if (options.json)
    print_json (cp, &options);
  else
    print_words (cp, &options);
  return 0;
}
