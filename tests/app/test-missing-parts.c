/* A file that is only the part that draws: what it lacks is named with its size, fetched from a hub
 * (here: a server of our own) at one click, kept once, and the model is loaded and draws. */
#include "images-steps.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "app/images/brought-parts.h"
#include "hub/rough-server.h"

#define WAIT_S 60

typedef struct
{
  Server *server;
  gint n_files;        /* (atomic) sent */
  gboolean is_damaged; /* sends other bytes than it promises */
} Hub;

/* Which file of the tiny model stands for a published one. */
static char *
source_of (const char *path)
{
  static const struct
  {
    const char *ending, *file;
  } files[] = {
    { "/clip_l.safetensors", "text_encoder/model.safetensors" },
    { "/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors" },
    { "/vocab.json", "tokenizer/vocab.json" },
    { "/merges.txt", "tokenizer/merges.txt" },
  };

  /* The tiny decoder for previews is not there, and need not be. */
  if (strstr (path, "/taesd") != NULL)
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    if (g_str_has_suffix (path, files[i].ending))
      return g_build_filename (app_models_dir, "sd15", "model", files[i].file, NULL);
  return NULL;
}

/* Large files say their SHA-256, small ones git's name for them, as the hub does. */
static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  Hub *hub = data;
  g_autofree char *source = source_of (request->path);
  g_autofree char *content = NULL, *hash = NULL, *head = NULL;
  gboolean is_large = g_str_has_suffix (request->path, ".safetensors");
  gsize size;

  if (source == NULL || !g_file_get_contents (source, &content, &size, NULL))
    {
      say (out, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
      return;
    }
  if (g_str_equal (request->method, "GET"))
    {
      g_atomic_int_inc (&hub->n_files);
      if (hub->is_damaged)
        content[size / 2] ^= 1;
      send_file (request, out, "\"e\"", (const guint8 *) content, size);
      return;
    }
  if (is_large)
    {
      hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) content, size);
      head = g_strdup_printf ("HTTP/1.1 302 Found\r\nLocation: /cdn%s\r\nX-Repo-Commit: %040d\r\n"
                              "X-Linked-Size: %zu\r\nX-Linked-Etag: \"%s\"\r\n\r\n",
                              request->path, 7, size, hash);
    }
  else
    {
      g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA1);
      g_autofree char *blob = g_strdup_printf ("blob %zu", size);

      g_checksum_update (sum, (const guchar *) blob, (gssize) strlen (blob) + 1);
      g_checksum_update (sum, (const guchar *) content, (gssize) size);
      if (g_str_has_prefix (request->path, "/cache"))
        head = g_strdup_printf ("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nETag: \"%s\"\r\n\r\n",
                                size, g_checksum_get_string (sum));
      else
        head =
            g_strdup_printf ("HTTP/1.1 307 Elsewhere\r\nLocation: /cache%s\r\nContent-Length: 0\r\n"
                             "X-Repo-Commit: %040d\r\nX-Linked-Etag: \"%s\"\r\n\r\n",
                             request->path, 7, g_checksum_get_string (sum));
    }
  say (out, head);
}

static gboolean
lacks (gpointer f)
{
  const char *path;

  return atl_pictures_session_get_lacking (app_pictures (f), &path) != NULL;
}

static gboolean
says_error (gpointer f)
{
  GtkWidget *label = app_fixture_find_id (((AppFixture *) f)->window->images_page, "error_label");

  return label != NULL && gtk_widget_get_visible (label);
}

static gboolean
offers_download (AppFixture *f)
{
  GtkWidget *button = app_fixture_find_id (f->window->images_page, "fetch_button");

  return button != NULL &&
         g_str_has_prefix (gtk_button_get_label (GTK_BUTTON (button)), "Download ");
}

static void
fetch (AppFixture *f)
{
  GtkWidget *button;

  app_assert_soon (offers_download (f));
  button = app_fixture_find_id (f->window->images_page, "fetch_button");
  g_test_message ("%s", gtk_button_get_label (GTK_BUTTON (button)));
  g_signal_emit_by_name (button, "clicked");
}

