/* The stages of a pre-tokeniser and how they cut. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/pre-tokenizer.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/tokenizers/bounded-regex.h"
#include "engine/tokenizers/bpe.h"
#include "engine/tokenizers/pre-kinds.h"

typedef enum
{
  STAGE_SCAN,
  STAGE_REGEX,
  STAGE_METASPACE,
  STAGE_SPACE_PREFIX,
  STAGE_LETTERS,
} StageKind;

typedef struct
{
  StageKind kind;
  AtlScan scan;
  char *extra, *tail;     /* (owned) of scan */
  AtlBoundedRegex *regex; /* (owned) (nullable) */
  AtlSplitBehavior behavior;
  char mark[8];
  AtlPrependScheme scheme;
  gboolean split;
} Stage;

struct _AtlPreTokenizer
{
  GArray *stages; /* Stage */
  guint n_regexes;
  gboolean letters;
};

static void
clear_stage (gpointer data)
{
  Stage *stage = data;

  g_free (stage->extra);
  g_free (stage->tail);
  atl_bounded_regex_free (stage->regex);
}

AtlPreTokenizer *
atl_pre_tokenizer_new (void)
{
  AtlPreTokenizer *self = g_new0 (AtlPreTokenizer, 1);

  self->stages = g_array_new (FALSE, TRUE, sizeof (Stage));
  g_array_set_clear_func (self->stages, clear_stage);
  return self;
}

void
atl_pre_tokenizer_free (AtlPreTokenizer *self)
{
  if (self == NULL)
    return;
  g_array_unref (self->stages);
  g_free (self);
}

void
atl_pre_tokenizer_add_scan (AtlPreTokenizer *self, const AtlScan *scan, AtlSplitBehavior behavior)
{
  Stage stage = { .kind = STAGE_SCAN, .scan = *scan, .behavior = behavior };

  stage.scan.extra = stage.extra = g_strdup (scan->extra);
  stage.scan.tail = stage.tail = g_strdup (scan->tail);
  g_array_append_val (self->stages, stage);
}

const char *
atl_pre_tokenizer_name (const AtlPreTokenizer *self, gboolean ignore_merges)
{
  g_autoptr (GPtrArray) scans = g_ptr_array_new ();

  for (guint i = 0; i < self->stages->len; i++)
    {
      const Stage *stage = &g_array_index (self->stages, Stage, i);

      if (stage->kind == STAGE_LETTERS)
        continue;
      if (stage->kind != STAGE_SCAN || stage->behavior != ATL_SPLIT_ISOLATED)
        return NULL;
      g_ptr_array_add (scans, (gpointer) &stage->scan);
    }
  return atl_pre_kind_of_scans ((const AtlScan *const *) scans->pdata, scans->len, ignore_merges);
}

gboolean
atl_pre_tokenizer_add_regex (AtlPreTokenizer *self,
                             const char *pattern,
                             AtlSplitBehavior behavior,
                             GError **error)
{
  const AtlScan *known = atl_pre_kind_of_pattern (pattern);
  Stage stage = { .kind = STAGE_REGEX, .behavior = behavior };

  if (known != NULL)
    {
      atl_pre_tokenizer_add_scan (self, known, behavior);
      return TRUE;
    }
  stage.regex = atl_bounded_regex_new (pattern, self->n_regexes, error);
  if (stage.regex == NULL)
    return FALSE;
  self->n_regexes++;
  g_array_append_val (self->stages, stage);
  return TRUE;
}

void
atl_pre_tokenizer_add_metaspace (AtlPreTokenizer *self,
                                 const char *mark,
                                 AtlPrependScheme scheme,
                                 gboolean split)
{
  Stage stage = { .kind = STAGE_METASPACE, .scheme = scheme, .split = split };

  g_strlcpy (stage.mark, mark, sizeof stage.mark);
  g_array_append_val (self->stages, stage);
}

void
atl_pre_tokenizer_add_space_prefix (AtlPreTokenizer *self)
{
  Stage stage = { .kind = STAGE_SPACE_PREFIX };

  g_array_append_val (self->stages, stage);
}

void
atl_pre_tokenizer_add_letters (AtlPreTokenizer *self)
{
  Stage stage = { .kind = STAGE_LETTERS };

  if (self->letters)
    return;
  g_array_append_val (self->stages, stage);
  self->letters = TRUE;
}

