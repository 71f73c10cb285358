/* A vocabulary as the `tokenizer.*` metadata of a GGUF file. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/tokenizer-private.h"

#define KEY(name) "tokenizer.ggml." name

/* The checkpoint and the first mistake. */
typedef struct
{
  const AtlTokenizer *tokenizer;
  AtlCheckpoint *out;
  GError *error;
} Writer;

static void
put (Writer *w, const char *key, const AtlMetaValue *value)
{
  if (w->error == NULL)
    atl_checkpoint_add_meta (w->out, key, value, &w->error);
}

static void
put_text (Writer *w, const char *key, const char *text)
{
  AtlMetaValue value = { .type = ATL_META_STRING };

  value.v_string.chars = text;
  value.v_string.length = strlen (text);
  put (w, key, &value);
}

static void
put_bool (Writer *w, const char *key, gboolean flag)
{
  put (w, key, &(AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = flag });
}

static void
put_array (Writer *w, const char *key, AtlMetaType type, gsize n, gconstpointer elems)
{
  AtlMetaValue value = { .type = ATL_META_ARRAY };

  value.v_array.elem_type = type;
  value.v_array.n = n;
  value.v_array.elems = (gpointer) elems;
  put (w, key, &value);
}

/* Pieces and their types; ids that the vocabulary leaves out, and rows past it, are never used. */
static void
put_pieces (Writer *w, guint n_rows)
{
  const AtlVocabulary *v = w->tokenizer->vocabulary;
  g_autofree char **texts = g_new (char *, n_rows);
  g_autofree gint64 *types = g_new (gint64, n_rows);
  g_autoptr (GPtrArray) made = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < n_rows; i++)
    if (i < v->n && v->text[i] != NULL)
      {
        texts[i] = v->text[i];
        types[i] = v->type[i];
      }
    else
      {
        texts[i] = g_strdup_printf ("[PAD%u]", i);
        types[i] = ATL_TOKEN_UNUSED;
        g_ptr_array_add (made, texts[i]);
      }
  put_array (w, KEY ("tokens"), ATL_META_STRING, n_rows, texts);
  put_array (w, KEY ("token_type"), ATL_META_INT, n_rows, types);
}

static void
put_merges (Writer *w)
{
  const AtlVocabulary *v = w->tokenizer->vocabulary;
  g_autoptr (GArray) ids = atl_bpe_list_merges (w->tokenizer->bpe);
  g_auto (GStrv) lines = g_new0 (char *, ids->len / 2 + 1);

  for (guint i = 0; i < ids->len / 2; i++)
    lines[i] = g_strconcat (v->text[g_array_index (ids, gint32, 2 * i)], " ",
                            v->text[g_array_index (ids, gint32, 2 * i + 1)], NULL);
  put_array (w, KEY ("merges"), ATL_META_STRING, ids->len / 2, lines);
}

/* SentencePiece joins the pair whose piece scores highest. Where the file has merges instead, the
 * place of the first one that makes a piece is its score. */
static void
put_scores (Writer *w, guint n_rows)
{
  const AtlTokenizer *t = w->tokenizer;
  const AtlVocabulary *v = t->vocabulary;
  g_autofree double *scores = g_new0 (double, n_rows);

  for (guint i = 0; i < v->n; i++)
    scores[i] = v->score[i];
  if (atl_bpe_config (t->bpe)->kind != ATL_BPE_SCORES)
    {
      g_autoptr (GArray) ids = atl_bpe_list_merges (t->bpe);
      g_autoptr (GString) text = g_string_new (NULL);

      for (guint i = 0; i < v->n; i++)
        scores[i] = -(double) (ids->len / 2) - 1;
      for (guint i = ids->len / 2; i-- > 0;)
        {
          gint32 id;

          g_string_assign (text, v->text[g_array_index (ids, gint32, 2 * i)]);
          g_string_append (text, v->text[g_array_index (ids, gint32, 2 * i + 1)]);
          id = atl_vocabulary_find (v, text->str, text->len);
          if (id >= 0)
            scores[id] = -(double) i;
        }
    }
  put_array (w, KEY ("scores"), ATL_META_FLOAT, n_rows, scores);
}

