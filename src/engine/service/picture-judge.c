/* Whether a picture fits into memory, and how; and what it costs, before it is asked for. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <string.h>

#include "base/language.h"
#include "engine/service/fit.h"
#include "engine/service/handlers.h"
#include "engine/service/ledger.h"
#include "engine/service/picture-judge.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

void
atl_picture_fit_clear (AtlPictureFit *self)
{
  g_clear_pointer (&self->words, g_free);
  g_clear_pointer (&self->runs_on, g_free);
}

/* --- Where --- */

AtlPicturePlace
atl_picture_place (AtlSlot *slot)
{
  return (AtlPicturePlace){ .model = slot->pictures,
                            .devices = slot->service->devices,
                            .gpu = slot->gpu,
                            .cpu = slot->cpu,
                            .device = slot->device,
                            .cpu_words = slot->runs_on,
                            .ram_bytes = __atomic_load_n (&slot->ram_bytes, __ATOMIC_RELAXED),
                            .vram_bytes = __atomic_load_n (&slot->vram_bytes, __ATOMIC_RELAXED),
                            .gpu_room = __atomic_load_n (&slot->gpu_room, __ATOMIC_RELAXED) };
}

static gboolean
has_gpu (const AtlPicturePlace *place)
{
  return place->gpu != NULL && !g_atomic_int_get (&place->devices->gpu_failed);
}

/* "CPU, 2 threads, because …" */
static char *
cpu_words (const AtlPicturePlace *place)
{
  const char *why = has_gpu (place) ? _ ("the graphics card has no room for it")
                                    : _ ("the graphics card failed while running");

  return place->gpu == NULL && place->cpu_words != NULL
             ? g_strdup (place->cpu_words)
             : g_strdup_printf (_ ("%s, because %s"), place->cpu->description, why);
}

static char *
gpu_words (const AtlPicturePlace *place, const AtlDiffusionHow *how)
{
  if (how->streams)
    /* Translators: %s is the name of a graphics card. */
    return g_strdup_printf (_ ("%s; its weights are sent while it draws"), place->gpu->description);
  if ((how->on_host & ATL_PARTS_TEXT) != 0)
    /* Translators: %s is the name of a graphics card. */
    return g_strdup_printf (_ ("%s; the processor reads the prompt"), place->gpu->description);
  return g_strdup (place->gpu->description);
}

/* --- Judging --- */

/* That it fits, and why it takes longer than it might. */
static char *
describe_way (const AtlPictureFit *fit, const char *needed, const char *there)
{
  const AtlDiffusionHow *how = &fit->how;

  if (fit->uses_gpu && how->streams)
    return g_strdup_printf (_ ("Needs %s on the graphics card, %s are free there: its weights are "
                               "sent there while it draws, which is slow."),
                            needed, there);
  if (fit->uses_gpu && (how->on_host & ATL_PARTS_TEXT) != 0)
    return g_strdup_printf (
        _ ("Needs %s on the graphics card, %s are free there: the processor reads the "
           "prompt, which is slower."),
        needed, there);
  if (fit->uses_gpu)
    return g_strdup_printf (
        how->tile > 0    ? _ ("Needs %s on the graphics card, %s are free there: its parts are "
                                 "loaded one after the other and the picture is finished in tiles, "
                                 "which is slower.")
        : how->is_frugal ? _ ("Needs %s on the graphics card, %s are free there: its parts are "
                              "loaded one after the other, which is slower.")
                         : _ ("Needs %s on the graphics card, %s are free there."),
        needed, there);
  if (how->streams)
    return g_strdup_printf (_ ("Needs %s, %s are free: its weights are read from the disk while it "
                               "draws, which is slow."),
                            needed, there);
  if (how->tile > 0)
    return g_strdup_printf (_ ("Needs %s, %s are free: its parts are loaded one after the other "
                               "and the picture is finished in tiles, which is slower."),
                            needed, there);
  if (how->is_frugal)
    return g_strdup_printf (
        _ ("Needs %s, %s are free: its parts are loaded one after the other, which is slower."),
        needed, there);
  return g_strdup_printf (_ ("Needs %s, %s are free."), needed, there);
}

/* Of the computer's memory alone. */
static char *
describe_own_want (const AtlPictureFit *fit, const char *needed, const char *there)
{
  if (fit->fit_width > 0)
    return g_strdup_printf (_ ("A picture of %u × %u pixels needs %s, %s are free; %u × %u "
                               "pixels would fit. Closing programs makes room too."),
                            fit->cost.width, fit->cost.height, needed, there, fit->fit_width,
                            fit->fit_height);
  return g_strdup_printf (_ ("A picture of %u × %u pixels needs %s, %s are free. Close "
                             "programs, or choose a smaller model."),
                          fit->cost.width, fit->cost.height, needed, there);
}

