/* LoRA files that fit nothing, contradict themselves or ask for the moon: refused in words. That
 * good ones change a model rightly is what the golden cases of sd15 and sdxl say. */
#include <math.h>
#include <string.h>

#include "engine/formats/open.h"
#include "engine/models/blocks/lora-index.h"
#include "engine/models/component.h"

#include "conformance.h"
#include "model-fixture.h"

#define Q "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"

static AtlCheckpoint *
open_unet (void)
{
  g_autofree char *folder = model_fixture_path ("sd15", "model/unet");
  g_autofree char *weights = g_build_filename (folder, "diffusion_pytorch_model.safetensors", NULL);
  g_autofree char *config = g_build_filename (folder, "config.json", NULL);
  g_autoptr (GError) error = NULL;
  AtlFileMap *maps[2] = { atl_file_map_new (weights, &error), NULL };
  const char *names[2] = { "model.safetensors", "config.json" };
  AtlCheckpoint *cp;

  g_assert_no_error (error);
  maps[1] = atl_file_map_new (config, &error);
  g_assert_no_error (error);
  cp = atl_checkpoint_open (maps, names, 2, &error);
  g_assert_no_error (error);
  atl_file_map_unref (maps[0]);
  atl_file_map_unref (maps[1]);
  return cp;
}

/* Loads sd15's UNet with the LoRA. */
static AtlComponent *
load (AtlCheckpoint *lora, GError **error)
{
  g_autoptr (AtlCheckpoint) cp = open_unet ();
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  AtlLoraFile file = { lora, 1.0f };
  AtlLoadOptions options = { .loras = &file, .n_loras = 1 };
  const AtlComponentClass *klass = atl_component_class_for (cp, NULL, "forward", error);

  return klass != NULL ? atl_component_load (klass, cp, &cpu, 1, &options, error) : NULL;
}

static void
refuse (AtlCheckpoint *lora)
{
  g_autoptr (GError) error = NULL;
  guint64 before = model_fixture_peak ();
  g_autoptr (AtlComponent) unet = load (lora, &error);

  g_assert_null (unet);
  g_assert_true (error != NULL && error->domain == ATL_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_cmpuint (model_fixture_peak () - before, <, 256 * 1024 * 1024);
  g_test_message ("%s", error->message);
}

static void
test_file (gconstpointer path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  g_autoptr (AtlCheckpoint) lora = map != NULL ? atl_checkpoint_open (&map, NULL, 1, &error) : NULL;

  if (lora != NULL)
    refuse (lora);
  else
    g_assert_nonnull (error); /* its reader refuses it, which is earlier and as good */
}

static void
add_tensor (
    AtlCheckpoint *cp, const char *name, AtlDType dtype, gint64 rows, gint64 cols, gpointer data)
{
  AtlTensorInfo info = {
    .name = name, .dtype = dtype, .n_dims = 2, .dim = { rows, cols }, .data = data
  };
  g_autoptr (GError) error = NULL;

  info.size_bytes = (gsize) (rows * cols) * atl_dtype_info (dtype)->block_bytes;
  atl_checkpoint_add_tensor (cp, &info, &error);
  g_assert_no_error (error);
}

static void
test_contradictions (void)
{
  static const struct
  {
    const char *first, *second;
    AtlDType dtype;
    gint64 dim[4];
  } cases[] = {
    { Q ".lora_A.weight", Q ".lora_B.weight", ATL_DTYPE_F32, { 4, 32, 32, 5 } },
    { Q ".lora_A.weight", Q ".lora_B.weight", ATL_DTYPE_F32, { 4, 33, 32, 4 } },
    { Q ".lora_A.weight", Q ".lora_B.weight", ATL_DTYPE_I32, { 4, 32, 32, 4 } },
    { Q ".lora_A.weight", Q ".lora_x.weight", ATL_DTYPE_F32, { 4, 32, 32, 4 } },
    /* A product of a million rows and columns from a few megabytes. */
    { Q ".lora_A.weight", Q ".lora_B.weight", ATL_DTYPE_F32, { 1, 1000000, 1000000, 1 } },
    { Q ".hada_w1_a", Q ".hada_w1_b", ATL_DTYPE_F32, { 1000000, 1, 1, 1000000 } },
    { Q ".lokr_w1", Q ".lokr_w2", ATL_DTYPE_F32, { 1000, 1000, 1000, 1000 } },
    { Q ".lokr_w1_a", Q ".lokr_w1_b", ATL_DTYPE_F32, { 1000000, 1, 1, 1000000 } },
    /* Nothing that this model has. */
    { "unet.elsewhere.lora_A.weight",
      "unet.elsewhere.lora_B.weight",
      ATL_DTYPE_F32,
      { 4, 8, 8, 4 } },
    { "lora_unet_input_blocks_99_1_proj_in.lora_down.weight",
      "lora_unet_input_blocks_99_1_proj_in.lora_up.weight",
      ATL_DTYPE_F32,
      { 4, 8, 8, 4 } },
    { "model.weight", "model.bias", ATL_DTYPE_F32, { 4, 8, 8, 4 } },
  };
  g_autofree float *zeros = g_new0 (float, 1000000);

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");

      add_tensor (lora, cases[i].first, cases[i].dtype, cases[i].dim[0], cases[i].dim[1], zeros);
      add_tensor (lora, cases[i].second, cases[i].dtype, cases[i].dim[2], cases[i].dim[3], zeros);
      refuse (lora);
    }
}

