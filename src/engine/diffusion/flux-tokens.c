/* Asking the transformers of Flux's kind. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/flux-tokens.h"

#include <math.h>

static void
text_clear (AtlFluxText *self)
{
  g_clear_pointer (&self->context, atl_array_free);
  g_clear_pointer (&self->pooled, atl_array_free);
  g_clear_pointer (&self->mask, atl_array_free);
}

void
atl_flux_tokens_clear (AtlFluxTokens *self)
{
  text_clear (&self->positive);
  text_clear (&self->negative);
  g_clear_pointer (&self->image_ids, atl_array_free);
  g_clear_pointer (&self->context_ids, atl_array_free);
  g_clear_pointer (&self->extra, atl_array_free);
  g_clear_pointer (&self->references, atl_array_free);
}

/* Takes both; `front` nullable. */
static AtlArray *
append (AtlArray *front, AtlArray *behind, guint axis)
{
  g_autoptr (AtlArray) a = front;
  g_autoptr (AtlArray) b = behind;

  return a == NULL ? g_steal_pointer (&b)
                   : atl_array_join (a->name, axis, 2, (const AtlArray *const[]){ a, b });
}

void
atl_flux_tokens_add_reference (AtlFluxTokens *self, AtlArray *tokens, AtlArray *ids)
{
  self->references = append (self->references, tokens, 1);
  self->image_ids = append (self->image_ids, ids, 0);
}

static AtlArray *
forward (AtlRun *run,
         const AtlArray *latent,
         double timestep,
         gconstpointer text,
         gpointer user_data,
         GError **error)
{
  const AtlFluxTokens *self = user_data;
  const AtlFluxText *words = text;
  g_autoptr (AtlRequest) request = atl_request_new ("forward");

  atl_request_add (request, atl_array_copy (latent, "latent"));
  atl_request_add (request, atl_array_number ("timestep", timestep / 1000));
  if (!isnan (self->guidance))
    atl_request_add (request, atl_array_number ("guidance", self->guidance));
  atl_request_add (request, atl_array_copy (words->context, "context"));
  if (words->pooled != NULL)
    atl_request_add (request, atl_array_copy (words->pooled, "pooled"));
  if (words->mask != NULL)
    atl_request_add (request, atl_array_copy (words->mask, "attention_mask"));
  atl_request_add (request, atl_array_copy (self->image_ids, "image_ids"));
  atl_request_add (request, atl_array_copy (self->context_ids, "context_ids"));
  return atl_run_output_of (run, "transformer", request, "output", error);
}

gboolean
atl_flux_tokens_predict (AtlRun *run,
                         const AtlArray *scaled,
                         double timestep,
                         guint call,
                         AtlArray *out,
                         gpointer user_data,
                         GError **error)
{
  const AtlFluxTokens *self = user_data;
  const AtlArray *latent = scaled, *behind = self->extra != NULL ? self->extra : self->references;
  g_autoptr (AtlArray) joined = NULL;

  if (behind != NULL)
    latent = joined = atl_array_join ("latent", self->extra != NULL ? 2 : 1, 2,
                                      (const AtlArray *const[]){ scaled, behind });
  /* References' tokens come last in what the network says, and are left out. */
  return atl_run_guided (run, forward, latent, timestep, &self->positive,
                         self->negative.context != NULL ? &self->negative : NULL, self->cfg_scale,
                         out, NULL, user_data, error);
}
