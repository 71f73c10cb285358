/* What the Images page does with a picture, asked from wherever pictures are shown. */
#include "gallery-steps.h"
#include "images-steps.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <unistd.h>

#include "app/gallery/gallery-actions.h"
#include "app/gallery/viewer-window.h"
#include "app/images/known-loras.h"
#include "app/images/picture-canvas.h"
#include "app/images/picture-pane.h"
#include "app/images/pictures-session-private.h"
#include "app/images/upscale-dialog.h"
#include "app/models/model-list.h"
#include "app/models/open-model.h"
#include "app/words.h"
#include "hub/library.h"
#include "media/recipe.h"
#include "protocol/protocol.h"

#define WAIT_S 30

static gboolean
has_prompt (gpointer data)
{
  AppFixture *f = data;
  const AtlPictureSettings *settings =
      atl_pictures_session_get_settings (atl_pictures_session_get (f->session));

  return g_strcmp0 (settings->prompt, APP_FIRST_PROMPT) == 0;
}

/* What the page does with a picture is reached from another page's side, from the strip's menu, the
 * viewer and from two that are compared. */
static void
test_page_actions (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = app_write_picture (0, folder);
  AtlPicturesSession *pictures;
  AtlPictureSettings *settings;
  GtkWidget *strip, *from;
  AtlGallery *gallery;
  AppFixture f;

  app_make_old (path, 0);
  app_fixture_start (&f);
  gallery = atl_gallery_get (f.session);
  atl_gallery_look (gallery);
  app_wait_for_pictures (&f, 1);
  strip = f.window->picture_list;
  pictures = atl_pictures_session_get (f.session);
  for (guint i = 0; i < 3; i++)
    {
      settings = atl_picture_settings_copy (atl_pictures_session_get_settings (pictures));
      atl_set_string (&settings->prompt, "");
      atl_pictures_session_take_settings (pictures, settings);
      atl_window_show_page (f.window, "chats");
      if (i == 1)
        atl_viewer_window_show (strip, gallery, atl_gallery_get_pictures (gallery), 0, FALSE);
      else if (i == 2)
        atl_viewer_compare (strip, gallery, app_picture_at (&f, 0), app_picture_at (&f, 0));
      app_fixture_spin (300);
      from = i == 0 ? strip : app_viewer ();
      g_assert_true (gtk_widget_activate_action (from, "images.use-settings", "s", path));
      g_assert_true (app_fixture_wait (has_prompt, &f, WAIT_S));
      g_assert_true (atl_window_shows_page (f.window, "images"));
      app_assert_soon (app_viewer () == NULL);
    }
  for (gsize i = 0; i < ATL_GALLERY_N_PAGE_ACTIONS; i++)
    g_assert_true (
        gtk_widget_activate_action (strip, atl_gallery_page_actions[i], "s", "/nowhere.png"));
  app_fixture_spin (300);
  app_fixture_stop (&f);
  app_clear_pictures ();
}

/* --- Enlarging --- */

/* The small one of the golden cases. The caller's. */
static char *
network (void)
{
  return g_build_filename (app_models_dir, "upscale", "model", "esrgan-x2.safetensors", NULL);
}

static GtkWidget *
upscale_dialog (void)
{
  GListModel *windows = gtk_window_get_toplevels ();

  for (guint i = 0; i < g_list_model_get_n_items (windows); i++)
    {
      g_autoptr (GtkWidget) window = g_list_model_get_item (windows, i);

      if (ATL_IS_UPSCALE_DIALOG (window))
        return window;
    }
  return NULL;
}

static gboolean
is_ready (gpointer data)
{
  GtkWidget *dialog = data;

  return gtk_widget_get_sensitive (app_fixture_find_id (dialog, "go_button"));
}

static void
saved_cb (
    AtlPicturesSession *pictures, const char *path, GdkTexture *texture, gint64 id, char **saved)
{
  g_assert_cmpint (id, >, 0);
  *saved = g_strdup (path);
}

static gboolean
has_saved (gpointer saved)
{
  return *(char **) saved != NULL;
}

