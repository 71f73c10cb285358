/* Whether a file is a LoRA, and of this model, and all of it is known. */
#define G_LOG_DOMAIN "atl-models"

#include <glib/gi18n.h>

#include "engine/models/blocks/lora-private.h"

gboolean
atl_lora_is_change (const char *name, gboolean *of_text)
{
  g_autofree char *module = NULL;
  AtlLoraPlace place = 0;
  AtlLoraPart part = ATL_LORA_ALPHA;
  gboolean is_known = atl_lora_name_split (name, &place, &module, &part);

  *of_text = (place & ATL_LORA_IN_ANY_TEXT) != 0;
  return is_known && part != ATL_LORA_ALPHA && part != ATL_LORA_MAGNITUDE &&
         part != ATL_LORA_DORA_SCALE;
}

/* What a file says beside its changes and is not known here: without it the rest would be another
 * change. Replaced weights and wider inputs (of control LoRAs), OFT, BOFT, GLoRA, IA3. */
static gboolean
is_beyond (const char *name)
{
  static const char *const ends[] = { ".set_weight", ".reshape_weight", ".oft_blocks",
                                      ".oft_diag",   ".oft_R.weight",   ".a1.weight",
                                      ".a2.weight",  ".b1.weight",      ".b2.weight",
                                      ".on_input",   "_norm.scale" };

  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++)
    if (g_str_has_suffix (name, ends[i]))
      return TRUE;
  return FALSE;
}

/* The first name that is beyond; NULL without. */
static const char *
find_beyond (AtlCheckpoint *cp)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    if (is_beyond (atl_checkpoint_tensor (cp, i)->name))
      return atl_checkpoint_tensor (cp, i)->name;
  return NULL;
}

static gboolean
changes_weights (const AtlLoraGroup *group)
{
  for (guint part = 0; part < ATL_LORA_N_PARTS; part++)
    if (group->part[part] != NULL && part != ATL_LORA_ALPHA && part != ATL_LORA_MAGNITUDE &&
        part != ATL_LORA_DORA_SCALE)
      return TRUE;
  return FALSE;
}

/* All of a group's changes were taken. */
static gboolean
is_taken (const AtlLoraGroup *group)
{
  gboolean has_bias =
      group->part[ATL_LORA_DIFF_BIAS] != NULL || group->part[ATL_LORA_UP_BIAS] != NULL;
  gboolean has_weight = FALSE;

  for (guint part = 0; part < ATL_LORA_N_PARTS; part++)
    has_weight = has_weight || (group->part[part] != NULL && part != ATL_LORA_DIFF_BIAS &&
                                part != ATL_LORA_UP_BIAS && part != ATL_LORA_ALPHA &&
                                part != ATL_LORA_MAGNITUDE && part != ATL_LORA_DORA_SCALE);
  return (!has_bias || group->is_bias_used) && (!has_weight || group->is_used);
}

/* Says what was left out, which is less than all. */
static void
tell (AtlLoras *loras, AtlCheckpoint *cp, const char *first, guint n_left, guint n)
{
  if (loras->notice->len > 0)
    g_string_append_c (loras->notice, '\n');
  /* Translators: the first %s is a LoRA file, the last one a layer's name in it. */
  g_string_append_printf (loras->notice,
                          _ ("%s: %u of %u changes were left out; this model has no “%s”"),
                          atl_checkpoint_name (cp), n_left, n, first);
}

static void
check (AtlSource *source, guint at)
{
  const AtlLoraIndex *index = source->loras->indices[at];
  AtlCheckpoint *cp = atl_lora_index_checkpoint (index);
  GPtrArray *groups = atl_lora_index_groups (index);
  const AtlLoraGroup *first = NULL, *first_left = NULL;
  const char *beyond = find_beyond (cp), *mistake = atl_lora_index_mistake (index);
  guint n_changes = 0, n_used = 0, n_here = 0, n_left = 0;

  for (guint i = 0; i < groups->len; i++)
    {
      const AtlLoraGroup *group = groups->pdata[i];

      if (!changes_weights (group))
        continue;
      n_changes++;
      if ((group->place & source->lora_places) == 0)
        continue;
      n_here++;
      n_used += group->is_used || group->is_bias_used;
      first = first != NULL ? first : group;
      if (is_taken (group))
        continue;
      n_left++;
      first_left = first_left != NULL ? first_left : group;
    }
  if (beyond != NULL)
    atl_weights_fail_lora (
        source->weights, at,
        _ ("%s changes the model in a way that is not known here (“%s”). Choose a "
           "LoRA without such parts"),
        atl_checkpoint_name (cp), beyond);
  else if (mistake != NULL)
    atl_weights_fail_lora (source->weights, at, _ ("%s is damaged: “%s” is no number"),
                           atl_checkpoint_name (cp), mistake);
  else if (n_changes == 0)
    atl_weights_fail_lora (source->weights, at,
                           _ ("%s holds no LoRA: no tensor in it is a change of weights"),
                           atl_checkpoint_name (cp));
  /* A file may have changes of one of two text encoders only. */
  else if (first != NULL && n_used == 0 && (source->lora_places & ATL_LORA_IN_DENOISER) != 0)
    atl_weights_fail_lora (
        source->weights, at,
        _ ("%s does not fit this model: it changes “%s”, which the model does not have"),
        atl_checkpoint_name (cp), first->module);
  else if (n_left > 0 && n_used > 0)
    tell (source->loras, cp, first_left->module, n_left, n_here);
}

void
atl_lora_finish (AtlSource *source)
{
  AtlLoras *loras = source->loras;

  if (loras == NULL)
    return;
  for (guint i = 0; i < loras->n; i++)
    check (source, i);
  for (guint i = 0; i < loras->made->len && atl_weights_check (source->weights, NULL); i++)
    {
      g_autoptr (GError) error = NULL;

      if (!lora_made_make (loras, loras->made->pdata[i], &error))
        {
          gint at = atl_error_lora (error);

          if (at >= 0)
            atl_weights_fail_lora (source->weights, (guint) at, "%s", error->message);
          else
            atl_weights_fail (source->weights, "%s", error->message);
        }
    }
}
