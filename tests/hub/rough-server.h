/* A loopback server that answers as rudely as it is told, for the tests of this folder.
 *
 *   Server *server = server_start (handler, data);
 *   g_autofree char *url = server_url (server, "/file");
 *
 * The handler writes the raw answer; the connection is closed when it returns. It runs on a thread
 * of its own for each connection: guard what it shares.
 */
#pragma once

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remove-tree.h"

typedef struct
{
  char *method, *path; /* of the request */
  char *authorization; /* (nullable) */
  char *if_range;      /* (nullable) */
  char *accept;        /* (nullable) */
  gint64 range_start;  /* -1: no range */
  GInputStream *in;    /* for wait_until_left() */
} Request;

typedef void (*Handler) (const Request *request, GOutputStream *out, gpointer data);

typedef struct
{
  GThread *thread;
  GMainContext *context;
  GMainLoop *loop;
  guint16 port;
  Handler handler;
  gpointer data;
  gint n_requests; /* (atomic) */
  gint n_active;   /* (atomic) connections that were taken and not yet answered */
} Server;

static inline void
request_clear (Request *request)
{
  g_free (request->method);
  g_free (request->path);
  g_free (request->authorization);
  g_free (request->if_range);
  g_free (request->accept);
}

static inline void
take_header (const char *line, const char *name, char **value)
{
  gsize length = strlen (name);

  if (g_ascii_strncasecmp (line, name, length) == 0)
    {
      g_free (*value);
      *value = g_strstrip (g_strdup (line + length));
    }
}

static inline gboolean
serve_cb (GThreadedSocketService *service,
          GSocketConnection *connection,
          GObject *source,
          gpointer data)
{
  Server *server = data;
  g_autoptr (GDataInputStream) in =
      g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  Request request = { .range_start = -1,
                      .in = g_io_stream_get_input_stream (G_IO_STREAM (connection)) };
  g_autofree char *range = NULL;
  char *line;

  g_data_input_stream_set_newline_type (in, G_DATA_STREAM_NEWLINE_TYPE_CR_LF);
  while ((line = g_data_input_stream_read_line (in, NULL, NULL, NULL)) != NULL && line[0] != '\0')
    {
      if (request.method == NULL)
        {
          g_auto (GStrv) words = g_strsplit (line, " ", 3);

          if (g_strv_length (words) == 3)
            {
              request.method = g_strdup (words[0]);
              request.path = g_strdup (words[1]);
            }
        }
      take_header (line, "Authorization:", &request.authorization);
      take_header (line, "If-Range:", &request.if_range);
      take_header (line, "Accept:", &request.accept);
      take_header (line, "Range:", &range);
      g_free (line);
    }
  g_free (line);
  if (range != NULL && g_str_has_prefix (range, "bytes="))
    request.range_start = g_ascii_strtoll (range + strlen ("bytes="), NULL, 10);
  g_atomic_int_inc (&server->n_requests);
  if (request.method != NULL)
    server->handler (&request, g_io_stream_get_output_stream (G_IO_STREAM (connection)),
                     server->data);
  g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
  request_clear (&request);
  g_atomic_int_add (&server->n_active, -1);
  return TRUE;
}

/* Before the connection goes to a thread of its own. */
static inline gboolean
incoming_cb (GSocketService *service, GSocketConnection *connection, GObject *source, gpointer data)
{
  g_atomic_int_inc (&((Server *) data)->n_active);
  return FALSE;
}

static inline gpointer
server_thread (gpointer data)
{
  Server *server = data;
  g_autoptr (GSocketService) service = NULL;
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new (loopback, 0);
  g_autoptr (GSocketAddress) bound = NULL;

  g_main_context_push_thread_default (server->context);
  service = g_threaded_socket_service_new (8);
  g_socket_listener_add_address (G_SOCKET_LISTENER (service), address, G_SOCKET_TYPE_STREAM,
                                 G_SOCKET_PROTOCOL_TCP, NULL, &bound, NULL);
  g_signal_connect (service, "incoming", G_CALLBACK (incoming_cb), server);
  g_signal_connect (service, "run", G_CALLBACK (serve_cb), server);
  g_socket_service_start (service);
  server->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound));
  g_main_loop_run (server->loop);
  g_socket_service_stop (service);
  g_socket_listener_close (G_SOCKET_LISTENER (service));
  g_main_context_pop_thread_default (server->context);
  return NULL;
}