static char *
describe_want (const AtlPictureFit *fit, const char *needed, const char *there)
{
  if (!fit->uses_gpu)
    return describe_own_want (fit, needed, there);
  if (fit->fit_width > 0)
    return g_strdup_printf (
        _ ("A picture of %u × %u pixels needs %s on the graphics card, %s are free there; "
           "%u × %u pixels would fit. The processor may have room for it."),
        fit->cost.width, fit->cost.height, needed, there, fit->fit_width, fit->fit_height);
  return g_strdup_printf (
      _ ("A picture of %u × %u pixels needs %s on the graphics card, %s are free there. The "
         "processor may have room for it."),
      fit->cost.width, fit->cost.height, needed, there);
}

/* Of the computer's memory, the graphics card's where it has none of its own. */
static guint64
host_need (const AtlDiffusionPlace *at, const AtlDiffusionCost *cost)
{
  return cost->host + (at->is_shared ? cost->peak : 0);
}

static gboolean
is_host_short (const AtlDiffusionPlace *at, const AtlDiffusionCost *cost)
{
  return host_need (at, cost) > at->host_room;
}

/* The graphics card has room, the computer beside it has none. */
static char *
describe_host_want (const AtlPictureFit *fit, const AtlDiffusionPlace *at)
{
  g_autofree char *needed = atl_language_size (host_need (at, &fit->cost));
  g_autofree char *there = atl_language_size (at->host_room);

  if (at->is_shared)
    return describe_own_want (fit, needed, there);
  if (fit->fit_width > 0)
    return g_strdup_printf (
        _ ("Beside the graphics card a picture of %u × %u pixels needs %s of the computer's "
           "memory, %s are free; %u × %u pixels would fit. Closing programs makes room too."),
        fit->cost.width, fit->cost.height, needed, there, fit->fit_width, fit->fit_height);
  return g_strdup_printf (
      _ ("Beside the graphics card a picture of %u × %u pixels needs %s of the computer's memory, "
         "%s are free. Close programs, or choose a smaller model."),
      fit->cost.width, fit->cost.height, needed, there);
}

static void
take (AtlPictureFit *fit, const AtlDiffusionFit *found)
{
  fit->fits = found->fits;
  fit->how = found->how;
  fit->cost = found->cost;
  fit->fit_width = found->width;
  fit->fit_height = found->height;
  fit->needed_bytes = found->cost.peak;
}

/* a + b, at least 0. */
static guint64
with_more (guint64 a, gint64 b)
{
  return b < 0 ? a - MIN (a, (guint64) -b) : a + (guint64) b;
}

static guint64
less (guint64 a, guint64 b)
{
  return a - MIN (a, b);
}

/* `available`: of the computer's memory. */
static gboolean
judge_gpu (AtlService *service,
           const AtlPicturePlace *place,
           const AtlSettings *settings,
           GPtrArray *inputs,
           guint64 available,
           AtlPictureFit *fit,
           GError **error)
{
  AtlBackend *backends[] = { place->gpu, place->cpu };
  guint64 there =
      place->gpu->memory_free + place->vram_bytes + atl_ledger_idle_vram (service, NULL);
  AtlDiffusionPlace at = { .backends = backends,
                           .n_backends = 2,
                           .host_room = available + place->ram_bytes,
                           .is_shared = place->gpu->shares_memory,
                           .wants_size = g_strcmp0 (place->device, "gpu") == 0 };
  AtlDiffusionFit found;
  g_autofree char *needed = NULL;
  g_autofree char *is_free = NULL;

  if (at.is_shared)
    at.host_room += place->vram_bytes + atl_ledger_idle_vram (service, NULL);
  there = MIN (there, place->gpu->memory_total);
  fit->free_bytes = there;
  /* The driver needs some, and other programs' share is not known. */
  there -= there / 10;
  if (place->gpu_room > 0)
    there = MIN (there, place->gpu_room);
  at.room = with_more (there, -place->more_bytes);
  if (!atl_diffusion_model_fit (place->model, &at, settings, inputs, &found, error))
    return FALSE;
  fit->uses_gpu = TRUE;
  fit->n_backends = 2;
  memcpy (fit->backends, backends, sizeof backends);
  take (fit, &found);
  fit->needed_bytes = with_more (fit->needed_bytes, place->more_bytes);
  fit->host_bytes = less (found.cost.host, fit->how.is_frugal ? 0 : place->ram_bytes);
  if (at.is_shared)
    fit->host_bytes += less (fit->needed_bytes, fit->how.is_frugal ? 0 : place->vram_bytes);
  needed = atl_language_size (fit->needed_bytes);
  is_free = atl_language_size (there);
  fit->words = fit->fits ? describe_way (fit, needed, is_free)
               : found.cost.peak <= at.room && is_host_short (&at, &found.cost)
                   ? describe_host_want (fit, &at)
                   : describe_want (fit, needed, is_free);
  fit->runs_on = gpu_words (place, &fit->how);
  return TRUE;
}

