/* Dictionaries of the other side: what has another type counts as absent. */
#include "protocol/protocol.h"

static GVariant *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  GVariant *dict = g_variant_parse (G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

  g_assert_no_error (error);
  return dict;
}

static void
test_types (void)
{
  g_autoptr (GVariant) dict =
      parse ("{'t': <uint64 5>, 'u': <uint32 6>, 'i': <-7>, 'd': <1.5>, 'b': <true>, 's': <'x'>}");
  g_autofree char *s = atl_dict_string (dict, "s", "none");
  g_autofree char *none = atl_dict_string (dict, "d", "none");
  g_autofree char *null = atl_dict_string (dict, "d", NULL);

  g_assert_cmpuint (atl_dict_uint64 (dict, "t", 0), ==, 5);
  g_assert_cmpuint (atl_dict_uint64 (dict, "u", 1), ==, 1);
  g_assert_cmpuint (atl_dict_uint (dict, "u", 0), ==, 6);
  g_assert_cmpint (atl_dict_int (dict, "i", 0), ==, -7);
  g_assert_cmpint (atl_dict_int (dict, "b", 3), ==, 3);
  g_assert_cmpfloat (atl_dict_double (dict, "d", 0), ==, 1.5);
  g_assert_true (atl_dict_bool (dict, "b", FALSE));
  g_assert_false (atl_dict_bool (dict, "i", FALSE));
  g_assert_cmpstr (s, ==, "x");
  g_assert_cmpstr (none, ==, "none");
  g_assert_null (null);
  g_assert_null (atl_dict_lookup (dict, "t", "s"));
  g_assert_cmpuint (atl_dict_uint64 (NULL, "t", 9), ==, 9);
}

static void
test_hostile (void)
{
  g_autoptr (GVariant) dict = parse ("{'d': <inf>, 'n': <nan>}");
  g_autofree char *big = g_strnfill (1 << 17, 'y');
  g_autoptr (GVariant) large = g_variant_ref_sink (g_variant_new_parsed ("{'s': <%s>}", big));
  g_autoptr (GVariant) number = g_variant_ref_sink (g_variant_new_uint32 (3));
  g_autofree char *s = atl_dict_string (large, "s", "short");

  g_assert_cmpfloat (atl_dict_double (dict, "d", 2), ==, 2);
  g_assert_cmpfloat (atl_dict_double (dict, "n", 2), ==, 2);
  g_assert_cmpstr (s, ==, "short");
  g_assert_cmpuint (atl_dict_uint (number, "u", 4), ==, 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dict/types", test_types);
  g_test_add_func ("/dict/hostile", test_hostile);
  return g_test_run ();
}
