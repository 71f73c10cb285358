/* CLIP's tokenizer from vocab.json and merges.txt, or from the merges alone. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/tokenizers/tokenizer-private.h"

#define START "<|startoftext|>"
#define END "<|endoftext|>"
#define END_OF_WORD "</w>"
/* The published list is longer than the vocabulary: 49152 − 256 − 2 merges count. */
#define MAX_MERGES 48894

typedef struct
{
  const char *line;
  gsize length;
} Line;

/* The merges: every line but the first, which is a version comment. */
static GArray *
split_merges (const char *text, gsize size)
{
  GArray *lines = g_array_new (FALSE, FALSE, sizeof (Line));
  const char *p = text, *end = text + size;
  gboolean first = TRUE;

  while (p < end && lines->len < MAX_MERGES)
    {
      const char *stop = memchr (p, '\n', end - p);
      const char *next = stop != NULL ? stop + 1 : end;
      Line line = { p, (stop != NULL ? stop : end) - p };

      if (line.length > 0 && line.line[line.length - 1] == '\r')
        line.length--;
      if (!first && line.length > 0)
        g_array_append_val (lines, line);
      first = FALSE;
      p = next;
    }
  return lines;
}

static AtlVocabulary *
vocabulary_from_json (const char *json, gsize size, GError **error)
{
  g_autoptr (JsonNode) root = atl_json_parse (json, size, "vocab.json", error);
  g_autoptr (AtlVocabulary) v = NULL;
  JsonObjectIter iter;
  const char *text;
  JsonNode *node;
  guint n;

  if (root == NULL)
    return NULL;
  n = JSON_NODE_HOLDS_OBJECT (root) ? json_object_get_size (json_node_get_object (root)) : 0;
  v = atl_vocabulary_new (n, error);
  if (v == NULL)
    return NULL;

  json_object_iter_init_ordered (&iter, json_node_get_object (root));
  while (json_object_iter_next_ordered (&iter, &text, &node))
    {
      gint64 id = JSON_NODE_HOLDS_VALUE (node) ? json_node_get_int (node) : -1;

      if (id < 0 || id >= n || v->text[id] != NULL)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("vocab.json: a piece has the id %" PRId64
                          ", which is taken or not below the number of pieces, %u"),
                       id, n);
          return NULL;
        }
      if (!atl_vocabulary_set (v, (guint) id, text, strlen (text), ATL_TOKEN_NORMAL, 0.0, error))
        return NULL;
    }
  return g_steal_pointer (&v);
}

/* OpenAI's order: the bytes that print, then the others, then both again as ends of words, then
 * the merges. */
static AtlVocabulary *
vocabulary_from_merges (const GArray *lines, GError **error)
{
  g_autoptr (AtlVocabulary) v = atl_vocabulary_new (512 + lines->len + 2, error);
  guint id = 0;

  for (guint printing = 1; v != NULL && printing <= 1; printing--)
    for (guint b = 0; b < 256; b++)
      {
        gunichar letter = atl_bpe_byte_letter ((guint8) b);
        char text[16];
        int n = g_unichar_to_utf8 (letter, text);

        if ((letter == b) != (printing == 1))
          continue;
        if (!atl_vocabulary_set (v, id, text, n, ATL_TOKEN_NORMAL, 0.0, error))
          return NULL;
        g_strlcpy (text + n, END_OF_WORD, sizeof text - n);
        if (!atl_vocabulary_set (v, id + 256, text, strlen (text), ATL_TOKEN_NORMAL, 0.0, error))
          return NULL;
        id++;
      }
  id = 512;
  for (guint i = 0; v != NULL && i < lines->len; i++)
    {
      const Line *line = &g_array_index (lines, Line, i);
      const char *space = memchr (line->line, ' ', line->length);
      g_autofree char *text =
          space == NULL
              ? g_strdup ("")
              : g_strdup_printf ("%.*s%.*s", (int) (space - line->line), line->line,
                                 (int) (line->line + line->length - space - 1), space + 1);

      if (!atl_vocabulary_set (v, id++, text, strlen (text), ATL_TOKEN_NORMAL, 0.0, error))
        return NULL;
    }
  if (v == NULL ||
      !atl_vocabulary_set (v, id++, START, strlen (START), ATL_TOKEN_CONTROL, 0.0, error) ||
      !atl_vocabulary_set (v, id, END, strlen (END), ATL_TOKEN_CONTROL, 0.0, error))
    return NULL;
  return g_steal_pointer (&v);
}

static gint32
take_special (AtlTokenizer *t, const char *text)
{
  gint32 id = atl_tokenizer_find (t, text);
  AtlAddedToken token = { .id = id };

  if (id >= 0)
    {
      t->vocabulary->type[id] = ATL_TOKEN_CONTROL;
      g_array_append_val (t->added, token);
    }
  return id;
}

AtlTokenizer *
atl_tokenizer_new_clip (const char *vocab_json,
                        gsize vocab_size,
                        const char *merges_txt,
                        gsize merges_size,
                        GError **error)
{
  g_autoptr (AtlTokenizer) t = atl_tokenizer_alloc ();
  g_autoptr (GArray) lines = split_merges (merges_txt, merges_size);
  g_autoptr (AtlVocabulary) v = vocab_json != NULL
                                    ? vocabulary_from_json (vocab_json, vocab_size, error)
                                    : vocabulary_from_merges (lines, error);
  AtlBpeConfig config = { .kind = ATL_BPE_BYTES, .end_of_word = END_OF_WORD };
  const AtlScan words = { .kind = ATL_SCAN_CLIP };
  gint32 start, end;

  if (v == NULL || !atl_vocabulary_index (v, error))
    return NULL;
  atl_tokenizer_take_vocabulary (t, g_steal_pointer (&v));
  start = take_special (t, START);
  end = take_special (t, END);
  if (start < 0 || end < 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("vocab.json: it lacks %s or %s"), START,
                   END);
      return NULL;
    }
  t->special[ATL_SPECIAL_BOS] = start;
  t->special[ATL_SPECIAL_EOS] = t->special[ATL_SPECIAL_UNK] = t->special[ATL_SPECIAL_PAD] = end;
  g_array_append_val (t->prefix, start);
  g_array_append_val (t->suffix, end);

  config.unknown_id = end;
  t->bpe = atl_bpe_new (t->vocabulary, &config, error);
  for (guint i = 0; t->bpe != NULL && i < lines->len; i++)
    {
      const Line *line = &g_array_index (lines, Line, i);

      if (!atl_bpe_add_merge_line (t->bpe, line->line, line->length, error))
        {
          g_prefix_error (error, _ ("merges.txt: "));
          return NULL;
        }
    }
  t->normalizer = atl_normalizer_new ();
  atl_normalizer_add_form (t->normalizer, ATL_FORM_NFC);
  if (t->bpe == NULL || !atl_normalizer_add_replace_regex (t->normalizer, "\\s+", " ", error))
    return NULL;
  atl_normalizer_add_lowercase (t->normalizer);
  t->pre_tokenizer = atl_pre_tokenizer_new ();
  atl_pre_tokenizer_add_scan (t->pre_tokenizer, &words, ATL_SPLIT_KEEP_ONLY);
  t->spelling.letters = TRUE;
  g_strlcpy (t->spelling.end_of_word, END_OF_WORD, sizeof t->spelling.end_of_word);
  t->kind = g_strdup ("CLIP BPE");
  atl_tokenizer_find_specials (t, FALSE);
  atl_tokenizer_finish (t);
  return g_steal_pointer (&t);
}
