/* The exported object: greeting, status, cancelling; the rest is in load.c and ask.c. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/handlers.h"
#include "engine/service/job.h"
#include "engine/service/ledger.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

#include <glib/gi18n.h>

#include "atelier-config.h"

/* Long prompts take a moment to be cut into tokens: one must not hold up the others. */
#define N_PREPARING 2

void
atl_service_emit (AtlService *self, const char *signal, GVariant *params)
{
  g_dbus_connection_emit_signal (self->connection, NULL, ATL_ENGINE_PATH, ATL_ENGINE_INTERFACE,
                                 signal, params, NULL);
}

/* --- The ledger --- */

static GVariant *
make_status (AtlService *self)
{
  GVariantBuilder parts;
  GVariantDict dict;
  GHashTableIter iter;
  AtlMemory memory;
  gpointer value;

  atl_ledger_read (self, &memory, NULL);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_STATUS_RAM_TOTAL, "t", memory.total_bytes);
  g_variant_dict_insert (&dict, ATL_STATUS_RAM_FREE, "t", memory.free_bytes);
  if (self->devices->gpu != NULL)
    {
      g_variant_dict_insert (&dict, ATL_STATUS_VRAM_TOTAL, "t", self->devices->gpu->memory_total);
      g_variant_dict_insert (&dict, ATL_STATUS_VRAM_FREE, "t", self->devices->gpu->memory_free);
      g_variant_dict_insert (&dict, ATL_STATUS_VRAM_SHARED, "b", self->devices->gpu->shares_memory);
    }
  g_variant_builder_init (&parts, G_VARIANT_TYPE ("aa{sv}"));
  g_hash_table_iter_init (&iter, self->slots);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      AtlSlot *slot = value;
      GVariantDict part;

      /* On its way out. */
      if (!g_rw_lock_reader_trylock (&slot->lock))
        continue;
      if (!atl_slot_has_model (slot))
        {
          g_rw_lock_reader_unlock (&slot->lock);
          continue;
        }
      g_variant_dict_init (&part, NULL);
      g_variant_dict_insert (&part, ATL_PART_MODEL, "u", slot->id);
      g_variant_dict_insert (&part, ATL_PART_NAME, "s", atl_slot_name (slot));
      g_variant_dict_insert (
          &part, ATL_PART_RAM, "t",
          __atomic_load_n (&slot->ram_bytes, __ATOMIC_RELAXED) +
              (slot->model != NULL ? atl_chat_model_conversation_bytes (slot->model) : 0));
      g_variant_dict_insert (&part, ATL_PART_VRAM, "t",
                             __atomic_load_n (&slot->vram_bytes, __ATOMIC_RELAXED));
      g_variant_dict_insert (&part, ATL_PART_BUSY, "b", slot->n_jobs > 0);
      g_variant_builder_add_value (&parts, g_variant_dict_end (&part));
      g_rw_lock_reader_unlock (&slot->lock);
    }
  g_variant_dict_insert_value (&dict, ATL_STATUS_PARTS, g_variant_builder_end (&parts));
  g_variant_dict_insert_value (&dict, ATL_STATUS_DEVICES, self->devices->list);
  return g_variant_dict_end (&dict);
}

void
atl_service_status_changed (AtlService *self)
{
  atl_service_emit (self, "StatusChanged", g_variant_new ("(@a{sv})", make_status (self)));
}