static gboolean
is_any (GtkWidget *widget, gconstpointer data)
{
  return TRUE;
}

/* What can be done with the large picture, by the keyboard; other pictures are enlarged from there
 * too. */
static void
check_canvas_menu (AppFixture *f)
{
  GtkWidget *page = f->window->images_page, *canvas, *button;
  GMenuModel *menu;

  gtk_widget_activate_action (GTK_WIDGET (f->window), "win.show-page", "s", "images");
  app_assert_soon (app_fixture_find_id (page, "menu_button") != NULL);
  canvas = app_fixture_find (page, ATL_TYPE_PICTURE_CANVAS, is_any, NULL);
  button = app_fixture_find_id (canvas, "menu_button");
  /* Another one for each picture costs memory that GTK keeps. */
  g_assert_null (gtk_menu_button_get_popover (GTK_MENU_BUTTON (button)));
  gtk_menu_button_popup (GTK_MENU_BUTTON (button));
  menu = gtk_menu_button_get_menu_model (GTK_MENU_BUTTON (button));
  gtk_menu_button_popdown (GTK_MENU_BUTTON (button));
  g_assert_nonnull (menu);
  {
    g_autoptr (GMenuModel) last =
        g_menu_model_get_item_link (menu, g_menu_model_get_n_items (menu) - 1, G_MENU_LINK_SECTION);
    g_autofree char *action = NULL;

    g_assert_true (
        g_menu_model_get_item_attribute (last, 0, G_MENU_ATTRIBUTE_ACTION, "s", &action));
    g_assert_cmpstr (action, ==, "images.upscale-file");
  }
  g_assert_false (app_press (canvas, GDK_KEY_F10, 0));
  g_assert_true (app_press (canvas, GDK_KEY_F10, GDK_SHIFT_MASK));
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f->window), "canvas-menu");
  g_assert_true (GTK_IS_POPOVER_MENU (gtk_widget_get_last_child (canvas)));
  gtk_popover_popdown (GTK_POPOVER (gtk_widget_get_last_child (canvas)));
  app_assert_soon (!GTK_IS_POPOVER_MENU (gtk_widget_get_last_child (canvas)));
}

/* A picture of 96 × 64 three times as large, with its recipe, beside the one it was made from. */
static void
test_upscale (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = app_write_picture (0, folder);
  g_autofree char *saved = NULL;
  g_autofree char *expected = g_build_filename (folder, "picture 0 3x.png", NULL);
  g_autoptr (AtlPictureRow) row = NULL;
  g_autoptr (GVariant) recipe = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *by = NULL;
  g_autofree char *larger = network ();
  AtlPicturesSession *pictures;
  GtkWidget *dialog, *go;
  AppFixture f;

  app_make_old (path, 0);
  app_fixture_start (&f);
  atl_gallery_look (atl_gallery_get (f.session));
  app_wait_for_pictures (&f, 1);
  pictures = atl_pictures_session_get (f.session);
  g_signal_connect (pictures, "saved", G_CALLBACK (saved_cb), &saved);
  atl_pictures_session_set_upscaler (pictures, larger);
  atl_model_list_refresh (atl_session_get_models (f.session));
  gtk_widget_activate_action (f.window->picture_list, "images.upscale", "s", path);
  app_assert_soon (upscale_dialog () != NULL);
  dialog = upscale_dialog ();
  g_assert_true (app_fixture_wait (is_ready, dialog, WAIT_S));
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (app_fixture_find_id (dialog, "factor_3")), TRUE);
  app_fixture_spin (100);
  app_fixture_shot (dialog, "upscale-dialog");
  go = app_fixture_find_id (dialog, "go_button");
  g_assert_cmpstr (gtk_button_get_label (GTK_BUTTON (go)), ==, "_Enlarge");
  /* Enter on the size that was chosen begins. */
  g_assert_false (app_press (app_fixture_find_id (dialog, "size_group"), GDK_KEY_space, 0));
  g_assert_true (app_press (app_fixture_find_id (dialog, "size_group"), GDK_KEY_Return, 0));
  g_assert_true (app_fixture_wait (has_saved, &saved, WAIT_S));
  g_assert_cmpstr (saved, ==, expected);
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  row = atl_store_picture_find (atl_session_get_store (f.session), saved, &error);
  g_assert_no_error (error);
  g_assert_cmpint (row->origin, ==, ATL_ORIGIN_UPSCALED);
  g_assert_cmpint (row->parent_id, !=, 0);
  g_assert_cmpuint (row->width, ==, 288);
  g_assert_cmpuint (row->height, ==, 192);
  recipe = atl_recipe_from_json (row->recipe);
  by = atl_dict_string (recipe, ATL_MADE_UPSCALER, NULL);
  g_assert_cmpstr (by, ==, "esrgan-x2");
  g_assert_cmpfloat (atl_dict_double (recipe, ATL_MADE_FACTOR, 0), ==, 3);
  {
    g_autoptr (AtlPictureSettings) settings = atl_picture_settings_new ();

    atl_picture_settings_apply_recipe (settings, recipe, NULL);
    g_assert_cmpuint (settings->width, ==, 96);
    g_assert_cmpuint (settings->enlarge, ==, 3);
    g_assert_cmpstr (settings->prompt, ==, APP_FIRST_PROMPT);
  }
  app_fixture_spin (300);
  app_fixture_shot (GTK_WIDGET (f.window), "upscaled");
  check_canvas_menu (&f);
  app_fixture_stop (&f);
  app_clear_pictures ();
}

