/* The catalogue of starter models: that it is whole, and what it recommends for models that are in
 * it. */
#include <glib/gstdio.h>
#include <string.h>

#include "hub/catalog.h"
#include "hub/starter.h"

static void
test_catalog (void)
{
  const AtlStarter *list;
  gboolean any_toy = FALSE;
  guint n;

  list = atl_starter_list (&n);
  g_assert_cmpuint (n, >=, 3);
  for (guint i = 0; i < n; i++)
    {
      const AtlStarterSource *sources;
      guint n_sources;

      g_assert_nonnull (list[i].id);
      g_assert_nonnull (list[i].title);
      g_assert_nonnull (list[i].license);
      g_assert_nonnull (list[i].about);
      g_assert_true (g_str_has_suffix (list[i].file, ".gguf"));
      g_assert_null (strchr (list[i].file, '/'));
      g_assert_true (atl_starter_for_path (list[i].file) == &list[i]);
      g_assert_cmpuint (list[i].memory_bytes, >, list[i].size_bytes);
      any_toy = any_toy || list[i].toy;
      sources = atl_catalog_sources (i, &n_sources);
      g_assert_cmpuint (n_sources, >, 0);
      for (guint j = 0; j < n_sources; j++)
        {
          guint64 total = 0;

          if (sources[j].repo != NULL)
            continue;
          g_assert_nonnull (list[i].sha256);
          for (guint k = 0; k < sources[j].n_parts; k++)
            {
              g_assert_cmpuint (strlen (sources[j].part[k].sha256), ==, 64);
              total += sources[j].part[k].member_bytes;
            }
          g_assert_cmpuint (total, ==, list[i].size_bytes);
        }
    }
  g_assert_true (any_toy);
  g_assert_true (atl_starter_choose (ATL_STARTER_SMALL)->toy);
  g_assert_null (atl_starter_for_path ("/x/other.gguf"));
}

static void
test_recommended (void)
{
  g_autoptr (GVariant) own =
      g_variant_ref_sink (g_variant_new_parsed ("{'temperature': <1.5>, 'top-k': <3>}"));
  g_autoptr (GVariant) none = g_variant_ref_sink (g_variant_new ("a{sv}", NULL));
  static const char *const names[] = { "SmolLM2 135M Instruct", "smollm2-135m-instruct.Q8_0",
                                       "SmolLM2_135M-Instruct-v0.2",
                                       "Smollm2 135M 8k Lc100K Mix1 Ep2" };
  gboolean from_catalog;
  GVariant *found;
  double value;
  gint32 count;

  /* What the file says counts, and nothing of the catalogue is mixed in. */
  found = atl_starter_recommended ("/x/smollm2-135m-instruct-q4_1.gguf", "SmolLM2 135M Instruct",
                                   NULL, own, &from_catalog);
  g_assert_true (found == own);
  g_assert_false (from_catalog);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      found = atl_starter_recommended ("/x/model.gguf", names[i], NULL, none, &from_catalog);
      g_assert_nonnull (found);
      g_assert_true (from_catalog);
      g_assert_true (g_variant_lookup (found, "temperature", "d", &value));
      g_assert_cmpfloat (value, ==, 0.1);
      g_assert_true (g_variant_lookup (found, "top-p", "d", &value));
      g_assert_cmpfloat (value, ==, 0.9);
    }
  found = atl_starter_recommended ("/x/qwen2.5.gguf", "?", "Qwen2.5 Coder 1.5B Instruct GGUF", NULL,
                                   NULL);
  g_assert_true (g_variant_lookup (found, "top-k", "i", &count));
  g_assert_cmpint (count, ==, 20);
  g_assert_null (atl_starter_recommended ("/x/q.gguf", "Qwen3 1.7B", NULL, none, &from_catalog));
  g_assert_false (from_catalog);
  g_assert_null (atl_starter_recommended (NULL, "", NULL, NULL, NULL));
}

static void
test_pictures (void)
{
  g_autofree char *dir = g_dir_make_tmp ("atelier-starter-XXXXXX", NULL);
  g_autofree char *index = g_build_filename (dir, "model_index.json", NULL);
  g_autofree char *found = NULL;

  g_setenv ("ATELIER_PICTURE_STARTER", dir, TRUE);
  g_assert_null (atl_starter_pictures ());
  g_assert_true (g_file_set_contents (index, "{}", -1, NULL));
  found = atl_starter_pictures ();
  g_assert_cmpstr (found, ==, dir);
  g_unsetenv ("ATELIER_PICTURE_STARTER");
  g_assert_cmpint (g_unlink (index), ==, 0);
  g_assert_cmpint (g_rmdir (dir), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hub/catalogue/catalogue", test_catalog);
  g_test_add_func ("/hub/catalogue/pictures", test_pictures);
  g_test_add_func ("/hub/catalogue/recommended", test_recommended);
  return g_test_run ();
}
