/* What the parts of the parser share: tokens with one of look-ahead, nodes whose depth is watched,
 * and the functions by which statements, expressions and what follows an expression call each
 * other.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/tokenizers/jinja-ast.h"

G_BEGIN_DECLS

typedef struct
{
  AtlJinja *jinja;
  JHeap *heap;
  JLexer lexer;
  JToken current;
  JToken ahead; /* valid if has_ahead */
  gboolean has_ahead;
  guint depth; /* of the recursion */
  guint loops; /* around the statement, inside of the same macro */
  JMacroDef *macro;
} JParser;

/* --- jinja-parser-nodes.c --- */

/* One level of recursion more and less; throws where it is too deep. */
void j_parser_enter (JParser *p);
void j_parser_leave (JParser *p);
void j_parser_fail (JParser *p, const char *format, ...) G_GNUC_PRINTF (2, 3) G_GNUC_NORETURN;
JToken j_parser_next (JParser *p);
JToken *j_parser_look (JParser *p);
gboolean j_parser_at_name (const JParser *p, const char *name);
gboolean j_parser_skip_name (JParser *p, const char *name);
gboolean j_parser_skip (JParser *p, JTokenType type);
JToken j_parser_expect (JParser *p, JTokenType type);
guint j_parser_name_id (JParser *p, const JStr *name);
JNode *j_parser_node (JParser *p, JNodeKind kind, int line);
/* Records that `child` (nullable) hangs below `node`; throws where the tree gets too deep. */
void j_parser_adopt (JParser *p, JNode *node, const JNode *child);
void j_parser_add (JParser *p, JNodes *nodes, JNode *node);
/* A node with one child. */
JNode *j_parser_unary (JParser *p, JNodeKind kind, int line, JNode *a);
/* Adds `child` to node->list. */
void j_parser_add_child (JParser *p, JNode *node, JNode *child);

/* --- jinja-parser-expr.c --- */

JNode *j_parse_expression (JParser *p);
JNode *j_parse_primary (JParser *p, gboolean with_namespace);
/* One expression or, with commas, a tuple; `stop` (nullable) is a name that ends it. */
JNode *j_parse_tuple (JParser *p, gboolean with_cond, const char *stop, gboolean parenthesised);
/* What may stand left of "=" or before "in". */
JNode *j_parse_target (JParser *p, const char *stop, gboolean with_namespace);

/* --- jinja-parser-postfix.c --- */

/* A chain of filters applied to `node`; NULL `node` stands for the text of a block, and the first
 * name then comes without "|" if `inline_start`. NULL if there is none. */
JNode *j_parse_filters (JParser *p, JNode *node, gboolean inline_start);
/* Attributes, subscripts and calls after `node`. */
JNode *j_parse_postfix (JParser *p, JNode *node);
JNode *j_parse_call (JParser *p, JNode *callee);
/* The test after "is". */
JNode *j_parse_test (JParser *p, JNode *subject);

G_END_DECLS
