/* Byte pair encoding with a heap of candidate pairs. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/bpe.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/codepoints.h"

#define NONE G_MAXUINT32

typedef struct
{
  gint32 left, right; /* left −1: a free slot */
  guint32 rank;
  gint32 result;
} Merge;

struct _AtlBpe
{
  const AtlVocabulary *vocabulary;
  AtlBpeConfig config;
  char *end_of_word; /* (owned) (nullable) */
  gint32 byte_id[256];
  gint32 byte_end_id[256]; /* of the last byte of a word, "a</w>" */

  Merge *merges; /* open addressing by (left, right) */
  guint32 merge_mask;
  guint32 n_merges;
  gint32 last_result; /* of the merge added last */
};

typedef struct
{
  gint32 id; /* −1: no piece */
  guint32 start, length;
  guint32 previous, next;
} Symbol;

typedef struct
{
  guint64 order; /* rank or score above, position of the left symbol below: least first */
  gint32 result;
  guint32 length; /* of both symbols: tells whether the pair still stands */
} Candidate;

/* --- GPT-2's letters for bytes --- */

gunichar
atl_bpe_byte_letter (guint8 byte)
{
  /* Bytes that print keep their character; the 68 others take U+0100 onwards, in order. */
  if (byte <= 0x20)
    return 0x100 + byte;
  if (byte >= 0x7f && byte <= 0xa0)
    return 0x121 + (byte - 0x7f);
  if (byte == 0xad)
    return 0x143;
  return byte;
}

int
atl_bpe_letter_byte (gunichar letter)
{
  if (letter >= 0x100 && letter <= 0x120)
    return (int) letter - 0x100;
  if (letter >= 0x121 && letter <= 0x142)
    return (int) letter - 0x121 + 0x7f;
  if (letter == 0x143)
    return 0xad;
  if (letter > 0x20 && letter <= 0xff && !(letter >= 0x7f && letter <= 0xa0) && letter != 0xad)
    return (int) letter;
  return -1;
}

/* --- Building --- */

static Merge *
new_merges (guint32 mask)
{
  Merge *merges = g_new (Merge, (gsize) mask + 1);

  for (gsize i = 0; i <= mask; i++)
    merges[i].left = -1;
  return merges;
}

AtlBpe *
atl_bpe_new (const AtlVocabulary *vocabulary, const AtlBpeConfig *config, GError **error)
{
  AtlBpe *self = g_new0 (AtlBpe, 1);

  self->vocabulary = vocabulary;
  self->config = *config;
  self->end_of_word = g_strdup (config->end_of_word);
  self->config.end_of_word = self->end_of_word;
  self->merge_mask = 1023;
  self->merges = new_merges (self->merge_mask);

  if (config->kind == ATL_BPE_BYTES)
    for (guint b = 0; b < 256; b++)
      {
        char name[64];
        int n = g_unichar_to_utf8 (atl_bpe_byte_letter ((guint8) b), name);

        self->byte_id[b] = atl_vocabulary_find (vocabulary, name, n);
        self->byte_end_id[b] = self->byte_id[b];
        if (self->end_of_word != NULL)
          {
            n += g_strlcpy (name + n, self->end_of_word, sizeof name - n);
            self->byte_end_id[b] =
                n < (int) sizeof name ? atl_vocabulary_find (vocabulary, name, n) : -1;
          }
      }
  else
    atl_vocabulary_byte_ids (vocabulary, self->byte_id);

  return self;
}

void
atl_bpe_free (AtlBpe *self)
{
  if (self == NULL)
    return;
  g_free (self->merges);
  g_free (self->end_of_word);
  g_free (self);
}