static gboolean
can_create (AppFixture *f)
{
  return gtk_widget_get_sensitive (app_fixture_find_id (f->window->images_page, "create_button"));
}

/* The part that draws, under two names; the caller's. */
static char *
lone_file_of (const char *family, const char *part, const char *name)
{
  g_autofree char *source = g_build_filename (app_models_dir, family, "model", part,
                                              "diffusion_pytorch_model.safetensors", NULL);
  char *path = g_build_filename (app_models_dir, name, NULL);
  g_autofree char *content = NULL;
  gsize size;

  g_assert_true (g_file_get_contents (source, &content, &size, NULL));
  g_assert_true (g_file_set_contents (path, content, (gssize) size, NULL));
  return path;
}

static char *
lone_file (const char *name)
{
  return lone_file_of ("sd15", "unet", name);
}

static void
test_fetch (void)
{
  Hub hub = { 0 };
  g_autofree char *first = lone_file ("first.safetensors");
  g_autofree char *second = lone_file ("second.safetensors");
  g_autofree char *url = NULL, *parts = NULL, *link = NULL;
  struct stat st;
  AppFixture f;

  hub.server = server_start (handle, &hub);
  url = server_url (hub.server, "/hub");
  g_setenv ("HF_ENDPOINT", url, TRUE);
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ first, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks, &f, WAIT_S));
  app_fixture_spin (200);
  app_fixture_shot (GTK_WIDGET (f.window), "missing-parts");
  /* Who cannot drop files chooses them. */
  g_assert_true (
      gtk_widget_is_sensitive (app_fixture_find_id (f.window->images_page, "files_button")));

  /* Other bytes than were promised are not used. */
  hub.is_damaged = TRUE;
  fetch (&f);
  g_assert_true (app_fixture_wait (says_error, &f, WAIT_S));
  g_assert_true (lacks (&f));
  hub.is_damaged = FALSE;
  hub.n_files = 0;
  fetch (&f);
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  g_assert_cmpint (hub.n_files, ==, 4);
  g_assert_cmpstr (atl_pictures_session_get_model_name (app_pictures (&f)), ==, "first");
  app_set_up_picture (&f, "made of parts", 2, 1);
  app_create (&f);
  g_assert_true (app_fixture_wait (app_draws_nothing, &f, WAIT_S));
  {
    g_autofree char *folder = atl_pictures_dir ();
    g_autofree char *path = g_build_filename (folder, "made of parts.png", NULL);

    g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  }
  parts = atl_client_parts_dir (first);
  link = g_build_filename (parts, "tokenizer", "vocab.json", NULL);
  g_assert_cmpint (g_lstat (link, &st), ==, 0);
  g_assert_true (can_create (&f));

  /* Another file that lacks the same: nothing is drawn with the model before meanwhile, and nothing
   * is fetched again. */
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ second, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks, &f, WAIT_S));
  g_assert_true (app_has_draw_model (&f));
  g_assert_false (can_create (&f));
  atl_pictures_session_unload_model (app_pictures (&f));
  fetch (&f);
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  g_assert_cmpint (hub.n_files, ==, 4);
  app_fixture_stop (&f);
  server_stop (hub.server);
}

static guint n_notices;
static char *last_notice;

static void
notice_cb (AtlSession *session, const char *words)
{
  n_notices++;
  g_free (last_notice);
  last_notice = g_strdup (words);
}

static gboolean
has_notice (gpointer f)
{
  return n_notices > 0;
}

/* Files at the window, as the main window hands them on. */
static void
drop (AppFixture *f, const char *const *names, const char *below)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_object_unref);

  n_notices = 0;
  for (guint i = 0; names[i] != NULL; i++)
    {
      g_autofree char *path = g_build_filename (app_models_dir, below, names[i], NULL);

      g_ptr_array_add (files, g_file_new_for_path (path));
    }
  atl_window_open_files (f->window, NULL, (GFile *const *) files->pdata, files->len);
}

typedef struct
{
  AppFixture *f;
  const char *path;
} Drawn;

static gboolean
draws_with (gpointer data)
{
  const Drawn *drawn = data;
  AtlModel *model = atl_pictures_session_get_model (app_pictures (drawn->f));

  return model != NULL && g_str_equal (atl_model_get_key (model), drawn->path);
}

