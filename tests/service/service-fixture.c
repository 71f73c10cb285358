/* A service without a process around it. */
#include "service-fixture.h"

#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conformance.h"

#define REFERENCE_SIDE 1200

char *
world_model_path (void)
{
  return atl_test_conformance ("models/stories260K.gguf");
}

static void
connected_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GDBusConnection **connection = user_data;
  g_autoptr (GError) error = NULL;

  *connection = g_dbus_connection_new_finish (result, &error);
  g_assert_no_error (error);
}

static void
signal_cb (GDBusConnection *connection,
           const char *sender,
           const char *path,
           const char *interface,
           const char *name,
           GVariant *params,
           gpointer user_data)
{
  World *world = user_data;
  const char *text;

  if (g_str_equal (name, "Text"))
    {
      g_variant_get_child (params, 1, "&s", &text);
      g_string_append (world->text, text);
    }
  else if (g_str_equal (name, "ModelUnloaded"))
    {
      guint model;

      g_variant_get (params, "(u&s)", &model, &text);
      g_string_append_printf (world->unloaded, "%u %s\n", model, text);
    }
  else if (g_str_equal (name, "DeviceSilent"))
    {
      g_variant_get (params, "(u)", &world->device_state);
      world->n_silent++;
    }
  else if (g_str_equal (name, "Failed"))
    g_variant_get_child (params, 2, "s", &world->failure);
  else if (g_str_equal (name, "Finished"))
    world->stats = g_variant_get_child_value (params, 1);
  else if (g_str_equal (name, "PictureDone"))
    world->stats = g_variant_get_child_value (params, 3);
  else if (g_str_equal (name, "PictureProgress"))
    {
      g_variant_get_child (params, 1, "&s", &text);
      g_string_append_printf (world->text, "%s\n", text);
    }
}

static GIOStream *
stream_of (int fd)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, NULL);

  return G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
}

void
world_open (World *world, AtlDevices *devices)
{
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GIOStream) near = NULL;
  g_autoptr (GIOStream) far = NULL;
  g_autoptr (GError) error = NULL;
  GVariantDict empty;
  int fds[2];

  *world = (World){ .device_state = -1 };
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  near = stream_of (fds[0]);
  far = stream_of (fds[1]);
  g_dbus_connection_new (near, guid, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER, NULL, NULL,
                         connected_cb, &world->near);
  g_dbus_connection_new (far, NULL,
                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                             G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                         NULL, NULL, connected_cb, &world->far);
  while (world->near == NULL || world->far == NULL)
    g_main_context_iteration (NULL, TRUE);

  world->text = g_string_new (NULL);
  world->unloaded = g_string_new (NULL);
  world->devices = devices;
  world->service = atl_service_new (world->far, world->devices, "", FALSE, &error);
  g_assert_no_error (error);
  g_dbus_connection_start_message_processing (world->far);
  world->subscription = g_dbus_connection_signal_subscribe (
      world->near, NULL, ATL_ENGINE_INTERFACE, NULL, ATL_ENGINE_PATH, NULL,
      G_DBUS_SIGNAL_FLAGS_NONE, signal_cb, world, NULL);
  g_variant_dict_init (&empty, NULL);
  g_dbus_connection_call (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Hello",
      g_variant_new ("(u@a{sv})", ATL_PROTOCOL_VERSION, g_variant_dict_end (&empty)), NULL,
      G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, NULL, NULL);
}

void
world_close (World *world)
{
  g_dbus_connection_signal_unsubscribe (world->near, world->subscription);
  atl_service_free (world->service);
  g_dbus_connection_close_sync (world->near, NULL, NULL);
  g_object_unref (world->near);
  g_object_unref (world->far);
  atl_devices_free (world->devices);
  g_string_free (world->text, TRUE);
  g_string_free (world->unloaded, TRUE);
  g_clear_pointer (&world->failure, g_free);
  g_clear_pointer (&world->stats, g_variant_unref);
}

typedef struct
{
  GVariant *reply;
  GError *error;
  gboolean is_over;
} Reply;

static void
replied_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Reply *reply = user_data;

  reply->reply = g_dbus_connection_call_with_unix_fd_list_finish (G_DBUS_CONNECTION (source), NULL,
                                                                  result, &reply->error);
  reply->is_over = TRUE;
}