static void
check_size (const char *name, int width, int height)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new_from_file (path, NULL);

  g_assert_nonnull (pixbuf);
  g_assert_cmpint (gdk_pixbuf_get_width (pixbuf), ==, width);
  g_assert_cmpint (gdk_pixbuf_get_height (pixbuf), ==, height);
}

/* Larger as the last stage; where that fails, what was drawn is kept as it is. */
static void
test_enlarge (void)
{
  g_autofree char *larger = network ();
  g_autofree char *no_network = app_draw_model ();
  AtlPictureSettings *s;
  AppFixture f;

  app_start_drawing (&f);
  atl_pictures_session_set_upscaler (app_pictures (&f), larger);
  app_set_up_picture (&f, "a large fox", 2, 1);
  s = atl_picture_settings_copy (app_draft (&f));
  s->enlarge = 2;
  atl_pictures_session_take_settings (app_pictures (&f), s);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  check_size ("a large fox.png", 144, 128);
  atl_pictures_session_set_upscaler (app_pictures (&f), no_network);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  check_size ("a large fox-2.png", 72, 64);
  app_fixture_stop (&f);
}

typedef struct
{
  AppFixture *f;
  const char *path;
} Known;

static gboolean
is_known_upscaler (gpointer data)
{
  const Known *known = data;
  AtlModelEntry *entry =
      atl_model_list_find (atl_session_get_models (known->f->session), known->path);

  return entry != NULL && entry->kind == ATL_MODEL_UPSCALER;
}

/* The one brought first can still be chosen after the second. */
static void
test_upscalers_kept (void)
{
  g_autofree char *larger = network ();
  g_autofree char *second = g_build_filename (g_get_user_data_dir (), "second.safetensors", NULL);
  g_autoptr (GFile) from = g_file_new_for_path (larger);
  g_autoptr (GFile) to = g_file_new_for_path (second);
  g_autofree char *used = NULL;
  AppFixture f;
  Known first = { &f, larger }, other = { &f, second };

  g_assert_true (g_file_copy (from, to, G_FILE_COPY_OVERWRITE, NULL, NULL, NULL, NULL));
  app_fixture_start (&f);
  atl_open_model (GTK_WIDGET (f.window), f.session, larger);
  g_assert_true (app_fixture_wait (is_known_upscaler, &first, WAIT_S));
  atl_open_model (GTK_WIDGET (f.window), f.session, second);
  g_assert_true (app_fixture_wait (is_known_upscaler, &other, WAIT_S));
  g_assert_true (is_known_upscaler (&first));
  used = atl_pictures_session_dup_upscaler (app_pictures (&f));
  g_assert_cmpstr (used, ==, second);
  app_fixture_stop (&f);
}

