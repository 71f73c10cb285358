/* A template language, small and bounded: what Jinja2 prints for the templates that models carry.
 *
 * The reference is Jinja2 3.1.6 in the environment of the transformers library: loop controls, the
 * `generation` tag, `tojson` without HTML escaping, `raise_exception`, `strftime_now`. Other
 * templates (include, import, extends), files, environment variables and the clock are out of
 * reach.
 *
 *   AtlJinjaOptions options = { .trim_blocks = TRUE, .lstrip_blocks = TRUE };
 *   g_autoptr (AtlJinja) jinja = atl_jinja_parse (source, -1, &options, error);
 *   g_autofree char *text = atl_jinja_render (jinja, context, NULL, now, error);
 *
 * Templates come with model files and are hostile until shown otherwise: source size, syntax depth,
 * evaluation depth, steps, memory and output are limited, and reaching a limit is
 * ATL_ERROR_TOO_COMPLEX.
 *
 * Threading: a parsed template is immutable; any number of threads may render it at a time.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlJinja AtlJinja;

/* Jinja2's options of the same names; all FALSE is Jinja2's default. */
typedef struct
{
  gboolean trim_blocks;           /* the newline after a block tag is dropped */
  gboolean lstrip_blocks;         /* blanks before a block tag on its line are dropped */
  gboolean keep_trailing_newline; /* FALSE drops one newline at the end of the source */
} AtlJinjaOptions;

/* What one rendering may use. A member that is 0 stands for the default. */
typedef struct
{
  guint64 max_steps; /* evaluation steps; default 20 million, well under a second */
  gsize max_memory;  /* bytes held by values; default 256 MiB */
  gsize max_output;  /* bytes of text; default 32 MiB */
  guint max_depth;   /* nested evaluation, 1 to 1000; default 1000 */
} AtlJinjaLimits;

/* Parses `len` bytes of UTF-8 (-1: up to the NUL). `options` may be NULL for all FALSE. Syntax
 * errors and invalid UTF-8 are ATL_ERROR_INVALID and name the line; more than 1 MiB of source or
 * syntax nested deeper than 200 levels is ATL_ERROR_TOO_COMPLEX. */
AtlJinja *
atl_jinja_parse (const char *source, gssize len, const AtlJinjaOptions *options, GError **error);

/* Renders with the members of `context` (nullable) as variables; JSON integers stay integers,
 * objects keep their order. `now` (nullable) is the clock of strftime_now; without one that
 * function is an error. `limits` (nullable) as above.
 *
 * The result is valid UTF-8 and the caller's. Errors while running (a missing attribute, mismatched
 * types, the template's own raise_exception, whose text is then the message) are ATL_ERROR_INVALID
 * and name the line; a limit reached is ATL_ERROR_TOO_COMPLEX. */
char *atl_jinja_render (const AtlJinja *self,
                        JsonObject *context,
                        const AtlJinjaLimits *limits,
                        GDateTime *now,
                        GError **error);

/* TRUE if the template mentions `name` as a variable, attribute, keyword or string literal: a hint
 * for which inputs it knows ("tools", "enable_thinking"). */
gboolean atl_jinja_mentions (const AtlJinja *self, const char *name);

/* NULL is fine. */
void atl_jinja_free (AtlJinja *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlJinja, atl_jinja_free)

G_END_DECLS