static void
put_specials (Writer *w)
{
  static const struct
  {
    AtlSpecialToken which;
    const char *key;
  } keys[] = {
    { ATL_SPECIAL_BOS, KEY ("bos_token_id") },
    { ATL_SPECIAL_EOS, KEY ("eos_token_id") },
    { ATL_SPECIAL_EOT, KEY ("eot_token_id") },
    { ATL_SPECIAL_EOM, KEY ("eom_token_id") },
    { ATL_SPECIAL_UNK, KEY ("unknown_token_id") },
    { ATL_SPECIAL_PAD, KEY ("padding_token_id") },
    { ATL_SPECIAL_FIM_PREFIX, KEY ("fim_pre_token_id") },
    { ATL_SPECIAL_FIM_SUFFIX, KEY ("fim_suf_token_id") },
    { ATL_SPECIAL_FIM_MIDDLE, KEY ("fim_mid_token_id") },
  };
  const AtlTokenizer *t = w->tokenizer;

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (t->special[keys[i].which] >= 0)
      put (w, keys[i].key,
           &(AtlMetaValue){ .type = ATL_META_UINT, .v_uint = (guint64) t->special[keys[i].which] });
  /* A second token that ends generation, such as that of a turn. */
  for (guint i = 0; t->special[ATL_SPECIAL_EOT] < 0 && i < t->eog->len; i++)
    if (g_array_index (t->eog, gint32, i) != t->special[ATL_SPECIAL_EOS])
      {
        gint32 id = g_array_index (t->eog, gint32, i);
        put (w, KEY ("eot_token_id"),
             &(AtlMetaValue){ .type = ATL_META_UINT, .v_uint = (guint64) id });
        break;
      }
  put_bool (w, KEY ("add_bos_token"), t->prefix->len > 0);
  put_bool (w, KEY ("add_eos_token"), t->suffix->len > 0);
}

static void
put_templates (Writer *w)
{
  const AtlTokenizer *t = w->tokenizer;
  const char *main_one = atl_tokenizer_chat_template (t, NULL);
  const char *const *names = atl_tokenizer_chat_template_names (t);

  if (main_one != NULL)
    put_text (w, "tokenizer.chat_template", main_one);
  for (; names != NULL && *names != NULL; names++)
    {
      g_autofree char *key = g_strconcat ("tokenizer.chat_template.", *names, NULL);

      put_text (w, key, atl_tokenizer_chat_template (t, *names));
    }
}

gboolean
atl_tokenizer_add_metadata (const AtlTokenizer *self,
                            guint n_rows,
                            AtlCheckpoint *checkpoint,
                            char **warning,
                            GError **error)
{
  Writer w = { .tokenizer = self, .out = checkpoint };
  const AtlBpeConfig *bpe = self->bpe != NULL ? atl_bpe_config (self->bpe) : NULL;

  if (bpe == NULL || bpe->end_of_word != NULL)
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("The vocabulary is of the kind “%s”; byte pairs can be written to a GGUF file"),
          self->kind);
      return FALSE;
    }
  if (self->vocabulary->n > n_rows)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The vocabulary lists %u pieces, but the weights know only %u"),
                   self->vocabulary->n, n_rows);
      return FALSE;
    }
  if (bpe->kind == ATL_BPE_BYTES)
    {
      const char *pre = atl_pre_tokenizer_name (self->pre_tokenizer, bpe->ignore_merges);

      /* The same stages with the other habit of whole words differ in rare words only. */
      if (pre == NULL)
        pre = atl_pre_tokenizer_name (self->pre_tokenizer, !bpe->ignore_merges);
      if (pre == NULL && warning != NULL)
        *warning = g_strdup (_ ("GGUF has no name for the way this vocabulary cuts words; readers "
                                "of the file will cut some of them differently"));
      put_text (&w, KEY ("model"), "gpt2");
      put_text (&w, KEY ("pre"), pre != NULL ? pre : "default");
      put_pieces (&w, n_rows);
      put_merges (&w);
    }
  else
    {
      put_text (&w, KEY ("model"), "llama");
      put_text (&w, KEY ("pre"), "default");
      put_pieces (&w, n_rows);
      put_scores (&w, n_rows);
      put_bool (&w, KEY ("add_space_prefix"), self->space_prefix);
    }
  put_specials (&w);
  put_templates (&w);
  if (w.error == NULL)
    return TRUE;
  g_propagate_error (error, w.error);
  return FALSE;
}
