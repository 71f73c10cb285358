/* The algorithms of GGUF's tokenizers, each set up from its metadata as llama.cpp does. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/from-checkpoint.h"

#include <glib/gi18n.h>
#include <string.h>

#define MARK "\xe2\x96\x81" /* U+2581 */

gboolean
checkpoint_load_bpe (CheckpointLoader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  const gboolean plain = self->traits.plain_chars;
  g_autoptr (GError) local = NULL;
  const AtlMetaValue *merges = checkpoint_get_array (self->cp, KEY ("merges"), "texts", &local);
  g_autofree char *pre = self->pre != NULL ? atl_vocabulary_quote (self->pre, strlen (self->pre))
                                           : g_strdup ("default");
  AtlBpeConfig config = {
    .kind = plain ? ATL_BPE_CHARS : ATL_BPE_BYTES,
    .ignore_merges = self->traits.ignore_merges,
    .whole_newlines = plain,
    .byte_fallback = plain,
    .unknown_id = -1,
  };

  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (merges == NULL || (merges->v_array.n > 0 && merges->v_array.elem_type != ATL_META_STRING))
    return checkpoint_set_mistyped (self->cp, KEY ("merges"),
                                    N_ ("a list of texts, which its kind needs"), error);

  t->bpe = atl_bpe_new (t->vocabulary, &config, error);
  if (t->bpe == NULL)
    return FALSE;
  atl_bpe_expect_merges (t->bpe, merges->v_array.n);
  for (gsize i = 0; i < merges->v_array.n; i++)
    {
      const char *line = ((char *const *) merges->v_array.elems)[i];

      if (!atl_bpe_add_merge_line (t->bpe, line, strlen (line), error))
        {
          g_prefix_error (error, "%s: ", atl_checkpoint_name (self->cp));
          return FALSE;
        }
    }

  t->pre_tokenizer = self->pre != NULL ? atl_pre_tokenizer_new_named (self->pre) : NULL;
  if (t->pre_tokenizer == NULL)
    {
      t->pre_tokenizer = atl_pre_tokenizer_new_default ();
      t->warning = self->pre == NULL
                       ? g_strdup_printf (
                             _ ("%s does not say how it cuts text into words, so the usual way is "
                                "taken; answers may be a little worse."),
                             atl_checkpoint_name (self->cp))
                       : g_strdup_printf (
                             _ ("%s cuts text into words in a way not known here (“%s”), so the "
                                "usual way is taken; answers may be a little worse."),
                             atl_checkpoint_name (self->cp), pre);
    }
  if (plain)
    {
      t->normalizer = atl_normalizer_new ();
      atl_normalizer_add_replace (t->normalizer, " ", MARK);
    }
  t->spelling.letters = !plain;
  t->spelling.marks = plain;
  t->kind = g_strdup_printf ("BPE (%s)", pre);
  return TRUE;
}

gboolean
checkpoint_load_sentencepiece (CheckpointLoader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  AtlBpeConfig config = {
    .kind = ATL_BPE_SCORES,
    .byte_fallback = TRUE,
    .unknown_id = t->special[ATL_SPECIAL_UNK],
  };

  if (!checkpoint_get_flag (self, KEY ("add_space_prefix"), self->defaults->space_prefix,
                            &t->space_prefix, error))
    return FALSE;
  t->bpe = atl_bpe_new (t->vocabulary, &config, error);
  t->normalizer = atl_normalizer_new ();
  if (t->space_prefix)
    atl_normalizer_add_prepend (t->normalizer, MARK);
  atl_normalizer_add_replace (t->normalizer, " ", MARK);
  t->spelling.marks = TRUE;
  t->kind = g_strdup ("SentencePiece BPE");
  return t->bpe != NULL;
}

static gboolean
load_charsmap (CheckpointLoader *self, GError **error)
{
  const AtlMetaValue *map = NULL;
  g_autofree guint8 *bytes = NULL;
  AtlCharsmap *charsmap;
  g_autoptr (GError) local = NULL;

  map = checkpoint_get_array (self->cp, KEY ("precompiled_charsmap"), "bytes", &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (map == NULL || map->v_array.n == 0)
    return TRUE;
  if (map->v_array.elem_type != ATL_META_INT && map->v_array.elem_type != ATL_META_UINT)
    return checkpoint_set_mistyped (self->cp, KEY ("precompiled_charsmap"), N_ ("a list of bytes"),
                                    error);

  bytes = g_malloc (map->v_array.n);
  for (gsize i = 0; i < map->v_array.n; i++)
    bytes[i] = map->v_array.elem_type == ATL_META_INT
                   ? (guint8) ((const gint64 *) map->v_array.elems)[i]
                   : (guint8) ((const guint64 *) map->v_array.elems)[i];
  charsmap = atl_charsmap_new (bytes, map->v_array.n, error);
  if (charsmap == NULL)
    return FALSE;
  atl_normalizer_add_charsmap (self->tokenizer->normalizer, charsmap);
  return TRUE;
}

gboolean
checkpoint_load_unigram (CheckpointLoader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  gboolean merge_spaces, prefix;

  if (!checkpoint_get_flag (self, KEY ("remove_extra_whitespaces"), FALSE, &merge_spaces, error) ||
      !checkpoint_get_flag (self, KEY ("add_space_prefix"), self->defaults->space_prefix, &prefix,
                            error))
    return FALSE;
  t->unigram = atl_unigram_new (t->vocabulary, t->special[ATL_SPECIAL_UNK], FALSE, error);
  if (t->unigram == NULL)
    return FALSE;
  t->normalizer = atl_normalizer_new ();
  if (!load_charsmap (self, error))
    return FALSE;
  atl_normalizer_add_sentencepiece_spaces (t->normalizer, merge_spaces, prefix, FALSE, TRUE);
  t->space_prefix = prefix;
  t->spelling.marks = TRUE;
  t->kind = g_strdup ("unigram");
  return TRUE;
}

gboolean
checkpoint_load_wordpiece (CheckpointLoader *self, GError **error)
{
  AtlTokenizer *t = self->tokenizer;
  const AtlScan spaces = { .kind = ATL_SCAN_SPACES };
  const AtlScan punctuation = { .kind = ATL_SCAN_CLASS_ONE,
                                .classes = ATL_CP_PUNCT,
                                .extra = "$+<=>^`|~" };
  gboolean lowercase, strip_accents;

  if (!checkpoint_get_flag (self, KEY ("normalizer.lowercase"), TRUE, &lowercase, error) ||
      !checkpoint_get_flag (self, KEY ("normalizer.strip_accents"), lowercase, &strip_accents,
                            error))
    return FALSE;
  t->wordpiece = atl_wordpiece_new (t->vocabulary, MARK, "", t->special[ATL_SPECIAL_UNK], 0);
  t->normalizer = atl_normalizer_new ();
  atl_normalizer_add_bert (t->normalizer, TRUE, TRUE, strip_accents, TRUE, lowercase);
  t->pre_tokenizer = atl_pre_tokenizer_new ();
  atl_pre_tokenizer_add_scan (t->pre_tokenizer, &spaces, ATL_SPLIT_REMOVED);
  atl_pre_tokenizer_add_scan (t->pre_tokenizer, &punctuation, ATL_SPLIT_ISOLATED);
  t->space_prefix = TRUE;
  t->spelling.marks = TRUE;
  t->kind = g_strdup ("WordPiece");
  return TRUE;
}
