/* What LoRA files say about themselves: kohya's and the modelspec's metadata, names, shapes. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/lora-file.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/lora-steps.h"
#include "engine/formats/open.h"

#define MAX_TRIGGERS 6u
#define MAX_TRIGGER_BYTES 200u
#define MAX_TAGS 100000u
#define CLIP_G_WIDTH 1280

void
atl_lora_facts_clear (AtlLoraFacts *self)
{
  g_clear_pointer (&self->title, g_free);
  g_clear_pointer (&self->triggers, g_ptr_array_unref);
}

/* Whether the checkpoint's tensors are changes of weights. */
static gboolean
is_lora (const AtlCheckpoint *cp)
{
  gboolean of_text;

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    if (atl_lora_is_change (atl_checkpoint_tensor (cp, i)->name, &of_text))
      return TRUE;
  return FALSE;
}

AtlCheckpoint *
atl_lora_open (AtlFileMap *map, const char *name, GError **error)
{
  g_autoptr (AtlCheckpoint) cp = atl_checkpoint_open (&map, &name, 1, error);

  if (cp == NULL)
    return NULL;
  if (!is_lora (cp))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("%s holds no LoRA: no tensor in it is a change of weights"), name);
      return NULL;
    }
  return g_steal_pointer (&cp);
}

/* --- The family --- */

static const char *
meta (const AtlCheckpoint *cp, const char *key)
{
  g_autofree char *full = g_strconcat ("__metadata__.", key, NULL);

  return atl_checkpoint_get_string (cp, full);
}

/* The width of the text that a UNet's layers attend to tells its generation; 0 without them. */
static gint64
text_width (const AtlCheckpoint *cp)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      if ((strstr (info->name, "attn2_to_k") != NULL ||
           strstr (info->name, "attn2.to_k") != NULL) &&
          (strstr (info->name, "lora_down") != NULL || strstr (info->name, "lora_A") != NULL) &&
          info->n_dims >= 2)
        return info->dim[1];
    }
  return 0;
}

/* Whether it changes the larger CLIP alone, or beside the smaller: trainers call it the second text
 * encoder, and where a third is changed it is one of Stable Diffusion 3. */
static gboolean
is_of_clip_g (const AtlCheckpoint *cp)
{
  gboolean has_wide = FALSE;

  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      if (g_str_has_prefix (info->name, "lora_te3_") ||
          g_str_has_prefix (info->name, "text_encoder_3."))
        return FALSE;
      if ((g_str_has_prefix (info->name, "lora_te2_text_model_") ||
           g_str_has_prefix (info->name, "text_encoder_2.text_model.")) &&
          strstr (info->name, "self_attn") != NULL &&
          (strstr (info->name, "lora_down") != NULL || strstr (info->name, "lora_A") != NULL ||
           strstr (info->name, "lora_linear_layer.down") != NULL) &&
          info->n_dims >= 2)
        has_wide = has_wide || info->dim[1] == CLIP_G_WIDTH;
    }
  return has_wide;
}