/* Whoever has the parts drops them, all at once, in any order: the model is whole; a wrong one is
 * refused. */
static void
test_drop (void)
{
  static const char *const wrong[] = { "model/vae/diffusion_pytorch_model.safetensors", NULL };
  static const char *const tiny[] = { "variants/taehv/taew2_1.safetensors", NULL };
  static const char *const right[] = { "vae/diffusion_pytorch_model.safetensors",
                                       "text_encoder/model.safetensors", NULL };
  static const char *const folder[] = { "tokenizer", NULL };
  static const char *const other_order[] = { "tokenizer/vocab.json",
                                             "text_encoder/model.safetensors",
                                             "vae/diffusion_pytorch_model.safetensors",
                                             "tokenizer/merges.txt", NULL };
  g_autofree char *file = lone_file ("third.safetensors");
  g_autofree char *another = lone_file ("fourth.safetensors");
  g_autofree char *fifth = lone_file ("fifth.safetensors");
  g_autofree char *copied =
      g_build_filename (g_get_user_data_dir (), "atelier", "vae_approx", NULL);
  g_autofree char *copied_file = g_build_filename (copied, "taew2_1.safetensors", NULL);
  AppFixture f;
  Drawn drawn_with = { &f, fifth };

  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), NULL);
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ file, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks, &f, WAIT_S));
  drop (&f, wrong, "wan21");
  g_assert_true (app_fixture_wait (has_notice, &f, WAIT_S));
  g_test_message ("%s", last_notice);
  g_assert_nonnull (strstr (last_notice, "is none of the parts"));
  g_assert_true (lacks (&f));
  /* The vocabulary as the folder that it came in. */
  drop (&f, folder, "sd15/model");
  drop (&f, right, "sd15/model");
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  g_assert_cmpstr (n_notices > 0 ? last_notice : "", ==, "");
  atl_pictures_session_unload_model (app_pictures (&f));
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ another, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks, &f, WAIT_S));
  drop (&f, other_order, "sd15/model");
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  g_assert_cmpstr (n_notices > 0 ? last_notice : "", ==, "");
  /* Before the model: they wait, and nothing of them is attached to a chat. */
  drop (&f, other_order, "sd15/model");
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ fifth, NULL }, TRUE);
  g_assert_true (app_fixture_wait (draws_with, &drawn_with, WAIT_S));
  /* For every model; this one is loaded anew with it. */
  drop (&f, tiny, "wan21");
  g_assert_true (app_fixture_wait (has_notice, &f, WAIT_S));
  g_test_message ("%s", last_notice);
  g_assert_true (g_file_test (copied_file, G_FILE_TEST_EXISTS));
  g_assert_true (app_fixture_wait (app_has_draw_model, &f, WAIT_S));
  app_fixture_stop (&f);
  g_clear_pointer (&last_notice, g_free);
}

static void
bring (AppFixture *f, const char *below, const char *name)
{
  static const AtlModelInfo part = { .part = (char *) "part", .fit_words = (char *) "" };
  g_autofree char *path = g_build_filename (app_models_dir, below, name, NULL);

  g_assert_true (atl_brought_parts_take (app_pictures (f), path, &part));
}

static void
bring_words (AppFixture *f)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);

  g_ptr_array_add (paths,
                   g_build_filename (app_models_dir, "sd15/model/tokenizer/vocab.json", NULL));
  g_ptr_array_add (paths,
                   g_build_filename (app_models_dir, "sd15/model/tokenizer/merges.txt", NULL));
  g_assert_true (atl_brought_parts_take_words (app_pictures (f), paths, FALSE));
}

static void
bring_all (AppFixture *f)
{
  bring_words (f);
  bring (f, "sd15/model", "text_encoder/model.safetensors");
  bring (f, "sd15/model", "vae/diffusion_pytorch_model.safetensors");
}

