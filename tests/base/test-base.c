/* The lowest folder: checked sizes, element types, file maps, JSON, checkpoints. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/checkpoint.h"
#include "base/json-bounded.h"
#include "base/name-hash.h"
#include "base/schema-words.h"
#include "base/terminal-text.h"
#include "base/thread-task.h"

static void
test_checked (void)
{
  guint64 out = 42;

  g_assert_false (atl_checked_mul (G_MAXUINT64, 2, &out));
  g_assert_false (atl_checked_add (G_MAXUINT64, 1, &out));
  g_assert_false (atl_checked_align (G_MAXUINT64 - 3, 32, &out));
  g_assert_false (atl_checked_align (5, 3, &out));
  g_assert_false (atl_checked_product ((gint64[]){ G_MAXINT64, 2 }, 2, &out));
  g_assert_false (atl_checked_product ((gint64[]){ 3, 0 }, 2, &out));
  g_assert_cmpuint (out, ==, 42);
  g_assert_true (atl_checked_align (33, 32, &out));
  g_assert_cmpuint (out, ==, 64);
  g_assert_true (atl_checked_product ((gint64[]){ 3, 5, 7 }, 3, &out));
  g_assert_cmpuint (out, ==, 105);
}

static void
test_dtypes (void)
{
  guint64 bytes = 0;

  for (guint i = 0; i < ATL_N_DTYPES; i++)
    {
      AtlDType back;

      g_assert_cmpuint (atl_dtype_info (i)->block_bytes, >, 0);
      g_assert_true (atl_dtype_from_name (atl_dtype_name (i), &back));
      g_assert_cmpint (back, ==, i);
    }
  g_assert_true (atl_dtype_row_bytes (ATL_DTYPE_Q4_K, 512, &bytes));
  g_assert_cmpuint (bytes, ==, 288);
  g_assert_false (atl_dtype_row_bytes (ATL_DTYPE_Q4_K, 500, &bytes));
  g_assert_false (atl_dtype_row_bytes (ATL_DTYPE_F64, G_MAXUINT64 / 4, &bytes));
}

static void
test_file_map (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("atl-map-XXXXXX", &path, &error);
  guint8 part[3];

  g_assert_null (atl_file_map_new_from_fd (fd, "empty.gguf", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_cmpint (write (fd, "hello", 5), ==, 5);
  g_autoptr (AtlFileMap) map = atl_file_map_new_from_fd (fd, "five", &error);
  g_assert_no_error (error);
  close (fd);
  unlink (path); /* the mapping stays */
  g_assert_cmpmem (atl_file_map_data (map), atl_file_map_size (map), "hello", 5);
  atl_file_map_read (map, atl_file_map_data (map) + 1, 3, part);
  g_assert_cmpmem (part, sizeof part, "ell", 3);
  g_assert_null (atl_file_map_new ("/dev/zero", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_null (atl_file_map_new ("/nowhere/at/all", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
}

static void
test_json (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *deep = g_strnfill (100000, '[');
  static const char text[] = "{\"b\": 1.0, \"a\": 1, \"s\": \"[[{\\\"\", \"n\": null}";
  g_autoptr (JsonNode) root = atl_json_parse (text, strlen (text), "text", &error);
  JsonObject *o;

  g_assert_no_error (error);
  o = json_node_get_object (root);
  g_assert_cmpfloat (atl_json_double (o, "b", 0.0), ==, 1.0);
  g_assert_cmpint (atl_json_int (o, "b", 7), ==, 7); /* 1.0 is no integer */
  g_assert_cmpint (atl_json_int (o, "a", 7), ==, 1);
  g_assert_cmpstr (atl_json_string (o, "s", ""), ==, "[[{\"");
  g_assert_cmpstr (atl_json_string (o, "n", "none"), ==, "none");
  g_assert_null (atl_json_object (o, "a"));

  g_assert_null (atl_json_parse (deep, strlen (deep), "deep", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_null (atl_json_parse ("\"\xff\"", 3, "bytes", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_null (atl_json_parse ("", 0, "nothing", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_null (atl_json_parse (NULL, 0, "nothing", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_null (atl_json_parse ("{\n \"a\" 1}", 9, "colon", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_cmpstr (error->message, ==, "colon: JSON is damaged near line 2, character 4");
  g_clear_error (&error);
}

/* Names with one g_str_hash(): three pairs of letters have the same. */
static void
append_alike (GString *text, guint number, gboolean escaped)
{
  static const char *const plain[] = { "Az", "BY", "C8" };
  static const char *const spelled[] = { "\\u0041z", "B\\u0059", "\\u00438" };

  for (guint digit = 0; digit < 8; digit++, number /= 3)
    g_string_append (text, (escaped ? spelled : plain)[number % 3]);
}

static JsonNode *
parse_alike (guint n, gboolean escaped, const char *end, GError **error)
{
  g_autofree char *spaces = g_strnfill (40000, ' ');
  g_autoptr (GString) text = g_string_new ("[{\"a\": 1}, {");

  for (guint i = 0; i < n; i++)
    {
      g_string_append (text, i > 0 ? ", \"" : "\"");
      append_alike (text, i, escaped);
      g_string_append (text, "\": 1");
    }
  g_string_append (text, end);
  g_string_append (text, spaces);
  return atl_json_parse (text->str, text->len, "alike", error);
}

/* Objects are tables that such names would fill for minutes. */
static void
test_json_alike (void)
{
  static const char *const ends[] = { "}]", ", \"b\": [{\"c\": 2}", "" };
  g_autoptr (GHashTable) hashes = g_hash_table_new (NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) few = parse_alike (200, FALSE, "}]", &error);
  g_autoptr (GString) many = g_string_new ("[");
  g_autoptr (JsonNode) same = NULL;

  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++)
    for (guint escaped = 0; escaped < 2; escaped++)
      {
        g_assert_null (parse_alike (1000, escaped, ends[i], &error));
        g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
        g_assert_nonnull (strstr (error->message, "chosen"));
        g_clear_error (&error);
      }
  /* One name in as many objects is nothing special. */
  for (guint i = 0; i < 5000; i++)
    g_string_append (many, "{\"content\": {\"content\": 1}}, ");
  g_string_append (many, "{}]");
  same = atl_json_parse (many->str, many->len, "same", &error);
  g_assert_no_error (error);

  for (guint i = 0; i < 1000; i++)
    {
      g_autoptr (GString) name = g_string_new (NULL);

      append_alike (name, i, FALSE);
      g_assert_cmpuint (g_str_hash (name->str), ==, g_str_hash ("AzAzAzAzAzAzAzAz"));
      g_hash_table_add (hashes, GUINT_TO_POINTER (atl_name_hash (name->str)));
    }
  g_assert_cmpuint (g_hash_table_size (hashes), >, 990);
}

/* A value takes many times the bytes of its text: "0," forty times. */
static void
test_json_large (void)
{
  const guint n = ATL_JSON_MAX_TREE_BYTES / 100;
  g_autoptr (GString) numbers = g_string_new ("[0"), texts = g_string_new ("[\"");
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < n; i++)
    {
      g_string_append (numbers, ",0");
      g_string_append (texts, "{[,:");
    }
  g_string_append (numbers, "]");
  g_string_append (texts, "\"]");
  g_assert_null (atl_json_parse (numbers->str, numbers->len, "numbers", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_nonnull (strstr (error->message, "256 MiB"));
  g_clear_error (&error);
  /* What is in a text is none. */
  root = atl_json_parse (texts->str, texts->len, "texts", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (json_array_get_length (json_node_get_array (root)), ==, 1);
  g_assert_null (atl_json_parse_large ("[1, 2]", 6, 200, "few", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_pointer (&root, json_node_unref);
  root = atl_json_parse_large ("[1, 2]", 6, 1000, "few", NULL);
  g_assert_nonnull (root);
}

/* Python writes numbers without end into settings, which JSON does not have. */
static void
test_json_infinity (void)
{
  static const char text[] = "{\"limit\": [0.0, Infinity], \"least\": -Infinity, "
                             "\"Infinity\": \"\\\"Infinity\", \"half\": \"\\ud800\"}";
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) root = atl_json_parse (text, sizeof text - 1, "text", &error);
  JsonObject *o;

  g_assert_no_error (error);
  o = json_node_get_object (root);
  g_assert_true (isinf (json_array_get_double_element (atl_json_array (o, "limit"), 1)));
  g_assert_true (atl_json_double (o, "least", 0) < 0 && isinf (atl_json_double (o, "least", 0)));
  g_assert_cmpstr (atl_json_string (o, "Infinity", ""), ==, "\"Infinity");
  g_assert_cmpstr (atl_json_string (o, "half", ""), ==, "\357\277\275");
  json_node_unref (root);
  /* Up to the last byte. */
  root = atl_json_parse ("-Infinity", 9, "text", &error);
  g_assert_no_error (error);
  g_assert_true (isinf (json_node_get_double (root)));
  g_assert_null (atl_json_parse ("[Infinite]", 10, "word", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
}

/* json-glib takes the first of several values and says nothing. */
static void
test_json_several (void)
{
  static const char *const bad[] = {
    "{\"a\": 1}\n{\"b\": 2}\n", "[1] [2]", "\"a\" {}", "1\n[2]", "{}\n3", "[]]", "null true"
  };
  static const char *const good[] = { " {\"a\": 1}\r\n\n", "[1]\t", "\n12 ",
                                      "\"a b\" ",          "true",  "[{}, {}]" };
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_null (atl_json_parse (bad[i], strlen (bad[i]), "several", &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
      if (i == 0)
        g_assert_cmpstr (error->message, ==,
                         "several: a second value begins in line 2; several belong into one list: "
                         "[ …, … ]");
      g_clear_error (&error);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_autoptr (JsonNode) node = atl_json_parse (good[i], strlen (good[i]), "one", &error);

      g_assert_no_error (error);
      g_assert_nonnull (node);
    }
}

/* What json-glib reads beside JSON, where brackets count otherwise: with a million of them it would
 * have no stack left. */
static void
test_json_beside (void)
{
  static const char *const starts[] = { "/* \" */", "// \"\n", "'\"'", "[1, '\"',", "{'\"': " };
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (starts); i++)
    {
      g_autofree char *deep = g_strnfill (1000000, '[');
      g_autofree char *text = g_strconcat (starts[i], deep, NULL);

      g_assert_null (atl_json_parse (text, strlen (text), "beside", &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
      g_assert_true (g_str_has_prefix (error->message, "beside: JSON is damaged near line 1"));
      g_clear_error (&error);
    }
  g_assert_null (atl_json_parse ("[\"\\udd:a\"]", 10, "digits", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_null (atl_json_parse ("[\"\\200\"]", 8, "octal", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
}

/* Halves of surrogate pairs; strings go over D-Bus, which takes valid text only. */
static void
test_json_halves (void)
{
  static const struct
  {
    const char *json, *text;
  } cases[] = {
    { "[\"a\\ud83e\\udd8a\"]", "a🦊" },
    { "[\"a\\ud800\"]", "a\357\277\275" },
    { "[\"\\udc00b\"]", "\357\277\275b" },
    { "[\"\\ud800\\u0041\"]", "\357\277\275A" },
    { "[\"\\ud800\\ud83e\\udd8a\"]", "\357\277\275🦊" },
    { "[\"\\\\ud800\"]", "\\ud800" },
    { "[\"\\uDFFF\\uDfFf\"]", "\357\277\275\357\277\275" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) root =
          atl_json_parse (cases[i].json, strlen (cases[i].json), "halves", &error);

      g_assert_no_error (error);
      g_assert_cmpstr (json_array_get_string_element (json_node_get_array (root), 0), ==,
                       cases[i].text);
    }
}

static void
test_checkpoint (void)
{
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_new ("model");
  g_autoptr (GError) error = NULL;
  static const float data[6] = { 1, 2, 3, 4, 5, 6 };
  AtlTensorInfo info = { .name = "w",
                         .dtype = ATL_DTYPE_F32,
                         .n_dims = 2,
                         .dim = { 2, 3 },
                         .data = (const guint8 *) data,
                         .size_bytes = sizeof data };
  AtlMetaValue number = { .type = ATL_META_UINT, .v_uint = 12 };
  AtlMetaValue real = { .type = ATL_META_FLOAT, .v_float = 0.5 };
  AtlMetaValue words = {
    .type = ATL_META_ARRAY,
    .v_array = { .elem_type = ATL_META_STRING, .n = 2, .elems = (char *[]){ "a", "bc" } }
  };
  guint64 u = 0;
  double d = 0;

  g_assert_true (atl_checkpoint_add_tensor (cp, &info, &error));
  g_assert_false (atl_checkpoint_add_tensor (cp, &info, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_true (atl_checkpoint_add_meta (cp, "n", &number, &error));
  g_assert_true (atl_checkpoint_add_meta (cp, "r", &real, &error));
  g_assert_true (atl_checkpoint_add_meta (cp, "words", &words, &error));
  g_assert_cmpstr (((char **) atl_checkpoint_meta (cp, "words")->v_array.elems)[1], ==, "bc");

  g_assert_true (atl_checkpoint_get_uint (cp, "n", 1, 100, &u, &error));
  g_assert_cmpuint (u, ==, 12);
  g_assert_false (atl_checkpoint_get_uint (cp, "absent", 1, 100, &u, &error));
  g_assert_no_error (error);
  g_assert_false (atl_checkpoint_require_uint (cp, "absent", 1, 100, &u, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_false (atl_checkpoint_get_uint (cp, "n", 13, 100, &u, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_true (g_str_has_suffix (error->message, "expected 13 to 100"));
  g_clear_error (&error);
  g_assert_false (atl_checkpoint_get_uint (cp, "n", 13, 13, &u, &error));
  g_assert_true (g_str_has_suffix (error->message, "expected 13"));
  g_clear_error (&error);
  g_assert_false (atl_checkpoint_get_float (cp, "n", 13, 13, &d, &error));
  g_assert_true (g_str_has_suffix (error->message, "expected 13"));
  g_clear_error (&error);
  g_assert_false (atl_checkpoint_get_uint (cp, "r", 0, 100, &u, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_clear_error (&error);
  g_assert_true (atl_checkpoint_get_float (cp, "n", 0, 100, &d, &error));
  g_assert_cmpfloat (d, ==, 12.0);
  g_assert_cmpuint (atl_checkpoint_weight_bytes (cp), ==, sizeof data);
  g_assert_null (atl_checkpoint_find (cp, "absent"));
}

static void
test_json_write (void)
{
  g_autofree char *quoted = NULL;
  static const char text[] =
      "{\"a\": [1, 1.0, 0.1, 1e+60, -2.5e-07, 123456789012345678], \"b\": {}, \"c\\n\": [], "
      "\"d\": [null, true, \"\\\"x\"]}";
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = atl_json_parse (text, strlen (text), "text", &error);
  g_autoptr (JsonNode) huge = atl_json_parse ("[1e999]", 7, "text", NULL);
  g_autofree char *out = NULL;

  g_assert_no_error (error);
  out = atl_json_write (node);
  g_assert_cmpstr (out, ==, text);
  g_assert_null (atl_json_write (huge));
  /* No control character stands in a string as it is. */
  quoted = atl_json_quote ("\x01\x1f\"\\\n\f\u00fc");
  g_assert_cmpstr (quoted, ==, "\"\\u0001\\u001f\\\"\\\\\\n\\f\u00fc\"");
}

static void
test_dbus_names (void)
{
  atl_error_register_dbus ();
  for (int code = ATL_ERROR_BAD_FILE; code < ATL_ERROR_LORA + ATL_ERROR_N_LORAS; code++)
    {
      g_autoptr (GError) error =
          g_dbus_error_new_for_dbus_error (atl_error_dbus_name (code), "words");
      g_assert_error (error, ATL_ERROR, code);
    }
}

/* Which LoRA an error is about goes with it, also from one process to the other. */
static void
test_lora_error (void)
{
  atl_error_register_dbus ();
  for (guint at = 0; at < ATL_ERROR_N_LORAS; at++)
    {
      g_autoptr (GError) error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, "words");
      g_autoptr (GError) again = NULL;
      g_autofree char *name = NULL;

      g_assert_cmpint (atl_error_lora (error), ==, -1);
      atl_error_blame_lora (error, at);
      name = g_dbus_error_encode_gerror (error);
      again = g_dbus_error_new_for_dbus_error (name, error->message);
      g_assert_cmpint (atl_error_lora (again), ==, at);
    }
  {
    g_autoptr (GError) error = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, "words");
    g_autoptr (GError) stopped = g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "words");

    atl_error_blame_lora (error, ATL_ERROR_N_LORAS);
    g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
    atl_error_blame_lora (stopped, 0);
    g_assert_error (stopped, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_assert_cmpint (atl_error_lora (stopped), ==, -1);
  }
}

static void
expect_unkept (const char *schema, const char *words)
{
  g_autoptr (JsonNode) node = json_from_string (schema, NULL);
  g_autofree char *unkept = atl_schema_words_unkept (node);

  g_assert_cmpstr (unkept, ==, words);
}

static void
test_schema_words (void)
{
  expect_unkept ("true", NULL);
  expect_unkept ("{\"type\": \"integer\", \"multipleOf\": 5, \"title\": \"not\"}", NULL);
  expect_unkept ("{\"not\": {\"const\": 1}}", "not");
  /* A property may be named so, and a value may have the key. */
  expect_unkept ("{\"properties\": {\"not\": {\"const\": {\"if\": 1}}}}", NULL);
  expect_unkept ("{\"properties\": {\"a\": {\"items\": [{\"if\": true}, {\"not\": true}]}}}",
                 "if, not");
  expect_unkept ("{\"$defs\": {\"a\": {\"anyOf\": [{\"contains\": true}]}}}", "contains");
  expect_unkept ("{\"uniqueItems\": true, \"items\": {\"type\": \"integer\"}}", "uniqueItems");
  expect_unkept ("{\"uniqueItems\": true, \"items\": {\"enum\": [1, 2]}}", NULL);
  expect_unkept ("{\"uniqueItems\": true, \"items\": {\"$ref\": \"#/$defs/a\"}, \"$defs\": {\"a\": "
                 "{\"enum\": [1, 2]}}}",
                 NULL);
  expect_unkept ("{\"uniqueItems\": true, \"maxItems\": 1}", NULL);
  expect_unkept ("{\"pattern\": \"a\", \"maxLength\": 3}", "maxLength");
}

/* --- Tasks on threads --- */

typedef struct
{
  GThread *made, *freed;
  gboolean is_done;
} TaskWatch;

static void
note_free (gpointer data)
{
  ((TaskWatch *) data)->freed = g_thread_self ();
}

static void
square_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  TaskWatch *watch = data;

  g_assert_true (g_thread_self () != watch->made);
  g_assert_true (G_IS_OBJECT (source) && G_IS_CANCELLABLE (cancellable));
  g_task_return_int (task, 49);
}

static void
squared_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  TaskWatch *watch = data;

  g_assert_true (g_thread_self () == watch->made);
  g_assert_cmpint (g_task_propagate_int (G_TASK (result), NULL), ==, 49);
  watch->is_done = TRUE;
}

/* Whichever comes last, the thread or the callback: the object and the data go here. */
static void
test_thread_task (void)
{
  for (guint i = 0; i < 300; i++)
    {
      TaskWatch watch = { .made = g_thread_self () };
      GObject *source = g_object_new (G_TYPE_OBJECT, NULL);
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      GTask *task = g_task_new (source, cancellable, squared_cb, &watch);

      g_task_set_task_data (task, &watch, note_free);
      g_object_unref (source);
      atl_thread_task_run (task, square_thread);
      g_object_unref (task);
      while (!watch.is_done || watch.freed == NULL)
        g_main_context_iteration (NULL, TRUE);
      g_assert_true (watch.freed == watch.made);
    }
}

/* Nothing that a terminal obeys is left of what a model says. */
static void
test_terminal_text (void)
{
  static const struct
  {
    const char *text, *shown;
  } cases[] = {
    { "", "" },
    { "two lines\n\tand a tab\n", "two lines\n\tand a tab\n" },
    { "from Windows\r\n", "from Windows\n" },
    { "a\rb", "a\357\277\275b" },
    { "\033]52;c;ZXZpbA==\007", "\357\277\275]52;c;ZXZpbA==\357\277\275" },
    { "\302\2332J", "\357\277\2752J" }, /* U+009B, which begins a command as ESC [ does */
    { "\177\b", "\357\277\275\357\277\275" },
    { "caf\303\251 \360\237\246\212", "caf\303\251 \360\237\246\212" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *shown = atl_terminal_text (cases[i].text);

      g_assert_cmpstr (shown, ==, cases[i].shown);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/checked", test_checked);
  g_test_add_func ("/base/dtypes", test_dtypes);
  g_test_add_func ("/base/file-map", test_file_map);
  g_test_add_func ("/base/json", test_json);
  g_test_add_func ("/base/json-alike", test_json_alike);
  g_test_add_func ("/base/json-large", test_json_large);
  g_test_add_func ("/base/thread-task", test_thread_task);
  g_test_add_func ("/base/json-infinity", test_json_infinity);
  g_test_add_func ("/base/json-several", test_json_several);
  g_test_add_func ("/base/json-beside", test_json_beside);
  g_test_add_func ("/base/json-halves", test_json_halves);
  g_test_add_func ("/base/json-write", test_json_write);
  g_test_add_func ("/base/checkpoint", test_checkpoint);
  g_test_add_func ("/base/schema-words", test_schema_words);
  g_test_add_func ("/base/dbus-names", test_dbus_names);
  g_test_add_func ("/base/lora-error", test_lora_error);
  g_test_add_func ("/base/terminal-text", test_terminal_text);
  return g_test_run ();
}
