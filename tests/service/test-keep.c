/* When the engine writes what it remembers of chats, and calls about their files that make no
 * sense. */
#include "service-fixture.h"

#include <gio/gunixfdlist.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/service/keep.h"
#include "engine/service/ledger.h"
#include "engine/service/service-private.h"
#include "engine/service/slot.h"
#include "protocol/protocol.h"

#define PROMPT                                                                                     \
  "Once upon a time there was a little girl named Lily, who loved to play outside with her big "   \
  "red ball. One day"

typedef struct
{
  World world;
  guint subscription, model;
  AtlSlot *slot;
  guint n_kept, n_lost; /* Kept signals with and without tokens */
  guint64 last;
} Keeping;

static void
kept_cb (GDBusConnection *connection,
         const char *sender,
         const char *path,
         const char *interface,
         const char *name,
         GVariant *params,
         gpointer user_data)
{
  Keeping *self = user_data;
  guint n_tokens;

  g_variant_get (params, "(tu)", &self->last, &n_tokens);
  if (n_tokens > 0)
    self->n_kept++;
  else
    self->n_lost++;
}

static gboolean
keeping_open (Keeping *self)
{
  g_autofree char *path = world_model_path ();
  g_autoptr (GError) error = NULL;
  AtlDevices *devices;

  *self = (Keeping){ 0 };
  if (path == NULL)
    return FALSE;
  devices = atl_devices_new (TRUE, NULL, &error);
  g_assert_no_error (error);
  world_open (&self->world, devices);
  self->subscription = g_dbus_connection_signal_subscribe (
      self->world.near, NULL, ATL_ENGINE_INTERFACE, "Kept", ATL_ENGINE_PATH, NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, kept_cb, self, NULL);
  self->model = world_load (&self->world, path, "{'device': <'cpu'>}", &error);
  g_assert_no_error (error);
  self->slot = g_hash_table_lookup (self->world.service->slots, GUINT_TO_POINTER (self->model));
  return TRUE;
}

static void
keeping_close (Keeping *self)
{
  g_dbus_connection_signal_unsubscribe (self->world.near, self->subscription);
  world_close (&self->world);
}

typedef struct
{
  gboolean is_over, is_ok;
} Reply;

static void
replied_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Reply *reply = user_data;
  g_autoptr (GVariant) value = g_dbus_connection_call_with_unix_fd_list_finish (
      G_DBUS_CONNECTION (source), NULL, result, NULL);

  reply->is_ok = value != NULL;
  reply->is_over = TRUE;
}

static gboolean
call (Keeping *self, const char *method, GVariant *arguments, GUnixFDList *fds)
{
  Reply reply = { 0 };

  g_dbus_connection_call_with_unix_fd_list (
      self->world.near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, method, arguments, NULL,
      G_DBUS_CALL_FLAGS_NONE, G_MAXINT, fds, NULL, replied_cb, &reply);
  while (!reply.is_over)
    g_main_context_iteration (NULL, TRUE);
  return reply.is_ok;
}

/* Hands over an empty file as room for the chat; the file stays the caller's. */
static int
hand_over (Keeping *self, const char *key, guint64 number)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  int fd = memfd_create ("room", MFD_CLOEXEC);

  g_assert_cmpint (g_unix_fd_list_append (fds, fd, NULL), ==, 0);
  g_assert_true (call (self, "KeepConversation",
                       g_variant_new_parsed ("(%u, %s, [('room', handle 0)], %t, %t)", self->model,
                                             key, number, (guint64) 1 << 30),
                       fds));
  return fd;
}

static void
ask (Keeping *self, const char *key)
{
  static guint request = 5000;

  g_clear_pointer (&self->world.stats, g_variant_unref);
  g_assert_true (call (self, "Complete",
                       g_variant_new_parsed ("(%u, %u, %s, {'temperature': <0.0>, "
                                             "'max-tokens': <12>, 'conversation': <%s>})",
                                             ++request, self->model, PROMPT, key),
                       NULL));
  while (self->world.stats == NULL)
    {
      g_assert_null (self->world.failure);
      g_main_context_iteration (NULL, TRUE);
    }
}

static goffset
size_of (int fd)
{
  struct stat st;

  g_assert_cmpint (fstat (fd, &st), ==, 0);
  return st.st_size;
}

