/* Adapters in the settings of a chat, with the real engine: added, moved, refused, removed, gone.
 * Needs stories260K.gguf of the conformance data. */
#include "app-steps.h"

#include <math.h>
#include <string.h>

#include "app/chat/adapter-list.h"
#include "conformance.h"

#define CONFIG "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"bias\": \"none\"}"

/* Zeros under PEFT's names: it fits, and changes nothing. */
static char *
write_adapter (const char *dir)
{
  static const char header[] =
      "{\"base_model.model.model.layers.1.self_attn.o_proj.lora_A.weight\":"
      "{\"dtype\":\"F32\",\"shape\":[2,64],\"data_offsets\":[0,512]},"
      "\"base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight\":"
      "{\"dtype\":\"F32\",\"shape\":[64,2],\"data_offsets\":[512,1024]}}";
  g_autofree char *config = g_build_filename (dir, "adapter_config.json", NULL);
  char *path = g_build_filename (dir, "pirate.safetensors", NULL);
  g_autofree char *bytes = g_malloc0 (8 + sizeof header - 1 + 1024);
  guint64 length = GUINT64_TO_LE (sizeof header - 1);

  memcpy (bytes, &length, sizeof length);
  memcpy (bytes + 8, header, sizeof header - 1);
  g_assert_true (g_file_set_contents (config, CONFIG, -1, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) (8 + sizeof header - 1 + 1024), NULL));
  return path;
}

static gboolean
is_ready (gpointer data)
{
  AppFixture *f = data;

  return !atl_session_get_is_loading (f->session) && atl_session_get_model (f->session) != NULL;
}

static gboolean
says (GtkWidget *widget, gconstpointer data)
{
  return g_str_equal (gtk_label_get_text (GTK_LABEL (widget)), data);
}

static gboolean
is_sensitive (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_is_sensitive (widget);
}

static guint
n_adapters (AppFixture *f)
{
  AtlModel *model = atl_session_get_model (f->session);
  g_auto (GStrv) adapters = atl_session_dup_adapters (f->session, atl_model_get_paths (model)[0]);

  return g_strv_length (adapters);
}

static gboolean
is_kept (AppFixture *f, const char *model, const char *ending)
{
  g_auto (GStrv) adapters = atl_session_dup_adapters (f->session, model);

  return g_strv_length (adapters) == 1 && g_str_has_suffix (adapters[0], ending);
}

static void
add (AppFixture *f, GtkWidget *list, const char *path)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);

  atl_adapter_list_add (ATL_ADAPTER_LIST (list), file);
  g_assert_true (atl_session_get_is_loading (f->session));
  g_assert_true (app_fixture_wait (is_ready, f, 60));
}

static void
test_list (void)
{
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");
  const char *paths[] = { model, NULL };
  g_autofree char *adapter = NULL;
  GtkWidget *settings, *list, *slider, *remove;
  AppFixture f;

  if (model == NULL)
    return;
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  atl_session_load_model (f.session, paths, TRUE);
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  adapter = write_adapter (f.dir);
  list = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_ADAPTER_LIST, NULL, NULL);
  g_assert_nonnull (list);

  add (&f, list, adapter);
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  slider = app_fixture_find (list, GTK_TYPE_SCALE, NULL, NULL);
  g_assert_nonnull (slider);
  g_assert_cmpfloat (gtk_range_get_value (GTK_RANGE (slider)), ==, 1);
  app_fixture_shot (GTK_WIDGET (f.window), "adapters");
  gtk_range_set_value (GTK_RANGE (slider), 0.35);
  app_assert_soon (is_kept (&f, model, "pirate.safetensors:0.35"));
  /* The same file again is no second adapter; one that does not fit is not kept. */
  add (&f, list, adapter);
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  add (&f, list, model);
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  g_assert_nonnull (
      app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_LABEL, says, "The model stays as it was"));

  settings = app_fixture_find (list, GTK_TYPE_SCALE, NULL, NULL);
  g_assert_nonnull (settings);
  remove = gtk_widget_get_next_sibling (settings);
  g_signal_emit_by_name (remove, "clicked");
  g_assert_true (app_fixture_wait (is_ready, &f, 60));
  g_assert_cmpuint (n_adapters (&f), ==, 0);
  g_assert_null (app_fixture_find (list, GTK_TYPE_SCALE, NULL, NULL));
  app_fixture_stop (&f);
}

/* Of the one adapter in use. */
static gboolean
is_strength (AppFixture *f, double wanted)
{
  double strength;
  g_autofree char *path =
      atl_adapter_parse (atl_model_get_adapters (atl_session_get_model (f->session))[0], &strength);

  return fabs (strength - wanted) < 1e-6;
}

static void
notice_cb (AtlSession *session, const char *words, char **told)
{
  g_free (*told);
  *told = g_strdup (words);
}

static void
load (AppFixture *f, const char *path)
{
  const char *paths[] = { path, NULL };

  atl_session_load_model (f->session, paths, TRUE);
  app_assert_soon (!atl_session_get_is_loading (f->session));
}

/* The model is loaded without what is gone or refused; its row stays and says so. */
static void
test_gone (void)
{
  g_autofree char *model = atl_test_conformance ("models/stories260K.gguf");
  g_autofree char *adapter = NULL, *kept = NULL, *gone = NULL, *told = NULL;
  const char *adapters[3] = { NULL };
  const char *const *used;
  GtkWidget *list, *slider;
  AppFixture f;

  if (model == NULL)
    return;
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  adapter = write_adapter (f.dir);
  gone = g_build_filename (f.dir, "gone.safetensors:0.50", NULL);
  kept = g_strconcat (adapter, ":0.75", NULL);
  adapters[0] = gone;
  adapters[1] = kept;
  atl_session_set_adapters (f.session, model, adapters);
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), &told);
  load (&f, model);
  g_assert_true (app_is_loaded (&f));
  used = atl_model_get_adapters (atl_session_get_model (f.session));
  g_assert_cmpuint (g_strv_length ((char **) used), ==, 1);
  g_assert_cmpstr (used[0], ==, kept);
  g_assert_cmpuint (n_adapters (&f), ==, 2);
  g_assert_nonnull (told);
  g_assert_nonnull (strstr (told, "gone.safetensors"));
  list = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_ADAPTER_LIST, NULL, NULL);
  g_assert_nonnull (
      app_fixture_find (list, GTK_TYPE_LABEL, says, "Its file is not there any more."));
  app_fixture_shot (GTK_WIDGET (f.window), "adapter-gone");
  slider = app_fixture_find (list, GTK_TYPE_SCALE, is_sensitive, NULL);
  g_assert_cmpfloat (gtk_range_get_value (GTK_RANGE (slider)), ==, 0.75);
  gtk_range_set_value (GTK_RANGE (slider), 0.35);
  app_assert_soon (is_strength (&f, 0.35));

  /* A model is no adapter. */
  g_clear_pointer (&told, g_free);
  adapters[0] = model;
  adapters[1] = NULL;
  atl_session_unload_model (f.session);
  atl_session_set_adapters (f.session, model, adapters);
  load (&f, model);
  g_assert_true (app_is_loaded (&f));
  g_assert_cmpuint (n_adapters (&f), ==, 1);
  g_assert_nonnull (told);
  g_assert_nonnull (
      app_fixture_find (list, GTK_TYPE_LABEL, says, "Not used: the model was refused with it."));
  g_signal_handlers_disconnect_by_data (f.session, &told);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/app/adapters/list", test_list);
  g_test_add_func ("/app/adapters/gone", test_gone);
  return g_test_run ();
}