/* Good pairs, and beside them what is not known, or contradicts itself: without it the change would
 * be another one. */
static void
test_beyond (void)
{
  static const struct
  {
    const char *name;
    gint64 more; /* than the layer has rows */
    float value;
  } cases[] = {
    { Q ".set_weight", 0, 0 },
    { Q ".oft_blocks", 0, 0 },
    { Q ".on_input", 0, 0 },
    { "double_blocks.0.img_attn.norm.query_norm.scale", 0, 0 },
    { Q ".dora_scale", 1, 0 },
    { Q ".lora_magnitude_vector", -1, 0 },
    { "unet.down_blocks.0.resnets.0.conv1.diff_b", 1, 0 },
    { "unet.down_blocks.0.resnets.0.norm1.diff", 1, 0 },
    { "unet.down_blocks.0.resnets.0.norm1.w_norm", -1, 0 },
    { Q ".alpha", 0, NAN },
    { Q ".alpha", 0, INFINITY },
  };
  g_autoptr (AtlCheckpoint) cp = open_unet ();
  const AtlTensorInfo *q = atl_checkpoint_find (cp, strchr (Q ".weight", '.') + 1);
  g_autofree float *zeros = g_new0 (float, 4 * MAX (q->dim[0], q->dim[1]));

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
      gboolean is_alpha = g_str_has_suffix (cases[i].name, ".alpha");
      float value = cases[i].value;

      add_tensor (lora, Q ".lora_A.weight", ATL_DTYPE_F32, 4, q->dim[1], zeros);
      add_tensor (lora, Q ".lora_B.weight", ATL_DTYPE_F32, q->dim[0], 4, zeros);
      add_tensor (lora, cases[i].name, ATL_DTYPE_F32, is_alpha ? 1 : q->dim[0] + cases[i].more, 1,
                  is_alpha ? &value : zeros);
      refuse (lora);
    }
}

/* What the header says of alphas: by the longest end of a layer's name. */
static void
test_patterns (void)
{
  static const char settings[] =
      "{\"unet.lora_alpha\": 8, \"unet.alpha_pattern\": {\"to_q\": 16, \"attn1.to_q\": 2, "
      "\"ttn1.to_k\": 1}}";
  static const struct
  {
    const char *module;
    float factor;
  } cases[] = { { "unet.mid.attn1.to_q", 0.5f },
                { "unet.mid.attn2.to_q", 4 },
                { "unet.mid.attn1.to_k", 2 } };
  AtlMetaValue value = { .type = ATL_META_STRING, .v_string = { settings, sizeof settings - 1 } };
  g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
  float zeros[32] = { 0 };
  AtlLoraIndex *index;

  atl_checkpoint_add_meta (lora, "__metadata__.lora_adapter_metadata", &value, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name = g_strconcat (cases[i].module, ".lora_A.weight", NULL);

      add_tensor (lora, name, ATL_DTYPE_F32, 4, 8, zeros);
    }
  index = atl_lora_index_new (lora);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      const AtlLoraGroup *group =
          atl_lora_index_find (index, ATL_LORA_IN_DENOISER, cases[i].module + strlen ("unet."));

      g_assert_nonnull (group);
      g_assert_cmpfloat (group->factor, ==, cases[i].factor);
    }
  atl_lora_index_free (index);
}

