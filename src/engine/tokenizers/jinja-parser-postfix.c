/* The parser: what follows an expression: attributes, subscripts, calls, filters, tests. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-builtins.h"

#include <glib/gi18n.h>
#include "engine/tokenizers/jinja-parser.h"

static JCallArgs *
parse_call_args (JParser *p, JNode *owner)
{
  JCallArgs *args = j_new (p->heap, JCallArgs, 1);
  guint cap = 0;
  gboolean first = TRUE;

  j_parser_expect (p, J_TOKEN_LPAREN);
  while (p->current.type != J_TOKEN_RPAREN)
    {
      JNode *value;

      if (!first)
        {
          j_parser_expect (p, J_TOKEN_COMMA);
          if (p->current.type == J_TOKEN_RPAREN)
            break;
        }
      first = FALSE;
      if (p->current.type == J_TOKEN_MUL && args->rest == NULL && args->kw_rest == NULL)
        {
          j_parser_next (p);
          value = args->rest = j_parse_expression (p);
        }
      else if (p->current.type == J_TOKEN_POW && args->kw_rest == NULL)
        {
          j_parser_next (p);
          value = args->kw_rest = j_parse_expression (p);
        }
      else if (p->current.type == J_TOKEN_NAME && j_parser_look (p)->type == J_TOKEN_ASSIGN &&
               args->kw_rest == NULL)
        {
          const JStr *name = j_parser_next (p).text;

          j_parser_next (p);
          value = j_parse_expression (p);
          if (args->kw.n == cap)
            {
              args->names = j_grow (p->heap, args->names, cap, MAX (4, cap * 2), sizeof (JStr *));
              cap = MAX (4, cap * 2);
            }
          args->names[args->kw.n] = name;
          j_parser_add (p, &args->kw, value);
        }
      else
        {
          if (args->rest != NULL || args->kw_rest != NULL || args->kw.n > 0)
            j_parser_fail (p, _ ("invalid syntax in the arguments of a call"));
          value = j_parse_expression (p);
          j_parser_add (p, &args->pos, value);
        }
      j_parser_adopt (p, owner, value);
    }
  j_parser_next (p);
  return args;
}

JNode *
j_parse_call (JParser *p, JNode *callee)
{
  JNode *node = j_parser_unary (p, J_CALL, p->current.line, callee);

  node->args = parse_call_args (p, node);
  return node;
}

/* A filter's or test's name, which may have dots. */
static const JStr *
parse_dotted_name (JParser *p)
{
  const JStr *name = j_parser_expect (p, J_TOKEN_NAME).text;

  while (j_parser_skip (p, J_TOKEN_DOT))
    {
      JBuf buf = { 0 };

      j_buf_append_str (p->heap, &buf, name);
      j_buf_append (p->heap, &buf, ".", 1);
      j_buf_append_str (p->heap, &buf, j_parser_expect (p, J_TOKEN_NAME).text);
      name = j_buf_str (p->heap, &buf);
    }
  return name;
}

JNode *
j_parse_filters (JParser *p, JNode *node, gboolean inline_start)
{
  while (inline_start || p->current.type == J_TOKEN_PIPE)
    {
      JNode *filter;

      if (!inline_start)
        j_parser_next (p);
      inline_start = FALSE;
      filter = j_parser_unary (p, J_FILTER, p->current.line, node);
      filter->text = parse_dotted_name (p);
      filter->builtin = j_filter_find (filter->text);
      if (p->current.type == J_TOKEN_LPAREN)
        filter->args = parse_call_args (p, filter);
      else
        filter->args = j_new (p->heap, JCallArgs, 1);
      node = filter;
    }
  return node;
}

