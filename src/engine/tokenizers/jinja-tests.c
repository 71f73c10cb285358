/* The tests of the template language: value is NAME. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

static JValue
test_boolean (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_BOOL));
}

static JValue
test_callable (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_MACRO) || j_is (self, J_FUNCTION) || j_is (self, J_LOOP) ||
                 j_is (self, J_JOINER) || j_is (self, J_UNDEFINED));
}

static JValue
test_defined (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (!j_is (self, J_UNDEFINED));
}

static JValue
test_undefined (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_UNDEFINED));
}

static JValue
test_escaped (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_STR) && self.str->safe);
}

static JValue
test_true (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_BOOL) && self.b);
}

static JValue
test_false (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_BOOL) && !self.b);
}

static JValue
test_none (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_NONE));
}

static JValue
test_string (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_STR));
}

static JValue
test_mapping (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_DICT));
}

static JValue
test_number (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_INT) || j_is (self, J_FLOAT) || j_is (self, J_BOOL));
}

static JValue
test_integer (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_INT));
}

static JValue
test_float (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_FLOAT));
}

static JValue
test_iterable (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_iterable (self));
}

static JValue
test_sequence (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_STR) || j_is (self, J_LIST) || j_is (self, J_TUPLE) ||
                 j_is (self, J_DICT) || j_is (self, J_RANGE) || j_is (self, J_UNDEFINED));
}

static JValue
test_filter (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_STR) && j_filter_find (self.str) != NULL);
}

static JValue
test_test (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_is (self, J_STR) && j_test_find (self.str) != NULL);
}

static JValue
test_in (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_contains (run, arg[0], self));
}

static JValue
test_eq (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_compare (run, J_TOKEN_EQ, self, arg[0]));
}

static JValue
test_ne (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_compare (run, J_TOKEN_NE, self, arg[0]));
}

static JValue
test_lt (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_compare (run, J_TOKEN_LT, self, arg[0]));
}

static JValue
test_le (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_compare (run, J_TOKEN_LTEQ, self, arg[0]));
}

static JValue
test_gt (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_compare (run, J_TOKEN_GT, self, arg[0]));
}

static JValue
test_ge (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (j_compare (run, J_TOKEN_GTEQ, self, arg[0]));
}

static gboolean
remainder_is (JRun *run, JValue value, JValue divisor, gint64 wanted)
{
  return j_equal (&run->heap, j_binary (run, J_TOKEN_MOD, value, divisor), j_int (wanted));
}

static JValue
test_odd (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (remainder_is (run, self, j_int (2), 1));
}

static JValue
test_even (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (remainder_is (run, self, j_int (2), 0));
}

static JValue
test_divisibleby (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (remainder_is (run, self, arg[0], 0));
}

static gboolean
has_case (JRun *run, JValue value, gboolean upper)
{
  const JStr *text = j_to_str (run, value);
  gboolean cased = FALSE;

  for (gsize at = 0; at < text->n_bytes; at += g_utf8_skip[(guint8) text->bytes[at]])
    {
      gunichar c = g_utf8_get_char (text->bytes + at);

      if (upper ? g_unichar_islower (c) : g_unichar_isupper (c))
        return FALSE;
      cased |= upper ? g_unichar_isupper (c) : g_unichar_islower (c);
    }
  j_work (&run->heap, text->n_bytes / 16);
  return cased;
}

static JValue
test_lower (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (has_case (run, self, FALSE));
}

static JValue
test_upper (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  return j_bool (has_case (run, self, TRUE));
}

/* Identity; what has none in this implementation is compared by value. */
static JValue
test_sameas (JRun *run, JValue self, const JValue *arg, const JArgs *args)
{
  if (self.kind != arg[0].kind)
    return j_bool (FALSE);
  switch (self.kind)
    {
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_NAMESPACE:
      return j_bool (self.pointer == arg[0].pointer);
    default:
      return j_bool (j_equal (&run->heap, self, arg[0]));
    }
}

const JBuiltin j_tests[] = {
  { "boolean", "", test_boolean },    { "callable", "", test_callable },
  { "defined", "", test_defined },    { "divisibleby", "num", test_divisibleby },
  { "eq", "other", test_eq },         { "equalto", "other", test_eq },
  { "==", "other", test_eq },         { "escaped", "", test_escaped },
  { "even", "", test_even },          { "false", "", test_false },
  { "filter", "", test_filter },      { "float", "", test_float },
  { "ge", "other", test_ge },         { ">=", "other", test_ge },
  { "gt", "other", test_gt },         { "greaterthan", "other", test_gt },
  { ">", "other", test_gt },          { "in", "seq", test_in },
  { "integer", "", test_integer },    { "iterable", "", test_iterable },
  { "le", "other", test_le },         { "<=", "other", test_le },
  { "lower", "", test_lower },        { "lt", "other", test_lt },
  { "lessthan", "other", test_lt },   { "<", "other", test_lt },
  { "mapping", "", test_mapping },    { "ne", "other", test_ne },
  { "!=", "other", test_ne },         { "none", "", test_none },
  { "number", "", test_number },      { "odd", "", test_odd },
  { "sameas", "other", test_sameas }, { "sequence", "", test_sequence },
  { "string", "", test_string },      { "test", "", test_test },
  { "true", "", test_true },          { "undefined", "", test_undefined },
  { "upper", "", test_upper },        { NULL },
};
