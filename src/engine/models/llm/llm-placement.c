/* Which layers live on the device, whose experts, and what stays in the file.
 *
 * Layers are counted from the last, so that values cross once on their way. A layer's experts are
 * most of its bytes, and few of them work on a token: where memory is short they stay on the CPU,
 * and attention, shared experts and the context of more layers fit on the device. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/llm-private.h"

#include <glib/gi18n.h>

#include "base/language.h"

static gboolean
is_of_experts (const AtlDecoderLayer *l, const AtlWeight *w)
{
  const AtlWeight *const stacks[] = { l->gate_exps, l->up_exps, l->gate_up_exps, l->down_exps };

  if (w == l->gate_exps_b || w == l->up_exps_b || w == l->down_exps_b)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (stacks); i++)
    if (stacks[i] != NULL && (w == stacks[i] || w == stacks[i]->order))
      return TRUE;
  return FALSE;
}

static gboolean
is_expert (const AtlDecoder *decoder, const AtlWeight *w)
{
  return w->layer >= 0 && (guint) w->layer < decoder->h.n_layer &&
         is_of_experts (&decoder->layers[w->layer], w);
}

AtlBackend *
llm_layer_backend (const AtlLlm *self, gint layer)
{
  return layer >= 0 && (guint) layer >= self->first_gpu_layer
             ? self->backends[0]
             : self->backends[self->n_backends - 1];
}

AtlBackend *
llm_weight_backend (const AtlLlm *self, const AtlWeight *weight)
{
  if (is_expert (&self->decoder, weight) && (guint) weight->layer < self->first_experts)
    return self->backends[self->n_backends - 1];
  return llm_layer_backend (self, weight->layer);
}

/* Bytes that a layer takes on the device. */
typedef struct
{
  guint64 experts;
  guint64 rest; /* the context included */
} LayerBytes;

static LayerBytes *
count_bytes (const AtlLlm *self, AtlDType kv_dtype, guint n_ctx)
{
  const AtlDecoder *decoder = &self->decoder;
  AtlBackend *gpu = self->backends[0];
  LayerBytes *layers = g_new0 (LayerBytes, decoder->h.n_layer + 1); /* the last: the output */

  for (guint i = 0; i < atl_weights_n (decoder->weights); i++)
    {
      AtlWeight *w = atl_weights_get (decoder->weights, i);
      LayerBytes *layer;

      if (w->use == 0 || w->layer < 0)
        continue;
      layer = &layers[MIN ((guint) w->layer, decoder->h.n_layer)];
      *(is_expert (decoder, w) ? &layer->experts : &layer->rest) +=
          gpu->klass->upload_cost (gpu, w);
    }
  for (guint il = 0; il < decoder->h.n_layer; il++)
    layers[il].rest += atl_llm_hparams_layer_bytes (&decoder->h, il, n_ctx, kv_dtype);
  return layers;
}

/* The first layers of which so many have experts. */
static guint
layers_with_experts (const AtlLlmHparams *h, guint n)
{
  guint il = 0;

  for (; il < h->n_layer && n > 0; il++)
    n -= h->layers[il].has_experts ? 1 : 0;
  return il;
}

void
llm_place (AtlLlm *self, const AtlLlmOptions *options, guint64 scratch_bytes, guint n_ctx)
{
  const AtlLlmHparams *h = &self->decoder.h;
  AtlDType kv = options->kv_dtype == ATL_DTYPE_F32 ? ATL_DTYPE_F16 : options->kv_dtype;
  AtlBackend *gpu = self->backends[0];
  guint64 budget = gpu->memory_free - gpu->memory_free / 10;
  gboolean is_number = options->n_gpu_layers != G_MAXUINT, is_cut = FALSE;
  gboolean some_apart = options->n_cpu_experts == G_MAXUINT;
  g_autofree LayerBytes *layers = NULL;
  guint first = h->n_layer, experts = 0;
  guint64 used;

  self->first_gpu_layer = G_MAXUINT;
  if (self->n_backends == 1)
    return;
  layers = count_bytes (self, kv, n_ctx);
  used = scratch_bytes + layers[h->n_layer].rest;
  if (!some_apart)
    experts = layers_with_experts (h, options->n_cpu_experts);
  for (; first > 0; first--)
    {
      const LayerBytes *layer = &layers[first - 1];
      guint64 more = layer->rest;

      if (!some_apart && first - 1 >= experts)
        more += layer->experts;
      if (is_number && h->n_layer - first >= options->n_gpu_layers)
        break;
      /* A number may come from another device or model, or from when more was free: it is kept to
       * as far as there is any memory at all. */
      is_cut = used + more > (is_number ? gpu->memory_free : budget);
      if (is_cut)
        break;
      used += more;
    }
  if (some_apart)
    for (experts = h->n_layer; experts > first; experts--)
      {
        used += layers[experts - 1].experts;
        if (used > budget)
          break;
      }

  if (first < h->n_layer)
    self->first_gpu_layer = first;
  self->first_experts = experts;
  self->info.n_layers_on_device = h->n_layer - first;
  self->info.is_chosen = (is_number && !is_cut) || !some_apart;
  for (guint il = first; il < MIN (experts, h->n_layer); il++)
    self->info.n_layers_apart += h->layers[il].has_experts;
}

