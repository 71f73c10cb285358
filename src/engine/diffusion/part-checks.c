/* Telling parts apart. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/part-checks.h"

#include <string.h>

#include "engine/models/clip-traits.h"

/* The tensor of one of these names, below any of the prefixes that files have. */
static const AtlTensorInfo *
find (const AtlCheckpoint *cp, const char *const *names)
{
  static const char *const prefixes[] = { "",
                                          "model.diffusion_model.",
                                          "text_encoders.t5xxl.transformer.",
                                          "text_encoders.umt5xxl.transformer.",
                                          "first_stage_model.",
                                          "vae." };

  for (gsize p = 0; p < G_N_ELEMENTS (prefixes); p++)
    for (gsize i = 0; names[i] != NULL; i++)
      {
        g_autofree char *name = g_strconcat (prefixes[p], names[i], NULL);
        const AtlTensorInfo *info = atl_checkpoint_find (cp, name);

        if (info != NULL)
          return info;
      }
  return NULL;
}

const AtlTensorInfo *
atl_denoiser_find (const AtlCheckpoint *cp, const char *name)
{
  g_autofree char *below = g_strconcat ("model.diffusion_model.", name, NULL);
  const AtlTensorInfo *info = cp != NULL ? atl_checkpoint_find (cp, name) : NULL;

  return info != NULL || cp == NULL ? info : atl_checkpoint_find (cp, below);
}

gboolean
atl_denoiser_is_called (const AtlCheckpoint *cp, const char *const *words)
{
  static const char *const titles[] = { "__metadata__.modelspec.title",
                                        "__metadata__.modelspec.architecture", "general.name" };

  for (gsize i = 0; cp != NULL && i <= G_N_ELEMENTS (titles); i++)
    {
      const char *text =
          i == 0 ? atl_checkpoint_name (cp) : atl_checkpoint_get_string (cp, titles[i - 1]);
      g_autofree char *lower = text != NULL ? g_ascii_strdown (text, -1) : NULL;

      for (const char *const *word = words; lower != NULL && *word != NULL; word++)
        if (strstr (lower, *word) != NULL)
          return TRUE;
    }
  return FALSE;
}

/* --- Text encoders --- */

static gboolean
has_layer (const AtlCheckpoint *cp)
{
  static const char *const second[] = { "encoder.block.1.layer.0.SelfAttention.q.weight",
                                        "enc.blk.1.attn_q.weight", "blocks.1.attn.q.weight", NULL };

  return find (cp, second) != NULL;
}

static gboolean
has_positions (const AtlCheckpoint *cp)
{
  static const char *const positions[] = {
    "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight",
    "enc.blk.1.attn_rel_b.weight", "blocks.1.pos_embedding.embedding.weight", NULL
  };

  return find (cp, positions) != NULL;
}

gboolean
atl_is_t5 (const AtlCheckpoint *cp)
{
  return !has_layer (cp) || !has_positions (cp);
}

gboolean
atl_is_umt5 (const AtlCheckpoint *cp)
{
  return !has_layer (cp) || has_positions (cp);
}

static gboolean
is_architecture (const AtlCheckpoint *cp, const char *name)
{
  const char *own = atl_checkpoint_get_string (cp, "general.architecture");

  return own == NULL || g_str_equal (own, name);
}

gboolean
atl_is_qwen3 (const AtlCheckpoint *cp)
{
  return is_architecture (cp, "qwen3");
}

gboolean
atl_is_qwen25_vl (const AtlCheckpoint *cp)
{
  return is_architecture (cp, "qwen2vl");
}

gboolean
atl_is_llama (const AtlCheckpoint *cp)
{
  return is_architecture (cp, "llama");
}

/* Numbers of a hidden state; 0: not known. */
static gint64
width_of (const AtlCheckpoint *cp)
{
  static const char *const queries[] = { "encoder.block.0.layer.0.SelfAttention.q.weight",
                                         "enc.blk.0.attn_q.weight", "blocks.0.attn.q.weight",
                                         NULL };
  const char *architecture = atl_checkpoint_get_string (cp, "general.architecture");
  g_autofree char *key =
      g_strconcat (architecture != NULL ? architecture : "", ".embedding_length", NULL);
  const AtlTensorInfo *query = find (cp, queries);
  guint64 width = 0;

  if (atl_checkpoint_get_uint (cp, key, 1, 1 << 20, &width, NULL))
    return (gint64) width;
  return query != NULL && query->n_dims == 2 ? query->dim[1] : 0;
}

/* The numbers that the reader's tensor takes; 0: not known. */
static gint64
width_read (AtlBundle *bundle, const AtlTextReader *reader)
{
  const AtlCheckpoint *denoiser = atl_bundle_has (bundle, reader->denoiser)
                                      ? atl_bundle_checkpoint (bundle, reader->denoiser, NULL)
                                      : NULL;
  const AtlTensorInfo *info = denoiser != NULL ? find (denoiser, reader->names) : NULL;

  /* Packed weights have fewer columns. */
  if (info == NULL || info->n_dims == 0 || info->dtype == ATL_DTYPE_U8 ||
      info->dtype == ATL_DTYPE_I8)
    return 0;
  return info->dim[info->n_dims - 1];
}

