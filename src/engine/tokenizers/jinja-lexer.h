/* Template source to tokens, with Jinja2's rules for whitespace around tags.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "engine/tokenizers/jinja-value.h"
#include "engine/tokenizers/jinja.h"

G_BEGIN_DECLS

typedef enum
{
  J_TOKEN_END,
  J_TOKEN_DATA, /* text outside of tags */
  J_TOKEN_BLOCK_BEGIN,
  J_TOKEN_BLOCK_END,
  J_TOKEN_VARIABLE_BEGIN,
  J_TOKEN_VARIABLE_END,
  J_TOKEN_NAME,
  J_TOKEN_STRING,
  J_TOKEN_INTEGER,
  J_TOKEN_FLOAT,
  J_TOKEN_ADD,
  J_TOKEN_SUB,
  J_TOKEN_MUL,
  J_TOKEN_DIV,
  J_TOKEN_FLOORDIV,
  J_TOKEN_MOD,
  J_TOKEN_POW,
  J_TOKEN_TILDE,
  J_TOKEN_EQ,
  J_TOKEN_NE,
  J_TOKEN_LT,
  J_TOKEN_LTEQ,
  J_TOKEN_GT,
  J_TOKEN_GTEQ,
  J_TOKEN_ASSIGN,
  J_TOKEN_DOT,
  J_TOKEN_COMMA,
  J_TOKEN_COLON,
  J_TOKEN_SEMICOLON,
  J_TOKEN_PIPE,
  J_TOKEN_LPAREN,
  J_TOKEN_RPAREN,
  J_TOKEN_LBRACKET,
  J_TOKEN_RBRACKET,
  J_TOKEN_LBRACE,
  J_TOKEN_RBRACE,
} JTokenType;

typedef struct
{
  JTokenType type;
  int line;
  const JStr *text; /* of DATA, NAME and STRING */
  gint64 integer;
  double number;
} JToken;

#define J_MAX_BRACES 256

typedef struct
{
  JHeap *heap;
  AtlJinjaOptions options;
  const char *source;
  gsize n;
  gsize at;
  int line;
  enum
  {
    J_IN_TEXT,
    J_IN_BLOCK,
    J_IN_VARIABLE
  } state;
  gboolean line_starting; /* the last tag ended with a newline */
  JTokenType pending;     /* a tag that follows the text just returned, or J_TOKEN_END */
  char braces[J_MAX_BRACES];
  guint n_braces;
} JLexer;

/* `source` must be valid UTF-8 and outlive the heap's use of the tokens. */
void j_lexer_init (
    JLexer *lexer, JHeap *heap, const AtlJinjaOptions *options, const char *source, gsize n);
/* The next token; throws on what is none. */
JToken j_lexer_next (JLexer *lexer);

/* The words for a token in messages. */
const char *j_token_name (JTokenType type);

G_END_DECLS
