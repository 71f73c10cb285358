/* Judging before allocating: what a model needs, whether that is free, and the nearest that fits.
 */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/fit.h"

#include "protocol/protocol.h"

#include <glib/gi18n.h>

#include "base/language.h"

#define MIN_N_CTX 512u

guint64
atl_fit_reserve (guint64 total)
{
  return MIN (total / 16, 512ull << 20);
}

void
atl_fit_add_device (AtlFitRequest *request, const AtlBackend *device)
{
  request->vram_free = device->shares_memory ? 0 : device->memory_free;
}

static guint64
sum (const AtlChatMemory *memory)
{
  return memory->weight_bytes + memory->kv_bytes + memory->scratch_bytes;
}

/* What the device takes off the machine's memory; its driver keeps a tenth for itself. */
static guint64
room (const AtlFitRequest *request)
{
  guint64 kept = atl_fit_reserve (request->ram_total);

  return request->ram_free - MIN (request->ram_free, kept) + request->vram_free / 10 * 9;
}

static gboolean
try_n_ctx (const AtlChatModel *model,
           const AtlFitRequest *request,
           AtlDType kv_dtype,
           guint n_ctx,
           AtlFit *fit,
           GError **error)
{
  fit->n_ctx = n_ctx;
  if (!atl_chat_model_estimate (model, n_ctx, kv_dtype, &fit->memory, error))
    return FALSE;
  fit->needed_bytes = sum (&fit->memory);
  fit->fits = fit->needed_bytes <= room (request);
  return TRUE;
}

/* The longest context below `n_ctx` that fits with this type of cache; 0 if none does. */
static guint
find_n_ctx (const AtlChatModel *model, const AtlFitRequest *request, AtlDType kv_dtype, guint n_ctx)
{
  AtlFit fit = { 0 };

  for (n_ctx /= 2; n_ctx >= MIN_N_CTX; n_ctx /= 2)
    if (try_n_ctx (model, request, kv_dtype, n_ctx, &fit, NULL) && fit.fits)
      return n_ctx;
  return 0;
}

/* What must be in memory when the weights are read from the disk; a part of the rest is left to the
 * pages that come and go. */
static guint64
least (const AtlFit *fit)
{
  return fit->memory.kv_bytes + fit->memory.scratch_bytes;
}

static void
stream (const AtlFitRequest *request, AtlFit *fit)
{
  guint64 there = room (request);
  guint64 left = there - least (fit);
  g_autofree char *missing = NULL;

  fit->fits = TRUE;
  fit->weight_budget = MAX (left - left / 8, 1);
  missing = atl_language_size (fit->needed_bytes - MIN (fit->needed_bytes, there - left / 8));
  fit->needed_bytes = MIN (fit->needed_bytes, there);
  g_free (fit->notice);
  fit->notice =
      g_strdup_printf (_ ("%s of the model do not fit into memory and are read from the disk "
                          "while it answers, which is slow."),
                       missing);
}

static void
refuse (const AtlChatModel *model, const AtlFitRequest *request, AtlFit *fit)
{
  g_autofree char *needed = atl_language_size (fit->needed_bytes);
  g_autofree char *there = atl_language_size (room (request));
  g_autofree char *weights = atl_language_size (fit->memory.weight_bytes);
  guint n_ctx = find_n_ctx (model, request, request->kv_dtype, fit->n_ctx);
  AtlFit other = { 0 };

  if (n_ctx != 0)
    fit->words =
        g_strdup_printf (_ ("Needs %s with a context of %u tokens; %s are free. It fits with "
                            "a context of %u tokens."),
                         needed, fit->n_ctx, there, n_ctx);
  else if (request->kv_dtype != ATL_DTYPE_Q8_0 && request->kv_dtype != ATL_DTYPE_Q4_0 &&
           try_n_ctx (model, request, ATL_DTYPE_Q8_0, fit->n_ctx, &other, NULL) && other.fits)
    fit->words =
        g_strdup_printf (_ ("Needs %s with a context of %u tokens; %s are free. It fits with "
                            "“Half” as its memory for long chats (q8_0)."),
                         needed, fit->n_ctx, there);
  else
    fit->words = g_strdup_printf (
        least (fit) < room (request)
            ? _ ("Needs %s (%s for the model itself); %s are free. Unload other models or close "
                 "programs, or choose a model or quantisation of at most about %s. Or let it be "
                 "read from the disk while it answers, which is slow.")
            : _ ("Needs %s (%s for the model itself); %s are free. Unload other models or close "
                 "programs, or choose a model or quantisation of at most about %s."),
        needed, weights, there, there);
}

gboolean
atl_fit_judge (const AtlChatModel *model, const AtlFitRequest *request, AtlFit *fit, GError **error)
{
  guint n_train = atl_chat_model_facts (model)->n_ctx_train;
  guint wanted = request->n_ctx != 0 ? request->n_ctx : ATL_DEFAULT_N_CTX;
  guint n_ctx;

  *fit = (AtlFit){ 0 };
  if (n_train != 0 && wanted > n_train)
    {
      if (request->n_ctx != 0)
        fit->notice = g_strdup_printf (
            _ ("The context is %u tokens, the most this model was made for."), n_train);
      wanted = n_train;
    }
  if (!try_n_ctx (model, request, request->kv_dtype, wanted, fit, error))
    return FALSE;
  if (!fit->fits && request->n_ctx == 0 &&
      (n_ctx = find_n_ctx (model, request, request->kv_dtype, wanted)) != 0)
    {
      if (!try_n_ctx (model, request, request->kv_dtype, n_ctx, fit, error))
        return FALSE;
      g_free (fit->notice);
      fit->notice =
          g_strdup_printf (_ ("The context is %u instead of %u tokens, so that the model fits "
                              "into memory."),
                           n_ctx, wanted);
    }
  if (!fit->fits && request->from_disk && least (fit) < room (request))
    stream (request, fit);
  if (fit->fits)
    {
      g_autofree char *needed = atl_language_size (fit->needed_bytes);
      g_autofree char *there = atl_language_size (room (request));

      fit->words = g_strdup_printf (_ ("Needs %s; %s are free."), needed, there);
    }
  else
    refuse (model, request, fit);
  return TRUE;
}

void
atl_fit_clear (AtlFit *fit)
{
  g_clear_pointer (&fit->words, g_free);
  g_clear_pointer (&fit->notice, g_free);
}
