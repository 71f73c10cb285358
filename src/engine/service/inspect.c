/* Inspect: what a model is and whether it fits, which LoadModel asks first. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>

#include "engine/pipelines/chat-adapters.h"
#include "engine/service/handlers.h"
#include "engine/service/ledger.h"
#include "engine/service/load.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

GVariant *
atl_load_info (const AtlChatModel *model,
               const AtlFit *fit,
               guint64 free_bytes,
               const char *runs_on)
{
  const AtlChatFacts *facts = atl_chat_model_facts (model);
  const AtlChatFacts *draft = atl_chat_model_draft_facts (model);
  g_autofree char *notice = NULL;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", facts->name);
  g_variant_dict_insert (&dict, ATL_INFO_INSIDE, "s", facts->inside);
  g_variant_dict_insert (&dict, ATL_INFO_ARCHITECTURE, "s", facts->architecture);
  g_variant_dict_insert (&dict, ATL_INFO_QUANT, "s", facts->quant);
  g_variant_dict_insert (&dict, ATL_INFO_LICENSE, "s", facts->license);
  g_variant_dict_insert (&dict, ATL_INFO_N_PARAMS, "t", facts->n_params);
  g_variant_dict_insert (&dict, ATL_INFO_SIZE_BYTES, "t", facts->size_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_WEIGHT_BYTES, "t", fit->memory.weight_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_KV_BYTES, "t", fit->memory.kv_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_SCRATCH_BYTES, "t", fit->memory.scratch_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_NEEDED_BYTES, "t", fit->needed_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_FREE_BYTES, "t", free_bytes);
  g_variant_dict_insert (&dict, ATL_INFO_FITS, "b", fit->fits);
  g_variant_dict_insert (&dict, ATL_INFO_CAN_RUN, "b", facts->can_run);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s",
                         facts->can_run ? fit->words : facts->why_not);
  g_variant_dict_insert (&dict, ATL_INFO_N_CTX, "u", fit->n_ctx);
  g_variant_dict_insert (&dict, ATL_INFO_N_CTX_TRAIN, "u", facts->n_ctx_train);
  g_variant_dict_insert (&dict, ATL_INFO_N_LAYERS, "u", facts->n_layers);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_EXPERTS, "b", facts->has_experts);
  notice = g_strjoin (" ", fit->notice != NULL ? fit->notice : "",
                      facts->warning != NULL ? facts->warning : "", NULL);
  g_variant_dict_insert (&dict, ATL_INFO_NOTICE, "s", g_strstrip (notice));
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", runs_on);
  g_variant_dict_insert (&dict, ATL_INFO_DRAFT, "s", draft != NULL ? draft->name : "");
  g_variant_dict_insert (&dict, ATL_INFO_HAS_TEMPLATE, "b", facts->has_template);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_SYSTEM, "b", facts->has_system);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_TOOLS, "b", facts->has_tools);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_THINKING, "b", facts->has_thinking);
  g_variant_dict_insert (&dict, ATL_INFO_HAS_VISION, "b", facts->has_vision);
  g_variant_dict_insert (&dict, ATL_INFO_IS_TOY, "b", facts->is_toy);
  g_variant_dict_insert_value (&dict, ATL_INFO_RECOMMENDED, facts->recommended);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static gboolean
open_chat (AtlJob *job, GError **error)
{
  job->load.model =
      atl_chat_model_open ((AtlFileMap *const *) job->maps->pdata,
                           (const char *const *) job->names->pdata, job->n_own, error);
  return job->load.model != NULL &&
         (job->load.strengths == NULL || atl_job_set_strengths (job, job->load.model, error));
}

/* A chat model, or one for pictures. What is neither is told as the former. */
gboolean
atl_load_open (AtlJob *job, GError **error)
{
  g_autoptr (GError) as_picture = NULL;

  if (atl_picture_is_folder (job))
    return atl_picture_open (job, error);
  if (atl_upscale_is_meant (job))
    return atl_upscale_open (job, error);
  if (open_chat (job, error) && atl_chat_model_facts (job->load.model)->can_run)
    return TRUE;
  if (atl_picture_open (job, &as_picture) ||
      g_error_matches (as_picture, ATL_ERROR, ATL_ERROR_NOT_FOUND))
    {
      g_clear_error (error);
      g_clear_pointer (&job->load.model, atl_chat_model_free);
      if (as_picture != NULL)
        g_propagate_error (error, g_steal_pointer (&as_picture));
      return job->load.pictures != NULL;
    }
  if (atl_upscale_open (job, NULL))
    {
      g_clear_error (error);
      g_clear_pointer (&job->load.model, atl_chat_model_free);
      return TRUE;
    }
  /* What is wrong with a model for pictures is not that it does not chat. */
  if (atl_picture_is_meant (job))
    {
      g_clear_error (error);
      g_clear_pointer (&job->load.model, atl_chat_model_free);
      g_propagate_error (error, g_steal_pointer (&as_picture));
      return FALSE;
    }
  return job->load.model != NULL && *error == NULL;
}

