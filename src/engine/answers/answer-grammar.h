/* The grammar that an answer must keep to: tool calls in a model's own format, JSON of a schema.
 *
 *   AtlAnswerGrammar g = { .format = format, .tools = tools, .only_tool = -1, .max_calls = 8 };
 *   g_autofree char *gbnf = atl_answer_grammar_write (&g, error);
 *   grammar = atl_grammar_new_gbnf (gbnf, ATL_ANSWER_ROOT, error);
 *
 * One text, three roots: ATL_ANSWER_ROOT for an answer from its beginning, ATL_ANSWER_AFTER for one
 * behind a thinking section, ATL_ANSWER_LAZY for what follows the mark that opens calls.
 *
 * Threading: any thread.
 */
#pragma once

#include "engine/answers/tool-format.h"
#include "engine/answers/tool-set.h"

G_BEGIN_DECLS

#define ATL_ANSWER_ROOT "root"
#define ATL_ANSWER_AFTER "after"
#define ATL_ANSWER_LAZY "lazy"

typedef struct
{
  const AtlToolFormat *format; /* (nullable) without tools, where the answer needs no frame */
  AtlToolSet *tools;           /* (nullable) */
  gint only_tool;              /* the tool that must be called; -1: any */
  guint max_calls;             /* 1 or more */
  gboolean calls_only;         /* no answer but calls */
  JsonNode *schema;            /* (nullable) of the answer */
  /* The control token spelled exactly like these `n` bytes, or −1; (nullable). */
  gint32 (*find_token) (const char *text, gsize n, gpointer data);
  gpointer data;
} AtlAnswerGrammar;

/* The caller's. Errors as atl_grammar_new_json_schema(), naming the tool. ATL_ANSWER_ROOT and
 * _AFTER are there with calls_only or a schema, ATL_ANSWER_LAZY with tools. */
char *atl_answer_grammar_write (const AtlAnswerGrammar *self, GError **error);

/* GBNF for exactly `text`, control tokens in it by their numbers; "\f" is a line end that may be
 * left out. */
void atl_answer_grammar_append_mark (const AtlAnswerGrammar *self, GString *gbnf, const char *text);

G_END_DECLS
