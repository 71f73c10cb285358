/* The engine process speaks the language of the program that starts it, from inside its lock. */
#include <glib/gstdio.h>
#include <string.h>

#include "client-fixture.h"

typedef struct
{
  AtlClient *client;
  char *folder;
} World;

static void
set_up (World *world, gconstpointer language)
{
  g_autoptr (GError) error = NULL;

  /* The translations are in the catalogue, whatever locales this system has. */
  g_setenv ("LC_ALL", "C.UTF-8", TRUE);
  g_setenv ("LANGUAGE", language, TRUE);
  world->client = atl_client_new ();
  world->folder = g_dir_make_tmp ("atelier-test-XXXXXX", &error);
  g_assert_no_error (error);
}

static void
tear_down (World *world, gconstpointer language)
{
  atl_client_stop (world->client);
  g_object_unref (world->client);
  g_rmdir (world->folder);
  g_free (world->folder);
}

/* Writes a file, loads it, and returns what the engine says. */
static char *
refusal (World *world, const char *name, const void *bytes, gsize size)
{
  g_autofree char *path = g_build_filename (world->folder, name, NULL);
  g_autoptr (AtlModel) model = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
  model = fixture_load (world->client, path, NULL, NULL, &error);
  g_unlink (path);
  g_assert_null (model);
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  return g_strdup (error->message);
}

/* All sentences after the first status come from the locked process. */
static void
test_broken_file (World *world, gconstpointer language)
{
  gboolean is_german = g_str_equal (language, "de");
  static const char page[] = "<html><body>Sign in</body></html>";
  static const char cut[] = "GGUF\3\0\0\0\7\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0ab";
  g_autofree char *first = refusal (world, "page.gguf", page, strlen (page));
  g_autofree char *second = refusal (world, "cut.gguf", cut, sizeof cut - 1);
  const AtlEngineStatus *status = atl_client_get_status (world->client);

  g_assert_true (g_str_has_prefix (first, is_german ? "page.gguf ist eine Webseite, kein Modell"
                                                    : "page.gguf est une page web, pas un modèle"));
  g_assert_nonnull (strstr (second, is_german ? " Byte" : " octets"));
  g_test_message ("%s", status->sandbox);
  g_assert_null (strstr (status->sandbox, "ocked in"));
}

/* The tiny model with a chat template that does not end. */
static GByteArray *
with_template (const char *path, const char *template)
{
  static const char key[] = "tokenizer.chat_template";
  g_autofree char *model = NULL;
  g_autoptr (GError) error = NULL;
  GByteArray *out = g_byte_array_new ();
  guint64 n_pairs, key_size = strlen (key), text_size;
  guint32 is_text = 8;
  gsize size;

  g_file_get_contents (path, &model, &size, &error);
  g_assert_no_error (error);
  memcpy (&n_pairs, model + 16, sizeof n_pairs);
  n_pairs++;
  memcpy (model + 16, &n_pairs, sizeof n_pairs);
  /* A multiple of the alignment is put in, so that the tensors stay in place. */
  text_size = strlen (template);
  text_size += 31 - (text_size + key_size + 20 + 31) % 32;
  g_byte_array_append (out, (const guint8 *) model, 24);
  g_byte_array_append (out, (const guint8 *) &key_size, sizeof key_size);
  g_byte_array_append (out, (const guint8 *) key, (guint) key_size);
  g_byte_array_append (out, (const guint8 *) &is_text, sizeof is_text);
  g_byte_array_append (out, (const guint8 *) &text_size, sizeof text_size);
  for (guint64 i = 0; i < text_size; i++)
    g_byte_array_append (out, (const guint8 *) (i < strlen (template) ? template + i : " "), 1);
  g_byte_array_append (out, (const guint8 *) model + 24, (guint) size - 24);
  return out;
}

