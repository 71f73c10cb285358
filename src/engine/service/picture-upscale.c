/* Upscale, and models for it: from a call to a larger picture in the caller's file. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <malloc.h>

#include "base/language.h"
#include "engine/service/fit.h"
#include "engine/service/handlers.h"
#include "engine/service/ledger.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

/* --- Models --- */

gboolean
atl_upscale_open (AtlJob *job, GError **error)
{
  job->load.upscaler =
      atl_upscaler_open ((AtlFileMap *const *) job->maps->pdata,
                         (const char *const *) job->names->pdata, job->n_own, error);
  return job->load.upscaler != NULL;
}

gboolean
atl_upscale_is_meant (const AtlJob *job)
{
  static const char *const endings[] = { ".pth", ".pt", ".param" };

  for (guint i = 0; i < job->n_own; i++)
    for (gsize k = 0; k < G_N_ELEMENTS (endings); k++)
      if (g_str_has_suffix (job->names->pdata[i], endings[k]))
        return TRUE;
  return FALSE;
}

static char *
name_of (const AtlJob *job)
{
  char *name = job->load.name != NULL && *job->load.name != '\0'
                   ? g_strdup (job->load.name)
                   : g_path_get_basename (job->names->pdata[0]);
  char *dot = strrchr (name, '.');

  if (dot != NULL && dot != name)
    *dot = '\0';
  return name;
}

void
atl_upscale_inspect (AtlJob *job, const char *runs_on)
{
  guint64 needed = atl_upscaler_memory (job->load.upscaler, 0), idle, available, size = 0;
  g_autofree char *name = name_of (job);
  g_autofree char *words = NULL;
  g_autofree char *takes = atl_language_size (needed);
  g_autofree char *there = NULL;
  AtlMemory memory;
  GVariantDict dict;

  for (guint i = 0; i < job->n_own; i++)
    size += atl_file_map_size (job->maps->pdata[i]);
  atl_ledger_read (job->service, &memory, &idle);
  available = memory.free_bytes + idle;
  available -= MIN (available, atl_fit_reserve (memory.total_bytes));
  there = atl_language_size (available);
  words = g_strdup_printf (_ ("Needs %s, %s are free."), takes, there);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_KIND, "s", ATL_KIND_UPSCALER);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", name);
  g_variant_dict_insert (&dict, ATL_INFO_ARCHITECTURE, "s", atl_upscaler_kind (job->load.upscaler));
  g_variant_dict_insert (&dict, ATL_INFO_SCALE, "u", atl_upscaler_scale (job->load.upscaler));
  g_variant_dict_insert (&dict, ATL_INFO_SIZE_BYTES, "t", size);
  g_variant_dict_insert (&dict, ATL_INFO_NEEDED_BYTES, "t", needed);
  g_variant_dict_insert (&dict, ATL_INFO_FREE_BYTES, "t", memory.free_bytes + idle);
  g_variant_dict_insert (&dict, ATL_INFO_CAN_RUN, "b", TRUE);
  g_variant_dict_insert (&dict, ATL_INFO_FITS, "b", needed <= available);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s", words);
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", runs_on);
  job->info = g_variant_ref_sink (g_variant_dict_end (&dict));
}

void
atl_upscale_load (AtlJob *job, AtlSlot *slot)
{
  atl_upscale_inspect (job, slot->runs_on);
  slot->name = name_of (job);
  slot->upscaler = g_steal_pointer (&job->load.upscaler);
  atl_upscaler_use (slot->upscaler, &slot->cpu, 1);
}

/* --- Upscale --- */

/* After each tile others compute, and one that is paused rests. */
static void
tile_cb (guint done, guint total, gpointer user_data)
{
  atl_picture_tile_done (user_data, _ ("Enlarging"), done, total);
}

static GVariant *
make_facts (const AtlJob *job, double factor)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_MADE_FACTOR, "d", factor);
  g_variant_dict_insert (
      &dict, ATL_MADE_SECONDS, "d",
      (double) (g_get_monotonic_time () - job->accepted_at - job->draw.rested_us) / G_USEC_PER_SEC);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", job->slot->name);
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", job->draw.runs_on);
  return g_variant_dict_end (&dict);
}

/* Where: the GPU, if it is there and has room for a tile. */
static gboolean
choose_gpu (AtlJob *job, guint64 needed)
{
  AtlSlot *slot = job->slot;
  guint64 there;

  if (slot->gpu == NULL || g_atomic_int_get (&job->service->devices->gpu_failed))
    return FALSE;
  atl_ledger_make_vram (job->service, needed, slot, TRUE);
  there = slot->gpu->memory_free + __atomic_load_n (&slot->vram_bytes, __ATOMIC_RELAXED);
  return needed <= there - there / 10 && (slot->gpu_room == 0 || needed <= slot->gpu_room);
}

static char *
cpu_words (const AtlJob *job)
{
  const AtlSlot *slot = job->slot;

  if (slot->gpu == NULL)
    return g_strdup (slot->runs_on);
  return g_strdup_printf (_ ("%s, because %s"), slot->cpu->description,
                          g_atomic_int_get (&job->service->devices->gpu_failed)
                              ? _ ("the graphics card failed while running")
                              : _ ("the graphics card has no room for it"));
}

