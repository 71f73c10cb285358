/* Prints the tokens of a text. Pieces come out of a file and are made harmless for a terminal. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/tokenize.h"

#include <glib/gi18n.h>
#include <errno.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/formats/gguf.h"
#include "engine/tokenizers/detokenizer.h"
#include "engine/tools/usage.h"

typedef struct
{
  gboolean ids;
  gboolean json;
  AtlTokenizeFlags flags;
  const char *model;
  const char *text; /* (nullable) */
} Options;

static gboolean
parse_options (int argc, char **argv, Options *options)
{
  gboolean only_names = FALSE;

  options->flags = ATL_TOKENIZE_ADD_SPECIAL;
  for (int i = 1; i < argc; i++)
    {
      const char *arg = argv[i];

      if (!only_names && strcmp (arg, "--") == 0)
        only_names = TRUE;
      else if (!only_names && strcmp (arg, "--ids") == 0)
        options->ids = TRUE;
      else if (!only_names && strcmp (arg, "--json") == 0)
        options->json = TRUE;
      else if (!only_names && strcmp (arg, "--no-special") == 0)
        options->flags &= ~ATL_TOKENIZE_ADD_SPECIAL;
      else if (!only_names && strcmp (arg, "--parse-special") == 0)
        options->flags |= ATL_TOKENIZE_PARSE_SPECIAL;
      else if (!only_names && g_str_has_prefix (arg, "--"))
        return FALSE;
      else if (options->model == NULL)
        options->model = arg;
      else if (options->text == NULL)
        options->text = arg;
      else
        return FALSE;
    }
  return options->model != NULL && !(options->ids && options->json);
}

static AtlTokenizer *
open_json (const char *path, const AtlFileMap *map, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *beside = g_build_filename (folder, "tokenizer_config.json", NULL);
  g_autoptr (AtlFileMap) config = NULL;

  if (g_file_test (beside, G_FILE_TEST_IS_REGULAR))
    {
      config = atl_file_map_new (beside, error);
      if (config == NULL)
        return NULL;
    }
  return atl_tokenizer_new_from_json (
      (const char *) atl_file_map_data (map), atl_file_map_size (map),
      config != NULL ? (const char *) atl_file_map_data (config) : NULL,
      config != NULL ? atl_file_map_size (config) : 0, error);
}

static AtlTokenizer *
open_tokenizer (const char *path, GError **error)
{
  g_autoptr (AtlFileMap) map = NULL;
  const guint8 *data;
  gsize size;

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return atl_tokenizer_new_from_folder (path, error);
  map = atl_file_map_new (path, error);
  if (map == NULL)
    return NULL;
  data = atl_file_map_data (map);
  size = atl_file_map_size (map);
  if (atl_gguf_is_gguf (data, size))
    {
      g_autoptr (AtlCheckpoint) cp = atl_gguf_open (&map, 1, error);

      return cp != NULL ? atl_tokenizer_new_from_checkpoint (cp, error) : NULL;
    }
  if (data[0] == '{')
    return open_json (path, map, error);
  return atl_tokenizer_new_sentencepiece (data, size, error);
}

/* At most what the tokenizer takes, plus one byte so that it can say that there is more. */
static GByteArray *
read_input (GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 buffer[65536];
  gssize n;

  while (bytes->len <= ATL_TOKENIZER_MAX_TEXT)
    {
      n = read (STDIN_FILENO, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("The text cannot be read: %s"),
                       g_strerror (errno));
          return NULL;
        }
      if (n == 0)
        break;
      g_byte_array_append (bytes, buffer, (guint) n);
    }
  return g_steal_pointer (&bytes);
}

/* Bytes that are a terminal's commands or no text at all become \xNN. */
static char *
harmless (const char *bytes, gsize len)
{
  GString *out = g_string_new (NULL);

  for (gsize i = 0; i < len;)
    {
      const char *p = bytes + i;
      gunichar c = g_utf8_get_char_validated (p, (gssize) (len - i));
      gsize n = (gint) c < 0 ? 1 : (gsize) (g_utf8_next_char (p) - p);

      if ((gint) c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa0) && c != '\\' &&
          g_unichar_type (c) != G_UNICODE_FORMAT && g_unichar_type (c) != G_UNICODE_LINE_SEPARATOR)
        g_string_append_len (out, p, (gssize) n);
      else if (c == '\n')
        g_string_append (out, "\\n");
      else if (c == '\\')
        g_string_append (out, "\\\\");
      else
        for (gsize k = 0; k < n; k++)
          g_string_append_printf (out, "\\x%02x", (guint8) p[k]);
      i += n;
    }
  return g_string_free (out, FALSE);
}

