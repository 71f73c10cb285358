/* Every opcode, known or not, on every kind of stack, with more and less behind it: values or
 * words. */
#include "engine/formats/pickle.h"

#include <string.h>

typedef struct
{
  const char *bytes;
  gsize size;
} Bytes;

#define B(literal)                                                                                 \
  {                                                                                                \
    literal, sizeof (literal) - 1                                                                  \
  }

/* What leaves something on the stack, and calls that are nearly right. */
static const Bytes before[] = {
  B (""),
  B ("N"),
  B ("K\1"),
  B ("X\1\0\0\0a"),
  B ("("),
  B ("(K\1"),
  B ("(K\1K\2"),
  B ("]"),
  B ("](K\1"),
  B ("]K\1"),
  B ("}"),
  B ("}(K\1"),
  B ("}(K\1K\2"),
  B ("}K\1K\2"),
  B ("N(K\1"),
  B ("NK\1"),
  B ("NK\1K\2"),
  B ("K\1}"),
  B ("(}"),
  B ("]q\7"),
  B ("X\1\0\0\0aX\1\0\0\0b"),
  B ("ctorch\nSize\n"),
  B ("ctorch\nSize\n)"),
  B ("ctorch\nSize\nK\1\x85"),
  B ("ctorch\ndevice\n)"),
  B ("ctorch\nFloatStorage\n)"),
  B ("ccollections\nOrderedDict\n)"),
  B ("ccollections\nOrderedDict\nK\1\x85"),
  B ("ctorch._utils\n_rebuild_parameter\n(K\1K\2t"),
  B ("ctorch._utils\n_rebuild_tensor_v2\n(K\1K\2K\3K\4t"),
  B ("ctorch._utils\n_rebuild_tensor_v2\n(K\1K\2K\3K\4tR"),
  B ("ctorch._utils\n_rebuild_tensor_v2\n(K\1K\2K\3K\4tR}"),
  B ("(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\10t"),
  B ("(X\7\0\0\0storagectorch\nSize\nX\1\0\0\0000X\3\0\0\0cpuK\10t"),
};

static const Bytes behind[] = {
  B (""),
  B ("."),
  B ("\1"),
  B ("\1."),
  B ("\3\1\2\xff."),
  B ("\7."),
  B ("\1\0\0\0."),
  B ("\1\0\0\0a."),
  B ("\2\0\0\0\0\0\0\0."),
  B ("\1\0\0\0\0\0\0\0a."),
  B ("\x09\1\2\3\4\5\6\7\10\11."),
  B ("\xff\xff\xff\xff."),
  B ("\xff\xff\xff\xff\xff\xff\xff\xff."),
  B ("torch\nSize\n."),
  B ("torch\nSize"),
  B ("K\1."),
};

/* Kinds of everything that can be reached, a few levels deep: tables may hold themselves. */
static void
walk (const AtlPickle *pickle, AtlPickleValue value, guint depth)
{
  AtlPickleKind kind = atl_pickle_kind (pickle, value);

  if (kind == ATL_PICKLE_TEXT)
    g_assert_true (g_utf8_validate (atl_pickle_text (pickle, value), -1, NULL));
  if (depth > 0 &&
      (kind == ATL_PICKLE_LIST || kind == ATL_PICKLE_TABLE || kind == ATL_PICKLE_TENSOR))
    for (guint i = 0; i < atl_pickle_n_items (pickle, value); i++)
      walk (pickle, atl_pickle_item (pickle, value, i), depth - 1);
}

static gboolean
parse (const Bytes *first, guint op, const Bytes *last)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const guint8 start[] = { 0x80, 4 }, middle = (guint8) op;
  g_autofree guint8 *exact = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlPickle) pickle = NULL;

  g_byte_array_append (bytes, start, sizeof start);
  g_byte_array_append (bytes, (const guint8 *) first->bytes, (guint) first->size);
  g_byte_array_append (bytes, &middle, 1);
  g_byte_array_append (bytes, (const guint8 *) last->bytes, (guint) last->size);
  exact = g_memdup2 (bytes->data, bytes->len);
  pickle = atl_pickle_parse (exact, bytes->len, "x.pth", &error);
  g_assert_true ((pickle == NULL) == (error != NULL));
  if (pickle != NULL)
    walk (pickle, atl_pickle_root (pickle), 3);
  else
    g_assert_true (error->domain == ATL_ERROR && strstr (error->message, "x.pth") != NULL);
  return pickle != NULL;
}

static void
test_opcodes (void)
{
  guint n_parsed = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (before); i++)
    for (guint op = 0; op < 256; op++)
      for (gsize k = 0; k < G_N_ELEMENTS (behind); k++)
        n_parsed += parse (&before[i], op, &behind[k]);
  /* All stacks are not damaged, or nothing was tried. */
  g_assert_cmpuint (n_parsed, >, 300);
  g_test_message ("%u were whole", n_parsed);
  atl_pickle_free (NULL);
}

/* A text may be remembered and named again and again: every storage keeps its key, so that a file
 * of megabytes could ask for terabytes. */
static void
test_key (void)
{
  for (guint n = 255; n <= 256; n++)
    {
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      g_autofree char *key = g_strnfill (n, '0');
      const guint8 length[] = { (guint8) n, (guint8) (n >> 8), 0, 0 };
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlPickle) pickle = NULL;

#define ADD(literal) g_byte_array_append (bytes, (const guint8 *) literal, sizeof (literal) - 1)
      ADD ("\x80\4(X\7\0\0\0storagectorch\nFloatStorage\nX");
      g_byte_array_append (bytes, length, sizeof length);
      g_byte_array_append (bytes, (const guint8 *) key, n);
      ADD ("X\3\0\0\0cpuK\10tQ.");
#undef ADD
      pickle = atl_pickle_parse (bytes->data, bytes->len, "x.pth", &error);
      g_assert_true ((pickle != NULL) == (n == 255));
      if (pickle == NULL)
        g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pickle/opcodes", test_opcodes);
  g_test_add_func ("/pickle/key", test_key);
  return g_test_run ();
}
