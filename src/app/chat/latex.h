/* LaTeX formulas as legible text: Unicode symbols and Pango markup instead of a typesetter.
 *
 *   g_autofree char *markup = atl_latex_to_markup ("x_i^2 \\leq \\frac{1}{2}");
 *
 * The result is always valid Pango markup, whatever the input: everything that is not understood is
 * shown as it stands, escaped. Time and nesting are bounded.
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Formulas longer than this are shown as source. */
#define ATL_LATEX_MAX_BYTES 8192

/* `tex` is UTF-8 without the dollar signs around it. Line breaks in the result are rows. The caller
 * frees it. */
char *atl_latex_to_markup (const char *tex);

/* The Unicode text of a command without its backslash ("alpha" -> "α"); NULL if unknown. Static. */
const char *atl_latex_symbol (const char *command);

/* TRUE for relations and arrows, which are set with space around them. */
gboolean atl_latex_symbol_is_relation (const char *command);

G_END_DECLS
