/* Weighted prompts: two grammars, then chunks. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/clip-prompt.h"

#include <glib/gi18n.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BODY (ATL_CLIP_CHUNK - 2)
#define BACKTRACK 20
#define LONG_WORD 8
/* ComfyUI's brackets nest at most so deep; deeper ones are letters. */
#define MAX_DEPTH 64
/* Stand for \( and \) while brackets are matched; no prompt holds control characters. */
#define ROUND_OPEN '\1'
#define ROUND_CLOSE '\2'

typedef struct
{
  GString *text; /* (owned) NULL: BREAK */
  double weight;
} Piece;

static void
piece_clear (gpointer data)
{
  Piece *piece = data;

  if (piece->text != NULL)
    g_string_free (piece->text, TRUE);
}

static void
add_piece (GArray *pieces, const char *text, gssize n, double weight)
{
  Piece piece = { text != NULL ? g_string_new_len (text, n) : NULL, weight };

  g_array_append_val (pieces, piece);
}

static Piece *
piece_at (GArray *pieces, guint i)
{
  return &g_array_index (pieces, Piece, i);
}

/* --- A1111 --- */

static void
scale_from (GArray *pieces, guint start, double factor)
{
  for (guint i = start; i < pieces->len; i++)
    piece_at (pieces, i)->weight *= factor;
}

static gboolean
is_word (char c)
{
  return g_ascii_isalnum (c) || c == '_' || (c & 0x80) != 0;
}

/* Text without brackets; BREAK as a word ends a chunk and takes the white space around it. */
static void
flush_plain (GArray *pieces, GString *plain)
{
  const char *start = plain->str, *p = start, *hit;

  if (plain->len == 0)
    return;
  while ((hit = strstr (p, "BREAK")) != NULL)
    {
      const char *end = hit, *next = hit + 5;

      if ((hit > plain->str && is_word (hit[-1])) || is_word (*next))
        {
          p = next;
          continue;
        }
      while (end > start && g_ascii_isspace (end[-1]))
        end--;
      add_piece (pieces, start, end - start, 1.0);
      add_piece (pieces, NULL, 0, 1.0);
      while (g_ascii_isspace (*next))
        next++;
      start = p = next;
    }
  add_piece (pieces, start, -1, 1.0);
  g_string_truncate (plain, 0);
}

/* ":1.3)" with white space allowed around the number. Returns the bytes, 0 if it is none. */
static gsize
explicit_weight (const char *text, double *weight)
{
  const char *p = text, *number;
  char buffer[32];
  gsize n = 0;

  if (*p++ != ':')
    return 0;
  while (g_ascii_isspace (*p))
    p++;
  number = p;
  if (*p == '+' || *p == '-')
    p++;
  while (*p == '.' || g_ascii_isdigit (*p))
    p++;
  n = (gsize) (p - number);
  if (n == 0 || n >= sizeof buffer || !(g_ascii_isdigit (p[-1]) || p[-1] == '.'))
    return 0;
  memcpy (buffer, number, n);
  buffer[n] = '\0';
  while (g_ascii_isspace (*p))
    p++;
  if (*p != ')')
    return 0;
  *weight = g_ascii_strtod (buffer, NULL);
  return (gsize) (p + 1 - text);
}

static guint
pop (GArray *stack)
{
  guint value = g_array_index (stack, guint, stack->len - 1);

  g_array_set_size (stack, stack->len - 1);
  return value;
}

static void
merge_equal (GArray *pieces)
{
  guint n = 0;

  for (guint i = 0; i < pieces->len; i++)
    {
      Piece *piece = piece_at (pieces, i), *last = n > 0 ? piece_at (pieces, n - 1) : NULL;

      if (last != NULL && piece->text != NULL && last->text != NULL &&
          piece->weight == last->weight)
        {
          g_string_append_len (last->text, piece->text->str, (gssize) piece->text->len);
          continue;
        }
      if (n != i)
        {
          Piece moved = *piece;
          piece->text = NULL;
          piece_clear (piece_at (pieces, n));
          *piece_at (pieces, n) = moved;
        }
      n++;
    }
  g_array_set_size (pieces, n);
}

static void
parse_a1111 (GArray *pieces, const char *text)
{
  g_autoptr (GArray) rounds = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) squares = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GString) plain = g_string_new (NULL);
  const char *p = text;

  while (*p != '\0')
    {
      double weight;
      gsize n;

      if (*p == '\\')
        {
          gboolean escapes = p[1] != '\0' && strchr ("()[]\\", p[1]) != NULL;

          flush_plain (pieces, plain);
          add_piece (pieces, p + 1, escapes ? 1 : 0, 1.0);
          p += escapes ? 2 : 1;
          continue;
        }
      if (*p == '(' || *p == '[')
        {
          flush_plain (pieces, plain);
          g_array_append_val (*p == '(' ? rounds : squares, pieces->len);
        }
      else if (rounds->len > 0 && (n = explicit_weight (p, &weight)) > 0)
        {
          flush_plain (pieces, plain);
          scale_from (pieces, pop (rounds), weight);
          p += n;
          continue;
        }
      else if (*p == ')' && rounds->len > 0)
        {
          flush_plain (pieces, plain);
          scale_from (pieces, pop (rounds), 1.1);
        }
      else if (*p == ']' && squares->len > 0)
        {
          flush_plain (pieces, plain);
          scale_from (pieces, pop (squares), 1 / 1.1);
        }
      else
        g_string_append_c (plain, *p);
      p++;
    }
  flush_plain (pieces, plain);
  for (guint i = 0; i < rounds->len; i++)
    scale_from (pieces, g_array_index (rounds, guint, i), 1.1);
  for (guint i = 0; i < squares->len; i++)
    scale_from (pieces, g_array_index (squares, guint, i), 1 / 1.1);
  if (pieces->len == 0)
    add_piece (pieces, "", 0, 1.0);
  merge_equal (pieces);
}

