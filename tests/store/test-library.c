/* Presets, model rows, measurements. */
#include "store-fixture.h"

#include "store/library.h"
#include "store/presets.h"

static void
test_presets (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 warm = atl_store_preset_save (f->store, "Warm", "{\"temperature\":1.2}", &error);
  gint64 cold = atl_store_preset_save (f->store, "cold", "{}", &error);
  g_autoptr (GPtrArray) list = NULL;

  g_assert_no_error (error);
  g_assert_cmpint (atl_store_preset_save (f->store, "WARM", "{\"a\":1}", &error), ==, warm);
  g_assert_false (atl_store_preset_rename (f->store, cold, "Warm", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BUSY);
  g_clear_error (&error);
  g_assert_true (atl_store_preset_rename (f->store, cold, "Freezing", &error));
  g_assert_true (atl_store_preset_rename (f->store, cold, "cold", &error));
  list = atl_store_preset_list (f->store, &error);
  g_assert_cmpuint (list->len, ==, 2);
  g_assert_cmpstr (((AtlPreset *) list->pdata[0])->name, ==, "cold");
  g_assert_cmpstr (((AtlPreset *) list->pdata[1])->settings_json, ==, "{\"a\":1}");
  g_assert_true (atl_store_preset_remove (f->store, warm, &error));
  g_clear_pointer (&list, g_ptr_array_unref);
  list = atl_store_preset_list (f->store, &error);
  g_assert_cmpuint (list->len, ==, 1);
  g_assert_cmpint (((AtlPreset *) list->pdata[0])->id, ==, cold);
  g_assert_cmpint (atl_store_preset_save (f->store, "x", "[]", &error), ==, 0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_INVALID);
}

static void
test_models (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  AtlModelRow row = {
    .path = (char *) "/m/a.gguf", .name = (char *) "A", .sha256 = (char *) "00", .size_bytes = 12
  };
  AtlModelRow later = { .path = (char *) "/m/a.gguf",
                        .name = (char *) "A2",
                        .kind = (char *) "llm" };
  g_autoptr (AtlModelRow) read = NULL;
  g_autoptr (GPtrArray) list = NULL;
  guint n = 0;
  gint64 id = atl_store_model_save (f->store, &row, &error);

  g_assert_no_error (error);
  g_assert_cmpint (atl_store_model_save (f->store, &later, &error), ==, id);
  for (guint i = 1; i <= ATL_MODEL_MAX_CRASHES; i++)
    {
      g_assert_true (atl_store_model_crashed (f->store, "/m/a.gguf", &n, &error));
      g_assert_cmpuint (n, ==, i);
    }
  g_assert_true (atl_store_model_used (f->store, "/m/a.gguf", &error));
  read = atl_store_model_get (f->store, "/m/a.gguf", &error);
  g_assert_cmpstr (read->name, ==, "A2");
  g_assert_cmpstr (read->sha256, ==, "00");
  g_assert_cmpstr (read->kind, ==, "llm");
  g_assert_cmpuint (read->n_crashes, ==, 0);
  g_assert_cmpint (read->last_used_us, >, 0);
  list = atl_store_model_list (f->store, &error);
  g_assert_cmpuint (list->len, ==, 1);
  g_assert_false (atl_store_model_used (f->store, "/m/b.gguf", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func)                                                                            \
  g_test_add ("/store/library/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)
  ADD ("presets", test_presets);
  ADD ("models", test_models);
  return g_test_run ();
}
