/* The parser: statements. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-parser.h"

#include <glib/gi18n.h>
#include <string.h>

static void
adopt_all (JParser *p, JNode *node, const JNodes *children)
{
  for (guint i = 0; i < children->n; i++)
    j_parser_adopt (p, node, children->nodes[i]);
}

static JNode *parse_statement (JParser *p);

static gboolean
at_one_of (const JParser *p, const char *const *names)
{
  for (; *names != NULL; names++)
    if (j_parser_at_name (p, *names))
      return TRUE;
  return FALSE;
}

/* Nodes up to a tag that begins with one of `ends` (whose name is then current), or, for NULL, to
 * the end of the template. */
static JNodes
parse_body (JParser *p, const char *const *ends)
{
  JNodes body = { 0 };

  j_parser_enter (p);
  while (p->current.type != J_TOKEN_END)
    {
      JNode *node;

      if (p->current.type == J_TOKEN_DATA)
        {
          JToken data = j_parser_next (p);

          if (data.text->n_bytes == 0)
            continue;
          node = j_parser_node (p, J_DATA, data.line);
          node->value = j_str (data.text);
        }
      else if (p->current.type == J_TOKEN_VARIABLE_BEGIN)
        {
          node = j_parser_node (p, J_OUTPUT, p->current.line);
          j_parser_next (p);
          node->a = j_parse_tuple (p, TRUE, NULL, FALSE);
          j_parser_adopt (p, node, node->a);
          j_parser_expect (p, J_TOKEN_VARIABLE_END);
        }
      else
        {
          j_parser_expect (p, J_TOKEN_BLOCK_BEGIN);
          if (ends != NULL && at_one_of (p, ends))
            {
              j_parser_leave (p);
              return body;
            }
          node = parse_statement (p);
          j_parser_expect (p, J_TOKEN_BLOCK_END);
        }
      j_parser_add (p, &body, node);
    }
  if (ends != NULL)
    j_parser_fail (p, _ ("the template ends before {%% %s %%}"), ends[0]);
  j_parser_leave (p);
  return body;
}

/* The body of a statement whose opening tag is read up to its end. */
static JNodes
parse_block (JParser *p, JNode *owner, const char *const *ends)
{
  JNodes body;

  j_parser_skip (p, J_TOKEN_COLON);
  j_parser_expect (p, J_TOKEN_BLOCK_END);
  body = parse_body (p, ends);
  adopt_all (p, owner, &body);
  return body;
}

#define ENDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static JNode *
parse_for (JParser *p, JNode *node)
{
  node->a = j_parse_target (p, "in", FALSE);
  if (!j_parser_skip_name (p, "in"))
    j_parser_fail (p, _ ("expected 'in' in a for loop"));
  node->b = j_parse_tuple (p, FALSE, "recursive", FALSE);
  if (j_parser_skip_name (p, "if"))
    node->c = j_parse_expression (p);
  node->recursive = j_parser_skip_name (p, "recursive");
  j_parser_adopt (p, node, node->a);
  j_parser_adopt (p, node, node->b);
  j_parser_adopt (p, node, node->c);
  p->loops++;
  node->list = parse_block (p, node, ENDS ("endfor", "else"));
  p->loops--;
  if (j_parser_skip_name (p, "else"))
    node->list2 = parse_block (p, node, ENDS ("endfor"));
  j_parser_next (p);
  return node;
}

static JNode *
parse_if (JParser *p, JNode *node)
{
  guint cap = 0;

  for (;;)
    {
      JNode *condition = j_parse_tuple (p, FALSE, NULL, FALSE);
      JNodes body = parse_block (p, node, ENDS ("endif", "elif", "else"));

      j_parser_adopt (p, node, condition);
      if (node->n_branches == cap)
        {
          node->branches =
              j_grow (p->heap, node->branches, cap, MAX (2, cap * 2), sizeof (JBranch));
          cap = MAX (2, cap * 2);
        }
      node->branches[node->n_branches++] = (JBranch){ condition, body };
      if (j_parser_skip_name (p, "elif"))
        continue;
      if (j_parser_skip_name (p, "else"))
        node->otherwise = parse_block (p, node, ENDS ("endif"));
      j_parser_next (p);
      return node;
    }
}

