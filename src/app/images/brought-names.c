/* Roles are the folders of what a model lacks. */
#include "app/images/brought-names.h"

#include <gio/gio.h>
#include <string.h>

/* Of a vocabulary, up to its words and more. */
#define MAX_HEAD_BYTES (1u << 20)

static gboolean
lacks (const AtlModelInfo *info, const char *words)
{
  for (guint i = 0; i < info->n_missing + info->n_extra; i++)
    if (g_str_equal (info->missing[i].words, words))
      return TRUE;
  return FALSE;
}

/* The folder of a part that is missing: "text_encoder_2". */
static char *
role_of (const AtlMissingFile *missing)
{
  const char *slash = strchr (missing->name, '/');

  return g_strndup (missing->name, slash != NULL ? (gsize) (slash - missing->name) : 0);
}

GPtrArray *
atl_brought_names_of_part (const char *path, const AtlModelInfo *before, const AtlModelInfo *after)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autoptr (GHashTable) roles = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < before->n_missing + before->n_extra; i++)
    {
      char *role = role_of (&before->missing[i]);

      if (*role != '\0' && (i >= before->n_missing || !before->missing[i].is_optional) &&
          !lacks (after, before->missing[i].words) && !g_hash_table_contains (roles, role))
        {
          g_ptr_array_add (names, g_build_filename (role, base, NULL));
          g_hash_table_add (roles, role);
        }
      else
        g_free (role);
    }
  return names;
}

/* T5's vocabulary is published as spiece.model and as tokenizer.json. The latter name is that of
 * other vocabularies, too, which have no "unk_id": CLIP's lies beside vocab.json in one folder.
 * The key stands before the words, behind a table of characters. The bytes are only searched; what
 * they mean is the engine's to say. */
static gboolean
is_like_spiece (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *head = NULL;
  g_autoptr (GFile) file = NULL;
  g_autoptr (GFileInputStream) stream = NULL;
  gsize n = 0;

  if (!g_str_equal (base, "tokenizer.json"))
    return FALSE;
  file = g_file_new_for_path (path);
  stream = g_file_read (file, NULL, NULL);
  if (stream == NULL)
    return FALSE;
  head = g_malloc (MAX_HEAD_BYTES);
  g_input_stream_read_all (G_INPUT_STREAM (stream), head, MAX_HEAD_BYTES, &n, NULL, NULL);
  return g_strstr_len (head, (gssize) n, "\"unk_id\"") != NULL;
}

GPtrArray *
atl_brought_names_of_words (const char *path, const AtlModelInfo *lacking)
{
  g_autofree char *base = g_path_get_basename (path);
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; lacking != NULL && i < lacking->n_missing + lacking->n_extra; i++)
    {
      g_autofree char *name = g_path_get_basename (lacking->missing[i].name);
      g_autofree char *role = role_of (&lacking->missing[i]);

      if (!g_str_has_prefix (role, "tokenizer"))
        continue;
      if (g_str_equal (name, base) || (g_str_equal (name, "spiece.model") && is_like_spiece (path)))
        g_ptr_array_add (names, g_build_filename (role, base, NULL));
    }
  return names;
}

const char *
atl_brought_names_misfit (const AtlModelInfo *after)
{
  for (guint i = 0; i < after->n_missing + after->n_extra; i++)
    if (*after->missing[i].misfit != '\0')
      return after->missing[i].misfit;
  return NULL;
}

gboolean
atl_brought_names_is_words (const char *name)
{
  static const char *const names[] = { "vocab.json",
                                       "merges.txt",
                                       "tokenizer.json",
                                       "spiece.model",
                                       "tokenizer.model",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       NULL };

  return g_strv_contains (names, name);
}