/* A part that was one too many for a model waits for others, but nobody said that it was theirs. */
static void
test_left_over (void)
{
  g_autofree char *file = lone_file ("sixth.safetensors");
  g_autofree char *next = lone_file ("seventh.safetensors");
  AppFixture f;
  Drawn drawn_with = { &f, file };

  app_fixture_start (&f);
  n_notices = 0;
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), NULL);
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ file, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks, &f, WAIT_S));
  bring_all (&f);
  bring (&f, "wan21", "model/vae/diffusion_pytorch_model.safetensors");
  g_assert_true (app_fixture_wait (draws_with, &drawn_with, WAIT_S));
  atl_pictures_session_unload_model (app_pictures (&f));
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ next, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks, &f, WAIT_S));
  /* Behind the one that is left over. */
  bring_all (&f);
  drawn_with.path = next;
  g_assert_true (app_fixture_wait (draws_with, &drawn_with, WAIT_S));
  g_assert_cmpstr (n_notices > 0 ? last_notice : "", ==, "");
  app_fixture_stop (&f);
  g_clear_pointer (&last_notice, g_free);
}

static gboolean
lacks_words (gpointer f)
{
  const char *path;
  const AtlModelInfo *info = atl_pictures_session_get_lacking (app_pictures (f), &path);

  for (guint i = 0; info != NULL && i < info->n_missing; i++)
    if (g_str_equal (info->missing[i].file, "spiece.model"))
      return strstr (info->missing[i].words, "tokenizer.json") != NULL;
  return FALSE;
}

static gboolean
lacks_no_words (gpointer f)
{
  return lacks (f) && !lacks_words (f);
}

/* T5's vocabulary is published in two forms; another one's file of the same name is none. */
static void
test_either_name (void)
{
  static const char *const others[] = { "other/tokenizer.json", NULL };
  static const char *const own[] = { "wan21/model/tokenizer/tokenizer.json", NULL };
  g_autofree char *file = lone_file_of ("wan21", "transformer", "eighth.safetensors");
  g_autofree char *folder = g_build_filename (app_models_dir, "other", NULL);
  g_autofree char *other = g_build_filename (app_models_dir, others[0], NULL);
  AppFixture f;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (other, "{\"model\": {\"type\": \"BPE\"}}", -1, NULL));
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), NULL);
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ file, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks_words, &f, WAIT_S));
  drop (&f, others, "");
  g_assert_true (app_fixture_wait (has_notice, &f, WAIT_S));
  g_assert_nonnull (strstr (last_notice, "is none of the parts"));
  drop (&f, own, "");
  g_assert_true (app_fixture_wait (lacks_no_words, &f, WAIT_S));
  g_assert_cmpuint (n_notices, ==, 0);
  app_fixture_stop (&f);
  g_clear_pointer (&last_notice, g_free);
}

static gboolean
asks (gpointer data)
{
  return app_dialog () != NULL;
}

static void
answer (const char *response)
{
  AdwMessageDialog *dialog = app_dialog ();

  adw_message_dialog_response (dialog, response);
  gtk_window_destroy (GTK_WINDOW (dialog));
}

/* One model waits for its parts; another is dropped, with its own, which the first lacks as well.
 */
static void
test_two_models (void)
{
  static const char *const declined[] = { "tenth.safetensors",
                                          "sd15/model/vae/diffusion_pytorch_model.safetensors",
                                          NULL };
  static const char *const second[] = { "sd15/model/vae/diffusion_pytorch_model.safetensors",
                                        "sd15/model/tokenizer", "tenth.safetensors",
                                        "sd15/model/text_encoder/model.safetensors", NULL };
  g_autofree char *waits = lone_file ("ninth.safetensors");
  g_autofree char *comes = lone_file ("tenth.safetensors");
  g_autofree char *of_first = atl_client_parts_dir (waits);
  g_autofree char *in_library =
      g_build_filename (g_get_user_data_dir (), "atelier", "models", "tenth.safetensors", NULL);
  AppFixture f;
  Drawn drawn_with = { &f, in_library };

  app_fixture_start (&f);
  n_notices = 0;
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), NULL);
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ waits, NULL }, TRUE);
  g_assert_true (app_fixture_wait (lacks, &f, WAIT_S));
  /* Who does not want the model does not mean its parts for another one. */
  drop (&f, declined, "");
  g_assert_true (app_fixture_wait (asks, NULL, WAIT_S));
  answer ("cancel");
  drop (&f, second, "");
  g_assert_true (app_fixture_wait (asks, NULL, WAIT_S));
  answer ("reference");

  g_assert_true (app_fixture_wait (draws_with, &drawn_with, WAIT_S));
  g_assert_cmpstr (n_notices > 0 ? last_notice : "", ==, "");
  g_assert_false (g_file_test (of_first, G_FILE_TEST_EXISTS));
  app_fixture_stop (&f);
  g_clear_pointer (&last_notice, g_free);
}