static JNode *
parse_set (JParser *p, JNode *node)
{
  node->a = j_parse_target (p, NULL, TRUE);
  j_parser_adopt (p, node, node->a);
  if (j_parser_skip (p, J_TOKEN_ASSIGN))
    {
      node->b = j_parse_tuple (p, TRUE, NULL, FALSE);
      j_parser_adopt (p, node, node->b);
      return node;
    }
  node->kind = J_SET_BLOCK;
  node->b = j_parse_filters (p, NULL, FALSE);
  j_parser_adopt (p, node, node->b);
  node->list = parse_block (p, node, ENDS ("endset"));
  j_parser_next (p);
  return node;
}

static const JStr *
parse_plain_name (JParser *p)
{
  static const char *const constants[] = { "true", "false", "none", "True", "False", "None", NULL };

  if (at_one_of (p, constants))
    j_parser_fail (p, _ ("cannot assign to a constant"));
  return j_parser_expect (p, J_TOKEN_NAME).text;
}

static void
parse_signature (JParser *p, JNode *node, JMacroDef *macro)
{
  guint cap = 0;

  j_parser_expect (p, J_TOKEN_LPAREN);
  while (p->current.type != J_TOKEN_RPAREN)
    {
      const JStr *name;
      JNode *value = NULL;

      if (macro->n_params > 0)
        j_parser_expect (p, J_TOKEN_COMMA);
      name = parse_plain_name (p);
      if (j_parser_skip (p, J_TOKEN_ASSIGN))
        value = j_parse_expression (p);
      else if (macro->n_params > 0 && macro->defaults[macro->n_params - 1] != NULL)
        j_parser_fail (p, _ ("a parameter without a default follows one with a default"));
      j_parser_adopt (p, node, value);
      if (macro->n_params == cap)
        {
          guint wider = MAX (4, cap * 2);

          macro->params = j_grow (p->heap, macro->params, cap, wider, sizeof (guint));
          macro->words = j_grow (p->heap, macro->words, cap, wider, sizeof (JStr *));
          macro->defaults = j_grow (p->heap, macro->defaults, cap, wider, sizeof (JNode *));
          cap = wider;
        }
      macro->params[macro->n_params] = j_parser_name_id (p, name);
      macro->words[macro->n_params] = name;
      macro->defaults[macro->n_params] = value;
      macro->n_params++;
    }
  j_parser_next (p);
}

static void
parse_macro_body (JParser *p, JNode *node, const char *end)
{
  JMacroDef *outer = p->macro;
  guint loops = p->loops;

  p->macro = node->macro;
  p->loops = 0;
  node->macro->body = parse_block (p, node, ENDS (end));
  p->macro = outer;
  p->loops = loops;
  if (outer != NULL)
    {
      /* A body inside of a macro may use the macro's special names. */
      outer->uses_varargs |= node->macro->uses_varargs;
      outer->uses_kwargs |= node->macro->uses_kwargs;
      outer->uses_caller |= node->macro->uses_caller;
    }
  j_parser_next (p);
}

static JNode *
parse_macro (JParser *p, JNode *node)
{
  node->macro = j_new (p->heap, JMacroDef, 1);
  node->macro->name = parse_plain_name (p);
  node->macro->id = j_parser_name_id (p, node->macro->name);
  parse_signature (p, node, node->macro);
  parse_macro_body (p, node, "endmacro");
  return node;
}

static JNode *
parse_call_block (JParser *p, JNode *node)
{
  node->macro = j_new (p->heap, JMacroDef, 1);
  node->macro->name = j_str_literal (p->heap, "caller");
  if (p->current.type == J_TOKEN_LPAREN)
    parse_signature (p, node, node->macro);
  node->a = j_parse_expression (p);
  if (node->a->kind != J_CALL)
    j_parser_fail (p, _ ("expected a call in a call block"));
  j_parser_adopt (p, node, node->a);
  parse_macro_body (p, node, "endcall");
  return node;
}

static JNode *
parse_with (JParser *p, JNode *node)
{
  while (p->current.type != J_TOKEN_BLOCK_END)
    {
      JNode *target;

      if (node->list2.n > 0)
        j_parser_expect (p, J_TOKEN_COMMA);
      target = j_parse_target (p, NULL, FALSE);
      j_parser_add (p, &node->list2, target);
      j_parser_expect (p, J_TOKEN_ASSIGN);
      j_parser_add (p, &node->list2, j_parse_expression (p));
    }
  adopt_all (p, node, &node->list2);
  node->list = parse_block (p, node, ENDS ("endwith"));
  j_parser_next (p);
  return node;
}

