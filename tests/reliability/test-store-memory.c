/* Memory runs out where the window's process works: in the store, during a download (refused.h).
 * What was acknowledged before is there afterwards. */
#include "hub/hub-private.h"
#include "hub/rough-server.h"
#include "refused.h"

#include "hub/download.h"
#include "hub/fetch-file.h"
#include "store/chats.h"
#include "store/messages.h"
#include "store/search.h"
#include "store/store.h"

static char *folder;

/* --- The store --- */

static GArray *acknowledged; /* of gint64 */

static gboolean
chat_in (AtlStore *store, GError **error)
{
  gint64 chat = atl_store_chat_add (store, 0, error), parent = 0;
  g_autoptr (GPtrArray) path = NULL;
  g_autoptr (GPtrArray) found = NULL;

  for (guint i = 0; chat != 0 && i < 3; i++)
    {
      parent = atl_store_message_add (store, chat, parent, ATL_ROLE_USER, "seventeen grey geese",
                                      NULL, error);
      if (parent == 0)
        return FALSE;
      g_array_append_val (acknowledged, parent);
    }
  if (chat == 0)
    return FALSE;
  found = atl_store_search (store, "geese", 10, error);
  path = found != NULL ? atl_store_chat_list (store, error) : NULL;
  return path != NULL;
}

static gboolean
keep_chats (GError **error)
{
  AtlStore *store = atl_store_open (folder, error);
  gboolean ok = store != NULL && chat_in (store, error);

  if (store != NULL)
    atl_store_free (store);
  return ok;
}

static void
check_chats (void)
{
  g_autoptr (GError) error = NULL;
  AtlStore *store = atl_store_open (folder, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < acknowledged->len; i++)
    {
      g_autoptr (AtlMessage) message =
          atl_store_message_get (store, g_array_index (acknowledged, gint64, i), &error);

      g_assert_no_error (error);
      g_assert_cmpstr (message->content, ==, "seventeen grey geese");
    }
  atl_store_free (store);
}

static void
test_store (gconstpointer data)
{
  acknowledged = g_array_new (FALSE, FALSE, sizeof (gint64));
  refused_test (data);
  check_chats ();
  g_array_unref (acknowledged);
}

/* --- A download --- */

#define SIZE (600u << 10)

static Server *server;
static guint8 *content;
static char *sha256;

static void
serve (const Request *request, GOutputStream *out, gpointer data)
{
  gsize start = request->range_start > 0 ? (gsize) request->range_start : 0;
  g_autofree char *head =
      start > 0
          ? g_strdup_printf ("HTTP/1.1 206 P\r\nETag: \"a\"\r\nContent-Length: %zu\r\n"
                             "Content-Range: bytes %zu-%u/%u\r\n\r\n",
                             SIZE - start, start, SIZE - 1, SIZE)
          : g_strdup_printf ("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: %u\r\n\r\n", SIZE);

  say (out, head);
  send_bytes (out, content + start, SIZE - start);
}

typedef struct
{
  char *path;
  GError *error;
  gboolean is_over;
} Fetched;

static void
fetched_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Fetched *fetched = data;

  fetched->path = atl_download_finish (result, &fetched->error);
  fetched->is_over = TRUE;
}

static gboolean
download (GError **error)
{
  g_autofree char *url = server_url (server, "/file");
  g_autofree char *target = g_build_filename (folder, "fetched.bin", NULL);
  AtlDownload request = { .url = url, .target = target, .sha256 = sha256, .size_bytes = SIZE };
  Fetched fetched = { 0 };

  atl_download_async (&request, NULL, NULL, NULL, fetched_cb, &fetched);
  while (!fetched.is_over)
    g_main_context_iteration (NULL, TRUE);
  if (fetched.path == NULL)
    {
      g_propagate_error (error, fetched.error);
      return FALSE;
    }
  g_unlink (fetched.path);
  g_free (fetched.path);
  return TRUE;
}

static void
test_download (gconstpointer data)
{
  atl_fetch_set_patience (3, 1);
  content = g_malloc (SIZE);
  for (guint i = 0; i < SIZE; i++)
    content[i] = (guint8) (i * 7 ^ i >> 9);
  sha256 = g_compute_checksum_for_data (G_CHECKSUM_SHA256, content, SIZE);
  server = server_start (serve, NULL);
  refused_test (data);
  server_stop (server);
  g_free (sha256);
  g_free (content);
}

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inside = g_build_filename (path, name, NULL);

      if (g_unlink (inside) != 0)
        remove_folder (inside);
    }
  g_rmdir (path);
}

int
main (int argc, char **argv)
{
  static const RefusedCase store = { "store", keep_chats, FALSE };
  static const RefusedCase fetch = { "download", download, TRUE };
  g_autoptr (GError) error = NULL;
  int status;

  refused_start (argv);
  /* Whatever this computer asks about proxies is not ours to mend. */
  g_setenv ("GIO_USE_PROXY_RESOLVER", "dummy", TRUE);
  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("atelier-memory-XXXXXX", &error);
  g_assert_no_error (error);
  g_test_add_data_func ("/memory/store", &store, test_store);
  g_test_add_data_func ("/memory/download", &fetch, test_download);
  status = g_test_run ();
  remove_folder (folder);
  g_free (folder);
  return status;
}
