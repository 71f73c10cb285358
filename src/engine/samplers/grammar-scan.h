/* Reading the text of a grammar, a piece at a time. Between the files of the GBNF parser.
 *
 *   GbnfScan scan = { text, text + n, 1, NULL };
 *   gbnf_skip_space (&scan, TRUE);
 *   name = gbnf_read_name (&scan);
 *
 * The first mistake is remembered with its line; what follows it is of no use. `text` is valid
 * UTF-8.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *at, *end;
  guint line;
  GError *error; /* (owned) (nullable) the first one */
} GbnfScan;

/* Both return FALSE: ATL_ERROR_INVALID, ATL_ERROR_TOO_COMPLEX. */
gboolean gbnf_fail (GbnfScan *self, const char *message);
gboolean gbnf_fail_limit (GbnfScan *self, const char *message);

/* The next byte, -1 at the end. */
int gbnf_peek (const GbnfScan *self);
/* Over blanks and comments, and line ends if `newlines`. */
void gbnf_skip_space (GbnfScan *self, gboolean newlines);
/* Whether the byte (or -1) may stand in the name of a rule. */
gboolean gbnf_is_name_char (int c);
/* A rule's name, the caller's; NULL if there is none. */
char *gbnf_read_name (GbnfScan *self);
/* One character of a literal or class, escapes resolved. */
gboolean gbnf_read_char (GbnfScan *self, gunichar *out);
/* At most G_MAXINT32. */
gboolean gbnf_read_number (GbnfScan *self, guint32 *out);

G_END_DECLS
