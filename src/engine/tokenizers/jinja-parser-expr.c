/* The parser: expressions, one function a level of precedence, loosest first. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-parser.h"

#include <glib/gi18n.h>

static JNode *parse_or (JParser *p);
static JNode *parse_unary (JParser *p, gboolean with_filter);
static JNode *parse_concat (JParser *p);

static JNode *
binary_node (JParser *p, JNodeKind kind, int line, JNode *a, JNode *b)
{
  JNode *node = j_parser_unary (p, kind, line, a);

  node->b = b;
  j_parser_adopt (p, node, b);
  return node;
}

/* --- Operators --- */

JNode *
j_parse_expression (JParser *p)
{
  JNode *value;

  j_parser_enter (p);
  value = parse_or (p);
  while (j_parser_at_name (p, "if"))
    {
      JNode *node = j_parser_node (p, J_COND, j_parser_next (p).line);

      node->a = value;
      node->b = parse_or (p);
      if (j_parser_skip_name (p, "else"))
        node->c = j_parse_expression (p);
      j_parser_adopt (p, node, node->a);
      j_parser_adopt (p, node, node->b);
      j_parser_adopt (p, node, node->c);
      value = node;
    }
  j_parser_leave (p);
  return value;
}

static JNode *
parse_compare (JParser *p)
{
  JNode *first;
  JNode *node = NULL;
  guint8 *ops = NULL;
  guint cap = 0;

  for (first = NULL;;)
    {
      JNode *operand = parse_concat (p);
      guint8 op;
      JTokenType type;

      /* + and - bind tighter than comparisons and looser than ~. */
      while (p->current.type == J_TOKEN_ADD || p->current.type == J_TOKEN_SUB)
        {
          JToken token = j_parser_next (p);

          operand = binary_node (p, J_BINARY, token.line, operand, parse_concat (p));
          operand->op = (guint8) token.type;
        }
      if (first == NULL)
        first = operand;
      else
        j_parser_add_child (p, node, operand);

      type = p->current.type;
      if (type >= J_TOKEN_EQ && type <= J_TOKEN_GTEQ)
        op = (guint8) type;
      else if (j_parser_at_name (p, "in"))
        op = J_OP_IN;
      else if (j_parser_at_name (p, "not") && j_parser_look (p)->type == J_TOKEN_NAME &&
               j_str_is (j_parser_look (p)->text, "in"))
        {
          j_parser_next (p);
          op = J_OP_NOT_IN;
        }
      else
        break;
      if (node == NULL)
        node = j_parser_unary (p, J_COMPARE, p->current.line, first);
      j_parser_next (p);
      if (node->list.n == cap)
        {
          ops = j_grow (p->heap, ops, cap, MAX (4, cap * 2), 1);
          cap = MAX (4, cap * 2);
        }
      ops[node->list.n] = op;
      node->ops = ops;
    }
  return node != NULL ? node : first;
}

static JNode *
parse_not (JParser *p)
{
  JNode *node;

  if (!j_parser_at_name (p, "not"))
    return parse_compare (p);
  j_parser_enter (p);
  node = j_parser_node (p, J_NOT, j_parser_next (p).line);
  node->a = parse_not (p);
  j_parser_adopt (p, node, node->a);
  j_parser_leave (p);
  return node;
}

static JNode *
parse_and (JParser *p)
{
  JNode *left = parse_not (p);

  while (j_parser_at_name (p, "and"))
    {
      int line = j_parser_next (p).line;

      left = binary_node (p, J_AND, line, left, parse_not (p));
    }
  return left;
}

static JNode *
parse_or (JParser *p)
{
  JNode *left = parse_and (p);

  while (j_parser_at_name (p, "or"))
    {
      int line = j_parser_next (p).line;

      left = binary_node (p, J_OR, line, left, parse_and (p));
    }
  return left;
}

static JNode *
parse_product (JParser *p)
{
  JNode *left = NULL;
  int op = 0;
  int line = 0;

  for (;;)
    {
      JNode *factor = parse_unary (p, TRUE);

      while (p->current.type == J_TOKEN_POW)
        {
          int pow_line = j_parser_next (p).line;

          factor = binary_node (p, J_BINARY, pow_line, factor, parse_unary (p, TRUE));
          factor->op = J_TOKEN_POW;
        }
      if (left == NULL)
        left = factor;
      else
        {
          left = binary_node (p, J_BINARY, line, left, factor);
          left->op = (guint8) op;
        }
      if (p->current.type < J_TOKEN_MUL || p->current.type > J_TOKEN_MOD)
        return left;
      op = (int) p->current.type;
      line = j_parser_next (p).line;
    }
}