static gboolean
late_cb (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
spin (guint ms)
{
  gboolean is_late = FALSE;

  g_timeout_add (ms, late_cb, &is_late);
  while (!is_late)
    g_main_context_iteration (NULL, TRUE);
}

/* Not right after the answer; when nobody asked for a minute; and not twice. */
static void
test_idle (void)
{
  Keeping keeping;
  int fd;

  if (!keeping_open (&keeping))
    return;
  fd = hand_over (&keeping, "chat-1", 7);
  ask (&keeping, "chat-1");
  atl_keep_due (keeping.world.service);
  spin (200);
  g_assert_cmpuint (keeping.n_kept, ==, 0);
  g_assert_cmpint (size_of (fd), ==, 0);

  keeping.slot->used_at -= 61 * G_USEC_PER_SEC;
  atl_keep_due (keeping.world.service);
  while (keeping.n_kept == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (keeping.last, ==, 7);
  g_assert_cmpint (size_of (fd), >, 1000);
  /* Counted a moment later. */
  while (atl_chat_model_n_unkept (keeping.slot->model) > 0)
    spin (5);
  close (fd);

  fd = hand_over (&keeping, "chat-1", 8);
  atl_keep_due (keeping.world.service);
  g_assert_true (call (&keeping, "KeepAll", g_variant_new ("(u)", 5000), NULL));
  spin (200);
  g_assert_cmpuint (keeping.n_kept, ==, 1);
  g_assert_cmpint (size_of (fd), ==, 0);
  close (fd);
  keeping_close (&keeping);
}

/* Memory is wanted: chats go to their files first. */
static void
test_room (void)
{
  Keeping keeping;
  int fd;

  if (!keeping_open (&keeping))
    return;
  fd = hand_over (&keeping, "chat-1", 9);
  ask (&keeping, "chat-1");
  atl_turnstile_enter (keeping.world.service->turnstile);
  g_assert_false (atl_ledger_make_room (keeping.world.service, G_MAXUINT64 / 2, NULL, NULL));
  atl_turnstile_leave (keeping.world.service->turnstile);
  while (keeping.n_kept == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (keeping.last, ==, 9);
  g_assert_cmpint (size_of (fd), >, 1000);
  close (fd);
  keeping_close (&keeping);
}

static void
wait_lost (Keeping *self, guint n)
{
  while (self->n_lost < n)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (self->n_lost, ==, n);
}

/* Every room ends with one Kept, whatever becomes of it. */
static void
test_rooms (void)
{
  const guint n = ATL_MAX_KEPT_CONVERSATIONS + 5;
  Keeping keeping;

  if (!keeping_open (&keeping))
    return;
  close (hand_over (&keeping, "same", 1));
  close (hand_over (&keeping, "same", 2));
  wait_lost (&keeping, 1);
  g_assert_cmpuint (keeping.last, ==, 1);
  g_assert_true (call (
      &keeping, "KeepConversation",
      g_variant_new_parsed ("(%u, 'same', @a(sh) [], uint64 0, uint64 0)", keeping.model), NULL));
  wait_lost (&keeping, 2);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *key = g_strdup_printf ("chat-%u", i);

      close (hand_over (&keeping, key, 100 + i));
    }
  wait_lost (&keeping, 2 + 5);
  g_assert_cmpuint (keeping.last, ==, 104);
  g_assert_true (call (&keeping, "UnloadModel", g_variant_new ("(u)", keeping.model), NULL));
  wait_lost (&keeping, 2 + n);
  keeping_close (&keeping);
}

static void
test_nonsense (void)
{
  static const char *const files[] = { "[('room', handle 1)]",
                                       "[('room', handle -1)]",
                                       "[('else', handle 0)]",
                                       "[('', handle 0)]",
                                       "[('room', handle 0), ('room', handle 0)]",
                                       "[('kept', handle 2147483647)]" };
  g_autofree char *long_key = g_strnfill (ATL_MAX_CONVERSATION_BYTES + 1, 'x');
  const char *const keys[] = { "", long_key };
  Keeping keeping;

  if (!keeping_open (&keeping))
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (files) + G_N_ELEMENTS (keys); i++)
    {
      g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
      gboolean is_files = i < G_N_ELEMENTS (files);
      g_autofree char *text = g_strdup_printf (
          "(%u, '%s', %s, uint64 5, uint64 18446744073709551615)", keeping.model,
          is_files ? "chat-1" : keys[i - G_N_ELEMENTS (files)], is_files ? files[i] : "@a(sh) []");
      int fd = memfd_create ("room", MFD_CLOEXEC);

      g_unix_fd_list_append (fds, fd, NULL);
      close (fd);
      g_assert_false (call (&keeping, "KeepConversation", g_variant_new_parsed (text), fds));
    }
  g_assert_false (call (&keeping, "KeepConversation",
                        g_variant_new_parsed ("(uint32 999, 'a', @a(sh) [], uint64 0, uint64 0)"),
                        NULL));
  g_assert_true (call (&keeping, "KeepAll", g_variant_new ("(u)", G_MAXUINT), NULL));
  ask (&keeping, "chat-1");
  keeping_close (&keeping);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/service/keep/idle", test_idle);
  g_test_add_func ("/service/keep/room", test_room);
  g_test_add_func ("/service/keep/rooms", test_rooms);
  g_test_add_func ("/service/keep/nonsense", test_nonsense);
  return g_test_run ();
}
