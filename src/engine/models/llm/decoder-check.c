/* What the weight table cannot say itself: that a file holds nothing else for its layers, and norms
 * and biases in types that those have. Files of which this is not true were cut, relabelled or are
 * of another network, and would be computed as nobody meant them. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/decoder-weights.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/name-hash.h"

/* "blk.12.attn_q.weight": 12, and "attn_q.weight" in *rest; FALSE for other names. */
static gboolean
split_name (const char *name, guint64 *layer, const char **rest)
{
  char *end;

  if (!g_str_has_prefix (name, "blk.") || !g_ascii_isdigit (name[4]))
    return FALSE;
  *layer = g_ascii_strtoull (name + 4, &end, 10);
  *rest = end + 1;
  return *end == '.';
}

/* Some files have latent attention in both of its layouts; older ones the speeds of rotation. */
static gboolean
is_spare (const char *rest)
{
  static const char *const names[] = { "attn_k_b.weight", "attn_v_b.weight", "attn_kv_b.weight",
                                       "attn_rot_embd.weight", "rope_freqs.weight" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (strcmp (rest, names[i]) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
check_unread (const AtlDecoder *self, const AtlCheckpoint *cp, GError **error)
{
  const guint n_layer = self->h.n_layer, n_blocks = n_layer + self->h.n_next;
  g_autoptr (GHashTable) read = g_hash_table_new (atl_name_hash, g_str_equal);

  for (guint i = 0; i < atl_weights_n (self->weights); i++)
    g_hash_table_add (read, atl_weights_get (self->weights, i)->name);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const char *name = atl_checkpoint_tensor (cp, i)->name, *rest;
      guint64 layer;

      if (!split_name (name, &layer, &rest))
        continue;
      if (layer >= n_blocks)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("%s: “%s.block_count” is %u, and yet there is the tensor “%s”"),
                       atl_checkpoint_name (cp), self->h.traits->architecture, n_blocks, name);
          return FALSE;
        }
      if (layer < n_layer && !g_hash_table_contains (read, name) && !is_spare (rest))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("%s: the tensor “%s” has no place in a “%s” model with these settings"),
                       atl_checkpoint_name (cp), name, self->h.traits->architecture);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
check_vectors (const AtlDecoder *self, const AtlCheckpoint *cp, GError **error)
{
  for (guint i = 0; i < atl_weights_n (self->weights); i++)
    {
      const AtlWeight *w = atl_weights_get (self->weights, i);

      if (w->use == ATL_USE_VECTOR && atl_dtype_info (w->dtype)->quantized)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("%s: the tensor “%s” has the type %s, which cannot be used here"),
                       atl_checkpoint_name (cp), w->name, atl_dtype_name (w->dtype));
          return FALSE;
        }
    }
  return TRUE;
}

gboolean
decoder_check_tensors (const AtlDecoder *self, const AtlCheckpoint *cp, GError **error)
{
  return check_vectors (self, cp, error) && check_unread (self, cp, error);
}