static JNode *
parse_concat (JParser *p)
{
  JNode *first = parse_product (p);
  JNode *node;

  if (p->current.type != J_TOKEN_TILDE)
    return first;
  node = j_parser_node (p, J_CONCAT, p->current.line);
  j_parser_add_child (p, node, first);
  while (j_parser_skip (p, J_TOKEN_TILDE))
    j_parser_add_child (p, node, parse_product (p));
  return node;
}

/* --- Primaries --- */

static JNode *
parse_list (JParser *p)
{
  JNode *node = j_parser_node (p, J_LIST_OF, j_parser_next (p).line);

  while (p->current.type != J_TOKEN_RBRACKET)
    {
      if (node->list.n > 0)
        {
          j_parser_expect (p, J_TOKEN_COMMA);
          if (p->current.type == J_TOKEN_RBRACKET)
            break;
        }
      j_parser_add_child (p, node, j_parse_expression (p));
    }
  j_parser_next (p);
  return node;
}

static JNode *
parse_dict (JParser *p)
{
  JNode *node = j_parser_node (p, J_DICT_OF, j_parser_next (p).line);

  while (p->current.type != J_TOKEN_RBRACE)
    {
      if (node->list.n > 0)
        {
          j_parser_expect (p, J_TOKEN_COMMA);
          if (p->current.type == J_TOKEN_RBRACE)
            break;
        }
      j_parser_add_child (p, node, j_parse_expression (p));
      j_parser_expect (p, J_TOKEN_COLON);
      j_parser_add_child (p, node, j_parse_expression (p));
    }
  j_parser_next (p);
  return node;
}

static JNode *
parse_string (JParser *p)
{
  JToken token = j_parser_next (p);
  JNode *node = j_parser_node (p, J_CONST, token.line);

  if (p->current.type == J_TOKEN_STRING)
    {
      JBuf joined = { 0 };

      j_buf_append_str (p->heap, &joined, token.text);
      while (p->current.type == J_TOKEN_STRING)
        j_buf_append_str (p->heap, &joined, j_parser_next (p).text);
      token.text = j_buf_str (p->heap, &joined);
    }
  node->value = j_str (token.text);
  return node;
}

static JNode *
parse_name (JParser *p, gboolean with_namespace)
{
  JToken token = j_parser_next (p);
  JNode *node = j_parser_node (p, J_CONST, token.line);

  if (j_str_is (token.text, "true") || j_str_is (token.text, "True"))
    node->value = j_bool (TRUE);
  else if (j_str_is (token.text, "false") || j_str_is (token.text, "False"))
    node->value = j_bool (FALSE);
  else if (j_str_is (token.text, "none") || j_str_is (token.text, "None"))
    node->value = j_none ();
  else
    {
      node->kind = J_NAME;
      node->name = j_parser_name_id (p, token.text);
      node->text = token.text;
      if (with_namespace && j_parser_skip (p, J_TOKEN_DOT))
        {
          node->kind = J_NSREF;
          node->text = j_parser_expect (p, J_TOKEN_NAME).text;
        }
      if (p->macro != NULL)
        {
          p->macro->uses_varargs |= node->name == p->jinja->id_varargs;
          p->macro->uses_kwargs |= node->name == p->jinja->id_kwargs;
          p->macro->uses_caller |= node->name == p->jinja->id_caller;
        }
    }
  return node;
}

