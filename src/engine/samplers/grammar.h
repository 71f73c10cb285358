/* Grammars that constrain what a model may write: GBNF, and JSON schemas.
 *
 *   g_autoptr (AtlGrammar) grammar = atl_grammar_new_gbnf ("root ::= [0-9]+", "root", error);
 *   g_autoptr (AtlGrammarVocab) vocab =
 *       atl_grammar_vocab_new (n_tokens, piece, data, ends, n_ends);
 *   g_autoptr (AtlGrammarMatcher) matcher = atl_grammar_matcher_new (grammar, vocab);
 *   ...
 *   atl_grammar_matcher_mask (matcher, logits, n_vocab);
 *   id = atl_sampler_sample (sampler, logits, n_vocab);      (or as its constraint: sampler.h)
 *   atl_grammar_matcher_accept (matcher, id);
 *
 * GBNF is llama.cpp's notation: literals, classes, ".", groups, alternatives, * + ? {m,n},
 * comments, and token ids as <[1000]> (that token) and !<[1000]> (any other). Grammars may be
 * hostile: size and nesting are limited, left recursion is refused, and matching has a budget for
 * ambiguity.
 *
 * Threading: a grammar and a vocabulary are immutable, their reference counts atomic; a matcher
 * belongs to one thread at a time.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "base/error.h"

G_BEGIN_DECLS

typedef struct _AtlGrammar AtlGrammar;
typedef struct _AtlGrammarVocab AtlGrammarVocab;
typedef struct _AtlGrammarMatcher AtlGrammarMatcher;

/* Parses GBNF; `root` names the rule to begin with. ATL_ERROR_INVALID names the line and what was
 * expected; ATL_ERROR_TOO_COMPLEX where a limit is exceeded. */
AtlGrammar *atl_grammar_new_gbnf (const char *source, const char *root, GError **error);

/* The JSON texts that a JSON schema allows: types, const, enum, properties (in the schema's order,
 * required ones first), additionalProperties, items, prefixItems, lengths, ranges of numbers,
 * pattern, the formats date, time, date-time, duration, uuid, ipv4, ipv6, hostname, email and uri,
 * anyOf and oneOf (with what stands beside them), allOf and local $ref. A pattern that cannot be
 * expressed allows any string; other words are not looked at. ATL_ERROR_INVALID for what is no
 * schema, ATL_ERROR_UNSUPPORTED for references to elsewhere. */
AtlGrammar *atl_grammar_new_json_schema (JsonNode *schema, GError **error);
/* The GBNF that stands for a schema, with the root rule "root"; the caller's. */
char *atl_grammar_schema_to_gbnf (JsonNode *schema, GError **error);

/* Several schemas as rules of one grammar:
 *
 *   AtlSchemaRules *rules = atl_schema_rules_new ();
 *   g_autofree char *args = atl_schema_rules_add_schema (rules, schema, schema, "args", error);
 *   g_autofree char *call = atl_schema_rules_add (rules, "call", body);
 *   g_autofree char *gbnf = atl_schema_rules_free_to_gbnf (rules);
 *
 * Threading: one thread at a time. */
typedef struct _AtlSchemaRules AtlSchemaRules;
AtlSchemaRules *atl_schema_rules_new (void);
void atl_schema_rules_free (AtlSchemaRules *self);
/* The rules so far as GBNF; `self` goes. */
char *atl_schema_rules_free_to_gbnf (AtlSchemaRules *self);
/* Adds a rule for the JSON texts of `schema`, whose local references point into `root`. The result
 * is the rule's name, like `wanted`, the caller's. Errors as atl_grammar_new_json_schema(). */
char *atl_schema_rules_add_schema (
    AtlSchemaRules *self, JsonNode *schema, JsonNode *root, const char *wanted, GError **error);
/* The expression for the bare text, without the character `without`, of a string whose schema has a
 * pattern or a format; NULL if it has none, or one that no grammar expresses. The caller's. */
char *atl_schema_rules_text (AtlSchemaRules *self, JsonObject *schema, char without);
/* Adds a rule with a body in GBNF under a name like `wanted` that is free; its name, the caller's.
 * `body` NULL reserves the name: atl_schema_rules_define() follows. */
char *atl_schema_rules_add (AtlSchemaRules *self, const char *wanted, const char *body);
void atl_schema_rules_define (AtlSchemaRules *self, const char *name, const char *body);
/* Appends `text` as a literal of GBNF. */
void atl_grammar_append_literal (GString *gbnf, const char *text);

/* NULL is fine for unref. */
AtlGrammar *atl_grammar_ref (AtlGrammar *self);
void atl_grammar_unref (AtlGrammar *self);

/* The bytes that a token stands for; NULL for a control token, which only <[id]> can match. The
 * bytes need not be whole UTF-8 characters. Borrowed, copied by the caller at once. */
typedef const char *(*AtlGrammarPieceFunc) (gpointer data, gint32 id, gsize *n_bytes);

/* A vocabulary sorted for masking. `end_ids` are the tokens that end a text: they are allowed
 * exactly where the grammar is complete. */
AtlGrammarVocab *atl_grammar_vocab_new (gsize n_tokens,
                                        AtlGrammarPieceFunc piece,
                                        gpointer data,
                                        const gint32 *end_ids,
                                        gsize n_end_ids);
AtlGrammarVocab *atl_grammar_vocab_ref (AtlGrammarVocab *self);
void atl_grammar_vocab_unref (AtlGrammarVocab *self);

/* A matcher at the beginning of `grammar`. `vocab` may be NULL if only text is matched. */
AtlGrammarMatcher *atl_grammar_matcher_new (AtlGrammar *grammar, AtlGrammarVocab *vocab);
void atl_grammar_matcher_free (AtlGrammarMatcher *self);

/* Goes on by a token, or by bytes that are no token. FALSE if the grammar does not allow them; the
 * matcher then stays where it was. */
gboolean atl_grammar_matcher_accept (AtlGrammarMatcher *self, gint32 id);
gboolean atl_grammar_matcher_accept_text (AtlGrammarMatcher *self, const char *bytes, gsize n);
/* TRUE if the token may come next; nothing changes. */
gboolean atl_grammar_matcher_allows (AtlGrammarMatcher *self, gint32 id);
/* Sets the logits of all tokens that may not come next to -INFINITY. */
void atl_grammar_matcher_mask (AtlGrammarMatcher *self, float *logits, gsize n_vocab);
/* TRUE if the text so far is complete (it may go on nevertheless). */
gboolean atl_grammar_matcher_is_complete (const AtlGrammarMatcher *self);
/* TRUE once the grammar proved too ambiguous for the matcher's budget: nothing is allowed any more.
 */
gboolean atl_grammar_matcher_failed (const AtlGrammarMatcher *self);
/* The shortest text with which the text so far would be complete, "" where it is; a character that
 * is not whole yet does not count. `name` (nullable) spells the tokens that the grammar names by
 * number. NULL if there is none of at most 64 KiB. The caller's. */
char *atl_grammar_matcher_shortest (const AtlGrammarMatcher *self,
                                    AtlGrammarPieceFunc name,
                                    gpointer data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlGrammar, atl_grammar_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlGrammarVocab, atl_grammar_vocab_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlGrammarMatcher, atl_grammar_matcher_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlSchemaRules, atl_schema_rules_free)

G_END_DECLS
