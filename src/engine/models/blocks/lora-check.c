/* Whether a file is a LoRA, and of this model, and nothing but what is applied. */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/models/blocks/lora.h"

gboolean
atl_lora_is_change (const char *name, gboolean *of_text)
{
  static const char *const marks[] = { ".lora_",  ".lora.",  ".hada_w",
                                       ".lokr_w", "_lora1.", "_lora2." };

  *of_text = g_str_has_prefix (name, "lora_te") || g_str_has_prefix (name, "text_encoder") ||
             g_str_has_prefix (name, "te.");
  for (gsize i = 0; i < G_N_ELEMENTS (marks); i++)
    if (strstr (name, marks[i]) != NULL)
      return TRUE;
  return FALSE;
}

/* What a file says beside its pairs and is not applied: whole changes of weights and biases, and
 * the magnitudes of DoRA. The rest of the file without them would be another change. */
static gboolean
is_beyond (const char *name)
{
  static const char *const ends[] = {
    ".diff", ".diff_b", ".set_weight", ".dora_scale", ".lora_magnitude_vector", ".lora_B.bias"
  };

  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++)
    if (g_str_has_suffix (name, ends[i]))
      return TRUE;
  return FALSE;
}

void
atl_lora_check (AtlSource *source)
{
  gboolean is_text = source->n_loras > 0 && g_str_has_prefix (source->lora_prefix, "te");

  for (guint i = 0; i < source->n_loras; i++)
    {
      AtlCheckpoint *cp = source->loras[i].cp;
      guint n_changes = 0;
      const char *first = NULL;

      for (guint k = 0; k < atl_checkpoint_n_tensors (cp); k++)
        {
          const char *name = atl_checkpoint_tensor (cp, k)->name;
          gboolean of_text;

          if (is_beyond (name))
            {
              atl_weights_fail (source->weights,
                                _ ("%s changes more than LoRA pairs do (“%s”), which cannot be "
                                   "applied yet. Choose a LoRA without such parts"),
                                atl_checkpoint_name (cp), name);
              return;
            }
          if (!atl_lora_is_change (name, &of_text))
            continue;
          n_changes++;
          if (first == NULL && of_text == is_text)
            first = name;
        }
      if (n_changes == 0)
        atl_weights_fail (source->weights,
                          _ ("%s holds no LoRA: no tensor in it is a change of weights"),
                          atl_checkpoint_name (cp));
      /* A file may have changes of one of two text encoders only. */
      else if (first != NULL && !is_text && !(source->merged_loras & 1u << MIN (i, 31)))
        atl_weights_fail (
            source->weights,
            _ ("%s does not fit this model: it changes “%s”, which the model does not have"),
            atl_checkpoint_name (cp), first);
    }
}
