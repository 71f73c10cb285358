/* Shapes of published picture and clip models, under diffusers' (Wan: the authors') names. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench-shapes.h"

#include <string.h>

#include "engine/tools/bench-noise.h"

#define MAX_LEVELS 4

typedef struct
{
  const char *name;
  void (*describe) (BenchNoise *noise, gconstpointer model);
  guint n_levels;
  guint depth[MAX_LEVELS]; /* transformer blocks a level; Flux: double and single blocks; Z-Image:
                              refiners and layers */
  gint64 context;
} Shape;

typedef struct
{
  const Shape *shape;
  AtlDType dtype;
} Model;

static AtlDType
conv_type (AtlDType dtype)
{
  return atl_dtype_info (dtype)->block_elems > 1 ? ATL_DTYPE_F16 : dtype;
}

static AtlDType
row_type (AtlDType dtype, gint64 n)
{
  return n % atl_dtype_info (dtype)->block_elems != 0 ? ATL_DTYPE_F16 : dtype;
}

static void
linear (BenchNoise *b, AtlDType dtype, gint64 out, gint64 in, gboolean bias, const char *name)
{
  bench_noise_tensor (b, row_type (dtype, in), 2, (gint64[]){ out, in }, "%s.weight", name);
  if (bias)
    bench_noise_tensor (b, dtype, 1, &out, "%s.bias", name);
}

static void
conv (BenchNoise *b, AtlDType dtype, gint64 out, gint64 in, gint64 k, const char *name)
{
  bench_noise_tensor (b, conv_type (dtype), 4, (gint64[]){ out, in, k, k }, "%s.weight", name);
  bench_noise_tensor (b, dtype, 1, &out, "%s.bias", name);
}

static void
norm (BenchNoise *b, gint64 n, const char *name)
{
  bench_noise_tensor (b, ATL_DTYPE_F32, 1, &n, "%s.weight", name);
  bench_noise_tensor (b, ATL_DTYPE_F32, 1, &n, "%s.bias", name);
}

#define NAME(...) ((const char *) (name = (g_free (name), g_strdup_printf (__VA_ARGS__))))

static void
resnet (BenchNoise *b, AtlDType t, gint64 in, gint64 out, gint64 temb, const char *p)
{
  g_autofree char *name = NULL;

  norm (b, in, NAME ("%s.norm1", p));
  conv (b, t, out, in, 3, NAME ("%s.conv1", p));
  if (temb > 0)
    linear (b, t, out, temb, TRUE, NAME ("%s.time_emb_proj", p));
  norm (b, out, NAME ("%s.norm2", p));
  conv (b, t, out, out, 3, NAME ("%s.conv2", p));
  if (in != out)
    conv (b, t, out, in, 1, NAME ("%s.conv_shortcut", p));
}

/* --- The UNets of Stable Diffusion 1.5 and XL --- */

static void
transformer (BenchNoise *b, const Model *m, gint64 c, guint depth, const char *p)
{
  const gboolean xl = m->shape->context > 768;
  const AtlDType t = m->dtype;
  g_autofree char *name = NULL;

  norm (b, c, NAME ("%s.norm", p));
  for (guint end = 0; end < 2; end++)
    if (xl)
      linear (b, t, c, c, TRUE, NAME ("%s.proj_%s", p, end == 0 ? "in" : "out"));
    else
      conv (b, t, c, c, 1, NAME ("%s.proj_%s", p, end == 0 ? "in" : "out"));
  for (guint i = 0; i < depth; i++)
    {
      for (guint k = 1; k <= 3; k++)
        norm (b, c, NAME ("%s.transformer_blocks.%u.norm%u", p, i, k));
      for (guint k = 1; k <= 2; k++)
        {
          gint64 in = k == 1 ? c : m->shape->context;

          linear (b, t, c, c, FALSE, NAME ("%s.transformer_blocks.%u.attn%u.to_q", p, i, k));
          linear (b, t, c, in, FALSE, NAME ("%s.transformer_blocks.%u.attn%u.to_k", p, i, k));
          linear (b, t, c, in, FALSE, NAME ("%s.transformer_blocks.%u.attn%u.to_v", p, i, k));
          linear (b, t, c, c, TRUE, NAME ("%s.transformer_blocks.%u.attn%u.to_out.0", p, i, k));
        }
      linear (b, t, 8 * c, c, TRUE, NAME ("%s.transformer_blocks.%u.ff.net.0.proj", p, i));
      linear (b, t, c, 4 * c, TRUE, NAME ("%s.transformer_blocks.%u.ff.net.2", p, i));
    }
}

