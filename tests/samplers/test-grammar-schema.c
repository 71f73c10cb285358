/* Words of JSON schemas as grammars: which texts they let pass. */
#include "grammar-fixture.h"

static void
test_multiples (void)
{
  expect_schema ("{\"type\": \"integer\", \"multipleOf\": 5}",
                 LIST ("0", "5", "-15", "1000", "9999999999999995"),
                 LIST ("1", "05", "-0", "12", "5.0", "-7"));
  expect_schema ("{\"type\": \"integer\", \"multipleOf\": 7, \"minimum\": -20, \"maximum\": 111}",
                 LIST ("-14", "-7", "0", "7", "98", "105"), LIST ("-21", "112", "13", "-1", "8"));
  expect_schema ("{\"type\": \"integer\", \"multipleOf\": 1000, \"exclusiveMinimum\": 1000}",
                 LIST ("2000", "10000", "123000"), LIST ("0", "1000", "1500", "2001"));
  /* Without a bound a model that would end too early does not write on for ever. */
  expect_schema ("{\"type\": \"integer\", \"multipleOf\": 7}", LIST ("0", "-7", "9999999996"),
                 LIST ("10000000003", "9999999999999996"));
  expect_schema ("{\"type\": \"integer\", \"multipleOf\": 7, \"minimum\": 9000000000000000}",
                 LIST ("9000000000000002"), LIST ("9000010000000005", "7"));
  expect_schema ("{\"type\": \"integer\", \"multipleOf\": 2.5}", LIST ("0", "5", "-10"),
                 LIST ("2", "3", "2.5"));
  expect_schema ("{\"type\": \"number\", \"multipleOf\": 0.01, \"minimum\": 0.5, \"maximum\": 120}",
                 LIST ("0.50", "1", "9.99", "100.00", "119.99", "120"),
                 LIST ("0.49", "0.5e1", "1.234", "120.01", "121", "-1", ".75"));
  expect_schema ("{\"type\": \"number\", \"multipleOf\": 0.25}", LIST ("0.25", "-3.50", "4"),
                 LIST ("0.26", "0.3", "-0"));
  expect_schema ("{\"type\": \"integer\", \"multipleOf\": 10, \"minimum\": 1, \"maximum\": 9}",
                 LIST (NULL), LIST ("0", "5", "10"));
}

static void
test_counted_properties (void)
{
  expect_schema ("{\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 2}",
                 LIST ("{\"a\":1}", "{\"a\":1,\"b\":[]}"),
                 LIST ("{}", "{\"a\":1,\"b\":2,\"c\":3}"));
  expect_schema ("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"null\"}, \"b\": "
                 "{\"type\": \"null\"}, \"c\": {\"type\": \"null\"}}, \"required\": [\"b\"], "
                 "\"minProperties\": 2, \"maxProperties\": 2}",
                 LIST ("{\"b\":null,\"a\":null}", "{\"b\":null,\"c\":null}"),
                 LIST ("{\"b\":null}", "{\"b\":null,\"a\":null,\"c\":null}"));
  expect_schema ("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"null\"}, \"b\": "
                 "{\"type\": \"null\"}}, \"minProperties\": 1}",
                 LIST ("{\"a\":null}", "{\"b\":null}", "{\"a\":null,\"b\":null}"),
                 LIST ("{}", "{\"c\":null}"));
  expect_schema ("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"null\"}}, "
                 "\"minProperties\": 2}",
                 LIST ("{\"a\":null,\"x\":1}", "{\"x\":1,\"y\":2}"), LIST ("{}", "{\"a\":null}"));
  expect_schema ("{\"type\": \"object\", \"required\": [\"a\", \"b\"], \"maxProperties\": 1}",
                 LIST (NULL), LIST ("{}", "{\"a\":1,\"b\":2}"));
}

static void
test_named_properties (void)
{
  expect_schema ("{\"type\": \"object\", \"patternProperties\": {\"^n_\": {\"type\": "
                 "\"integer\"}, \"_s$\": {\"type\": \"null\"}}, \"additionalProperties\": false}",
                 LIST ("{}", "{\"n_a\":1}", "{\"x_s\":null,\"n_\":2}"),
                 LIST ("{\"n_a\":null}", "{\"x\":1}", "{\"x_s\":1}"));
  expect_schema ("{\"type\": \"object\", \"patternProperties\": {\"^n_\": {\"type\": "
                 "\"integer\"}}, \"required\": [\"n_b\"]}",
                 LIST ("{\"n_b\":1}", "{\"n_b\":1,\"n_c\":1}"), LIST ("{}", "{\"n_b\":null}"));
  expect_schema ("{\"type\": \"object\", \"propertyNames\": {\"pattern\": \"^[a-z]+$\"}, "
                 "\"additionalProperties\": {\"type\": \"boolean\"}}",
                 LIST ("{}", "{\"ab\":true}"), LIST ("{\"A\":true}", "{\"a\":1}", "{\"\":true}"));
  expect_schema ("{\"type\": \"object\", \"propertyNames\": {\"enum\": [\"x\", \"y\"]}}",
                 LIST ("{\"y\":1}", "{\"x\":[]}"), LIST ("{\"z\":1}"));
}

/* A name that is spelled with escapes is that name. */
static void
test_escaped_names (void)
{
  expect_schema ("{\"type\": \"object\", \"properties\": {\"ab/\": {\"type\": \"null\"}}, "
                 "\"additionalProperties\": {\"type\": \"integer\"}}",
                 LIST ("{\"ab/\":null}", "{\"ab\":1}", "{\"\\n\":1}", "{\"x\\u0061\":1}"),
                 LIST ("{\"\\u0061b/\":1}", "{\"a\\u0062/\":1}", "{\"ab\\/\":1}", "{\"ab/\":1}"));
}