/* Megabytes of what says nothing. */
static void
test_wrapped_name (void)
{
  const gsize n = 1000000;
  g_autoptr (GString) name = g_string_sized_new (n * 5 + 32);
  g_autofree char *module = NULL;
  AtlLoraPlace place;
  AtlLoraPart part;

  for (gsize i = 0; i < n; i++)
    g_string_append (name, "unet.");
  g_string_append (name, "conv.lora_A.weight");
  g_assert_true (atl_lora_name_split (name->str, &place, &module, &part));
  g_assert_cmpstr (module, ==, "conv");
}

/* An alpha that is no number counts as none. */
static void
test_odd_alpha (void)
{
  g_autoptr (AtlCheckpoint) cp = open_unet ();
  const AtlTensorInfo *q = atl_checkpoint_find (cp, strchr (Q ".weight", '.') + 1);
  g_autofree float *zeros = NULL;
  gint64 dims[] = { 0, 2 };

  g_assert_nonnull (q);
  zeros = g_new0 (float, 4 * MAX (q->dim[0], q->dim[1]));
  for (gsize i = 0; i < G_N_ELEMENTS (dims); i++)
    {
      g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlComponent) unet = NULL;

      add_tensor (lora, Q ".lora_A.weight", ATL_DTYPE_F32, 4, q->dim[1], zeros);
      add_tensor (lora, Q ".lora_B.weight", ATL_DTYPE_F32, q->dim[0], 4, zeros);
      add_tensor (lora, Q ".alpha", ATL_DTYPE_F32, dims[i], 1, zeros);
      unet = load (lora, &error);
      g_assert_no_error (error);
      g_assert_nonnull (unet);
    }
}

/* What the model has no place for is left out, and told. */
static void
test_partly (void)
{
  g_autoptr (AtlCheckpoint) cp = open_unet ();
  const AtlTensorInfo *q = atl_checkpoint_find (cp, strchr (Q ".weight", '.') + 1);
  g_autofree float *zeros = g_new0 (float, 4 * MAX (q->dim[0], q->dim[1]));
  g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("ink.safetensors");

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (AtlComponent) unet = NULL;
      g_autoptr (GError) error = NULL;

      if (i == 0)
        {
          add_tensor (lora, Q ".lora_A.weight", ATL_DTYPE_F32, 4, q->dim[1], zeros);
          add_tensor (lora, Q ".lora_B.weight", ATL_DTYPE_F32, q->dim[0], 4, zeros);
        }
      else
        {
          add_tensor (lora, "lora_unet_elsewhere.lora_down.weight", ATL_DTYPE_F32, 4, 8, zeros);
          add_tensor (lora, "lora_unet_elsewhere.lora_up.weight", ATL_DTYPE_F32, 8, 4, zeros);
        }
      unet = load (lora, &error);
      g_assert_no_error (error);
      if (i == 0)
        g_assert_null (atl_component_notice (unet));
      else
        {
          g_assert_nonnull (strstr (atl_component_notice (unet), "ink.safetensors"));
          g_assert_nonnull (strstr (atl_component_notice (unet), "elsewhere"));
        }
    }
}

/* --- Strength --- */

static AtlComponent *
load_with (const AtlLoraFile *file, guint n)
{
  g_autoptr (AtlCheckpoint) cp = open_unet ();
  AtlBackend *cpu = model_fixture_cpu (TRUE);
  AtlLoadOptions options = { .loras = file, .n_loras = n };
  g_autoptr (GError) error = NULL;
  AtlComponent *unet = atl_component_load (atl_component_class_for (cp, NULL, "forward", NULL), cp,
                                           &cpu, 1, &options, &error);

  g_assert_no_error (error);
  return unet;
}

/* A change beside a linear layer and one beside a convolution: another strength needs no loading,
 * and no strength is no change. */