static gboolean
judge_cpu (const AtlPicturePlace *place,
           const AtlSettings *settings,
           GPtrArray *inputs,
           guint64 available,
           AtlPictureFit *fit,
           GError **error)
{
  const AtlDiffusionPlace at = { .backends = &place->cpu,
                                 .n_backends = 1,
                                 .room =
                                     with_more (available + place->ram_bytes, -place->more_bytes),
                                 .wants_size = TRUE };
  AtlDiffusionFit found;
  g_autofree char *needed = NULL;
  g_autofree char *there = NULL;

  /* What is resident is part of what it needs, or goes before it begins. */
  if (!atl_diffusion_model_fit (place->model, &at, settings, inputs, &found, error))
    return FALSE;
  fit->uses_gpu = FALSE;
  fit->n_backends = 1;
  fit->backends[0] = place->cpu;
  take (fit, &found);
  fit->needed_bytes = with_more (fit->needed_bytes, place->more_bytes);
  if (fit->how.is_frugal)
    available += place->ram_bytes;
  else
    fit->needed_bytes -= MIN (place->ram_bytes, MIN (fit->cost.weights, fit->cost.peak));
  fit->host_bytes = fit->needed_bytes;
  needed = atl_language_size (fit->needed_bytes);
  there = atl_language_size (available);
  fit->words = fit->fits ? describe_way (fit, needed, there) : describe_want (fit, needed, there);
  fit->runs_on = cpu_words (place);
  return TRUE;
}

gboolean
atl_picture_judge (AtlService *service,
                   const AtlPicturePlace *place,
                   const AtlSettings *settings,
                   GPtrArray *inputs,
                   AtlPictureFit *fit,
                   GError **error)
{
  AtlMemory memory;
  guint64 idle, available;

  atl_ledger_read (service, &memory, &idle);
  available = less (memory.free_bytes + idle, atl_fit_reserve (memory.total_bytes));
  if (has_gpu (place))
    {
      if (!judge_gpu (service, place, settings, inputs, available, fit, error))
        return FALSE;
      if (fit->fits || g_strcmp0 (place->device, "gpu") == 0)
        return TRUE;
      atl_picture_fit_clear (fit);
    }
  fit->free_bytes = memory.free_bytes + idle;
  return judge_cpu (place, settings, inputs, available, fit, error);
}

/* --- PricePicture --- */

/* Of the input at `at`; FALSE where nobody said it, or no picture is as large as that. */
static gboolean
known_size (GVariant *sizes, gsize at, guint *width, guint *height)
{
  *width = *height = 0;
  if (sizes != NULL && at < g_variant_n_children (sizes))
    g_variant_get_child (sizes, at, "(uu)", width, height);
  return *width > 0 && *height > 0 && MAX (*width, *height) <= ATL_MAX_INPUT_SIDE;
}

/* Pictures to begin with count by their size, and are not read; those to follow whose size is not
 * known count as large as what the model was trained for. */
static void
add_blank_inputs (GPtrArray *inputs,
                  GVariant *roles,
                  GVariant *sizes,
                  AtlDiffusionModel *model,
                  gint64 width,
                  gint64 height)
{
  const AtlTraits *traits = atl_diffusion_model_traits (model);
  gsize n = g_variant_n_children (roles);
  guint n_references = 0;

  for (gsize i = 0; i < MIN (n, ATL_MAX_REFERENCES + 2); i++)
    {
      const char *role;

      g_variant_get_child (roles, i, "&s", &role);
      if (g_str_equal (role, ATL_CREATE_REFERENCE))
        {
          g_autofree char *name = g_strdup_printf ("image_%u", ++n_references);
          gint64 side = MAX (traits->side / traits->multiple, 1u) * traits->multiple;
          gint64 w = side, h = side;
          guint own_w, own_h;

          if (known_size (sizes, i, &own_w, &own_h))
            atl_picture_reference_size (model, own_w, own_h, &w, &h);
          g_ptr_array_add (inputs,
                           atl_array_new (name, ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, h, w }));
        }
      else if (atl_arrays_find (inputs, role) == NULL &&
               (g_str_equal (role, ATL_CREATE_IMAGE) || g_str_equal (role, ATL_CREATE_MASK)))
        g_ptr_array_add (inputs,
                         atl_array_new (role, ATL_DTYPE_F32, 4,
                                        (gint64[]){ 1, g_str_equal (role, ATL_CREATE_MASK) ? 1 : 3,
                                                    height, width }));
    }
}

