/* Two grammars of weights. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/clip-pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ComfyUI's brackets nest at most so deep; deeper ones are letters. */
#define MAX_DEPTH 64
/* Stand for \( and \) while brackets are matched; no prompt holds control characters. */
#define ROUND_OPEN '\1'
#define ROUND_CLOSE '\2'

static void
piece_clear (gpointer data)
{
  AtlClipPiece *piece = data;

  if (piece->text != NULL)
    g_string_free (piece->text, TRUE);
}

static void
add_piece (GArray *pieces, const char *text, gssize n, double weight)
{
  AtlClipPiece piece = { text != NULL ? g_string_new_len (text, n) : NULL, weight };

  g_array_append_val (pieces, piece);
}

AtlClipPiece *
atl_clip_piece_at (const GArray *pieces, guint i)
{
  return &g_array_index (pieces, AtlClipPiece, i);
}

/* --- A1111 --- */

static void
scale_from (GArray *pieces, guint start, double factor)
{
  for (guint i = start; i < pieces->len; i++)
    atl_clip_piece_at (pieces, i)->weight *= factor;
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
      AtlClipPiece *piece = atl_clip_piece_at (pieces, i),
                   *last = n > 0 ? atl_clip_piece_at (pieces, n - 1) : NULL;

      if (last != NULL && piece->text != NULL && last->text != NULL &&
          piece->weight == last->weight)
        {
          g_string_append_len (last->text, piece->text->str, (gssize) piece->text->len);
          continue;
        }
      if (n != i)
        {
          AtlClipPiece moved = *piece;
          piece->text = NULL;
          piece_clear (atl_clip_piece_at (pieces, n));
          *atl_clip_piece_at (pieces, n) = moved;
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

static GArray *
new_pieces (void)
{
  GArray *pieces = g_array_new (FALSE, FALSE, sizeof (AtlClipPiece));

  g_array_set_clear_func (pieces, piece_clear);
  return pieces;
}

GArray *
atl_clip_pieces_a1111 (const char *text)
{
  GArray *pieces = new_pieces ();

  parse_a1111 (pieces, text);
  return pieces;
}

GArray *
atl_clip_pieces_comfyui (const char *text)
{
  g_autofree char *hidden = hide_escapes (text);
  GArray *pieces = new_pieces ();

  parse_comfyui (pieces, hidden, strlen (hidden), 1.0, 0);
  for (guint i = 0; i < pieces->len; i++)
    for (char *p = atl_clip_piece_at (pieces, i)->text->str; *p != '\0'; p++)
      *p = *p == ROUND_OPEN ? '(' : *p == ROUND_CLOSE ? ')' : *p;
  return pieces;
}