static void
test_unique_items (void)
{
  expect_schema ("{\"type\": \"array\", \"uniqueItems\": true, \"minItems\": 1, \"maxItems\": 2, "
                 "\"items\": {\"enum\": [\"a\", \"b\", 3, \"a\"]}}",
                 LIST ("[\"a\"]", "[3, \"a\"]", "[\"a\",\"b\"]"),
                 LIST ("[]", "[\"a\",\"a\"]", "[\"a\",\"b\",3]", "[3,3]"));
  expect_schema ("{\"type\": \"array\", \"uniqueItems\": true, \"items\": {\"$ref\": "
                 "\"#/$defs/d\"}, \"$defs\": {\"d\": {\"enum\": [0,1,2,3,4,5,6,7,8,9]}}}",
                 LIST ("[]", "[0,9]", "[3]"), LIST ("[3,3]", "[10]"));
  expect_schema ("{\"type\": \"array\", \"uniqueItems\": true, \"items\": {\"enum\": [1, 2]}, "
                 "\"minItems\": 3}",
                 LIST (NULL), LIST ("[]", "[1,2]", "[1,2,1]"));
}

/* allOf of what is no object, of references, and of an allOf. */
static void
test_all_of (void)
{
  expect_schema ("{\"allOf\": [{\"type\": \"integer\"}, {\"minimum\": 3}], \"maximum\": 9}",
                 LIST ("3", "9"), LIST ("2", "10", "{}", "\"x\""));
  expect_schema ("{\"allOf\": [{\"$ref\": \"#/$defs/s\"}], \"$defs\": {\"s\": {\"allOf\": "
                 "[{\"type\": \"string\"}, {\"maxLength\": 2}]}}}",
                 LIST ("\"\"", "\"xy\""), LIST ("\"xyz\"", "{}", "1"));
  expect_schema ("{\"allOf\": [{\"anyOf\": [{\"type\": \"null\"}, {\"type\": \"boolean\"}]}]}",
                 LIST ("null", "true"), LIST ("{}", "1"));
  expect_schema ("{\"type\": \"array\", \"allOf\": [{\"items\": {\"type\": \"null\"}}]}",
                 LIST ("[]", "[null]"), LIST ("[1]", "{}"));
  expect_schema ("{\"allOf\": [{\"allOf\": [{\"properties\": {\"a\": {\"type\": \"null\"}}}]}, "
                 "{\"properties\": {\"b\": {\"type\": \"null\"}}}]}",
                 LIST ("{\"a\":null,\"b\":null}"), LIST ("{}", "{\"a\":null}", "[]"));
}

static void
test_schema_siblings (void)
{
  expect_schema (
      "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": "
      "\"null\"}}, \"anyOf\": [{\"required\": [\"a\"]}, {\"required\": [\"b\"]}]}",
      LIST ("{\"a\":1}", "{\"b\":null}", "{\"a\":1,\"b\":null}"), LIST ("{}", "7", "{\"a\":null}"));
  expect_schema (
      "{\"type\": \"string\", \"oneOf\": [{\"maxLength\": 1}, {\"$ref\": \"#/$defs/d\"}], "
      "\"$defs\": {\"d\": {\"format\": \"date\"}}}",
      LIST ("\"x\"", "\"2024-02-29\""), LIST ("1", "\"xy\""));
  expect_schema ("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"null\"}}, \"allOf\": "
                 "[{\"required\": [\"a\"]}, {\"properties\": {\"b\": {\"type\": \"null\"}}}]}",
                 LIST ("{\"a\":null,\"b\":null}"), LIST ("{}", "{\"b\":null}"));
  expect_schema (
      "{\"type\": \"object\", \"required\": [\"x\"], \"additionalProperties\": {\"type\": "
      "\"boolean\"}}",
      LIST ("{\"x\":true}", "{\"x\":true,\"y\":false}"), LIST ("{}", "{\"x\":1}"));
  expect_schema ("{\"type\": \"array\", \"minItems\": 2, \"maxItems\": 3}",
                 LIST ("[1,\"a\"]", "[1,2,3]"), LIST ("[]", "[1]", "[1,2,3,4]"));
  expect_schema (
      "{\"type\": \"array\", \"prefixItems\": [{\"type\": \"null\"}, {\"type\": \"null\"}], "
      "\"items\": {\"type\": \"boolean\"}, \"minItems\": 3}",
      LIST ("[null,null,true]"), LIST ("[null,null]", "[null,null,null]"));
  expect_schema (
      "{\"type\": \"array\", \"prefixItems\": [{\"type\": \"null\"}, {\"type\": \"null\"}], "
      "\"items\": false, \"maxItems\": 1}",
      LIST ("[null]"), LIST ("[null,null]", "[]"));
  expect_schema ("{\"type\": \"string\", \"maxLength\": 1000000}", LIST ("\"abc\""), LIST ("1"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/grammar/all-of", test_all_of);
  g_test_add_func ("/grammar/schema-siblings", test_schema_siblings);
  g_test_add_func ("/grammar/schema-multiples", test_multiples);
  g_test_add_func ("/grammar/schema-counted-properties", test_counted_properties);
  g_test_add_func ("/grammar/schema-named-properties", test_named_properties);
  g_test_add_func ("/grammar/schema-escaped-names", test_escaped_names);
  g_test_add_func ("/grammar/schema-unique-items", test_unique_items);
  return g_test_run ();
}