/* By its name, with its strength; one that is nowhere is named, one that was not used goes. */
static void
test_loras (void)
{
  g_autofree char *there =
      g_build_filename (app_models_dir, "sd15", "loras", "kohya.safetensors", NULL);
  g_autoptr (GVariant) recipe = g_variant_ref_sink (
      g_variant_new_parsed ("{'prompt': <'x'>, 'loras': <[{'name': <'Kohya'>, 'weight': <0.75>}, "
                            "{'name': <'ghost'>, 'weight': <1.0>}]>}"));
  g_autoptr (AtlPictureSettings) settings = atl_picture_settings_new ();
  g_autofree char *missing = NULL;
  AppFixture f;

  app_fixture_start (&f);
  atl_known_loras_note (f.session, there);
  g_ptr_array_add (settings->loras, atl_picture_lora_new ("/nowhere/other.safetensors", 1));
  missing = atl_pictures_session_apply_recipe (app_pictures (&f), settings, recipe);
  g_assert_cmpstr (missing, ==, "ghost");
  g_assert_cmpuint (settings->loras->len, ==, 1);
  g_assert_cmpstr (((AtlPictureLora *) settings->loras->pdata[0])->path, ==, there);
  g_assert_cmpfloat (((AtlPictureLora *) settings->loras->pdata[0])->strength, ==, 0.75);
  app_fixture_stop (&f);
}

/* What the words tell of a recipe by this model. */
static void
check_lacks (AppFixture *f, const char *model, const char *loras, const char *expected)
{
  GVariantDict dict;
  g_autoptr (GVariant) recipe = NULL;
  g_autofree char *words = NULL;

  g_variant_dict_init (&dict, NULL);
  if (model != NULL)
    g_variant_dict_insert (&dict, ATL_RECIPE_MODEL, "s", model);
  recipe = g_variant_ref_sink (g_variant_dict_end (&dict));
  words = atl_pictures_session_lacks_words (app_pictures (f), recipe, loras);
  g_assert_cmpstr (words, ==, expected);
}

/* Another model is told beside the LoRAs that are nowhere, and whether it is here. */
static void
test_lacks (void)
{
  g_autofree char *other = g_build_filename (atl_library_dir (), "Dreamy", NULL);
  g_autofree char *model = app_draw_model ();
  AppFixture f;

  g_mkdir_with_parents (atl_library_dir (), 0755);
  g_assert_cmpint (symlink (model, other), ==, 0);
  app_start_drawing (&f);
  app_wait_for_model (&f, "Dreamy");
  check_lacks (&f, NULL, NULL, NULL);
  check_lacks (&f, "MODEL", NULL, NULL);
  check_lacks (&f, NULL, "ink", "LoRAs of this picture that are not here: ink.");
  check_lacks (&f, "dream", "ink",
               "LoRAs of this picture that are not here: ink. "
               "It was made with another model, which is not here: dream.");
  check_lacks (&f, "dreamy", NULL, "It was made with another model, which you have: dreamy.");
  /* Also where there is none in use, as after that one was removed. */
  atl_pictures_session_unload_model (app_pictures (&f));
  check_lacks (&f, "dream", NULL, "It was made with another model, which is not here: dream.");
  app_fixture_stop (&f);
}

static void
test_lacks_sampler (void)
{
  static const struct
  {
    const char *sampler, *expected;
  } rows[] = { { "Restart", "Its sampler is not known for this model: Restart." },
               { "euler", NULL },
               { "", NULL } };
  AppFixture f;

  app_start_drawing (&f);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GVariant) recipe = g_variant_ref_sink (
          g_variant_new_parsed ("{%s: <%s>}", ATL_MADE_SAMPLER, rows[i].sampler));
      g_autofree char *words = atl_pictures_session_lacks_words (app_pictures (&f), recipe, NULL);

      g_assert_cmpstr (words, ==, rows[i].expected);
    }
  app_fixture_stop (&f);
}

