/* The parser: tokens with one of look-ahead, and nodes whose depth is watched. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-parser.h"

#include <glib/gi18n.h>
#include <stdarg.h>

#define MAX_NAMES 4096

void
j_parser_enter (JParser *p)
{
  if (++p->depth > J_MAX_SYNTAX_DEPTH)
    {
      p->heap->line = p->current.line;
      j_throw_limit (p->heap, _ ("the syntax is nested more than %d levels deep"),
                     J_MAX_SYNTAX_DEPTH);
    }
}

void
j_parser_leave (JParser *p)
{
  p->depth--;
}

void
j_parser_fail (JParser *p, const char *format, ...)
{
  char text[256];
  va_list args;

  va_start (args, format);
  g_vsnprintf (text, sizeof text, format, args);
  va_end (args);
  p->heap->line = p->current.line;
  j_throw (p->heap, "%s", text);
}

static JToken
lex (JParser *p)
{
  JToken token = j_lexer_next (&p->lexer);

  if (token.type == J_TOKEN_NAME || token.type == J_TOKEN_STRING)
    if (token.text->n_bytes <= 64)
      g_hash_table_add (p->jinja->words, g_strndup (token.text->bytes, token.text->n_bytes));
  return token;
}

JToken
j_parser_next (JParser *p)
{
  JToken token = p->current;

  if (p->has_ahead)
    {
      p->current = p->ahead;
      p->has_ahead = FALSE;
    }
  else
    p->current = lex (p);
  return token;
}

JToken *
j_parser_look (JParser *p)
{
  if (!p->has_ahead)
    {
      p->ahead = lex (p);
      p->has_ahead = TRUE;
    }
  return &p->ahead;
}

gboolean
j_parser_at_name (const JParser *p, const char *name)
{
  return p->current.type == J_TOKEN_NAME && j_str_is (p->current.text, name);
}

gboolean
j_parser_skip_name (JParser *p, const char *name)
{
  if (!j_parser_at_name (p, name))
    return FALSE;
  j_parser_next (p);
  return TRUE;
}

gboolean
j_parser_skip (JParser *p, JTokenType type)
{
  if (p->current.type != type)
    return FALSE;
  j_parser_next (p);
  return TRUE;
}

JToken
j_parser_expect (JParser *p, JTokenType type)
{
  if (p->current.type != type)
    {
      if (p->current.type == J_TOKEN_NAME)
        j_parser_fail (p, _ ("expected %s, found '%.*s'"), j_token_name (type),
                       (int) MIN (p->current.text->n_bytes, 60), p->current.text->bytes);
      j_parser_fail (p, _ ("expected %s, found %s"), j_token_name (type),
                     j_token_name (p->current.type));
    }
  return j_parser_next (p);
}

guint
j_parser_name_id (JParser *p, const JStr *name)
{
  AtlJinja *jinja = p->jinja;
  const JValue *known = j_dict_get_str (jinja->names, name);

  if (known != NULL)
    return (guint) known->i;
  if (jinja->names->n == MAX_NAMES)
    {
      p->heap->line = p->current.line;
      j_throw_limit (p->heap, _ ("the template has more than %d variables"), MAX_NAMES);
    }
  j_dict_set (p->heap, jinja->names, j_str (name), j_int ((gint64) jinja->names->n));
  return (guint) jinja->names->n - 1;
}

JNode *
j_parser_node (JParser *p, JNodeKind kind, int line)
{
  JNode *node = j_new (p->heap, JNode, 1);

  node->kind = (guint8) kind;
  node->line = line;
  return node;
}

void
j_parser_adopt (JParser *p, JNode *node, const JNode *child)
{
  if (child == NULL)
    return;
  node->depth = MAX (node->depth, child->depth + 1);
  if (node->depth > J_MAX_SYNTAX_DEPTH)
    {
      p->heap->line = node->line;
      j_throw_limit (p->heap, _ ("an expression has more than %d levels"), J_MAX_SYNTAX_DEPTH);
    }
}

void
j_parser_add (JParser *p, JNodes *nodes, JNode *node)
{
  /* Room is made at powers of two from 4 on. */
  if (nodes->n == 0 || (nodes->n >= 4 && (nodes->n & (nodes->n - 1)) == 0))
    nodes->nodes =
        j_grow (p->heap, nodes->nodes, nodes->n, MAX (4, nodes->n * 2), sizeof (JNode *));
  nodes->nodes[nodes->n++] = node;
}

JNode *
j_parser_unary (JParser *p, JNodeKind kind, int line, JNode *a)
{
  JNode *node = j_parser_node (p, kind, line);

  node->a = a;
  j_parser_adopt (p, node, a);
  return node;
}

void
j_parser_add_child (JParser *p, JNode *node, JNode *child)
{
  j_parser_add (p, &node->list, child);
  j_parser_adopt (p, node, child);
}