/* What is left of the pooled vectors that are read for the one of `role`; 0: not known. */
static gint64
pooled_read (AtlBundle *bundle, const char *role, const AtlTextReader *reader)
{
  gint64 takes = width_read (bundle, reader) - reader->beside, others = 0;

  if (takes <= 0 || reader->other == NULL)
    return MAX (takes, 0);
  if (atl_bundle_has (bundle, reader->other))
    {
      const AtlCheckpoint *cp = atl_bundle_checkpoint (bundle, reader->other, NULL);

      others = cp != NULL ? atl_clip_pooled_width (cp, reader->other) : 0;
    }
  if (others == 0)
    others = reader->usual;
  /* Of a model that is smaller than those that are published there is no telling. */
  return MAX (takes - others, 0);
}

gboolean
atl_text_fits (AtlBundle *bundle,
               const AtlCheckpoint *encoder,
               const char *role,
               const AtlTextReader *reader)
{
  gboolean is_pooled = reader->n_states == 0;
  gint64 gives = is_pooled ? atl_clip_pooled_width (encoder, role) : width_of (encoder);
  gint64 takes = is_pooled ? pooled_read (bundle, role, reader)
                           : width_read (bundle, reader) / reader->n_states;

  if (gives == 0 || takes == 0 || gives == takes)
    return TRUE;
  atl_bundle_note_misfit (bundle, encoder, gives, takes);
  return FALSE;
}

/* --- Autoencoders --- */

const AtlTensorInfo *
atl_vae_find (const AtlCheckpoint *cp, const char *name)
{
  return find (cp, (const char *const[]){ name, NULL });
}

static gboolean
has_channels (const AtlCheckpoint *cp, gint64 n)
{
  /* Those of clips have one more dimension; the second name is their authors'. */
  static const char *const first[] = { "decoder.conv_in.weight", "decoder.conv1.weight", NULL };
  const AtlTensorInfo *info = find (cp, first);

  if (info == NULL)
    return atl_tiny_channels (cp) == 0;
  return info->n_dims == 4 && info->dim[1] == n;
}

gboolean
atl_is_vae_of_4 (const AtlCheckpoint *cp)
{
  return has_channels (cp, 4);
}

gboolean
atl_is_vae_of_16 (const AtlCheckpoint *cp)
{
  return has_channels (cp, 16);
}

gboolean
atl_is_vae_of_32 (const AtlCheckpoint *cp)
{
  return has_channels (cp, 32);
}

static gboolean
is_called (const AtlCheckpoint *cp, const char *word)
{
  g_autofree char *name = g_ascii_strdown (atl_checkpoint_name (cp), -1);

  return strstr (name, word) != NULL;
}

gboolean
atl_is_qwen_vae (const AtlCheckpoint *cp)
{
  return !is_called (cp, "wan");
}

gboolean
atl_is_wan_vae (const AtlCheckpoint *cp)
{
  return !is_called (cp, "qwen");
}

/* --- Tiny decoders --- */

/* What the authors call their files. A name that begins another comes after it. */
static const char *const tiny_names[] = {
  "taesdxl", "taesd3",  "taesd",  "taef1", "taef2", "taehv",
  "taew2_1", "taew2_2", "taecvx", "taeos", "taem1", "taeltx"
};

gint64
atl_tiny_channels (const AtlCheckpoint *cp)
{
  static const char *const first[] = { "decoder.layers.0.weight", "decoder.1.weight", "1.weight",
                                       NULL };
  const AtlTensorInfo *info = find (cp, first);

  return info != NULL && info->n_dims == 4 ? info->dim[1] : 0;
}

static gboolean
is_tiny (const AtlCheckpoint *cp, gint64 n, const char *name)
{
  gint64 channels = atl_tiny_channels (cp);

  if (channels == 0 || (n > 0 && channels != n))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (tiny_names); i++)
    if (is_called (cp, tiny_names[i]))
      return g_str_has_prefix (tiny_names[i], name);
  return TRUE;
}

gboolean
atl_is_taesd (const AtlCheckpoint *cp)
{
  return is_tiny (cp, 4, "taesd") && !is_called (cp, "taesdxl");
}

gboolean
atl_is_taesdxl (const AtlCheckpoint *cp)
{
  return is_tiny (cp, 4, "taesdxl");
}

gboolean
atl_is_taesd3 (const AtlCheckpoint *cp)
{
  return is_tiny (cp, 16, "taesd3");
}

gboolean
atl_is_taef1 (const AtlCheckpoint *cp)
{
  return is_tiny (cp, 16, "taef1");
}

gboolean
atl_is_taef2 (const AtlCheckpoint *cp)
{
  return is_tiny (cp, 32, "taef2");
}

gboolean
atl_is_taew (const AtlCheckpoint *cp)
{
  return is_tiny (cp, -1, "taew");
}

gboolean
atl_tiny_reads_raw (const AtlCheckpoint *cp)
{
  return is_called (cp, "lighttae");
}