static void
print_words (const AtlTokenizer *tokenizer, const GArray *ids)
{
  for (guint i = 0; i < ids->len; i++)
    {
      gint32 id = g_array_index (ids, gint32, i);
      gsize len;
      const char *bytes = atl_tokenizer_token_bytes (tokenizer, id, TRUE, &len);
      g_autofree char *piece = harmless (bytes, len);

      printf ("%6d  %s\n", id, piece);
    }
}

static void
print_ids (const GArray *ids)
{
  for (guint i = 0; i < ids->len; i++)
    printf ("%s%d", i > 0 ? " " : "", g_array_index (ids, gint32, i));
  printf ("\n");
}

static void
print_json (AtlTokenizer *tokenizer, const GArray *ids)
{
  g_autoptr (JsonBuilder) b = json_builder_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autofree char *text = NULL;

  json_builder_begin_object (b);
  json_builder_set_member_name (b, "kind");
  json_builder_add_string_value (b, atl_tokenizer_kind (tokenizer));
  json_builder_set_member_name (b, "n_vocab");
  json_builder_add_int_value (b, atl_tokenizer_n_vocab (tokenizer));
  json_builder_set_member_name (b, "warning");
  if (atl_tokenizer_warning (tokenizer) != NULL)
    json_builder_add_string_value (b, atl_tokenizer_warning (tokenizer));
  else
    json_builder_add_null_value (b);
  json_builder_set_member_name (b, "ids");
  json_builder_begin_array (b);
  for (guint i = 0; i < ids->len; i++)
    json_builder_add_int_value (b, g_array_index (ids, gint32, i));
  json_builder_end_array (b);
  json_builder_set_member_name (b, "pieces");
  json_builder_begin_array (b);
  for (guint i = 0; i < ids->len; i++)
    {
      g_autofree char *piece =
          atl_tokenizer_decode (tokenizer, &g_array_index (ids, gint32, i), 1, TRUE, FALSE);

      json_builder_add_string_value (b, piece);
    }
  json_builder_end_array (b);
  json_builder_end_object (b);
  root = json_builder_get_root (b);
  text = json_to_string (root, FALSE);
  printf ("%s\n", text);
}

static int
fail (const GError *error)
{
  g_autofree char *message = harmless (error->message, strlen (error->message));

  fprintf (stderr, "%s\n", message);
  return 1;
}

int
atl_tool_tokenize (int argc, char **argv)
{
  Options options = { 0 };
  g_autoptr (AtlTokenizer) tokenizer = NULL;
  g_autoptr (GByteArray) input = NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GError) error = NULL;
  const char *text;
  gssize len = -1;

  if (!parse_options (argc, argv, &options))
    return atl_tool_usage (
        argc, argv,
        _ ("[--ids | --json] [--no-special] [--parse-special] MODEL [TEXT|-]\n\n"
           "Cuts a text, or what comes in on standard input, into the tokens of a model file or a\n"
           "tokenizer.json.\n\n"
           "  --ids            only their numbers\n"
           "  --json           one JSON object on one line\n"
           "  --no-special     without what the model puts around a text\n"
           "  --parse-special  read the names of control tokens as those tokens\n"));
  tokenizer = open_tokenizer (options.model, &error);
  if (tokenizer == NULL)
    return fail (error);
  text = options.text;
  if (text == NULL || strcmp (text, "-") == 0)
    {
      input = read_input (&error);
      if (input == NULL)
        return fail (error);
      text = input->data != NULL ? (const char *) input->data : "";
      len = (gssize) input->len;
    }
  if (!atl_tokenizer_encode (tokenizer, text, len, options.flags, ids, &error))
    return fail (error);

  if (options.json)
    print_json (tokenizer, ids);
  else if (options.ids)
    print_ids (ids);
  else
    print_words (tokenizer, ids);
  if (!options.json && atl_tokenizer_warning (tokenizer) != NULL)
    fprintf (stderr, "%s\n", atl_tokenizer_warning (tokenizer));
  return 0;
}