static void
describe_unet (BenchNoise *b, gconstpointer data)
{
  const Model *m = data;
  const Shape *s = m->shape;
  static const gint64 widths[MAX_LEVELS] = { 320, 640, 1280, 1280 };
  const gint64 temb = 1280;
  const AtlDType t = m->dtype;
  gint64 skips[16], c = widths[0];
  guint n_skips = 0, last = s->n_levels - 1;
  g_autofree char *name = NULL;

  linear (b, t, temb, c, TRUE, "time_embedding.linear_1");
  linear (b, t, temb, temb, TRUE, "time_embedding.linear_2");
  if (s->context > 768)
    {
      linear (b, t, temb, 1280 + 6 * 256, TRUE, "add_embedding.linear_1");
      linear (b, t, temb, temb, TRUE, "add_embedding.linear_2");
    }
  conv (b, t, c, 4, 3, "conv_in");
  skips[n_skips++] = c;
  for (guint i = 0; i <= last; i++)
    {
      for (guint k = 0; k < 2; k++)
        {
          resnet (b, t, c, widths[i], temb, NAME ("down_blocks.%u.resnets.%u", i, k));
          skips[n_skips++] = c = widths[i];
          if (s->depth[i] > 0)
            transformer (b, m, c, s->depth[i], NAME ("down_blocks.%u.attentions.%u", i, k));
        }
      if (i < last)
        {
          conv (b, t, c, c, 3, NAME ("down_blocks.%u.downsamplers.0.conv", i));
          skips[n_skips++] = c;
        }
    }
  resnet (b, t, c, c, temb, "mid_block.resnets.0");
  transformer (b, m, c, MAX (s->depth[last], 1), "mid_block.attentions.0");
  resnet (b, t, c, c, temb, "mid_block.resnets.1");
  for (guint i = 0; i <= last; i++)
    {
      for (guint k = 0; k < 3; k++)
        {
          resnet (b, t, c + skips[--n_skips], widths[last - i], temb,
                  NAME ("up_blocks.%u.resnets.%u", i, k));
          c = widths[last - i];
          if (s->depth[last - i] > 0)
            transformer (b, m, c, s->depth[last - i], NAME ("up_blocks.%u.attentions.%u", i, k));
        }
      if (i < last)
        conv (b, t, c, c, 3, NAME ("up_blocks.%u.upsamplers.0.conv", i));
    }
  norm (b, c, "conv_norm_out");
  conv (b, t, 4, c, 3, "conv_out");
}

/* --- Their autoencoder's decoder --- */

static void
describe_vae (BenchNoise *b, gconstpointer data)
{
  static const gint64 widths[] = { 512, 512, 256, 128 };
  static const char *const parts[] = { "to_q", "to_k", "to_v", "to_out.0" };
  const Model *m = data;
  const AtlDType t = m->dtype;
  gint64 c = widths[0];
  g_autofree char *name = NULL;

  conv (b, t, 4, 4, 1, "post_quant_conv");
  conv (b, t, c, 4, 3, "decoder.conv_in");
  for (guint i = 0; i < 2; i++)
    resnet (b, t, c, c, 0, NAME ("decoder.mid_block.resnets.%u", i));
  norm (b, c, "decoder.mid_block.attentions.0.group_norm");
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    linear (b, t, c, c, TRUE, NAME ("decoder.mid_block.attentions.0.%s", parts[i]));
  for (guint i = 0; i < G_N_ELEMENTS (widths); i++)
    {
      for (guint k = 0; k < 3; k++, c = widths[i])
        resnet (b, t, c, widths[i], 0, NAME ("decoder.up_blocks.%u.resnets.%u", i, k));
      if (i + 1 < G_N_ELEMENTS (widths))
        conv (b, t, c, c, 3, NAME ("decoder.up_blocks.%u.upsamplers.0.conv", i));
    }
  norm (b, c, "decoder.conv_norm_out");
  conv (b, t, 3, c, 3, "decoder.conv_out");
}