static gboolean
price (AtlJob *job, GError **error)
{
  AtlSlot *slot = job->slot;
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  g_autoptr (GVariant) roles = atl_dict_lookup (job->draw.settings, ATL_PRICE_INPUTS, "as");
  g_autoptr (GVariant) sizes = atl_dict_lookup (job->draw.settings, ATL_PRICE_SIZES, "a(uu)");
  g_auto (AtlPictureFit) fit = { 0 };
  AtlPicturePlace place = atl_picture_place (slot);
  const AtlTraits *traits;
  gint64 width, height;
  GVariantDict dict, work;

  if (slot->pictures == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ (ATL_NOT_LOADED_WORDS));
      return FALSE;
    }
  /* LoRAs stay as they are in their files, which the engine has not seen yet. */
  place.more_bytes = (gint64) MIN (atl_dict_uint64 (job->draw.settings, ATL_PRICE_LORA_BYTES, 0),
                                   (guint64) G_MAXINT64 / 2) -
                     (gint64) atl_diffusion_model_lora_bytes (slot->pictures);
  traits = atl_diffusion_model_traits (slot->pictures);
  atl_settings_add_dict (settings, job->draw.settings);
  atl_picture_set_defaults (settings, traits);
  if (!atl_picture_choose_sampler (settings, traits, error))
    return FALSE;
  atl_picture_choose_size (settings, traits, 0, 0, &width, &height);
  if (roles != NULL)
    add_blank_inputs (inputs, roles, sizes, slot->pictures, width, height);
  if (!atl_picture_check_fills (traits, atl_diffusion_model_family (slot->pictures)->words,
                                atl_arrays_find (inputs, ATL_CREATE_IMAGE) != NULL,
                                atl_arrays_find (inputs, ATL_CREATE_MASK) != NULL, error) ||
      !atl_picture_judge (job->service, &place, settings, inputs, &fit, error))
    return FALSE;
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_MADE_WIDTH, "u", fit.cost.width);
  g_variant_dict_insert (&dict, ATL_MADE_HEIGHT, "u", fit.cost.height);
  g_variant_dict_insert (&dict, ATL_MADE_STEPS, "u", fit.cost.steps);
  g_variant_dict_init (&work, NULL);
  atl_picture_add_work (&work, &fit.cost);
  atl_picture_add_faster (&work, settings);
  g_variant_dict_insert (&work, ATL_WORK_STEPS, "u", fit.cost.steps);
  g_variant_dict_insert (&work, ATL_WORK_IS_COLD, "b",
                         fit.how.is_frugal || !atl_diffusion_model_is_warm (slot->pictures));
  g_variant_dict_insert_value (&dict, ATL_MADE_WORK, g_variant_dict_end (&work));
  g_variant_dict_insert (&dict, ATL_INFO_NEEDED_BYTES, "t", fit.needed_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_FREE_BYTES, "t", fit.free_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_FITS, "b", fit.fits);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s", fit.words);
  g_variant_dict_insert (&dict, ATL_PRICE_IS_FRUGAL, "b", fit.how.is_frugal);
  g_variant_dict_insert (&dict, ATL_PRICE_FIT_WIDTH, "u", fit.fit_width);
  g_variant_dict_insert (&dict, ATL_PRICE_FIT_HEIGHT, "u", fit.fit_height);
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", fit.runs_on);
  job->info = g_variant_ref_sink (g_variant_dict_end (&dict));
  return TRUE;
}

static gboolean
price_run (AtlJob *job, GError **error)
{
  gboolean ok;

  g_rw_lock_reader_lock (&job->slot->lock);
  ok = price (job, error);
  g_rw_lock_reader_unlock (&job->slot->lock);
  return ok;
}

static void
price_done (AtlJob *job, const GError *error)
{
  if (error != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else
    atl_ipc_engine1_complete_price_picture (job->service->skeleton,
                                            g_steal_pointer (&job->invocation), job->info);
}

gboolean
atl_handle_price_picture (AtlIpcEngine1 *skeleton,
                          GDBusMethodInvocation *invocation,
                          guint model,
                          GVariant *settings,
                          AtlService *self)
{
  AtlJob *job = atl_job_new (self, 0, FALSE, invocation);
  GError *error = NULL;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = price_run;
  job->done = price_done;
  job->draw.settings = g_variant_ref (settings);
  if (atl_job_set_slot (job, model, &error))
    atl_job_start (job, self->reading);
  else
    atl_job_refuse (job, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