gboolean
atl_pre_tokenizer_makes_letters (const AtlPreTokenizer *self)
{
  return self->letters;
}

void
atl_pre_work_clear (AtlPreWork *work)
{
  atl_codepoints_clear (&work->text);
  g_clear_pointer (&work->spans, g_array_unref);
  g_clear_pointer (&work->spare, g_array_unref);
  if (work->edited != NULL)
    g_string_free (g_steal_pointer (&work->edited), TRUE);
}

/* --- Cutting --- */

static void
add_span (GArray *spans, gsize start, gsize end)
{
  AtlPreSpan span = { (guint32) start, (guint32) end };

  if (end > start)
    g_array_append_val (spans, span);
}

/* Collects the cuts of one piece: matches and the gaps between them, in order. */
typedef struct
{
  GArray *spans;
  AtlSplitBehavior behavior;
  gsize pending; /* where the piece not yet added begins */
  gsize done;    /* up to where text was seen */
  gboolean pending_is_match;
} Cutter;

static void
cut (Cutter *self, gsize start, gsize end, gboolean is_match)
{
  switch (self->behavior)
    {
    case ATL_SPLIT_ISOLATED:
      add_span (self->spans, start, end);
      break;
    case ATL_SPLIT_REMOVED:
    case ATL_SPLIT_KEEP_ONLY:
      if (is_match == (self->behavior == ATL_SPLIT_KEEP_ONLY))
        add_span (self->spans, start, end);
      break;
    case ATL_SPLIT_MERGED_WITH_PREVIOUS:
      if (is_match)
        {
          add_span (self->spans, self->pending, end);
          self->pending = end;
        }
      break;
    case ATL_SPLIT_MERGED_WITH_NEXT:
      if (is_match)
        {
          add_span (self->spans, self->pending, start);
          self->pending = start;
        }
      break;
    case ATL_SPLIT_CONTIGUOUS:
      if (is_match != self->pending_is_match)
        {
          add_span (self->spans, self->pending, start);
          self->pending = start;
          self->pending_is_match = is_match;
        }
      break;
    }
  self->done = end;
}

static void
cut_match (Cutter *self, gsize start, gsize end)
{
  if (start > self->done)
    cut (self, self->done, start, FALSE);
  cut (self, start, end, TRUE);
}

static void
cut_rest (Cutter *self, gsize limit)
{
  if (limit > self->done)
    cut (self, self->done, limit, FALSE);
  if (self->behavior >= ATL_SPLIT_MERGED_WITH_PREVIOUS)
    add_span (self->spans, self->pending, limit);
}

static void
run_scan (const Stage *stage, const AtlCodepoints *text, AtlPreSpan piece, GArray *out)
{
  Cutter cutter = { out, stage->behavior, piece.start, piece.start, FALSE };

  for (gsize pos = piece.start; pos < piece.end;)
    {
      gsize skip, end = atl_scan_match (&stage->scan, text, piece.start, pos, piece.end, &skip);

      if (end > pos)
        {
          cut_match (&cutter, pos, end);
          pos = end;
        }
      else
        pos += skip;
    }
  cut_rest (&cutter, piece.end);
}

/* The code point at a byte offset, searching on from `from`. */
static gsize
cp_at_byte (const AtlCodepoints *text, gsize from, gsize byte)
{
  while (from < text->n && text->offset[from] < byte)
    from++;
  return from;
}

static gboolean
run_regex (
    const Stage *stage, const AtlCodepoints *text, AtlPreSpan piece, GArray *out, GError **error)
{
  Cutter cutter = { out, stage->behavior, piece.start, piece.start, FALSE };
  gsize base = text->offset[piece.start], length = text->offset[piece.end] - base;
  gsize at = piece.start;
  g_autoptr (GMatchInfo) info = NULL;
  g_autoptr (GError) local = NULL;

  g_regex_match_full (atl_bounded_regex_for (stage->regex, text->offset[text->n]),
                      text->text + base, (gssize) length, 0, 0, &info, &local);
  while (local == NULL && g_match_info_matches (info))
    {
      int from, to;

      g_match_info_fetch_pos (info, 0, &from, &to);
      if (to > from)
        {
          gsize start = cp_at_byte (text, at, base + (gsize) from);

          at = cp_at_byte (text, start, base + (gsize) to);
          cut_match (&cutter, start, at);
        }
      g_match_info_next (info, &local);
    }
  if (local != NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX,
                   _ ("The tokenizer's own expression gave up on this text: %s"), local->message);
      return FALSE;
    }
  cut_rest (&cutter, piece.end);
  return TRUE;
}