/* --- Wan 2.1's transformer of 1.3 billion weights --- */

static void
describe_wan (BenchNoise *b, gconstpointer data)
{
  static const char *const parts[] = { "q", "k", "v", "o" };
  const Model *m = data;
  const AtlDType t = m->dtype;
  const gint64 D = 1536, F = 8960;
  g_autofree char *name = NULL;

  bench_noise_tensor (b, conv_type (t), 5, (gint64[]){ D, 16, 1, 2, 2 }, "patch_embedding.weight");
  bench_noise_tensor (b, t, 1, &D, "patch_embedding.bias");
  linear (b, t, D, 256, TRUE, "time_embedding.0");
  linear (b, t, D, D, TRUE, "time_embedding.2");
  linear (b, t, 6 * D, D, TRUE, "time_projection.1");
  linear (b, t, D, m->shape->context, TRUE, "text_embedding.0");
  linear (b, t, D, D, TRUE, "text_embedding.2");
  for (guint i = 0; i < m->shape->depth[0]; i++)
    {
      for (guint a = 0; a < 2; a++)
        {
          const char *attention = a == 0 ? "self_attn" : "cross_attn";

          for (guint k = 0; k < G_N_ELEMENTS (parts); k++)
            linear (b, t, D, D, TRUE, NAME ("blocks.%u.%s.%s", i, attention, parts[k]));
          bench_noise_tensor (b, t, 1, &D, "blocks.%u.%s.norm_q.weight", i, attention);
          bench_noise_tensor (b, t, 1, &D, "blocks.%u.%s.norm_k.weight", i, attention);
        }
      norm (b, D, NAME ("blocks.%u.norm3", i));
      linear (b, t, F, D, TRUE, NAME ("blocks.%u.ffn.0", i));
      linear (b, t, D, F, TRUE, NAME ("blocks.%u.ffn.2", i));
      bench_noise_tensor (b, ATL_DTYPE_F32, 3, (gint64[]){ 1, 6, D }, "blocks.%u.modulation", i);
    }
  linear (b, t, 64, D, TRUE, "head.head");
  bench_noise_tensor (b, ATL_DTYPE_F32, 3, (gint64[]){ 1, 2, D }, "head.modulation");
}

/* Attention of two streams together, as Flux.1 and Qwen-Image have it; the first ones of each are
 * those of a single stream. */
#define HEAD_DIM 128
static const char *const joint_parts[] = { "to_q",       "to_k",       "to_v",       "to_out.0",
                                           "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out" };
static const char *const joint_norms[] = { "norm_q", "norm_k", "norm_added_q", "norm_added_k" };

static void
joint_attention (BenchNoise *b, AtlDType t, gint64 dim, guint block)
{
  const gint64 head = HEAD_DIM;
  g_autofree char *name = NULL;

  for (guint k = 0; k < G_N_ELEMENTS (joint_parts); k++)
    linear (b, t, dim, dim, TRUE, NAME ("transformer_blocks.%u.attn.%s", block, joint_parts[k]));
  for (guint k = 0; k < G_N_ELEMENTS (joint_norms); k++)
    bench_noise_tensor (b, t, 1, &head, "transformer_blocks.%u.attn.%s.weight", block,
                        joint_norms[k]);
}

/* --- Some blocks of Flux.1's transformer, whose widths are those of many --- */

