/* Chat formats of our own making, for models that come without a template.
 *
 * Threading: constant data.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The source of the format named `name` ("chatml", "llama2", ...); NULL if there is none. Static.
 */
const char *atl_chat_known_by_name (const char *name);

/* The format of models whose turns end with `token` (nullable); NULL if it tells nothing. Static.
 */
const char *atl_chat_known_by_end (const char *token);

/* The format that suits a model whose texts end with `eos_token` and begin with `bos_token` (both
 * nullable); never NULL. Static. */
const char *atl_chat_known_by_tokens (const char *bos_token, const char *eos_token);

/* The marks around reasoning that `source`, a template's or prompt's text, shows. FALSE if none. */
gboolean atl_chat_known_thinking (const char *source, const char **open, const char **close);
/* The marks that `source` puts around the answer behind the reasoning. FALSE if none. */
gboolean atl_chat_known_answer (const char *source, const char **open, const char **close);

G_END_DECLS