static void
test_strength (void)
{
  static const char *const modules[] = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.resnets.0.conv1"
  };
  g_autoptr (AtlCheckpoint) cp = open_unet ();
  g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
  g_autofree float *numbers = g_new (float, 1 << 16);
  AtlLoraFile strong = { lora, 1.0f }, weak = { lora, 0.25f }, none = { lora, 0 };
  gint64 n_context =
      atl_checkpoint_find (cp, "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight")
          ->dim[1];
  g_autoptr (AtlComponent) plain = load_with (NULL, 0);
  g_autoptr (AtlComponent) unet = NULL;
  g_autoptr (AtlComponent) fresh = NULL;
  g_autoptr (AtlArray) without = model_fixture_run_unet (plain, n_context);
  g_autoptr (AtlArray) at_one = NULL;
  g_autoptr (AtlArray) at_quarter = NULL;
  g_autoptr (AtlArray) anew = NULL;
  g_autoptr (AtlArray) at_none = NULL;

  for (guint i = 0; i < 1 << 16; i++)
    numbers[i] = (float) (i % 17) / 17 - 0.5f;
  for (gsize i = 0; i < G_N_ELEMENTS (modules); i++)
    {
      g_autofree char *weight = g_strconcat (modules[i], ".weight", NULL);
      g_autofree char *down = g_strconcat ("unet.", modules[i], ".lora_A.weight", NULL);
      g_autofree char *up = g_strconcat ("unet.", modules[i], ".lora_B.weight", NULL);
      const AtlTensorInfo *info = atl_checkpoint_find (cp, weight);
      AtlTensorInfo a = { .name = down, .dtype = ATL_DTYPE_F32, .data = (const guint8 *) numbers };
      AtlTensorInfo b = { .name = up, .dtype = ATL_DTYPE_F32, .data = (const guint8 *) numbers };
      g_autoptr (GError) error = NULL;

      g_assert_nonnull (info);
      a.n_dims = b.n_dims = info->n_dims;
      a.size_bytes = 3 * sizeof (float);
      for (guint k = 0; k < info->n_dims; k++)
        {
          a.dim[k] = k == 0 ? 3 : info->dim[k];
          b.dim[k] = k == 0 ? info->dim[0] : k == 1 ? 3 : 1;
          a.size_bytes *= k == 0 ? 1 : (gsize) info->dim[k];
        }
      b.size_bytes = 3 * sizeof (float) * (gsize) info->dim[0];
      g_assert_cmpuint (MAX (a.size_bytes, b.size_bytes), <=, (1 << 16) * sizeof (float));
      atl_checkpoint_add_tensor (lora, &a, &error);
      atl_checkpoint_add_tensor (lora, &b, &error);
      g_assert_no_error (error);
    }
  unet = load_with (&strong, 1);
  at_one = model_fixture_run_unet (unet, n_context);
  g_assert_cmpfloat (atl_array_rel_l2 (at_one, without), >, 1e-2);
  g_assert_true (atl_component_set_lora_scales (unet, &weak, 1));
  at_quarter = model_fixture_run_unet (unet, n_context);
  fresh = load_with (&weak, 1);
  anew = model_fixture_run_unet (fresh, n_context);
  g_assert_cmpfloat (atl_array_rel_l2 (at_quarter, anew), ==, 0);
  g_assert_cmpfloat (atl_array_rel_l2 (at_quarter, at_one), >, 1e-2);
  g_assert_true (atl_component_set_lora_scales (unet, &none, 1));
  at_none = model_fixture_run_unet (unet, n_context);
  g_assert_cmpfloat (atl_array_rel_l2 (at_none, without), <, 1e-6);
}

int
main (int argc, char **argv)
{
  static const char *const files[] = { "rank-mismatch", "rank-0", "half-missing", "nothing" };
  int status;

  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_autofree char *file =
          g_strdup_printf ("gguf-bad/generated/st-lora-%s.safetensors", files[i]);
      g_autofree char *test_path = g_strdup_printf ("/models/lora/%s", files[i]);
      char *path = atl_test_conformance_find (file);

      if (path != NULL)
        g_test_add_data_func_full (test_path, path, test_file, g_free);
    }
  g_test_add_func ("/models/lora/contradictions", test_contradictions);
  g_test_add_func ("/models/lora/beyond", test_beyond);
  g_test_add_func ("/models/lora/patterns", test_patterns);
  g_test_add_func ("/models/lora/wrapped-name", test_wrapped_name);
  g_test_add_func ("/models/lora/odd-alpha", test_odd_alpha);
  g_test_add_func ("/models/lora/partly", test_partly);
  g_test_add_func ("/models/lora/strength", test_strength);
  status = g_test_run ();
  model_fixture_end ();
  return status;
}