/* The file under its name below the model's folder; a folder: all that is in it. */
static void
add_files (const char *path, const char *name, GUnixFDList *fds, GVariantBuilder *files)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *child;
  int fd;

  if (dir == NULL)
    {
      fd = open (path, O_RDONLY | O_CLOEXEC);
      g_variant_builder_add (files, "(sh)", name != NULL ? name : "m.gguf",
                             g_unix_fd_list_append (fds, fd, NULL));
      close (fd);
      return;
    }
  while ((child = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *inside = g_build_filename (path, child, NULL);
      g_autofree char *longer = name != NULL ? g_build_filename (name, child, NULL) : NULL;

      add_files (inside, longer != NULL ? longer : child, fds, files);
    }
}

guint
world_load (World *world, const char *path, const char *options, GError **error)
{
  static guint request = 1000;
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GVariantBuilder files;
  Reply reply = { 0 };
  guint model = 0;

  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  add_files (path, NULL, fds, &files);
  g_dbus_connection_call_with_unix_fd_list (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "LoadModel",
      g_variant_new ("(ua(sh)@a{sv})", ++request, &files, g_variant_new_parsed (options)), NULL,
      G_DBUS_CALL_FLAGS_NONE, G_MAXINT, fds, NULL, replied_cb, &reply);
  while (!reply.is_over)
    g_main_context_iteration (NULL, TRUE);
  if (reply.error != NULL)
    {
      g_dbus_error_strip_remote_error (reply.error);
      g_propagate_error (error, reply.error);
      return 0;
    }
  g_variant_get_child (reply.reply, 0, "u", &model);
  g_variant_unref (reply.reply);
  return model;
}

char *
world_ask (World *world, guint model)
{
  static guint request = 100;

  g_string_truncate (world->text, 0);
  g_clear_pointer (&world->failure, g_free);
  g_clear_pointer (&world->stats, g_variant_unref);
  g_dbus_connection_call (world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Complete",
                          g_variant_new_parsed ("(%u, %u, 'Once upon a time', "
                                                "{'temperature': <0.0>, 'max-tokens': <12>})",
                                                ++request, model),
                          NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, NULL, NULL);
  while (world->failure == NULL && world->stats == NULL)
    g_main_context_iteration (NULL, TRUE);
  return world->stats != NULL ? atl_dict_string (world->stats, ATL_STAT_RAN_ON, "") : NULL;
}

/* A call with the room for `n_bytes`, and what came into it; NULL with world->failure. */
static GBytes *
fill (World *world,
      const char *method,
      guint model,
      GVariant *settings,
      GVariantBuilder *files,
      GUnixFDList *fds,
      gsize n_bytes)
{
  static guint request = 5000;
  g_autoptr (GVariant) sunk = g_variant_ref_sink (settings);
  int fd = memfd_create ("picture", MFD_CLOEXEC);
  Reply reply = { 0 };
  GBytes *bytes = NULL;

  g_string_truncate (world->text, 0);
  g_clear_pointer (&world->failure, g_free);
  g_clear_pointer (&world->stats, g_variant_unref);
  g_variant_builder_add (files, "(sh)", ATL_CREATE_PICTURE, g_unix_fd_list_append (fds, fd, NULL));
  g_dbus_connection_call_with_unix_fd_list (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, method,
      g_variant_new ("(uu@a{sv}a(sh))", ++request, model, sunk, files), NULL,
      G_DBUS_CALL_FLAGS_NONE, G_MAXINT, fds, NULL, replied_cb, &reply);
  while (!reply.is_over || (reply.error == NULL && world->failure == NULL && world->stats == NULL))
    g_main_context_iteration (NULL, TRUE);
  g_assert_no_error (reply.error);
  g_variant_unref (reply.reply);
  if (world->stats != NULL)
    {
      guint8 *data = g_malloc (n_bytes);

      g_assert_cmpint (pread (fd, data, n_bytes, 0), ==, (gssize) n_bytes);
      bytes = g_bytes_new_take (data, n_bytes);
    }
  close (fd);
  return bytes;
}

GBytes *
world_draw (World *world, guint model, guint side, guint steps)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GVariantBuilder files;

  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  return fill (world, "Create", model,
               g_variant_new_parsed ("{'prompt': <'a red fox'>, 'seed': <uint32 3>, 'width': <%u>, "
                                     "'height': <%u>, 'steps': <%u>}",
                                     side, side, steps),
               &files, fds, (gsize) side * side * 3);
}