static guint32
pair_slot (gint32 left, gint32 right, guint32 mask)
{
  guint64 h = ((guint64) (guint32) left << 32 | (guint32) right) * 0x9e3779b97f4a7c15u;

  return (guint32) ((h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u >> 32) & mask;
}

static const Merge *
find_merge (const AtlBpe *self, gint32 left, gint32 right)
{
  guint32 at = pair_slot (left, right, self->merge_mask);

  for (; self->merges[at].left >= 0; at = (at + 1) & self->merge_mask)
    if (self->merges[at].left == left && self->merges[at].right == right)
      return &self->merges[at];
  return NULL;
}

/* FALSE when the pairs were chosen to collide. A pair that is there already keeps its rank. */
static gboolean
insert_merge (AtlBpe *self, const Merge *merge)
{
  guint32 at = pair_slot (merge->left, merge->right, self->merge_mask);
  guint probes = 0;

  while (self->merges[at].left >= 0)
    {
      if (self->merges[at].left == merge->left && self->merges[at].right == merge->right)
        return TRUE;
      at = (at + 1) & self->merge_mask;
      if (++probes > ATL_VOCABULARY_MAX_PROBES)
        return FALSE;
    }
  self->merges[at] = *merge;
  return TRUE;
}

static gboolean
grow_merges (AtlBpe *self)
{
  Merge *old = self->merges;
  guint32 old_mask = self->merge_mask;
  gboolean ok = TRUE;

  self->merge_mask = self->merge_mask * 2 + 1;
  self->merges = new_merges (self->merge_mask);
  for (gsize i = 0; i <= old_mask && ok; i++)
    if (old[i].left >= 0)
      ok = insert_merge (self, &old[i]);
  g_free (old);
  return ok;
}

void
atl_bpe_expect_merges (AtlBpe *self, gsize n)
{
  g_return_if_fail (self->n_merges == 0);

  n = MIN (n, 2 * (gsize) ATL_VOCABULARY_MAX_TOKENS);
  while (n > self->merge_mask / 2)
    self->merge_mask = self->merge_mask * 2 + 1;
  g_free (self->merges);
  self->merges = new_merges (self->merge_mask);
}

static int
compare_ranks (gconstpointer a, gconstpointer b)
{
  guint32 left = (*(const Merge *const *) a)->rank, right = (*(const Merge *const *) b)->rank;

  return left < right ? -1 : left > right;
}

GArray *
atl_bpe_list_merges (const AtlBpe *self)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GPtrArray) ordered = g_ptr_array_new ();

  for (gsize i = 0; i <= self->merge_mask; i++)
    if (self->merges[i].left >= 0)
      g_ptr_array_add (ordered, &self->merges[i]);
  g_ptr_array_sort (ordered, compare_ranks);
  for (guint i = 0; i < ordered->len; i++)
    {
      const Merge *merge = ordered->pdata[i];

      g_array_append_val (ids, merge->left);
      g_array_append_val (ids, merge->right);
    }
  return ids;
}

const AtlBpeConfig *
atl_bpe_config (const AtlBpe *self)
{
  return &self->config;
}

static gint32
find_part (const AtlBpe *self, gint32 guess, const char *text, gsize length, GError **error)
{
  gint32 id = atl_vocabulary_find_near (self->vocabulary, guess, text, length);

  if (id < 0)
    {
      g_autofree char *part = atl_vocabulary_quote (text, length);

      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("Merge %u of the vocabulary speaks of “%s”, which is no piece of it"),
                   self->n_merges, part);
    }
  return id;
}

gboolean
atl_bpe_add_merge (AtlBpe *self,
                   const char *left,
                   gsize left_length,
                   const char *right,
                   gsize right_length,
                   GError **error)
{
  char joined[2 * ATL_VOCABULARY_MAX_PIECE];
  Merge merge;

  if (left_length > ATL_VOCABULARY_MAX_PIECE || right_length > ATL_VOCABULARY_MAX_PIECE ||
      self->n_merges >= 2 * ATL_VOCABULARY_MAX_TOKENS)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("Merge %u of the vocabulary is too long, or one too many"), self->n_merges);
      return FALSE;
    }
  memcpy (joined, left, left_length);
  memcpy (joined + left_length, right, right_length);

  merge.left = find_part (self, -1, left, left_length, error);
  if (merge.left < 0)
    return FALSE;
  merge.right = find_part (self, -1, right, right_length, error);
  if (merge.right < 0)
    return FALSE;
  /* A merge makes the next piece, in most vocabularies. */
  merge.result = find_part (self, self->last_result + 1, joined, left_length + right_length, error);
  if (merge.result < 0)
    return FALSE;
  self->last_result = merge.result;
  merge.rank = self->n_merges++;

  if ((self->n_merges > self->merge_mask / 2 && !grow_merges (self)) ||
      !insert_merge (self, &merge))
    {
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                           _ ("The merges of the vocabulary were made to be slow to look up"));
      return FALSE;
    }
  return TRUE;
}