/* Inside the turnstile. */
static guint8 *
enlarge_on (AtlJob *job,
            AtlUpscaleRequest *request,
            gboolean on_gpu,
            guint *width,
            guint *height,
            GError **error)
{
  AtlSlot *slot = job->slot;
  AtlBackend *backends[] = { slot->gpu, slot->cpu };
  guint64 there = __atomic_load_n (&slot->ram_bytes, __ATOMIC_RELAXED);
  guint64 needed = atl_upscaler_memory (slot->upscaler, 0), taken;
  double pixels = (double) request->width * request->height * request->factor * request->factor;
  guint8 *larger;

  atl_upscaler_use (slot->upscaler, on_gpu ? backends : &slot->cpu, on_gpu ? 2 : 1);
  taken = on_gpu ? 0 : needed - MIN (needed, there);
  if (!atl_ledger_make_room (job->service, taken + (guint64) MIN (pixels * 3, (double) G_MAXINT64),
                             slot, error))
    return NULL;
  larger = atl_upscaler_run (slot->upscaler, request, width, height, job->cancellable, error);
  __atomic_store_n (&slot->ram_bytes, on_gpu ? 0 : needed, __ATOMIC_RELAXED);
  __atomic_store_n (&slot->vram_bytes, on_gpu ? needed : 0, __ATOMIC_RELAXED);
  slot->uses_gpu = on_gpu;
  malloc_trim (0);
  return larger;
}

/* Inside the turnstile. A GPU that fails or has too little room is no reason to give up. */
static guint8 *
enlarge (AtlJob *job, AtlUpscaleRequest *request, guint *width, guint *height, GError **error)
{
  AtlSlot *slot = job->slot;
  g_autoptr (GError) local = NULL;

  if (choose_gpu (job, atl_upscaler_memory (slot->upscaler, 0)))
    {
      guint8 *larger;

      job->draw.runs_on = g_strdup (slot->gpu->description);
      larger = enlarge_on (job, request, TRUE, width, height, &local);
      if (larger != NULL)
        return larger;
      if (!atl_devices_gave_up (job->service->devices, local) &&
          !g_error_matches (local, ATL_ERROR, ATL_ERROR_NO_MEMORY))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      slot->gpu_room = 1;
    }
  g_free (job->draw.runs_on);
  job->draw.runs_on = cpu_words (job);
  return enlarge_on (job, request, FALSE, width, height, error);
}

static gboolean
upscale (AtlJob *job, GError **error)
{
  AtlUpscaleRequest request = { .channels = 3, .progress = tile_cb, .progress_data = job };
  g_autoptr (AtlPicture) picture = NULL;
  g_autofree guint8 *larger = NULL;
  AtlFileMap *map;
  guint width = 0, height = 0;

  if (job->slot->upscaler == NULL)
    {
      if (atl_slot_has_model (job->slot))
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s enlarges no pictures"),
                     atl_slot_name (job->slot));
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ (ATL_NOT_LOADED_WORDS));
      return FALSE;
    }
  map = atl_picture_find_file (job, ATL_CREATE_IMAGE, 0, &width, &height);
  picture = atl_picture_input_decode (map, width, height, error);
  if (picture == NULL)
    return FALSE;
  request.pixels = picture->rgb;
  request.width = picture->width;
  request.height = picture->height;
  request.factor = atl_dict_double (job->draw.settings, ATL_MADE_FACTOR, 0);
  if (request.factor == 0)
    request.factor = atl_upscaler_scale (job->slot->upscaler);
  if (request.factor < ATL_UPSCALE_MIN_FACTOR || request.factor > ATL_UPSCALE_MAX_FACTOR)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("Pictures are enlarged 1 to %g times, not %g"), ATL_UPSCALE_MAX_FACTOR,
                   request.factor);
      return FALSE;
    }
  atl_turnstile_enter (job->service->turnstile);
  larger = enlarge (job, &request, &width, &height, error);
  atl_turnstile_leave (job->service->turnstile);
  if (larger == NULL ||
      !atl_picture_write (job->draw.room, larger, (gsize) width * height * 3, error))
    return FALSE;
  job->stats = g_variant_ref_sink (
      g_variant_new ("(uuu@a{sv})", job->request, width, height, make_facts (job, request.factor)));
  return TRUE;
}

static gboolean
upscale_run (AtlJob *job, GError **error)
{
  gboolean ok;

  g_rw_lock_reader_lock (&job->slot->lock);
  ok = upscale (job, error);
  g_rw_lock_reader_unlock (&job->slot->lock);
  __atomic_store_n (&job->slot->used_at, g_get_monotonic_time (), __ATOMIC_RELAXED);
  return ok;
}

gboolean
atl_handle_upscale (AtlIpcEngine1 *skeleton,
                    GDBusMethodInvocation *invocation,
                    GUnixFDList *fds,
                    guint request,
                    guint model,
                    GVariant *settings,
                    GVariant *files,
                    AtlService *self)
{
  return atl_picture_begin (self, invocation, fds, request, model, settings, files, upscale_run);
}