static void
describe_flux (BenchNoise *b, gconstpointer data)
{
  const Model *m = data;
  const AtlDType t = m->dtype;
  const gint64 D = 3072, head = HEAD_DIM;
  g_autofree char *name = NULL;

  linear (b, t, D, 64, TRUE, "x_embedder");
  linear (b, t, D, m->shape->context, TRUE, "context_embedder");
  for (guint i = 0; i < 3; i++)
    {
      static const char *const kinds[] = { "timestep", "guidance", "text" };

      linear (b, t, D, i < 2 ? 256 : 768, TRUE,
              NAME ("time_text_embed.%s_embedder.linear_1", kinds[i]));
      linear (b, t, D, D, TRUE, NAME ("time_text_embed.%s_embedder.linear_2", kinds[i]));
    }
  for (guint i = 0; i < m->shape->depth[0]; i++)
    {
      joint_attention (b, t, D, i);
      for (guint k = 0; k < 2; k++)
        {
          const char *of = k == 0 ? "" : "_context";

          linear (b, t, 6 * D, D, TRUE, NAME ("transformer_blocks.%u.norm1%s.linear", i, of));
          linear (b, t, 4 * D, D, TRUE, NAME ("transformer_blocks.%u.ff%s.net.0.proj", i, of));
          linear (b, t, D, 4 * D, TRUE, NAME ("transformer_blocks.%u.ff%s.net.2", i, of));
        }
    }
  for (guint i = 0; i < m->shape->depth[1]; i++)
    {
      linear (b, t, 3 * D, D, TRUE, NAME ("single_transformer_blocks.%u.norm.linear", i));
      for (guint k = 0; k < 3; k++)
        linear (b, t, D, D, TRUE, NAME ("single_transformer_blocks.%u.attn.%s", i, joint_parts[k]));
      for (guint k = 0; k < 2; k++)
        bench_noise_tensor (b, t, 1, &head, "single_transformer_blocks.%u.attn.%s.weight", i,
                            joint_norms[k]);
      linear (b, t, 4 * D, D, TRUE, NAME ("single_transformer_blocks.%u.proj_mlp", i));
      linear (b, t, D, 5 * D, TRUE, NAME ("single_transformer_blocks.%u.proj_out", i));
    }
  linear (b, t, 2 * D, D, TRUE, "norm_out.linear");
  linear (b, t, 64, D, TRUE, "proj_out");
}

/* --- Some blocks of Qwen-Image's transformer --- */

static void
describe_qwen_image (BenchNoise *b, gconstpointer data)
{
  const Model *m = data;
  const AtlDType t = m->dtype;
  const gint64 D = 3072;
  g_autofree char *name = NULL;

  linear (b, t, D, 64, TRUE, "img_in");
  bench_noise_tensor (b, t, 1, &m->shape->context, "txt_norm.weight");
  linear (b, t, D, m->shape->context, TRUE, "txt_in");
  linear (b, t, D, 256, TRUE, "time_text_embed.timestep_embedder.linear_1");
  linear (b, t, D, D, TRUE, "time_text_embed.timestep_embedder.linear_2");
  for (guint i = 0; i < m->shape->depth[0]; i++)
    {
      joint_attention (b, t, D, i);
      for (guint k = 0; k < 2; k++)
        {
          const char *of = k == 0 ? "img" : "txt";

          linear (b, t, 6 * D, D, TRUE, NAME ("transformer_blocks.%u.%s_mod.1", i, of));
          linear (b, t, 4 * D, D, TRUE, NAME ("transformer_blocks.%u.%s_mlp.net.0.proj", i, of));
          linear (b, t, D, 4 * D, TRUE, NAME ("transformer_blocks.%u.%s_mlp.net.2", i, of));
        }
    }
  linear (b, t, 2 * D, D, TRUE, "norm_out.linear");
  linear (b, t, 64, D, TRUE, "proj_out");
}

/* --- Some layers of Z-Image's transformer --- */

static void
zimage_layer (BenchNoise *b, AtlDType t, gboolean modulated, const char *p)
{
  static const char *const parts[] = { "to_q", "to_k", "to_v", "to_out.0" };
  static const char *const norms[] = { "attention_norm1", "attention_norm2", "ffn_norm1",
                                       "ffn_norm2" };
  const gint64 D = 3840, F = 10240, head = 128;
  g_autofree char *name = NULL;

  for (guint k = 0; k < G_N_ELEMENTS (parts); k++)
    linear (b, t, D, D, FALSE, NAME ("%s.attention.%s", p, parts[k]));
  for (guint k = 0; k < 2; k++)
    bench_noise_tensor (b, t, 1, &head, "%s.attention.norm_%s.weight", p, k == 0 ? "q" : "k");
  for (guint k = 0; k < G_N_ELEMENTS (norms); k++)
    bench_noise_tensor (b, t, 1, &D, "%s.%s.weight", p, norms[k]);
  linear (b, t, F, D, FALSE, NAME ("%s.feed_forward.w1", p));
  linear (b, t, F, D, FALSE, NAME ("%s.feed_forward.w3", p));
  linear (b, t, D, F, FALSE, NAME ("%s.feed_forward.w2", p));
  if (modulated)
    linear (b, t, 4 * D, 256, TRUE, NAME ("%s.adaLN_modulation.0", p));
}