/* The generation tag of transformers marks the assistant's text; it prints its body. */
static JNode *
parse_generation (JParser *p, JNode *node)
{
  guint loops = p->loops;

  p->loops = 0;
  node->list = parse_block (p, node, ENDS ("endgeneration"));
  p->loops = loops;
  j_parser_next (p);
  return node;
}

static JNode *
parse_named_block (JParser *p, JNode *node)
{
  const JStr *name = j_parser_expect (p, J_TOKEN_NAME).text;

  j_parser_skip_name (p, "scoped");
  j_parser_skip_name (p, "required");
  node->list = parse_block (p, node, ENDS ("endblock"));
  j_parser_next (p);
  if (p->current.type == J_TOKEN_NAME && j_str_equal (p->current.text, name))
    j_parser_next (p);
  return node;
}

static JNode *
parse_filter_block (JParser *p, JNode *node)
{
  node->a = j_parse_filters (p, NULL, TRUE);
  j_parser_adopt (p, node, node->a);
  node->list = parse_block (p, node, ENDS ("endfilter"));
  j_parser_next (p);
  return node;
}

static JNode *
parse_print (JParser *p, JNode *node)
{
  while (p->current.type != J_TOKEN_BLOCK_END)
    {
      JNode *output = j_parser_node (p, J_OUTPUT, p->current.line);

      if (node->list.n > 0)
        j_parser_expect (p, J_TOKEN_COMMA);
      output->a = j_parse_expression (p);
      j_parser_adopt (p, output, output->a);
      j_parser_add (p, &node->list, output);
    }
  adopt_all (p, node, &node->list);
  return node;
}

static JNode *
parse_loop_control (JParser *p, JNode *node)
{
  if (p->loops == 0)
    j_parser_fail (p, _ ("break or continue outside of a loop"));
  return node;
}

static const struct
{
  const char *name;
  JNodeKind kind;
  JNode *(*parse) (JParser *p, JNode *node);
} statements[] = {
  { "for", J_FOR, parse_for },
  { "if", J_IF, parse_if },
  { "set", J_SET, parse_set },
  { "macro", J_MACRO_DEF, parse_macro },
  { "call", J_CALL_BLOCK, parse_call_block },
  { "filter", J_FILTER_BLOCK, parse_filter_block },
  { "with", J_WITH, parse_with },
  { "generation", J_SCOPE, parse_generation },
  { "block", J_SCOPE, parse_named_block },
  { "print", J_SCOPE, parse_print },
  { "break", J_BREAK, parse_loop_control },
  { "continue", J_CONTINUE, parse_loop_control },
};

static JNode *
parse_statement (JParser *p)
{
  static const char *const refused[] = {
    "include", "import", "from", "extends", "autoescape", NULL
  };

  if (p->current.type != J_TOKEN_NAME)
    j_parser_fail (p, _ ("expected the name of a tag, found %s"), j_token_name (p->current.type));
  for (gsize i = 0; i < G_N_ELEMENTS (statements); i++)
    if (j_parser_at_name (p, statements[i].name))
      {
        JNode *node = j_parser_node (p, statements[i].kind, p->current.line);

        j_parser_next (p);
        return statements[i].parse (p, node);
      }
  if (at_one_of (p, refused))
    j_parser_fail (p, _ ("the tag '%.*s' is not supported: a chat template stands alone"),
                   (int) p->current.text->n_bytes, p->current.text->bytes);
  j_parser_fail (p, _ ("unknown or misplaced tag '%.*s'"), (int) MIN (p->current.text->n_bytes, 60),
                 p->current.text->bytes);
}

void
j_parse (AtlJinja *self, const AtlJinjaOptions *options, const char *source, gsize n)
{
  JParser parser = { .jinja = self, .heap = &self->heap };
  JParser *p = &parser;

  self->names = j_dict_new (p->heap);
  self->id_loop = j_parser_name_id (p, j_str_literal (p->heap, "loop"));
  self->id_caller = j_parser_name_id (p, j_str_literal (p->heap, "caller"));
  self->id_varargs = j_parser_name_id (p, j_str_literal (p->heap, "varargs"));
  self->id_kwargs = j_parser_name_id (p, j_str_literal (p->heap, "kwargs"));
  j_lexer_init (&p->lexer, p->heap, options, source, n);
  j_parser_next (p);
  self->body = parse_body (p, NULL);
  self->heap.line = 0;
}
