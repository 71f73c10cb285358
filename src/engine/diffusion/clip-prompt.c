/* Weighted prompts in chunks. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/clip-prompt.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/clip-pieces.h"

#define BODY (ATL_CLIP_CHUNK - 2)
#define BACKTRACK 20
#define LONG_WORD 8

typedef struct
{
  const AtlTokenizer *tokenizer;
  gint32 start, end, pad;
  GArray *ids, *weights; /* (owned) of the chunks so far */
  guint n_chunks;
  gboolean was_cut;
} Chunks;

static void
push (Chunks *c, gint32 id, double weight)
{
  float w = (float) weight;

  g_array_append_val (c->ids, id);
  g_array_append_val (c->weights, w);
}

/* A chunk of `n` tokens: start, the tokens, end, padding. */
static void
push_chunk (Chunks *c, const gint32 *ids, const double *weights, guint n)
{
  if (c->n_chunks == ATL_CLIP_MAX_CHUNKS)
    {
      c->was_cut = TRUE;
      return;
    }
  push (c, c->start, 1.0);
  for (guint i = 0; i < n; i++)
    push (c, ids[i], weights[i]);
  push (c, c->end, 1.0);
  for (guint i = n + 2; i < ATL_CLIP_CHUNK; i++)
    push (c, c->pad, 1.0);
  c->n_chunks++;
}

static GArray *
encode (Chunks *c, const char *text, gssize n, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  return atl_tokenizer_encode (c->tokenizer, text, n, ATL_TOKENIZE_NONE, ids, error)
             ? g_steal_pointer (&ids)
             : NULL;
}

static gboolean
chunk_a1111 (Chunks *c, GArray *pieces, GError **error)
{
  gint32 comma = atl_tokenizer_find (c->tokenizer, ",</w>"), ids[BODY];
  double weights[BODY];
  guint n = 0;
  int last_comma = -1;

  for (guint i = 0; i < pieces->len; i++)
    {
      const AtlClipPiece *piece = atl_clip_piece_at (pieces, i);
      g_autoptr (GArray) tokens = NULL;

      if (piece->text == NULL)
        {
          push_chunk (c, ids, weights, n);
          n = 0;
          last_comma = -1;
          continue;
        }
      tokens = encode (c, piece->text->str, (gssize) piece->text->len, error);
      if (tokens == NULL)
        return FALSE;
      for (guint k = 0; k < tokens->len; k++)
        {
          gint32 id = g_array_index (tokens, gint32, k);

          if (id == comma)
            last_comma = (int) n;
          else if (n == BODY && last_comma != -1 && BODY - last_comma <= BACKTRACK)
            {
              guint cut = (guint) last_comma + 1;

              push_chunk (c, ids, weights, cut);
              n -= cut;
              memmove (ids, ids + cut, n * sizeof *ids);
              memmove (weights, weights + cut, n * sizeof *weights);
              last_comma = -1;
            }
          if (n == BODY)
            {
              push_chunk (c, ids, weights, n);
              n = 0;
              last_comma = -1;
            }
          ids[n] = id;
          weights[n++] = piece->weight;
        }
    }
  if (n > 0 || c->n_chunks == 0)
    push_chunk (c, ids, weights, n);
  return TRUE;
}

static gboolean
chunk_comfyui (Chunks *c, GArray *pieces, GError **error)
{
  gint32 ids[BODY];
  double weights[BODY];
  guint n = 0;

  for (guint i = 0; i < pieces->len; i++)
    {
      const AtlClipPiece *piece = atl_clip_piece_at (pieces, i);
      g_auto (GStrv) words = NULL;

      g_strdelimit (piece->text->str, "\n", ' ');
      words = g_strsplit (piece->text->str, " ", -1);
      for (guint w = 0; words[w] != NULL; w++)
        {
          g_autoptr (GArray) tokens = *words[w] != '\0' ? encode (c, words[w], -1, error) : NULL;
          guint done = 0;

          if (*words[w] == '\0')
            continue;
          if (tokens == NULL)
            return FALSE;
          while (done < tokens->len)
            {
              guint left = tokens->len - done, room = BODY - n;
              guint take = left <= room ? left : tokens->len >= LONG_WORD ? room : 0;

              for (guint k = 0; k < take; k++)
                {
                  ids[n] = g_array_index (tokens, gint32, done++);
                  weights[n++] = piece->weight;
                }
              if (done < tokens->len)
                {
                  push_chunk (c, ids, weights, n);
                  n = 0;
                }
            }
        }
    }
  push_chunk (c, ids, weights, n);
  return TRUE;
}