/* The tiny model with this template, and its answer to a word; NULL where there is no model. */
static AtlModel *
ask_with_template (World *world, const char *template, Answer **answer)
{
  g_autofree char *original = fixture_model_path ("stories260K.gguf");
  g_autofree char *path = g_build_filename (world->folder, "template.gguf", NULL);
  g_autoptr (GByteArray) bytes = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (AtlChatParams) params = { 0 };
  AtlModel *model;

  if (original == NULL)
    return NULL;
  bytes = with_template (original, template);
  g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
  model = fixture_load (world->client, path, NULL, NULL, &error);
  g_unlink (path);
  g_assert_no_error (error);
  params_greedy (&params, 4);
  *answer = answer_new (atl_client_chat (world->client, model,
                                         "[{\"role\":\"user\",\"content\":\"Once\"}]", &params));
  g_assert_true (answer_wait (*answer));
  return model;
}

static void
test_broken_template (World *world, gconstpointer language)
{
  g_autoptr (Answer) answer = NULL;
  g_autoptr (AtlModel) model = ask_with_template (world, "{{ messages[0].content + 1 }}", &answer);

  if (model == NULL)
    return;
  g_assert_nonnull (answer->error);
  g_test_message ("%s", answer->error->message);
  g_assert_true (
      g_str_has_prefix (answer->error->message, g_str_equal (language, "de")
                                                    ? "Chat-Vorlage, Zeile 1: "
                                                    : "gabarit de discussion, ligne 1\u00a0: "));
}

/* One that does not end gives way to a usual form, and the person is told. */
static void
test_unread_template (World *world, gconstpointer language)
{
  g_autoptr (Answer) answer = NULL;
  g_autoptr (AtlModel) model =
      ask_with_template (world, "{% for m in messages %}{{ m.content", &answer);
  const char *notice;

  if (model == NULL)
    return;
  notice = atl_model_get_info (model)->notice;
  g_test_message ("%s", notice);
  g_assert_nonnull (
      strstr (notice, g_str_equal (language, "de") ? "Chat-Vorlage, Zeile 1: " : "ligne 1"));
  g_assert_no_error (answer->error);
}

/* A file whose own vocabulary is broken is damaged, and no part of something else. */
static void
test_broken_vocabulary (World *world, gconstpointer language)
{
  static const char key[] = "tokenizer.ggml.eos_token_id";
  g_autofree char *original = fixture_model_path ("stories260K.gguf");
  g_autofree char *path = g_build_filename (world->folder, "vocabulary.gguf", NULL);
  g_autofree char *model = NULL;
  g_autoptr (AtlModelInfo) info = NULL;
  g_autoptr (GError) error = NULL;
  guint32 none = 4000000000u;
  char *place;
  gsize size;

  if (original == NULL)
    return;
  g_assert_true (g_file_get_contents (original, &model, &size, NULL));
  place = memmem (model, size, key, strlen (key));
  g_assert_nonnull (place);
  memcpy (place + strlen (key) + 4, &none, sizeof none);
  g_assert_true (g_file_set_contents (path, model, (gssize) size, NULL));
  info = fixture_inspect (world->client, path, NULL, &error);
  g_unlink (path);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_nonnull (strstr (error->message, "4000000000"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/language/de/broken-file", World, "de", set_up, test_broken_file, tear_down);
  g_test_add ("/language/fr/broken-file", World, "fr", set_up, test_broken_file, tear_down);
  g_test_add ("/language/de/broken-template", World, "de", set_up, test_broken_template, tear_down);
  g_test_add ("/language/fr/broken-template", World, "fr", set_up, test_broken_template, tear_down);
  g_test_add ("/language/de/unread-template", World, "de", set_up, test_unread_template, tear_down);
  g_test_add ("/language/fr/unread-template", World, "fr", set_up, test_unread_template, tear_down);
  g_test_add ("/language/fr/broken-vocabulary", World, "fr", set_up, test_broken_vocabulary,
              tear_down);
  return g_test_run ();
}