void
llm_keep_in_file (AtlLlm *self, guint64 budget)
{
  const AtlDecoder *decoder = &self->decoder;

  /* All of the rest works on every token, of the experts only some: these are copied last. */
  for (guint experts = 0; experts < 2; experts++)
    for (guint i = 0; i < atl_weights_n (decoder->weights); i++)
      {
        AtlWeight *w = atl_weights_get (decoder->weights, i);
        AtlBackend *backend = llm_weight_backend (self, w);
        gsize cost;

        if (w->use == 0 || w->bytes != NULL || !backend->is_host ||
            is_expert (decoder, w) != (experts == 1))
          continue;
        cost = backend->klass->upload_cost (backend, w);
        w->in_file = cost > budget;
        if (w->in_file && backend->klass->upload_cost (backend, w) < cost)
          self->info.file_bytes += w->size_bytes;
        else
          budget -= MIN (cost, budget);
      }
}

/* Sentences of their own: in other languages their parts stand in another order. */
static char *
where (const AtlLlm *self)
{
  const AtlLlmInfo *info = &self->info;
  const char *gpu = self->backends[0]->description;
  guint n = info->n_layers_on_device, n_all = info->n_layer, n_apart = info->n_layers_apart;

  if (n == 0)
    return g_strdup (self->backends[self->n_backends - 1]->description);
  if (n == n_all && n_apart == 0)
    return g_strdup (gpu);
  if (n_apart == 0)
    return g_strdup_printf (
        info->is_chosen
            ? _ ("%u of %u layers on %s, the rest on the processor, because the settings say so")
            : _ ("%u of %u layers on %s, the rest on the processor, because its memory is full"),
        n, n_all, gpu);
  if (n == n_all)
    return g_strdup_printf (
        info->is_chosen
            ? ngettext (
                  "%s, the experts of %u layer on the processor, because the settings say so",
                  "%s, the experts of %u layers on the processor, because the settings say so",
                  n_apart)
            : ngettext ("%s, the experts of %u layer on the processor, because its memory is full",
                        "%s, the experts of %u layers on the processor, because its memory is full",
                        n_apart),
        gpu, n_apart);
  return g_strdup_printf (info->is_chosen
                              ? ngettext ("%u of %u layers on %s, the rest and the experts of %u "
                                          "layer on the processor, because the settings say so",
                                          "%u of %u layers on %s, the rest and the experts of %u "
                                          "layers on the processor, because the settings say so",
                                          n_apart)
                              : ngettext ("%u of %u layers on %s, the rest and the experts of %u "
                                          "layer on the processor, because its memory is full",
                                          "%u of %u layers on %s, the rest and the experts of %u "
                                          "layers on the processor, because its memory is full",
                                          n_apart),
                          n, n_all, gpu, n_apart);
}

char *
atl_llm_placement (const AtlLlm *self)
{
  char *words = where (self);

  if (self->info.file_bytes > 0)
    {
      g_autofree char *size = atl_language_size (self->info.file_bytes);
      char *more = g_strdup_printf (
          _ ("%s; %s of the model are read from the disk while it answers"), words, size);

      g_free (words);
      words = more;
    }
  return words;
}