static gboolean
chunk_plain (Chunks *c, const char *text, GError **error)
{
  g_autoptr (GArray) tokens = encode (c, text, -1, error);
  double weights[BODY];
  guint n;

  if (tokens == NULL)
    return FALSE;
  n = MIN (tokens->len, BODY);
  c->was_cut = tokens->len > BODY;
  for (guint i = 0; i < n; i++)
    weights[i] = 1.0;
  push_chunk (c, (const gint32 *) tokens->data, weights, n);
  return TRUE;
}

AtlClipPrompt *
atl_clip_prompt_new (
    const AtlTokenizer *tokenizer, const char *text, AtlPromptRule rule, gint32 pad, GError **error)
{
  gint32 start = atl_tokenizer_special (tokenizer, ATL_SPECIAL_BOS);
  gint32 end = atl_tokenizer_special (tokenizer, ATL_SPECIAL_EOS);
  Chunks c = { .tokenizer = tokenizer, .start = start, .end = end, .pad = pad < 0 ? end : pad };
  g_autoptr (GArray) pieces = NULL;
  AtlClipPrompt *self = NULL;
  gboolean ok;

  if (start < 0 || end < 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The text encoder's vocabulary has no start and end tokens"));
      return NULL;
    }
  c.ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  c.weights = g_array_new (FALSE, FALSE, sizeof (float));
  if (rule == ATL_PROMPT_A1111)
    {
      pieces = atl_clip_pieces_a1111 (text);
      ok = chunk_a1111 (&c, pieces, error);
    }
  else if (rule == ATL_PROMPT_COMFYUI)
    {
      pieces = atl_clip_pieces_comfyui (text);
      ok = chunk_comfyui (&c, pieces, error);
    }
  else
    ok = chunk_plain (&c, text, error);
  if (ok)
    {
      self = g_new0 (AtlClipPrompt, 1);
      self->n_chunks = c.n_chunks;
      self->start = start;
      self->end = end;
      self->pad = c.pad;
      self->was_cut = c.was_cut;
      self->is_even = TRUE;
      for (guint i = 0; i < c.weights->len; i++)
        self->is_even &= g_array_index (c.weights, float, i) == 1.0f;
      self->ids = (gint32 *) g_array_free (g_steal_pointer (&c.ids), FALSE);
      self->weights = (float *) g_array_free (g_steal_pointer (&c.weights), FALSE);
    }
  g_clear_pointer (&c.ids, g_array_unref);
  g_clear_pointer (&c.weights, g_array_unref);
  return self;
}

void
atl_clip_prompt_free (AtlClipPrompt *self)
{
  if (self == NULL)
    return;
  g_free (self->ids);
  g_free (self->weights);
  g_free (self);
}

void
atl_clip_prompt_extend (AtlClipPrompt *self, guint n_chunks)
{
  const gsize n = ATL_CLIP_CHUNK;

  if (n_chunks <= self->n_chunks)
    return;
  self->ids = g_renew (gint32, self->ids, n_chunks * n);
  self->weights = g_renew (float, self->weights, (n_chunks * n));
  for (gsize i = self->n_chunks * n; i < n_chunks * n; i++)
    {
      self->ids[i] = i % n == 0 ? self->start : i % n == 1 ? self->end : self->pad;
      self->weights[i] = 1.0f;
    }
  self->n_chunks = n_chunks;
}