JNode *
j_parse_test (JParser *p, JNode *subject)
{
  int line = j_parser_next (p).line;
  gboolean negated = j_parser_skip_name (p, "not");
  JNode *node = j_parser_unary (p, J_TEST, line, subject);
  JTokenType type;

  node->text = parse_dotted_name (p);
  node->builtin = j_test_find (node->text);
  type = p->current.type;
  if (type == J_TOKEN_LPAREN)
    node->args = parse_call_args (p, node);
  else
    {
      node->args = j_new (p->heap, JCallArgs, 1);
      if ((type == J_TOKEN_NAME && !j_parser_at_name (p, "else") && !j_parser_at_name (p, "or") &&
           !j_parser_at_name (p, "and") && !j_parser_at_name (p, "if")) ||
          type == J_TOKEN_STRING || type == J_TOKEN_INTEGER || type == J_TOKEN_FLOAT ||
          type == J_TOKEN_LBRACKET || type == J_TOKEN_LBRACE)
        {
          JNode *value;

          if (j_parser_at_name (p, "is"))
            j_parser_fail (p, _ ("tests cannot be chained with 'is'"));
          value = j_parse_primary (p, FALSE);
          value = j_parse_postfix (p, value);
          j_parser_add (p, &node->args->pos, value);
          j_parser_adopt (p, node, value);
        }
    }
  return negated ? j_parser_unary (p, J_NOT, line, node) : node;
}

static JNode *
parse_slice_part (JParser *p)
{
  if (p->current.type == J_TOKEN_COLON || p->current.type == J_TOKEN_RBRACKET ||
      p->current.type == J_TOKEN_COMMA)
    return NULL;
  return j_parse_expression (p);
}

static JNode *
parse_subscript (JParser *p, JNode *subject)
{
  JToken open = j_parser_next (p);
  JNode *node = j_parser_unary (p, J_GETITEM, open.line, subject);
  JNode *first = NULL;

  if (open.type == J_TOKEN_DOT)
    {
      JToken name = j_parser_next (p);

      if (name.type == J_TOKEN_NAME)
        {
          node->kind = J_GETATTR;
          node->text = name.text;
          return node;
        }
      if (name.type != J_TOKEN_INTEGER)
        j_parser_fail (p, _ ("expected a name or a number after '.'"));
      node->b = j_parser_node (p, J_CONST, name.line);
      node->b->value = j_int (name.integer);
      return node;
    }

  if (p->current.type != J_TOKEN_RBRACKET)
    {
      first = parse_slice_part (p);
      if (p->current.type == J_TOKEN_COLON)
        {
          node->kind = J_SLICE;
          j_parser_add (p, &node->list, first);
          for (guint i = 0; i < 2; i++)
            {
              JNode *part = j_parser_skip (p, J_TOKEN_COLON) ? parse_slice_part (p) : NULL;

              j_parser_add (p, &node->list, part);
            }
          for (guint i = 0; i < 3; i++)
            j_parser_adopt (p, node, node->list.nodes[i]);
          j_parser_expect (p, J_TOKEN_RBRACKET);
          return node;
        }
      if (first == NULL)
        j_parser_fail (p, _ ("expected an expression in a subscript"));
    }
  if (first == NULL || p->current.type == J_TOKEN_COMMA)
    {
      /* x[] and x[a, b] look up a tuple. */
      JNode *tuple = j_parser_node (p, J_TUPLE_OF, open.line);

      if (first != NULL)
        j_parser_add_child (p, tuple, first);
      while (j_parser_skip (p, J_TOKEN_COMMA))
        j_parser_add_child (p, tuple, j_parse_expression (p));
      first = tuple;
    }
  node->b = first;
  j_parser_adopt (p, node, first);
  j_parser_expect (p, J_TOKEN_RBRACKET);
  return node;
}

JNode *
j_parse_postfix (JParser *p, JNode *node)
{
  for (;;)
    {
      if (p->current.type == J_TOKEN_DOT || p->current.type == J_TOKEN_LBRACKET)
        node = parse_subscript (p, node);
      else if (p->current.type == J_TOKEN_LPAREN)
        node = j_parse_call (p, node);
      else
        return node;
    }
}