/* Stages that change the text write it anew, and its pieces with it. */
static void
take_edited (AtlPreWork *work, GString *edited)
{
  if (work->edited != NULL)
    g_string_free (work->edited, TRUE);
  work->edited = edited;
  atl_codepoints_set (&work->text, edited->str, edited->len);
}

static void
run_letters (AtlPreWork *work)
{
  const AtlCodepoints *text = &work->text;
  GString *edited = g_string_sized_new (2 * text->n + 1);
  gsize n = 0;

  for (guint i = 0; i < work->spans->len; i++)
    {
      AtlPreSpan piece = g_array_index (work->spans, AtlPreSpan, i);
      gsize begin = n;

      for (gsize b = text->offset[piece.start]; b < text->offset[piece.end]; b++, n++)
        g_string_append_unichar (edited, atl_bpe_byte_letter ((guint8) text->text[b]));
      add_span (work->spare, begin, n);
    }
  take_edited (work, edited);
}

static void
run_edit (const Stage *stage, AtlPreWork *work, gboolean first)
{
  GString *edited = g_string_sized_new (work->text.text != NULL ? work->text.n + 16 : 16);
  const char *mark = stage->kind == STAGE_METASPACE ? stage->mark : " ";
  gunichar mark_cp = g_utf8_get_char (mark);
  const AtlCodepoints *text = &work->text;
  gsize n = 0;

  g_array_set_size (work->spare, 0);
  for (guint i = 0; i < work->spans->len; i++)
    {
      AtlPreSpan piece = g_array_index (work->spans, AtlPreSpan, i);
      gunichar head = text->cp[piece.start];
      gboolean has_mark = head == mark_cp || head == ' ';
      gsize begin = n;

      if (!has_mark && (stage->kind == STAGE_SPACE_PREFIX || stage->scheme == ATL_PREPEND_ALWAYS ||
                        (stage->scheme == ATL_PREPEND_FIRST && first && piece.start == 0)))
        {
          g_string_append (edited, mark);
          n++;
        }
      for (gsize c = piece.start; c < piece.end; c++, n++)
        {
          gboolean is_mark = text->cp[c] == mark_cp;

          if (stage->kind == STAGE_METASPACE && text->cp[c] == ' ')
            {
              g_string_append (edited, mark);
              is_mark = TRUE;
            }
          else
            g_string_append_len (edited, text->text + text->offset[c],
                                 text->offset[c + 1] - text->offset[c]);
          if (stage->split && is_mark && n > begin)
            {
              add_span (work->spare, begin, n);
              begin = n;
            }
        }
      add_span (work->spare, begin, n);
    }
  take_edited (work, edited);
}

gboolean
atl_pre_tokenizer_run (const AtlPreTokenizer *self,
                       AtlPreWork *work,
                       const char *text,
                       gsize len,
                       gboolean first,
                       GError **error)
{
  if (work->spans == NULL)
    {
      work->spans = g_array_new (FALSE, FALSE, sizeof (AtlPreSpan));
      work->spare = g_array_new (FALSE, FALSE, sizeof (AtlPreSpan));
    }
  atl_codepoints_set (&work->text, text, len);
  g_array_set_size (work->spans, 0);
  add_span (work->spans, 0, work->text.n);

  for (guint s = 0; s < self->stages->len; s++)
    {
      const Stage *stage = &g_array_index (self->stages, Stage, s);
      GArray *swap;

      g_array_set_size (work->spare, 0);
      if (stage->kind == STAGE_METASPACE || stage->kind == STAGE_SPACE_PREFIX)
        run_edit (stage, work, first);
      else if (stage->kind == STAGE_LETTERS)
        run_letters (work);
      else
        for (guint i = 0; i < work->spans->len; i++)
          {
            AtlPreSpan piece = g_array_index (work->spans, AtlPreSpan, i);

            if (stage->kind == STAGE_SCAN)
              run_scan (stage, &work->text, piece, work->spare);
            else if (!run_regex (stage, &work->text, piece, work->spare, error))
              return FALSE;
          }
      swap = work->spans;
      work->spans = work->spare;
      work->spare = swap;
    }
  return TRUE;
}