gboolean
atl_bpe_add_merge_line (AtlBpe *self, const char *line, gsize length, GError **error)
{
  /* A part may itself begin with the separator's byte, so the search starts one further on. */
  const char *space = length > 1 ? memchr (line + 1, ' ', length - 1) : NULL;

  if (space == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("Merge %u of the vocabulary is not two parts with a space between"),
                   self->n_merges);
      return FALSE;
    }
  return atl_bpe_add_merge (self, line, space - line, space + 1, line + length - (space + 1),
                            error);
}

/* --- The heap: least order first --- */

static void
heap_push (GArray *heap, const Candidate *candidate)
{
  Candidate *h;
  guint i = heap->len;

  g_array_append_vals (heap, candidate, 1);
  h = (Candidate *) (gpointer) heap->data;
  while (i > 0 && h[(i - 1) / 2].order > candidate->order)
    {
      h[i] = h[(i - 1) / 2];
      i = (i - 1) / 2;
    }
  h[i] = *candidate;
}

static Candidate
heap_pop (GArray *heap)
{
  Candidate *h = (Candidate *) (gpointer) heap->data;
  Candidate top = h[0], last = h[heap->len - 1];
  guint n = heap->len - 1, i = 0;

  g_array_set_size (heap, n);
  if (n == 0)
    return top;
  for (;;)
    {
      guint child = 2 * i + 1;

      if (child >= n)
        break;
      if (child + 1 < n && h[child + 1].order < h[child].order)
        child++;
      if (h[child].order >= last.order)
        break;
      h[i] = h[child];
      i = child;
    }
  h[i] = last;
  return top;
}

/* --- Encoding --- */

void
atl_bpe_work_clear (AtlBpeWork *work)
{
  g_clear_pointer (&work->symbols, g_array_unref);
  g_clear_pointer (&work->heap, g_array_unref);
  if (work->letters != NULL)
    g_string_free (g_steal_pointer (&work->letters), TRUE);
}

/* A number that is the smaller the higher the score: IEEE order turned into unsigned order. */
static guint32
score_order (float score)
{
  guint32 bits;

  memcpy (&bits, &score, sizeof bits);
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return ~bits;
}

static void
consider (const AtlBpe *self,
          const char *word,
          const Symbol *s,
          guint32 left,
          AtlTextBudget *budget,
          GArray *heap)
{
  guint32 right = left != NONE ? s[left].next : NONE;
  Candidate c;
  guint32 above;

  if (right == NONE)
    return;
  c.length = s[left].length + s[right].length;
  if (self->config.kind == ATL_BPE_SCORES)
    {
      if (c.length > self->vocabulary->max_length || !atl_text_budget_spend (budget, c.length))
        return;
      c.result = atl_vocabulary_find (self->vocabulary, word + s[left].start, c.length);
      if (c.result < 0)
        return;
      above = score_order ((float) self->vocabulary->score[c.result]);
    }
  else
    {
      const Merge *merge;

      if (s[left].id < 0 || s[right].id < 0)
        return;
      merge = find_merge (self, s[left].id, s[right].id);
      if (merge == NULL)
        return;
      c.result = merge->result;
      above = merge->rank;
    }
  c.order = (guint64) above << 32 | left;
  heap_push (heap, &c);
}

