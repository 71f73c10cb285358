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
/* A value in Gemma's notation as the argument's schema wants it; the caller's. */
char *
atl_call_gemma_value (AtlCallWriter *w, guint i, const char *key, JsonNode *schema, GError **error);

G_END_DECLS