static void
describe_zimage (BenchNoise *b, gconstpointer data)
{
  const Model *m = data;
  const AtlDType t = m->dtype;
  const gint64 D = 3840;
  g_autofree char *name = NULL;

  linear (b, t, D, 64, TRUE, "all_x_embedder.2-1");
  bench_noise_tensor (b, t, 1, &m->shape->context, "cap_embedder.0.weight");
  linear (b, t, D, m->shape->context, TRUE, "cap_embedder.1");
  linear (b, t, 1024, 256, TRUE, "t_embedder.mlp.0");
  linear (b, t, 256, 1024, TRUE, "t_embedder.mlp.2");
  bench_noise_tensor (b, row_type (t, D), 2, (gint64[]){ 1, D }, "x_pad_token");
  bench_noise_tensor (b, row_type (t, D), 2, (gint64[]){ 1, D }, "cap_pad_token");
  for (guint i = 0; i < m->shape->depth[0]; i++)
    {
      zimage_layer (b, t, TRUE, NAME ("noise_refiner.%u", i));
      zimage_layer (b, t, FALSE, NAME ("context_refiner.%u", i));
    }
  for (guint i = 0; i < m->shape->depth[1]; i++)
    zimage_layer (b, t, TRUE, NAME ("layers.%u", i));
  linear (b, t, D, 256, TRUE, "all_final_layer.2-1.adaLN_modulation.1");
  linear (b, t, 64, D, TRUE, "all_final_layer.2-1.linear");
}

static const Shape shapes[] = {
  { "sd15-unet", describe_unet, 4, { 1, 1, 1, 0 }, 768 },
  { "sdxl-unet", describe_unet, 3, { 0, 2, 10 }, 2048 },
  { "sd-vae", describe_vae, 0, { 0 }, 0 },
  { "wan-1.3b", describe_wan, 0, { 30 }, 4096 },
  { "flux-blocks", describe_flux, 0, { 2, 4 }, 4096 },
  { "qwen-image-blocks", describe_qwen_image, 0, { 3 }, 3584 },
  { "z-image-blocks", describe_zimage, 0, { 1, 4 }, 2560 },
};

const char *
bench_shape_names (void)
{
  return "sd15-unet, sdxl-unet, sd-vae, wan-1.3b, flux-blocks, qwen-image-blocks, z-image-blocks";
}

AtlCheckpoint *
bench_shape_new (const char *spec, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (spec, ":", 2);
  Model model = { .dtype = ATL_DTYPE_F16 };

  for (gsize i = 0; i < G_N_ELEMENTS (shapes); i++)
    if (parts[0] != NULL && g_ascii_strcasecmp (shapes[i].name, parts[0]) == 0)
      model.shape = &shapes[i];
  if (model.shape == NULL)
    return NULL;
  if (parts[1] != NULL && !atl_dtype_from_name (parts[1], &model.dtype))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "“%s” is no type of weights", parts[1]);
      return NULL;
    }
  return bench_noise_build (spec, model.shape->describe, &model, error);
}

/* --- What they are asked --- */

static AtlArray *
add (AtlRequest *r, const char *name, guint n_dims, const gint64 *dim, float value)
{
  AtlArray *a = atl_array_new (name, ATL_DTYPE_F32, n_dims, dim);
  float *x = atl_array_f32 (a);

  /* Numbers that repeat after 1,021: enough that nothing is the same by chance. */
  for (gint64 i = 0; i < atl_array_n_elems (a); i++)
    x[i] = value != 0.0f ? value : (float) (i * 7919 % 1021) / 510.5f - 1.0f;
  atl_request_add (r, a);
  return a;
}