/* The symbols a word begins as. */
static void
split_word (const AtlBpe *self, const char *word, gsize length, GArray *symbols)
{
  gboolean bytes = self->config.kind == ATL_BPE_BYTES;

  for (gsize i = 0; i < length;)
    {
      Symbol s = { .start = (guint32) i, .length = 1 };

      if (bytes)
        s.id =
            i + 1 == length ? self->byte_end_id[(guint8) word[i]] : self->byte_id[(guint8) word[i]];
      else
        {
          gunichar c;

          s.length = MAX (atl_utf8_decode (word + i, word + length, &c), 1);
          s.id = atl_vocabulary_find (self->vocabulary, word + i, s.length);
          if (s.id >= 0 && i + s.length == length && self->end_of_word != NULL)
            {
              g_autofree char *last =
                  g_strdup_printf ("%.*s%s", (int) s.length, word + i, self->end_of_word);

              s.id = atl_vocabulary_find (self->vocabulary, last, strlen (last));
            }
        }
      i += s.length;
      s.previous = symbols->len > 0 ? symbols->len - 1 : NONE;
      s.next = i < length ? symbols->len + 1 : NONE;
      g_array_append_val (symbols, s);
    }
}

/* The ids of a symbol that is no piece. `*unknown` tells whether the last id was the unknown one.
 */
static void
append_unknown (const AtlBpe *self, const char *p, gsize length, gboolean *unknown, GArray *ids)
{
  if (self->config.byte_fallback && atl_vocabulary_append_bytes (self->byte_id, p, length, ids))
    {
      *unknown = FALSE;
      return;
    }
  if (self->config.unknown_id >= 0 && !(*unknown && self->config.fuse_unknown))
    g_array_append_val (ids, self->config.unknown_id);
  *unknown = TRUE;
}

/* The id of a word that is a piece as it stands, or −1. */
static gint32
whole_word (const AtlBpe *self, AtlBpeWork *work, const char *word, gsize length)
{
  if (self->config.whole_newlines)
    {
      gsize i = 0;

      while (i < length && word[i] == '\n')
        i++;
      if (i == length)
        return atl_vocabulary_find (self->vocabulary, word, length);
    }
  if (!self->config.ignore_merges || length > self->vocabulary->max_length)
    return -1;
  if (self->config.kind != ATL_BPE_BYTES)
    return atl_vocabulary_find (self->vocabulary, word, length);

  g_string_truncate (work->letters, 0);
  for (gsize i = 0; i < length; i++)
    g_string_append_unichar (work->letters, atl_bpe_byte_letter ((guint8) word[i]));
  return atl_vocabulary_find (self->vocabulary, work->letters->str, work->letters->len);
}

void
atl_bpe_encode (const AtlBpe *self,
                AtlBpeWork *work,
                const char *word,
                gsize length,
                AtlTextBudget *budget,
                GArray *ids)
{
  gboolean unknown = FALSE;
  gint32 whole;
  Symbol *s;

  if (length == 0)
    return;
  if (work->symbols == NULL)
    {
      work->symbols = g_array_new (FALSE, FALSE, sizeof (Symbol));
      work->heap = g_array_new (FALSE, FALSE, sizeof (Candidate));
      work->letters = g_string_new (NULL);
    }
  whole = whole_word (self, work, word, length);
  if (whole >= 0)
    {
      g_array_append_val (ids, whole);
      return;
    }

  g_array_set_size (work->symbols, 0);
  g_array_set_size (work->heap, 0);
  split_word (self, word, length, work->symbols);
  s = (Symbol *) (gpointer) work->symbols->data;

  for (guint i = 0; i < work->symbols->len; i++)
    consider (self, word, s, i, budget, work->heap);
  while (work->heap->len > 0)
    {
      Candidate c = heap_pop (work->heap);
      guint32 left = (guint32) c.order, right = s[left].next;

      /* A symbol only ever grows, so the lengths agree only while both still stand. */
      if (s[left].length == 0 || right == NONE || s[left].length + s[right].length != c.length)
        continue;
      s[left].id = c.result;
      s[left].length = c.length;
      s[left].next = s[right].next;
      s[right].length = 0;
      if (s[right].next != NONE)
        s[s[right].next].previous = left;
      consider (self, word, s, s[left].previous, budget, work->heap);
      consider (self, word, s, left, budget, work->heap);
    }

  for (guint32 i = 0; i != NONE; i = s[i].next)
    if (s[i].id >= 0)
      {
        g_array_append_val (ids, s[i].id);
        unknown = FALSE;
      }
    else
      append_unknown (self, word + s[i].start, s[i].length, &unknown, ids);
}
