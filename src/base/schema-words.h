/* Which words of a JSON schema answers are not held to.
 *
 *   g_autofree char *words = atl_schema_words_unkept (schema);
 *   if (words != NULL)
 *     g_print ("Not held to: %s\n", words);
 *
 * An answer is held to a schema by a grammar (engine/samplers/grammar.h), and a grammar cannot say
 * everything that a schema can: "not", conditions, that items of any kind differ. It leaves such
 * words out; a person should know before they rely on them.
 *
 * Threading: pure; any thread.
 */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* The words, sorted, each once, with commas between, the caller's; NULL if all are kept. Nothing is
 * said of what is no schema, nor of words that are only remarks ("title"). */
char *atl_schema_words_unkept (JsonNode *schema);

G_END_DECLS