/* Copies of what was pasted go when nothing uses them and they are old. */
static void
test_pasted (void)
{
  g_autofree char *folder = g_build_filename (g_get_user_data_dir (), "atelier", "pasted", NULL);
  g_autofree char *old = g_build_filename (folder, "1.png", NULL);
  g_autofree char *used = g_build_filename (folder, "2.png", NULL);
  g_autofree char *fresh = g_build_filename (folder, "3.png", NULL);
  AtlPictureSettings *settings;
  AppFixture f;

  app_fixture_start (&f);
  g_mkdir_with_parents (folder, 0700);
  for (guint i = 0; i < 3; i++)
    g_assert_true (g_file_set_contents (i == 0 ? old : i == 1 ? used : fresh, "x", 1, NULL));
  app_make_old (old, 2);
  app_make_old (used, 2);
  settings = atl_picture_settings_copy (app_draft (&f));
  g_ptr_array_add (settings->references, g_strdup (used));
  atl_pictures_session_take_settings (app_pictures (&f), settings);
  atl_pictures_session_clean_pasted (app_pictures (&f));
  g_assert_true (g_file_test (used, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (fresh, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (old, G_FILE_TEST_EXISTS));
  app_fixture_stop (&f);
}

static gboolean
has_tooltip (GtkWidget *widget, gconstpointer words)
{
  return gtk_widget_get_mapped (widget) &&
         g_strcmp0 (gtk_widget_get_tooltip_text (widget), words) == 0;
}

static void
press (AppFixture *f, const char *tooltip)
{
  GtkWidget *button =
      app_fixture_find (f->window->images_page, GTK_TYPE_BUTTON, has_tooltip, tooltip);

  g_assert_nonnull (button);
  g_assert_true (gtk_widget_get_focusable (button));
  g_signal_emit_by_name (button, "clicked");
}

/* The words that a LoRA listens to come into the prompt with a click, once; the same file is used
 * once; what it set goes with it. */
static gboolean
begins_with (GtkWidget *widget, gconstpointer words)
{
  return gtk_widget_get_mapped (widget) &&
         g_str_has_prefix (gtk_label_get_text (GTK_LABEL (widget)), words);
}

static void
test_lora_words (void)
{
  AppFixture f;
  AtlPicturePane *pane;
  g_autoptr (AtlModelInfo) info = NULL;
  g_autoptr (GVariant) facts = g_variant_ref_sink (g_variant_new_parsed (
      "{%s: <%s>, %s: <['ink drawing']>, %s: <uint32 4>, %s: <1.0>}", ATL_INFO_KIND, ATL_KIND_LORA,
      ATL_INFO_TRIGGERS, ATL_INFO_STEPS, ATL_INFO_GUIDANCE));

  app_start_drawing (&f);
  app_set_up_picture (&f, "a fox", 0, 1);
  app_draft (&f)->guidance = -1;
  pane = ATL_PICTURE_PANE (app_fixture_find_id (f.window->images_page, "pane"));
  info = atl_model_info_new_from_variant (facts);
  atl_picture_pane_take_lora (pane, "/tmp/ink.safetensors", info);
  atl_picture_pane_take_lora (pane, "/tmp/../tmp/ink.safetensors", info);
  g_assert_cmpuint (app_draft (&f)->loras->len, ==, 1);
  g_assert_cmpuint (app_draft (&f)->steps, ==, 4);
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "images-lora-words");
  press (&f, "Add “ink drawing” to the prompt");
  press (&f, "Add “ink drawing” to the prompt");
  g_assert_cmpstr (app_draft (&f)->prompt, ==, "a fox, ink drawing");
  /* What it set stays in sight, and that a person chose otherwise. */
  g_assert_nonnull (app_fixture_find (GTK_WIDGET (pane), GTK_TYPE_LABEL, begins_with,
                                      "Made for few steps: 4 are set."));
  gtk_toggle_button_set_active (
      GTK_TOGGLE_BUTTON (app_fixture_find_id (GTK_WIDGET (pane), "best_button")), TRUE);
  g_assert_nonnull (
      app_fixture_find (GTK_WIDGET (pane), GTK_TYPE_LABEL, begins_with, "Made for 4 steps; "));
  press (&f, "Remove “ink”");
  g_assert_cmpuint (app_draft (&f)->loras->len, ==, 0);
  g_assert_cmpuint (app_draft (&f)->steps, ==, 0);
  g_assert_cmpfloat (app_draft (&f)->guidance, ==, -1);
  app_fixture_stop (&f);
}

/* The LoRA at `path` as one that listens to something, in another file. */
static void
write_with_trigger (const char *path, const char *out, const char *words)
{
  g_autofree char *bytes = NULL;
  g_autoptr (GString) file = g_string_new (NULL);
  g_autoptr (GString) header = g_string_new (NULL);
  gsize size;
  guint64 n;

  g_assert_true (g_file_get_contents (path, &bytes, &size, NULL));
  memcpy (&n, bytes, sizeof n);
  n = GUINT64_FROM_LE (n);
  g_string_printf (header, "{\"__metadata__\":{\"modelspec.trigger_phrase\":\"%s\"},", words);
  g_string_append_len (header, bytes + sizeof n + 1, (gssize) n - 1);
  while (header->len % 8 != 0)
    g_string_append_c (header, ' ');
  n = GUINT64_TO_LE ((guint64) header->len);
  g_string_append_len (file, (const char *) &n, sizeof n);
  g_string_append_len (file, header->str, (gssize) header->len);
  memcpy (&n, bytes, sizeof n);
  n = GUINT64_FROM_LE (n);
  g_string_append_len (file, bytes + sizeof n + n, (gssize) (size - sizeof n - n));
  g_assert_true (g_file_set_contents (out, file->str, (gssize) file->len, NULL));
}

static gboolean
knows_words (gpointer f)
{
  return app_fixture_find (((AppFixture *) f)->window->images_page, GTK_TYPE_BUTTON, has_tooltip,
                           "Add “ink drawing” to the prompt") != NULL;
}

static gboolean
is_said (GtkWidget *widget, gconstpointer words)
{
  return gtk_widget_get_mapped (widget) &&
         g_str_equal (gtk_label_get_text (GTK_LABEL (widget)), words);
}

/* A LoRA of an earlier time is looked into: its words are there again. One whose file is gone says
 * so. */
static void
test_lora_later (void)
{
  g_autofree char *there =
      g_build_filename (app_models_dir, "sd15", "loras", "kohya.safetensors", NULL);
  g_autofree char *path = g_build_filename (app_models_dir, "ink.safetensors", NULL);
  AtlPictureSettings *settings;
  AppFixture f;

  write_with_trigger (there, path, "ink drawing");
  app_start_drawing (&f);
  settings = atl_picture_settings_copy (app_draft (&f));
  g_ptr_array_add (settings->loras, atl_picture_lora_new (path, 0.5));
  g_ptr_array_add (settings->loras, atl_picture_lora_new ("/nowhere/gone.safetensors", 1));
  atl_pictures_session_take_settings (app_pictures (&f), settings);
  g_assert_true (app_fixture_wait (knows_words, &f, 60));
  press (&f, "Add “ink drawing” to the prompt");
  g_assert_nonnull (strstr (app_draft (&f)->prompt, "ink drawing"));
  g_assert_nonnull (app_fixture_find (f.window->images_page, GTK_TYPE_LABEL, is_said,
                                      "Its file is not there any more."));
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  g_test_add_func ("/app/page-actions/from-everywhere", test_page_actions);
  g_test_add_func ("/app/page-actions/upscale", test_upscale);
  g_test_add_func ("/app/page-actions/enlarge", test_enlarge);
  g_test_add_func ("/app/page-actions/upscalers-kept", test_upscalers_kept);
  g_test_add_func ("/app/page-actions/loras", test_loras);
  g_test_add_func ("/app/page-actions/lacks", test_lacks);
  g_test_add_func ("/app/page-actions/lacks-sampler", test_lacks_sampler);
  g_test_add_func ("/app/page-actions/lora-words", test_lora_words);
  g_test_add_func ("/app/page-actions/lora-later", test_lora_later);
  g_test_add_func ("/app/page-actions/pasted", test_pasted);
  return app_run_pictures ();
}