static gboolean
draws_with_t5 (gpointer f)
{
  const AtlModelInfo *info = atl_pictures_session_get_info (app_pictures (f));
  const char *path;

  return info != NULL && info->n_extra == 0 &&
         !atl_pictures_session_get_is_loading (app_pictures (f)) &&
         atl_pictures_session_get_lacking (app_pictures (f), &path) == NULL;
}

/* Stable Diffusion 3 draws without T5, and better with it: it is taken also when nothing lacks. */
static void
test_extra (void)
{
  static const char *const other[] = { "sd15/model/vae/diffusion_pytorch_model.safetensors", NULL };
  static const char *const t5[] = { "t5/model.safetensors", "t5/words", NULL };
  g_autofree char *model = NULL, *encoder = NULL, *words = NULL;
  g_autofree char *t5_folder = g_build_filename (app_models_dir, "t5", NULL);
  g_autofree char *t5_encoder = g_build_filename (t5_folder, "model.safetensors", NULL);
  g_autofree char *t5_words = g_build_filename (t5_folder, "words", NULL);
  g_autofree char *weights = NULL;
  AppFixture f;
  Drawn drawn_with = { &f, NULL };

  if (!app_unpack_other ("sd3"))
    {
      g_test_skip ("golden cases of sd3 are not there");
      return;
    }
  drawn_with.path = model = g_build_filename (app_models_dir, "sd3", "model", NULL);
  encoder = g_build_filename (model, "text_encoder_3", NULL);
  weights = g_build_filename (encoder, "model.safetensors", NULL);
  words = g_build_filename (model, "tokenizer_3", NULL);
  g_assert_cmpint (g_mkdir (t5_folder, 0700), ==, 0);
  g_assert_cmpint (g_rename (weights, t5_encoder), ==, 0);
  g_assert_cmpint (g_rename (words, t5_words), ==, 0);
  remove_tree (encoder);
  app_fixture_start (&f);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.show-page", "s", "images");
  g_signal_connect (f.session, "notice", G_CALLBACK (notice_cb), NULL);
  atl_pictures_session_load_model (app_pictures (&f), (const char *[]){ model, NULL }, TRUE);
  g_assert_true (app_fixture_wait (draws_with, &drawn_with, WAIT_S));
  g_assert_false (draws_with_t5 (&f));
  drop (&f, other, "");
  g_assert_true (app_fixture_wait (has_notice, &f, WAIT_S));
  g_assert_nonnull (strstr (last_notice, "It is used when a model is added that lacks it."));
  drop (&f, t5, "");
  /* First the encoder, then its vocabulary. */
  g_assert_true (app_fixture_wait (draws_with_t5, &f, WAIT_S));
  g_assert_cmpuint (n_notices, ==, 2);
  g_assert_nonnull (strstr (last_notice, "is a part of"));
  app_fixture_stop (&f);
  g_clear_pointer (&last_notice, g_free);
}

int
main (int argc, char **argv)
{
  app_begin_pictures (&argc, &argv);
  app_unpack_more ("wan21");
  g_test_add_func ("/app/missing-parts/fetch", test_fetch);
  g_test_add_func ("/app/missing-parts/drop", test_drop);
  g_test_add_func ("/app/missing-parts/left-over", test_left_over);
  g_test_add_func ("/app/missing-parts/either-name", test_either_name);
  g_test_add_func ("/app/missing-parts/two-models", test_two_models);
  g_test_add_func ("/app/missing-parts/extra", test_extra);
  return app_run_pictures ();
}
