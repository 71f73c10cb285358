/* The two halves of the writer of grammars for calls. */
#pragma once

#include "engine/answers/answer-grammar.h"
#include "engine/samplers/grammar.h"

G_BEGIN_DECLS

typedef struct
{
  const AtlAnswerGrammar *options;
  AtlSchemaRules *rules;
  GHashTable *until; /* (owned) mark -> rule of the text up to it */
  char *gemma;       /* (owned) (nullable) rule of any value */
} AtlCallWriter;

/* The rule of any text that does not have `mark` in it, and then the mark; the caller's. */
char *atl_call_text_until (AtlCallWriter *w, const char *mark);
/* Text of the pattern, format or length that a string's schema asks for, without what `mark` begins
 * with, of a length also without blanks at its ends; NULL where any text will do. The caller's. */
char *atl_call_bounded_text (AtlCallWriter *w, JsonObject *schema, const char *mark);
/* A value in Gemma's notation as the argument's schema wants it; the caller's. */
char *atl_call_gemma_value (AtlCallWriter *w, guint i, JsonNode *schema, GError **error);
/* A key and its colon in that notation. */
void atl_call_append_gemma_key (AtlCallWriter *w, GString *out, const char *key);

/* The schemas of which one is enough, by "anyOf", "oneOf" or a list of types (element-type
 * JsonNode*); NULL if `schema`, an object's node, names none. The caller's. */
GPtrArray *atl_call_alternatives (JsonNode *schema);
/* Whether an object's schema has `key` among those that must be there. */
gboolean atl_call_requires (JsonObject *schema, const char *key);
/* The rule of `n` rules in order, those that are not needed optional, `separator` (nullable)
 * between them; "" for none. The caller's. */
char *atl_call_chain (AtlCallWriter *w,
                      const char *const *names,
                      const gboolean *needed,
                      guint n,
                      const char *separator);

G_END_DECLS
