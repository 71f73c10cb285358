/* Files that are a part of models for pictures and no model themselves: what they are, in words. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>

#include "engine/diffusion/part-checks.h"
#include "engine/service/picture.h"
#include "protocol/protocol.h"

typedef struct
{
  const char *component; /* the class that knows the network */
  const char *kind;      /* ATL_PART_* */
} Kind;

/* Tiny ones first: what is one of them is nothing else. */
static const Kind kinds[] = {
  { "tae", ATL_PART_TINY_DECODER },         { "taehv", ATL_PART_TINY_DECODER },
  { "vae-kl", ATL_PART_AUTOENCODER },       { "vae-wan", ATL_PART_AUTOENCODER },
  { "clip-text", ATL_PART_TEXT_ENCODER },   { "t5", ATL_PART_TEXT_ENCODER },
  { "llm-encoder", ATL_PART_TEXT_ENCODER }, { "clip-vision", ATL_PART_IMAGE_ENCODER },
  { "siglip", ATL_PART_IMAGE_ENCODER },
};

static char *
describe (const char *kind, const char *name)
{
  if (g_str_equal (kind, ATL_PART_TINY_DECODER))
    return g_strdup_printf (_ ("%s shows pictures while they are drawn, and draws none itself"),
                            name);
  /* Translators: %s is a file's name in each of these. */
  return g_strdup_printf (
      g_str_equal (kind, ATL_PART_AUTOENCODER)
          ? _ ("%s is an autoencoder (VAE): a part of models for pictures, and no model itself")
      : g_str_equal (kind, ATL_PART_TEXT_ENCODER)
          ? _ ("%s is a text encoder: a part of models for pictures, and no model itself")
          : _ ("%s is an image encoder: a part of models for pictures, and no model itself"),
      name);
}

/* NULL: none. A tiny autoencoder that only encodes is an autoencoder. */
static const char *
find_kind (AtlBundle *bundle)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      const AtlCheckpoint *cp = atl_bundle_loose (bundle, kinds[i].component, NULL);

      if (cp != NULL)
        return g_str_equal (kinds[i].kind, ATL_PART_TINY_DECODER) && atl_tiny_channels (cp) == 0
                   ? ATL_PART_AUTOENCODER
                   : kinds[i].kind;
    }
  return NULL;
}

/* A network of language that cannot be opened is only an encoder where no configuration came with
 * it; otherwise what is wrong with it, or with the draft model beside it, is what counts. */
static gboolean
is_bare (AtlJob *job)
{
  for (guint i = 0; i < job->n_own; i++)
    if (!g_str_has_suffix (job->names->pdata[i], ".safetensors"))
      return FALSE;
  return TRUE;
}

GVariant *
atl_picture_inspect_part (AtlJob *job)
{
  g_autoptr (AtlBundle) bundle =
      atl_bundle_new ((AtlFileMap *const *) job->maps->pdata,
                      (const char *const *) job->names->pdata, job->n_own, NULL);
  const char *kind = bundle != NULL ? find_kind (bundle) : NULL;
  g_autofree char *name = g_path_get_basename (job->names->pdata[0]);
  g_autofree char *words = NULL;
  gboolean is_language = bundle != NULL && atl_bundle_loose (bundle, "llm-encoder", NULL) != NULL;
  guint64 size = 0;
  GVariantDict dict;

  if (kind == NULL || (is_language && job->load.model == NULL && !is_bare (job)))
    return NULL;
  for (guint i = 0; i < job->n_own; i++)
    size += atl_file_map_size (job->maps->pdata[i]);
  /* One of language may be meant to chat: what it lacks for that is known by now. */
  words = job->load.model != NULL && is_language
              ? g_strdup (atl_chat_model_facts (job->load.model)->why_not)
              : describe (kind, name);
  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_KIND, "s", ATL_KIND_PART);
  g_variant_dict_insert (&dict, ATL_INFO_PART, "s", kind);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", name);
  g_variant_dict_insert (&dict, ATL_INFO_SIZE_BYTES, "t", size);
  g_variant_dict_insert (&dict, ATL_INFO_CAN_RUN, "b", FALSE);
  g_variant_dict_insert (&dict, ATL_INFO_FIT_WORDS, "s", words);
  return g_variant_ref_sink (g_variant_dict_end (&dict));
}