gboolean
atl_load_judge (AtlJob *job, AtlFit *fit, guint64 *free_bytes, GError **error)
{
  AtlFitRequest request = { .n_ctx = job->load.n_ctx,
                            .kv_dtype = job->load.kv_dtype,
                            .from_disk = job->load.from_disk };
  AtlBackend *backends[2];
  AtlMemory memory;
  guint64 idle_bytes;

  atl_ledger_read (job->service, &memory, &idle_bytes);
  /* What is idle goes when it is in the way. */
  *free_bytes = request.ram_free = memory.free_bytes + idle_bytes;
  request.ram_total = memory.total_bytes;
  if (atl_devices_choose (job->service->devices, job->load.device, backends, NULL) == 2)
    atl_fit_add_device (&request, backends[0]);
  if (!atl_chat_model_facts (job->load.model)->can_run)
    {
      fit->words = g_strdup ("");
      return TRUE;
    }
  return atl_fit_judge (job->load.model, &request, fit, error);
}

/* --- Inspect --- */

/* What is told of the job's one file when it is a LoRA of a language model; NULL when it is none.
 */
static GVariant *
inspect_adapter (AtlJob *job)
{
  GVariantDict dict;

  if (job->n_own != 1 || !atl_chat_adapters_recognize (job->maps->pdata[0], job->names->pdata[0]))
    return NULL;
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_KIND, "s", ATL_KIND_ADAPTER);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", job->names->pdata[0]);
  g_variant_dict_insert (&dict, ATL_INFO_SIZE_BYTES, "t",
                         (guint64) atl_file_map_size (job->maps->pdata[0]));
  g_variant_dict_insert (&dict, ATL_INFO_CAN_RUN, "b", FALSE);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s",
                         _ ("This is a LoRA: it changes a model, and is none itself"));
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}

static gboolean
inspect_run (AtlJob *job, GError **error)
{
  g_auto (AtlFit) fit = { 0 };
  guint64 free_bytes;
  gboolean is_open;

  job->info = inspect_adapter (job);
  if (job->info == NULL)
    job->info = atl_picture_inspect_lora (job);
  if (job->info != NULL)
    return TRUE;
  is_open = atl_load_open (job, error);
  /* Of no use to a model for pictures either. */
  if (is_open && job->load.model != NULL && atl_chat_model_facts (job->load.model)->is_damaged)
    {
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                           atl_chat_model_facts (job->load.model)->why_not);
      return FALSE;
    }
  /* Only pictures come in parts, and what draws is none. */
  if ((is_open ? job->load.model != NULL && !atl_chat_model_facts (job->load.model)->can_run
               : !g_error_matches (*error, ATL_ERROR, ATL_ERROR_NOT_FOUND)) &&
      !atl_picture_is_meant (job) && (job->info = atl_picture_inspect_part (job)) != NULL)
    {
      g_clear_error (error);
      return TRUE;
    }
  if (!is_open)
    {
      g_autofree char *missing = NULL;

      if (!g_error_matches (*error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
        return FALSE;
      missing = g_strdup ((*error)->message);
      g_clear_error (error);
      return atl_picture_inspect (job, missing, error);
    }
  if (job->load.pictures != NULL)
    return atl_picture_inspect (job, NULL, error);
  if (job->load.upscaler != NULL)
    {
      atl_upscale_inspect (job, "");
      return TRUE;
    }
  if (!atl_load_judge (job, &fit, &free_bytes, error))
    return FALSE;
  job->info = atl_load_info (job->load.model, &fit, free_bytes, "");
  return TRUE;
}

static void
inspect_done (AtlJob *job, const GError *error)
{
  if (error != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else
    atl_ipc_engine1_complete_inspect (job->service->skeleton, g_steal_pointer (&job->invocation),
                                      NULL, job->info);
}

gboolean
atl_handle_inspect (AtlIpcEngine1 *skeleton,
                    GDBusMethodInvocation *invocation,
                    GUnixFDList *fds,
                    guint request,
                    GVariant *files,
                    GVariant *options,
                    AtlService *self)
{
  AtlJob *job =
      atl_load_begin (self, request, invocation, fds, files, options, inspect_run, inspect_done);

  if (job != NULL)
    atl_job_start (job, self->reading);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