/* A pattern as `role`; a mask: the right half. */
static void
add_pixels (const char *role, guint width, guint height, GUnixFDList *fds, GVariantBuilder *files)
{
  g_autofree char *name = g_strdup_printf ("%s.%ux%u.rgb", role, width, height);
  gsize size = (gsize) width * height * 3;
  g_autofree guint8 *rgb = g_malloc (size);
  int fd = memfd_create (role, MFD_CLOEXEC);

  for (gsize i = 0; i < size; i++)
    rgb[i] = g_str_equal (role, ATL_CREATE_MASK) ? (i / 3 % width > width / 2 ? 255 : 0)
                                                 : (guint8) (i * 5 % 251);
  g_assert_cmpint (pwrite (fd, rgb, size, 0), ==, (gssize) size);
  g_variant_builder_add (files, "(sh)", name, g_unix_fd_list_append (fds, fd, NULL));
  close (fd);
}

/* `n_bytes`: of the result that is read. */
static GBytes *
draw (World *world,
      guint model,
      GVariant *settings,
      guint width,
      guint height,
      const char *inputs,
      gsize n_bytes)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_auto (GStrv) roles = g_strsplit (inputs, " ", -1);
  GVariantBuilder files;

  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  for (char **role = roles; *role != NULL; role++)
    {
      gboolean is_free = g_str_equal (*role, ATL_CREATE_REFERENCE);

      add_pixels (*role, is_free ? REFERENCE_SIDE : width, is_free ? REFERENCE_SIDE : height, fds,
                  &files);
    }
  return fill (world, "Create", model, settings, &files, fds, n_bytes);
}

GBytes *
world_draw_of (
    World *world, guint model, GVariant *settings, guint width, guint height, const char *inputs)
{
  return draw (world, model, settings, width, height, inputs, (gsize) width * height * 3);
}

gboolean
world_try (World *world, guint model, GVariant *settings, guint side, const char *inputs)
{
  g_autoptr (GBytes) drawn = draw (world, model, settings, side, side, inputs, 0);

  return drawn != NULL;
}

GBytes *
world_enlarge (World *world, guint model, guint side, guint factor)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  GVariantBuilder files;

  g_variant_builder_init (&files, G_VARIANT_TYPE ("a(sh)"));
  add_pixels (ATL_CREATE_IMAGE, side, side, fds, &files);
  return fill (world, "Upscale", model, g_variant_new_parsed ("{'factor': <%d>}", (double) factor),
               &files, fds, (gsize) side * side * 3 * factor * factor);
}

GVariant *
world_price (World *world, guint model, guint side)
{
  return world_price_of (world, model,
                         g_variant_new_parsed ("{'prompt': <'a red fox'>, 'width': <%u>, 'height': "
                                               "<%u>, 'steps': <uint32 2>}",
                                               side, side),
                         "");
}

GVariant *
world_price_of (World *world, guint model, GVariant *settings, const char *inputs)
{
  g_autoptr (GVariant) sunk = g_variant_ref_sink (settings);
  g_auto (GStrv) roles = g_strsplit (inputs, " ", -1);
  GVariantDict dict;
  Reply reply = { 0 };
  GVariant *price;

  g_variant_dict_init (&dict, sunk);
  g_variant_dict_insert_value (&dict, ATL_PRICE_INPUTS,
                               g_variant_new_strv ((const char *const *) roles, -1));
  g_dbus_connection_call_with_unix_fd_list (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "PricePicture",
      g_variant_new ("(u@a{sv})", model, g_variant_dict_end (&dict)), NULL, G_DBUS_CALL_FLAGS_NONE,
      G_MAXINT, NULL, NULL, replied_cb, &reply);
  while (!reply.is_over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_no_error (reply.error);
  price = g_variant_get_child_value (reply.reply, 0);
  g_variant_unref (reply.reply);
  return price;
}

void
world_unload (World *world, guint model)
{
  Reply reply = { 0 };

  g_dbus_connection_call_with_unix_fd_list (
      world->near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "UnloadModel",
      g_variant_new ("(u)", model), NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, NULL, replied_cb,
      &reply);
  while (!reply.is_over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_no_error (reply.error);
  g_variant_unref (reply.reply);
}
