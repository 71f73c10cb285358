/* Hyperparameters of mixers that carry a state: sizes of the convolution and of the state, and how
 * many of them a sequence has room for. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/hparams-private.h"

#include <glib/gi18n.h>

/* Numbers of one layer's state. */
#define MAX_STATE (1u << 24)
/* What the checkpoints of a sequence may take, as long as there is one, and their number. */
#define CHECKPOINT_BYTES (256u * 1024 * 1024)
#define MAX_CHECKPOINTS (ATL_LLM_MAX_SLOTS - 2)

static void
read_mamba (AtlLlmHparams *h, AtlLlmKeys *k)
{
  AtlLlmSsm *m = &h->ssm;
  guint n_inner = 0;

  atl_llm_key_uint (k, "ssm.inner_size", 1, 1 << 20, TRUE, &n_inner);
  atl_llm_key_uint (k, "ssm.state_size", 1, 1 << 14, TRUE, &m->n_keys);
  atl_llm_key_uint (k, "ssm.time_step_rank", 1, 1 << 14, TRUE, &m->n_heads);
  atl_llm_key_uint (k, "ssm.group_count", 1, 1 << 14, TRUE, &m->n_groups);
  if (k->error != NULL)
    return;
  if (n_inner % m->n_heads != 0)
    {
      atl_llm_key_unfit (k, ATL_LLM_DIVISOR, "ssm.time_step_rank", m->n_heads, "ssm.inner_size",
                         n_inner);
      return;
    }
  m->n = n_inner / m->n_heads;
  m->n_channels = n_inner + 2 * m->n_groups * m->n_keys;
}

static void
read_delta (AtlLlmHparams *h, AtlLlmKeys *k)
{
  AtlLlmSsm *m = &h->ssm;
  guint n_inner = 0;

  atl_llm_key_uint (k, "ssm.state_size", 1, 1 << 14, TRUE, &m->n_keys);
  atl_llm_key_uint (k, "ssm.time_step_rank", 1, 1 << 14, TRUE, &m->n_heads);
  atl_llm_key_uint (k, "ssm.group_count", 1, 1 << 14, TRUE, &m->n_groups);
  atl_llm_key_uint (k, "ssm.inner_size", 1, 1 << 20, TRUE, &n_inner);
  if (k->error != NULL)
    return;
  m->n = m->n_keys;
  if ((guint64) m->n_heads * m->n != n_inner)
    {
      atl_llm_key_unfit (k, ATL_LLM_EXACTLY, "ssm.inner_size", n_inner, "ssm.time_step_rank",
                         m->n_heads * m->n);
      return;
    }
  m->n_channels = n_inner + 2 * m->n_groups * m->n_keys;
}

static void
count_slots (AtlLlmHparams *h)
{
  AtlLlmSsm *m = &h->ssm;
  guint64 bytes = 0;

  for (guint il = 0; il < h->n_layer; il++)
    if (h->layers[il].recurrent != ATL_RECURRENT_NONE)
      bytes += sizeof (float) * ((guint64) (m->n_taps - 1) * m->n_channels +
                                 (guint64) m->n_heads * m->n_keys * m->n);
  if (bytes > 0)
    m->n_slots = 2 + (guint) CLAMP (CHECKPOINT_BYTES / bytes, 1, MAX_CHECKPOINTS);
}

void
hparams_read_recurrent (AtlLlmHparams *h, AtlLlmKeys *k)
{
  const AtlLlmTraits *t = h->traits;
  AtlLlmSsm *m = &h->ssm;

  if (t->recurrent == ATL_RECURRENT_NONE)
    return;
  for (guint il = 0; il < h->n_layer; il++)
    {
      AtlLlmLayer *l = &h->layers[il];
      gboolean is_free = !t->lone_sublayers || (l->n_ff == 0 && !l->has_experts);

      if (is_free && (!l->attends || t->recurrent_layers == ATL_RECURRENT_BESIDE))
        l->recurrent = t->recurrent;
    }
  atl_llm_key_uint (
      k, t->recurrent == ATL_RECURRENT_SHORT_CONV ? "shortconv.l_cache" : "ssm.conv_kernel", 2, 256,
      TRUE, &m->n_taps);
  switch (t->recurrent)
    {
    case ATL_RECURRENT_SHORT_CONV:
      m->n_channels = h->n_embd;
      break;
    case ATL_RECURRENT_MAMBA2:
      read_mamba (h, k);
      break;
    case ATL_RECURRENT_DELTA:
      read_delta (h, k);
      break;
    case ATL_RECURRENT_NONE:
    default:
      g_assert_not_reached ();
    }
  if (k->error != NULL)
    return;
  if (m->n_heads > 0 && m->n_heads % m->n_groups != 0)
    {
      atl_llm_key_unfit (k, ATL_LLM_DIVISOR, "ssm.group_count", m->n_groups, "ssm.time_step_rank",
                         m->n_heads);
      return;
    }
  if ((guint64) m->n_heads * m->n_keys * m->n > MAX_STATE ||
      (guint64) m->n_taps * m->n_channels > MAX_STATE)
    {
      atl_llm_key_fail (
          k, _ ("“%s.ssm.state_size” is %u: a state of %u heads of %u × %u numbers is too large"),
          k->prefix, m->n_keys, m->n_heads, m->n_keys, m->n);
      return;
    }
  for (guint il = 0; il < h->n_layer && !m->has_norm; il++)
    {
      g_autofree char *name = g_strdup_printf ("blk.%u.ssm_norm.weight", il);

      m->has_norm = !t->ssm_norm_optional || atl_checkpoint_find (k->cp, name) != NULL;
    }
  count_slots (h);
}