/* --- ComfyUI --- */

static void parse_comfyui (GArray *pieces, const char *text, gsize n, double weight, guint depth);

static void
parse_comfyui_part (GArray *pieces, const char *text, gsize n, double weight, guint depth)
{
  const char *colon;
  double inner = weight * 1.1;

  if (n < 2 || text[0] != '(' || text[n - 1] != ')' || depth == MAX_DEPTH)
    {
      if (n > 0)
        add_piece (pieces, text, (gssize) n, weight);
      return;
    }
  text++;
  n -= 2;
  colon = g_strrstr_len (text, (gssize) n, ":");
  if (colon != NULL && colon > text)
    {
      g_autofree char *number = g_strndup (colon + 1, (gsize) (text + n - colon - 1));
      const char *stripped = g_strstrip (number);
      char *end;
      double value = g_ascii_strtod (stripped, &end);

      if (end != stripped && *end == '\0' && isfinite (value))
        {
          inner = value;
          n = (gsize) (colon - text);
        }
    }
  parse_comfyui (pieces, text, n, inner, depth + 1);
}

/* A bracket closed too often makes all that follows text, as in the original. */
static void
parse_comfyui (GArray *pieces, const char *text, gsize n, double weight, guint depth)
{
  gsize start = 0;
  gssize open = 0;

  for (gsize i = 0; i < n; i++)
    if (text[i] == '(' && open++ == 0)
      {
        parse_comfyui_part (pieces, text + start, i - start, weight, depth);
        start = i;
      }
    else if (text[i] == ')' && --open == 0)
      {
        parse_comfyui_part (pieces, text + start, i + 1 - start, weight, depth);
        start = i + 1;
      }
  parse_comfyui_part (pieces, text + start, n - start, weight, depth);
}

/* --- Chunks --- */

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
      const Piece *piece = piece_at (pieces, i);
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
      const Piece *piece = piece_at (pieces, i);
      g_auto (GStrv) words = NULL;

      g_strdelimit (piece->text->str, "\n", ' ');
      for (char *p = piece->text->str; *p != '\0'; p++)
        *p = *p == ROUND_OPEN ? '(' : *p == ROUND_CLOSE ? ')' : *p;
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

/* \( and \) become what the brackets' grammar does not see. */
static char *
hide_escapes (const char *text)
{
  GString *out = g_string_new (NULL);

  for (const char *p = text; *p != '\0'; p++)
    if (p[0] == '\\' && (p[1] == '(' || p[1] == ')'))
      g_string_append_c (out, *++p == '(' ? ROUND_OPEN : ROUND_CLOSE);
    else if (*p != ROUND_OPEN && *p != ROUND_CLOSE)
      g_string_append_c (out, *p);
  return g_string_free (out, FALSE);
}

AtlClipPrompt *
atl_clip_prompt_new (
    const AtlTokenizer *tokenizer, const char *text, AtlPromptRule rule, gint32 pad, GError **error)
{
  gint32 start = atl_tokenizer_special (tokenizer, ATL_SPECIAL_BOS);
  gint32 end = atl_tokenizer_special (tokenizer, ATL_SPECIAL_EOS);
  Chunks c = { .tokenizer = tokenizer, .start = start, .end = end, .pad = pad < 0 ? end : pad };
  g_autoptr (GArray) pieces = g_array_new (FALSE, FALSE, sizeof (Piece));
  AtlClipPrompt *self = NULL;
  gboolean ok;

  if (start < 0 || end < 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The text encoder's vocabulary has no start and end tokens"));
      return NULL;
    }
  g_array_set_clear_func (pieces, piece_clear);
  c.ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  c.weights = g_array_new (FALSE, FALSE, sizeof (float));
  if (rule == ATL_PROMPT_A1111)
    {
      parse_a1111 (pieces, text);
      ok = chunk_a1111 (&c, pieces, error);
    }
  else if (rule == ATL_PROMPT_COMFYUI)
    {
      g_autofree char *hidden = hide_escapes (text);

      parse_comfyui (pieces, hidden, strlen (hidden), 1.0, 0);
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
  self->weights = g_renew (float, self->weights, n_chunks *n);
  for (gsize i = self->n_chunks * n; i < n_chunks * n; i++)
    {
      self->ids[i] = i % n == 0 ? self->start : i % n == 1 ? self->end : self->pad;
      self->weights[i] = 1.0f;
    }
  self->n_chunks = n_chunks;
}