/* Width of a context: what the first key projection of a cross attention reads. */
static gint64
context_width (const AtlCheckpoint *cp)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *t = atl_checkpoint_tensor (cp, i);

      if (g_str_has_suffix (t->name, "attn2.to_k.weight") && t->n_dims >= 2)
        return t->dim[1];
    }
  return 768;
}

static void
add_positions (AtlRequest *r, const char *name, gint64 n, gint64 columns)
{
  AtlArray *a = add (r, name, 2, (gint64[]){ n, 3 }, 1.0f);

  for (gint64 i = 0; i < n; i++)
    {
      float *at = atl_array_f32 (a) + 3 * i;

      at[0] = 0.0f;
      at[1] = columns > 0 ? (float) (i / columns) : 0.0f;
      at[2] = columns > 0 ? (float) (i % columns) : 0.0f;
    }
}

AtlRequest *
bench_shape_request (const AtlComponentClass *klass,
                     const AtlCheckpoint *cp,
                     const char *function,
                     guint width,
                     guint height,
                     guint frames)
{
  AtlRequest *r = atl_request_new (function);
  const gint64 h = height / 8, w = width / 8;

  if (g_str_equal (klass->name, "sd-unet"))
    {
      gint64 context = context_width (cp);

      add (r, "latent", 4, (gint64[]){ 1, 4, h, w }, 0.0f);
      add (r, "context", 3, (gint64[]){ 1, 77, context }, 0.0f);
      add (r, "timestep", 1, (gint64[]){ 1 }, 500.0f);
      if (context == 2048)
        {
          add (r, "pooled", 2, (gint64[]){ 1, 1280 }, 0.0f);
          add (r, "time_ids", 2, (gint64[]){ 1, 6 }, 512.0f);
        }
    }
  else if (g_str_equal (function, "vae_decode"))
    {
      add (r, "latent", 4, (gint64[]){ 1, 4, h, w }, 0.0f);
    }
  else if (g_str_equal (klass->name, "flux"))
    {
      gint64 rows = height / 16, columns = width / 16;

      add (r, "latent", 3, (gint64[]){ 1, rows * columns, 64 }, 0.0f);
      add (r, "context", 3, (gint64[]){ 1, 512, 4096 }, 0.0f);
      add (r, "pooled", 2, (gint64[]){ 1, 768 }, 0.0f);
      add (r, "timestep", 1, (gint64[]){ 1 }, 0.5f);
      add (r, "guidance", 1, (gint64[]){ 1 }, 3.5f);
      add_positions (r, "image_ids", rows * columns, columns);
      add_positions (r, "context_ids", 512, 0);
    }
  else if (g_str_equal (klass->name, "qwen-image"))
    {
      const gint32 shape[] = { 1, (gint32) (height / 16), (gint32) (width / 16) };
      AtlArray *shapes_of = atl_array_new ("img_shapes", ATL_DTYPE_I32, 2, (gint64[]){ 1, 3 });

      memcpy (atl_array_i32 (shapes_of), shape, sizeof shape);
      atl_request_add (r, shapes_of);
      add (r, "latent", 3, (gint64[]){ 1, shape[1] * shape[2], 64 }, 0.0f);
      add (r, "context", 3, (gint64[]){ 1, 77, 3584 }, 0.0f);
      add (r, "timestep", 1, (gint64[]){ 1 }, 0.5f);
    }
  else if (g_str_equal (klass->name, "zimage"))
    {
      add (r, "latent", 5, (gint64[]){ 1, 16, 1, h, w }, 0.0f);
      add (r, "context", 3, (gint64[]){ 1, 77, 2560 }, 0.0f);
      add (r, "timestep", 1, (gint64[]){ 1 }, 0.5f);
    }
  else
    {
      add (r, "latent", 5, (gint64[]){ 1, 16, (frames + 3) / 4, h, w }, 0.0f);
      add (r, "context", 3, (gint64[]){ 1, 512, 4096 }, 0.0f);
      add (r, "timestep", 1, (gint64[]){ 1 }, 500.0f);
    }
  return r;
}