JNode *
j_parse_primary (JParser *p, gboolean with_namespace)
{
  JNode *node;

  switch (p->current.type)
    {
    case J_TOKEN_NAME:
      return parse_name (p, with_namespace);
    case J_TOKEN_STRING:
      return parse_string (p);
    case J_TOKEN_INTEGER:
      node = j_parser_node (p, J_CONST, p->current.line);
      node->value = j_int (j_parser_next (p).integer);
      return node;
    case J_TOKEN_FLOAT:
      node = j_parser_node (p, J_CONST, p->current.line);
      node->value = j_float (j_parser_next (p).number);
      return node;
    case J_TOKEN_LPAREN:
      j_parser_next (p);
      node = j_parse_tuple (p, TRUE, NULL, TRUE);
      j_parser_expect (p, J_TOKEN_RPAREN);
      return node;
    case J_TOKEN_LBRACKET:
      return parse_list (p);
    case J_TOKEN_LBRACE:
      return parse_dict (p);
    default:
      j_parser_fail (p, _ ("expected an expression, found %s"), j_token_name (p->current.type));
    }
}

static JNode *
parse_unary (JParser *p, gboolean with_filter)
{
  JTokenType type = p->current.type;
  JNode *node;

  j_parser_enter (p);
  if (type == J_TOKEN_SUB || type == J_TOKEN_ADD)
    {
      int line = j_parser_next (p).line;

      node = j_parser_unary (p, type == J_TOKEN_SUB ? J_NEG : J_POS, line, parse_unary (p, FALSE));
    }
  else
    node = j_parse_primary (p, FALSE);
  node = j_parse_postfix (p, node);
  while (with_filter)
    {
      if (p->current.type == J_TOKEN_PIPE)
        node = j_parse_filters (p, node, FALSE);
      else if (j_parser_at_name (p, "is"))
        node = j_parse_test (p, node);
      else if (p->current.type == J_TOKEN_LPAREN)
        node = j_parse_call (p, node);
      else
        break;
    }
  j_parser_leave (p);
  return node;
}

/* --- Tuples and targets --- */

static gboolean
at_tuple_end (const JParser *p, const char *stop)
{
  return p->current.type == J_TOKEN_VARIABLE_END || p->current.type == J_TOKEN_BLOCK_END ||
         p->current.type == J_TOKEN_RPAREN || (stop != NULL && j_parser_at_name (p, stop));
}

JNode *
j_parse_tuple (JParser *p, gboolean with_cond, const char *stop, gboolean parenthesised)
{
  JNode *tuple = NULL;
  JNode *first = NULL;
  int line = p->current.line;

  for (;;)
    {
      JNode *item;

      if (at_tuple_end (p, stop))
        break;
      j_parser_enter (p);
      item = with_cond ? j_parse_expression (p) : parse_or (p);
      j_parser_leave (p);
      if (tuple != NULL)
        j_parser_add_child (p, tuple, item);
      else
        first = item;
      if (p->current.type != J_TOKEN_COMMA)
        break;
      j_parser_next (p);
      if (tuple == NULL)
        {
          tuple = j_parser_node (p, J_TUPLE_OF, line);
          j_parser_add_child (p, tuple, first);
        }
    }
  if (tuple != NULL)
    return tuple;
  if (first != NULL)
    return first;
  if (!parenthesised)
    j_parser_fail (p, _ ("expected an expression, found %s"), j_token_name (p->current.type));
  return j_parser_node (p, J_TUPLE_OF, line);
}

static void
check_target (JParser *p, const JNode *target)
{
  if (target->kind == J_TUPLE_OF)
    for (guint i = 0; i < target->list.n; i++)
      check_target (p, target->list.nodes[i]);
  else if (target->kind != J_NAME && target->kind != J_NSREF)
    j_parser_fail (p, _ ("cannot assign to this expression"));
}

JNode *
j_parse_target (JParser *p, const char *stop, gboolean with_namespace)
{
  JNode *tuple = NULL;
  JNode *first = NULL;
  int line = p->current.line;

  while (!at_tuple_end (p, stop))
    {
      JNode *item = j_parse_primary (p, with_namespace);

      check_target (p, item);
      if (tuple != NULL)
        j_parser_add_child (p, tuple, item);
      else
        first = item;
      if (p->current.type != J_TOKEN_COMMA)
        break;
      j_parser_next (p);
      if (tuple == NULL)
        {
          tuple = j_parser_node (p, J_TUPLE_OF, line);
          j_parser_add_child (p, tuple, first);
        }
    }
  if (first == NULL)
    j_parser_fail (p, _ ("expected a name to assign to, found %s"), j_token_name (p->current.type));
  return tuple != NULL ? tuple : first;
}