static gboolean
handle_get_status (AtlIpcEngine1 *skeleton, GDBusMethodInvocation *invocation, AtlService *self)
{
  atl_ipc_engine1_complete_get_status (skeleton, invocation, make_status (self));
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/* --- A device that hangs --- */

#define WATCH_INTERVAL_S 1
/* A device hangs after so many times what it may take. */
#define TIMES_PATIENCE 3

/* Between two looks no more than twice their interval counts: longer than that this process was
 * stopped, or the machine did other things, and the driver had no chance to come back either. */
static void
note_waiting (AtlService *self, guint waiting_ms)
{
  guint most_ms = 2 * WATCH_INTERVAL_S * 1000;

  if (waiting_ms >= self->device_waited_ms)
    self->device_silent_ms += MIN (waiting_ms - self->device_waited_ms, most_ms);
  else
    self->device_silent_ms = MIN (waiting_ms, most_ms);
  self->device_waited_ms = waiting_ms;
}

/* The compute thread cannot be had back from a driver; the client decides. */
static gboolean
watch_cb (gpointer user_data)
{
  AtlService *self = user_data;
  AtlBackend *gpu = self->devices->gpu;
  guint patience_ms, state = ATL_DEVICE_GOES_ON;

  note_waiting (self, gpu->klass->waiting_ms (gpu, &patience_ms));
  if (self->device_silent_ms > TIMES_PATIENCE * patience_ms)
    state = ATL_DEVICE_HANGS;
  else if (self->device_silent_ms > patience_ms)
    state = ATL_DEVICE_SILENT;
  if (self->is_greeted && (state != ATL_DEVICE_GOES_ON || state != self->device_state))
    atl_service_emit (self, "DeviceSilent", g_variant_new ("(u)", state));
  self->device_state = state;
  return G_SOURCE_CONTINUE;
}

/* --- Greeting and cancelling --- */

static gboolean
handle_hello (AtlIpcEngine1 *skeleton,
              GDBusMethodInvocation *invocation,
              guint version,
              GVariant *options,
              AtlService *self)
{
  GVariantDict facts;

  if (version != ATL_PROTOCOL_VERSION)
    {
      g_dbus_method_invocation_return_error (invocation, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                                             _ ("The engine speaks version %u, this program %u. "
                                                "Installing Atelier again makes both the same."),
                                             ATL_PROTOCOL_VERSION, version);
      return G_DBUS_METHOD_INVOCATION_HANDLED;
    }
  self->is_greeted = TRUE;
  g_variant_dict_init (&facts, NULL);
  g_variant_dict_insert (&facts, ATL_FACT_VERSION, "s", ATL_VERSION);
  g_variant_dict_insert (&facts, ATL_FACT_SANDBOX, "s", self->sandbox_sentence);
  g_variant_dict_insert (&facts, ATL_FACT_SANDBOX_FULL, "b", self->sandbox_is_full);
  atl_ipc_engine1_complete_hello (skeleton, invocation, ATL_PROTOCOL_VERSION,
                                  g_variant_dict_end (&facts));
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_cancel (AtlIpcEngine1 *skeleton,
               GDBusMethodInvocation *invocation,
               guint request,
               AtlService *self)
{
  AtlJob *job = g_hash_table_lookup (self->requests, GUINT_TO_POINTER (request));

  atl_ipc_engine1_complete_cancel (skeleton, invocation);
  if (request != 0 && job != NULL)
    atl_job_cancel (job);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/* --- Life --- */

AtlService *
atl_service_new (GDBusConnection *connection,
                 AtlDevices *devices,
                 const char *sandbox_sentence,
                 gboolean sandbox_is_full,
                 GError **error)
{
  AtlService *self = g_new0 (AtlService, 1);

  atl_error_register_dbus ();
  self->connection = g_object_ref (connection);
  self->context = g_main_context_ref_thread_default ();
  self->devices = devices;
  self->sandbox_sentence = g_strdup (sandbox_sentence);
  self->sandbox_is_full = sandbox_is_full;
  self->slots = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) atl_slot_unref);
  self->requests = g_hash_table_new (NULL, NULL);
  self->compute = g_thread_pool_new (atl_job_pool_cb, self, 1, TRUE, NULL);
  self->reading = g_thread_pool_new (atl_job_pool_cb, self, 1, TRUE, NULL);
  self->preparing = g_thread_pool_new (atl_job_pool_cb, self, N_PREPARING, TRUE, NULL);
  self->drawing = g_thread_pool_new (atl_job_pool_cb, self, 1, TRUE, NULL);
  self->turnstile = atl_turnstile_new ();
  g_mutex_init (&self->pause_mutex);
  g_cond_init (&self->pause_cond);
  atl_ledger_init (self);
  self->skeleton = atl_ipc_engine1_skeleton_new ();
  g_object_connect (
      self->skeleton, "signal::handle-hello", handle_hello, self, "signal::handle-inspect",
      atl_handle_inspect, self, "signal::handle-load-model", atl_handle_load, self,
      "signal::handle-unload-model", atl_handle_unload, self, "signal::handle-set-adapters",
      atl_handle_set_adapters, self, "signal::handle-chat", atl_handle_chat, self,
      "signal::handle-complete", atl_handle_complete, self, "signal::handle-create",
      atl_handle_create, self, "signal::handle-upscale", atl_handle_upscale, self,
      "signal::handle-price-picture", atl_handle_price_picture, self, "signal::handle-enough",
      atl_handle_enough, self, "signal::handle-read-picture", atl_handle_read_picture, self,
      "signal::handle-pause", atl_handle_pause, self, "signal::handle-keep-conversation",
      atl_handle_keep_conversation, self, "signal::handle-keep-all", atl_handle_keep_all, self,
      "signal::handle-cancel", handle_cancel, self, "signal::handle-check-form",
      atl_handle_check_form, self, "signal::handle-get-status", handle_get_status, self, NULL);
  if (!g_dbus_interface_skeleton_export (G_DBUS_INTERFACE_SKELETON (self->skeleton), connection,
                                         ATL_ENGINE_PATH, error))
    {
      atl_service_free (self);
      return NULL;
    }
  if (devices->gpu != NULL && devices->gpu->klass->waiting_ms != NULL)
    {
      self->watch = g_timeout_source_new_seconds (WATCH_INTERVAL_S);
      g_source_set_callback (self->watch, watch_cb, self, NULL);
      g_source_attach (self->watch, self->context);
    }
  return self;
}

void
atl_service_free (AtlService *self)
{
  g_autoptr (GList) jobs = NULL;

  if (self == NULL)
    return;
  if (self->watch != NULL)
    g_source_destroy (self->watch);
  g_clear_pointer (&self->watch, g_source_unref);
  jobs = g_hash_table_get_values (self->requests);
  for (GList *link = jobs; link != NULL; link = link->next)
    atl_job_cancel (link->data);
  g_thread_pool_free (self->preparing, FALSE, TRUE);
  g_thread_pool_free (self->drawing, FALSE, TRUE);
  g_thread_pool_free (self->compute, FALSE, TRUE);
  g_thread_pool_free (self->reading, FALSE, TRUE);
  /* Answers were asked to end; their models' threads do so within a step. */
  while (self->n_jobs > 0)
    g_main_context_iteration (self->context, TRUE);
  /* What the workers finished last is completed here. */
  while (g_main_context_iteration (self->context, FALSE))
    ;
  g_dbus_interface_skeleton_unexport (G_DBUS_INTERFACE_SKELETON (self->skeleton));
  g_object_unref (self->skeleton);
  atl_ledger_clear (self);
  g_hash_table_unref (self->slots);
  atl_turnstile_free (self->turnstile);
  g_mutex_clear (&self->pause_mutex);
  g_cond_clear (&self->pause_cond);
  g_hash_table_unref (self->requests);
  g_object_unref (self->connection);
  g_main_context_unref (self->context);
  g_free (self->sandbox_sentence);
  g_free (self);
}