static gboolean
begins_so (const AtlDiffusionFamily *family, const char *model)
{
  const char *const *base = family->lora.bases;

  for (; base != NULL && *base != NULL; base++)
    if (g_ascii_strncasecmp (model, *base, strlen (*base)) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
has_mark (const AtlDiffusionFamily *family, const AtlCheckpoint *cp)
{
  const char *const *marks = family->lora.marks;

  for (guint i = 0; marks != NULL && i < atl_checkpoint_n_tensors (cp); i++)
    {
      g_autofree char *name =
          g_strdelimit (g_strdup (atl_checkpoint_tensor (cp, i)->name), ".", '_');

      for (const char *const *mark = marks; *mark != NULL; mark++)
        if (strstr (name, *mark) != NULL)
          return TRUE;
    }
  return FALSE;
}

static const AtlDiffusionFamily *
find_family (const AtlCheckpoint *cp)
{
  const char *const words[] = { meta (cp, "modelspec.architecture"),
                                meta (cp, "ss_base_model_version") };
  const AtlDiffusionFamily *const *families = atl_diffusion_families ();
  gint64 width = text_width (cp);

  for (guint i = 0; width > 0 && families[i] != NULL; i++)
    if (families[i]->lora.text_width == width)
      return families[i];
  for (gsize w = 0; w < G_N_ELEMENTS (words); w++)
    for (guint i = 0; words[w] != NULL && families[i] != NULL; i++)
      if (begins_so (families[i], words[w]))
        return families[i];
  for (guint i = 0; families[i] != NULL; i++)
    if (has_mark (families[i], cp))
      return families[i];
  for (guint i = 0; is_of_clip_g (cp) && families[i] != NULL; i++)
    if (families[i]->lora.has_clip_g)
      return families[i];
  return NULL;
}

gboolean
atl_lora_facts_suit (const AtlLoraFacts *self, const AtlDiffusionFamily *family)
{
  return self->family == NULL || self->family == family || self->family == family->lora.shared;
}

/* --- Trigger words --- */

static void
add_trigger (AtlLoraFacts *facts, const char *text)
{
  g_autofree char *word = g_strstrip (g_utf8_make_valid (text, -1));

  if (*word == '\0' || strlen (word) > MAX_TRIGGER_BYTES || facts->triggers->len >= MAX_TRIGGERS)
    return;
  for (guint i = 0; i < facts->triggers->len; i++)
    if (g_ascii_strcasecmp (facts->triggers->pdata[i], word) == 0)
      return;
  g_ptr_array_add (facts->triggers, g_steal_pointer (&word));
}

typedef struct
{
  const char *tag;
  gint64 count;
} Tag;

static int
compare_tags (gconstpointer a, gconstpointer b)
{
  gint64 x = ((const Tag *) a)->count, y = ((const Tag *) b)->count;

  return x > y ? -1 : x < y;
}

/* kohya's {"10_folder": {"tag": count}}: what nearly every picture was tagged with. */
static void
add_tags (AtlLoraFacts *facts, const char *json)
{
  g_autoptr (JsonNode) node = atl_json_parse (json, strlen (json), "ss_tag_frequency", NULL);
  g_autoptr (GArray) tags = g_array_new (FALSE, FALSE, sizeof (Tag));
  JsonObjectIter folders, in_folder;
  JsonNode *folder, *count;
  const char *name, *tag;

  if (node == NULL || !JSON_NODE_HOLDS_OBJECT (node))
    return;
  json_object_iter_init (&folders, json_node_get_object (node));
  while (json_object_iter_next (&folders, &name, &folder))
    {
      if (!JSON_NODE_HOLDS_OBJECT (folder))
        continue;
      json_object_iter_init (&in_folder, json_node_get_object (folder));
      while (tags->len < MAX_TAGS && json_object_iter_next (&in_folder, &tag, &count))
        if (JSON_NODE_HOLDS_VALUE (count))
          {
            Tag row = { tag, json_node_get_int (count) };

            g_array_append_val (tags, row);
          }
    }
  g_array_sort (tags, compare_tags);
  for (guint i = 0; i < tags->len; i++)
    {
      Tag *row = &g_array_index (tags, Tag, i);

      if ((double) row->count < 0.9 * (double) g_array_index (tags, Tag, 0).count)
        break;
      add_trigger (facts, row->tag);
    }
}

static void
find_triggers (const AtlCheckpoint *cp, AtlLoraFacts *facts)
{
  const char *phrase = meta (cp, "modelspec.trigger_phrase");
  const char *tags = meta (cp, "ss_tag_frequency");

  facts->triggers = g_ptr_array_new_with_free_func (g_free);
  if (phrase != NULL && *phrase != '\0' && g_ascii_strcasecmp (phrase, "none") != 0)
    {
      g_auto (GStrv) parts = g_strsplit_set (phrase, ",;\n", (int) MAX_TRIGGERS + 1);

      for (char **part = parts; *part != NULL; part++)
        add_trigger (facts, *part);
    }
  else if (tags != NULL)
    add_tags (facts, tags);
}

/* --- All of it --- */

/* Files that diffusers writes are all called the same: their folder tells them apart. */
static char *
shown_name (const char *name)
{
  const char *slash = strchr (name, '/');

  return slash != NULL ? g_strndup (name, (gsize) (slash - name)) : g_strdup (name);
}

void
atl_lora_read_facts (const AtlCheckpoint *cp,
                     const char *name,
                     const char *published,
                     const AtlDiffusionFamily *family,
                     AtlLoraFacts *facts)
{
  const char *title = meta (cp, "modelspec.title");
  g_autofree char *all = NULL;

  if (title == NULL || *title == '\0')
    title = meta (cp, "ss_output_name");
  facts->title =
      title != NULL && *title != '\0' ? g_utf8_make_valid (title, -1) : shown_name (name);
  if (g_str_has_suffix (facts->title, ".safetensors"))
    facts->title[strlen (facts->title) - strlen (".safetensors")] = '\0';
  facts->family = find_family (cp);
  if (facts->family == NULL)
    facts->family = family;
  find_triggers (cp, facts);
  all = g_strjoin (" ", published != NULL ? published : "", name, facts->title, NULL);
  atl_lora_find_steps (all, facts);
}