static inline gboolean
started_cb (gpointer data)
{
  g_atomic_int_set ((gint *) data, 1);
  return G_SOURCE_REMOVE;
}

static inline Server *
server_start (Handler handler, gpointer data)
{
  Server *server = g_new0 (Server, 1);
  gint started = 0;

  server->handler = handler;
  server->data = data;
  server->context = g_main_context_new ();
  server->loop = g_main_loop_new (server->context, FALSE);
  server->thread = g_thread_new ("server", server_thread, server);
  /* Runs once the loop does, which is after the port is known. */
  {
    g_autoptr (GSource) idle = g_idle_source_new ();

    g_source_set_callback (idle, started_cb, &started, NULL);
    g_source_attach (idle, server->context);
  }
  while (!g_atomic_int_get (&started))
    g_usleep (1000);
  return server;
}

static inline void
server_stop (Server *server)
{
  g_main_loop_quit (server->loop);
  g_thread_join (server->thread);
  /* Answers that nobody waits for any more still look at what is the caller's. */
  while (g_atomic_int_get (&server->n_active) > 0)
    g_usleep (1000);
  g_main_loop_unref (server->loop);
  g_main_context_unref (server->context);
  g_free (server);
}

static inline char *
server_url (Server *server, const char *path)
{
  return g_strdup_printf ("http://127.0.0.1:%u%s", server->port, path);
}

static inline void
say (GOutputStream *out, const char *text)
{
  g_output_stream_write_all (out, text, strlen (text), NULL, NULL, NULL);
}

/* Says nothing more until whoever asks has given up. */
static inline void
wait_until_left (const Request *request)
{
  char rest[256];

  while (g_input_stream_read (request->in, rest, sizeof rest, NULL, NULL) > 0)
    ;
}

static inline void
send_bytes (GOutputStream *out, const guint8 *bytes, gsize size)
{
  g_output_stream_write_all (out, bytes, size, NULL, NULL, NULL);
}

/* A well-behaved answer with the part of `bytes` that was asked for. */
static inline void
send_file (
    const Request *request, GOutputStream *out, const char *etag, const guint8 *bytes, gsize size)
{
  g_autofree char *head = NULL;
  gsize start = 0;
  gboolean partial = request->range_start >= 0 &&
                     (request->if_range == NULL || g_strcmp0 (request->if_range, etag) == 0);

  if (partial && (gsize) request->range_start >= size)
    {
      head = g_strdup_printf ("HTTP/1.1 416 No\r\nContent-Range: bytes */%" G_GSIZE_FORMAT
                              "\r\nContent-Length: 0\r\n\r\n",
                              size);
      say (out, head);
      return;
    }
  if (partial)
    start = (gsize) request->range_start;
  head = partial ? g_strdup_printf ("HTTP/1.1 206 Partial\r\nETag: %s\r\nContent-Length: "
                                    "%" G_GSIZE_FORMAT "\r\nContent-Range: bytes %" G_GSIZE_FORMAT
                                    "-%" G_GSIZE_FORMAT "/%" G_GSIZE_FORMAT "\r\n\r\n",
                                    etag, size - start, start, size - 1, size)
                 : g_strdup_printf ("HTTP/1.1 200 OK\r\nETag: %s\r\nAccept-Ranges: bytes\r\n"
                                    "Content-Length: %" G_GSIZE_FORMAT "\r\n\r\n",
                                    etag, size);
  say (out, head);
  if (!g_str_equal (request->method, "HEAD"))
    send_bytes (out, bytes + start, size - start);
}

/* Bytes that repeat nowhere near. */
static inline guint8 *
make_content (gsize size, guint32 seed)
{
  guint8 *bytes = g_malloc (size);
  guint32 state = seed * 2654435761u + 1;

  for (gsize i = 0; i < size; i++)
    {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      bytes[i] = (guint8) (state >> 11);
    }
  return bytes;
}

/* Names in a folder, sorted, joined by spaces. */
static inline char *
list_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_strdup (name));
  for (guint i = 1; i < names->len; i++)
    for (guint j = i; j > 0 && strcmp (names->pdata[j - 1], names->pdata[j]) > 0; j--)
      {
        gpointer swap = names->pdata[j];

        names->pdata[j] = names->pdata[j - 1];
        names->pdata[j - 1] = swap;
      }
  g_ptr_array_add (names, NULL);
  return g_strjoinv (" ", (char **) names->pdata);
}
