/* Who goes when memory is short: what the ledger unloads, what it leaves, and what it says. The
 * amounts of memory are made up. */
#include "service-fixture.h"

#include <string.h>

#include "engine/service/service-private.h"
#include "engine/service/slot.h"
#include "protocol/protocol.h"

#define MIB (1024ull * 1024)

static guint64 total_bytes;
static AtlService *service;

/* What is not taken by models; they do not count as mapped. */
static void
read_memory (AtlMemory *memory)
{
  memory->total_bytes = 1024 * MIB;
  memory->free_bytes = total_bytes;
  for (guint i = 0; i < service->ledger->len; i++)
    {
      AtlSlot *slot = service->ledger->pdata[i];

      slot->mapped_bytes = 0;
      memory->free_bytes -= MIN (memory->free_bytes, slot->ram_bytes);
    }
}

static gboolean
open_world (World *world, char **path)
{
  g_autoptr (GError) error = NULL;
  AtlDevices *devices;

  *path = world_model_path ();
  if (*path == NULL)
    return FALSE;
  devices = atl_devices_new (TRUE, NULL, &error);
  g_assert_no_error (error);
  world_open (world, devices);
  service = world->service;
  service->read_memory = read_memory;
  return TRUE;
}

static AtlSlot *
slot_of (guint model)
{
  return g_hash_table_lookup (service->slots, GUINT_TO_POINTER (model));
}

static guint
load (World *world, const char *path)
{
  g_autoptr (GError) error = NULL;
  guint model = world_load (world, path, "{'device': <'cpu'>}", &error);

  g_assert_no_error (error);
  return model;
}

/* From now on there is room for one such model, beside what is left to the desktop, and for half of
 * another's weights. */
static void
make_short (guint model)
{
  const AtlSlot *slot = slot_of (model);
  AtlChatMemory memory;

  g_assert_true (atl_chat_model_estimate (slot->model, slot->options.n_ctx, slot->options.kv_dtype,
                                          &memory, NULL));
  g_assert_cmpuint (slot->ram_bytes, >, 0);
  total_bytes =
      64 * MIB + memory.weight_bytes + memory.kv_bytes + memory.scratch_bytes + slot->ram_bytes / 2;
}

static void
wait_unloaded (World *world)
{
  while (world->unloaded->len == 0)
    g_main_context_iteration (NULL, TRUE);
}

/* The idle model makes room for the new one, in words; asking it again says that it is gone. */
static void
test_room (void)
{
  g_autofree char *path = NULL, *ran_on = NULL;
  World world;
  guint first, second;

  if (!open_world (&world, &path))
    return;
  total_bytes = 1024 * MIB;
  first = load (&world, path);
  make_short (first);
  g_assert_cmpuint (world.unloaded->len, ==, 0);
  second = load (&world, path);
  wait_unloaded (&world);
  g_test_message ("%s", world.unloaded->str);
  g_assert_cmpuint ((guint) g_ascii_strtoull (world.unloaded->str, NULL, 10), ==, first);
  g_assert_nonnull (strstr (world.unloaded->str, "to make room"));
  g_assert_null (slot_of (first));
  g_assert_nonnull (slot_of (second));
  ran_on = world_ask (&world, second);
  g_assert_nonnull (ran_on);
  world_close (&world);
}

/* What answers stays, and the newcomer is refused. */
static void
test_busy (void)
{
  g_autofree char *path = NULL, *options = NULL;
  g_autoptr (GError) error = NULL;
  World world;
  guint first;

  if (!open_world (&world, &path))
    return;
  total_bytes = 1024 * MIB;
  first = load (&world, path);
  g_dbus_connection_call (world.near, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE, "Complete",
                          g_variant_new_parsed ("(uint32 7, %u, 'Once', {'shift-context': <true>, "
                                                "'grammar': <'root ::= [a-z ] root'>})",
                                                first),
                          NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, NULL, NULL);
  while (world.text->len == 0)
    g_main_context_iteration (NULL, TRUE);
  make_short (first);
  options =
      g_strdup_printf ("{'device': <'cpu'>, 'n-ctx': <uint32 %u>}", slot_of (first)->options.n_ctx);
  g_assert_cmpuint (world_load (&world, path, options, &error), ==, 0);
  g_assert_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY);
  g_test_message ("%s", error->message);
  g_assert_nonnull (slot_of (first));
  g_assert_cmpuint (world.unloaded->len, ==, 0);
  world_close (&world);
}

/* Unused for longer than its minutes: it goes; one without such a limit stays. */
static void
test_idle (void)
{
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  World world;
  guint stays, goes;

  if (!open_world (&world, &path))
    return;
  total_bytes = 1024 * MIB;
  stays = load (&world, path);
  goes = world_load (&world, path, "{'device': <'cpu'>, 'idle-minutes': <uint32 1>}", &error);
  g_assert_no_error (error);
  slot_of (stays)->used_at -= 3600 * (gint64) G_USEC_PER_SEC;
  slot_of (goes)->used_at -= 61 * (gint64) G_USEC_PER_SEC;
  wait_unloaded (&world);
  g_test_message ("%s", world.unloaded->str);
  g_assert_cmpuint ((guint) g_ascii_strtoull (world.unloaded->str, NULL, 10), ==, goes);
  g_assert_null (slot_of (goes));
  g_assert_nonnull (slot_of (stays));
  world_close (&world);
}

/* Refused for lack of memory; read from the disk when the person says so, to the same text. */
static void
test_from_disk (void)
{
  g_autofree char *path = NULL, *ran_on = NULL, *text = NULL, *options = NULL, *again = NULL;
  g_autoptr (GError) error = NULL;
  World world;
  AtlChatMemory memory;
  AtlSlot *slot;
  guint model;

  if (!open_world (&world, &path))
    return;
  total_bytes = 1024 * MIB;
  model = load (&world, path);
  ran_on = world_ask (&world, model);
  g_assert_nonnull (ran_on);
  text = g_strdup (world.text->str);
  g_assert_cmpstr (text, !=, "");
  slot = slot_of (model);
  g_assert_true (atl_chat_model_estimate (slot->model, slot->options.n_ctx, slot->options.kv_dtype,
                                          &memory, NULL));
  options = g_strdup_printf ("{'device': <'cpu'>, 'n-ctx': <uint32 %u>, 'from-disk': <true>}",
                             slot->options.n_ctx);
  world_close (&world);
  g_clear_pointer (&path, g_free);

  g_assert_true (open_world (&world, &path));
  total_bytes = 64 * MIB + memory.kv_bytes + memory.scratch_bytes + memory.weight_bytes / 2;
  {
    g_autofree char *without = g_strdup_printf (
        "%.*s}", (int) (strlen (options) - strlen (", 'from-disk': <true>}")), options);

    g_assert_cmpuint (world_load (&world, path, without, &error), ==, 0);
    g_assert_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY);
    g_clear_error (&error);
  }
  model = world_load (&world, path, options, &error);
  g_assert_no_error (error);
  slot = slot_of (model);
  g_assert_cmpuint (slot->options.weight_budget, >, 0);
  g_assert_cmpuint (slot->mapped_bytes, ==, 0);
  again = world_ask (&world, model);
  g_assert_nonnull (again);
  g_assert_cmpstr (world.text->str, ==, text);
  world_close (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  atl_error_register_dbus ();
  g_test_add_func ("/ledger/room", test_room);
  g_test_add_func ("/ledger/busy", test_busy);
  g_test_add_func ("/ledger/idle", test_idle);
  g_test_add_func ("/ledger/from-disk", test_from_disk);
  return g_test_run ();
}
