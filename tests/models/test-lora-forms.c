/* Every form of a LoRA on a small UNet: the same as the model whose weights are changed by the
 * authors' formula, in plain loops here. Other strengths need no loading, and no strength is the
 * model as it was, bit for bit. On the CPU in float32, as people run it, and on PoCL. */
#include <math.h>
#include <string.h>

#include "engine/formats/open.h"
#include "engine/models/component.h"

#include "model-fixture.h"
#include "opencl-fixture.h"

#define ALPHA 3.0
/* Float32 in another order; half precision; float32 on the device. */
#define TOLERANCE_EXACT 2e-5
#define TOLERANCE_FAST 4e-3
#define TOLERANCE_DEVICE 1e-4

/* --- A form at work --- */

/* One layer of the model [out, in, k * k], and what a form makes of it. */
typedef struct
{
  AtlCheckpoint *lora;
  GRand *rand;
  const char *module;
  gint64 out, in, k;
  double *d; /* (owned) the change, without alpha / rank */
  double factor;
  double *gains; /* (owned) (nullable) DoRA's magnitudes */
  gboolean is_by_input;
  float *bias; /* (nullable) what is added to the bias */
} Layer;

typedef struct
{
  const char *name;
  enum
  {
    LINEAR,
    CONV,
    NORM,
  } kind;
  void (*make) (Layer *layer);
} Form;

/* A tensor of the LoRA with small numbers; they live as long as it does. */
static float *
add (Layer *layer, const char *suffix, guint n_dims, const gint64 *dim)
{
  g_autofree char *name = g_strdup_printf ("unet.%s.%s", layer->module, suffix);
  AtlTensorInfo info = { .name = name, .dtype = ATL_DTYPE_F32, .n_dims = n_dims };
  gsize n = 1;
  float *values;

  for (guint i = 0; i < n_dims; i++)
    {
      info.dim[i] = dim[i];
      n *= (gsize) dim[i];
    }
  values = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    values[i] = (float) g_rand_double_range (layer->rand, -0.3, 0.3);
  atl_checkpoint_take (layer->lora, values, g_free);
  info.data = (const guint8 *) values;
  info.size_bytes = n * sizeof (float);
  g_assert_true (atl_checkpoint_add_tensor (layer->lora, &info, NULL));
  return values;
}

#define ADD(layer, suffix, ...)                                                                    \
  add ((layer), (suffix), sizeof ((gint64[]){ __VA_ARGS__ }) / sizeof (gint64),                    \
       (gint64[]){ __VA_ARGS__ })

static void
add_alpha (Layer *layer, gint64 rank)
{
  *ADD (layer, "alpha", 1) = (float) ALPHA;
  layer->factor = ALPHA / (double) rank;
}

/* d [rows, cols] += a [rows, n] . b [n, cols] */
static void
multiply (double *d, const float *a, const float *b, gint64 rows, gint64 n, gint64 cols)
{
  for (gint64 i = 0; i < rows; i++)
    for (gint64 j = 0; j < cols; j++)
      for (gint64 k = 0; k < n; k++)
        d[i * cols + j] += (double) a[i * n + k] * b[k * cols + j];
}

/* out [p, r, k] = sum core[i, j, k] * w_b[j, r] * w_a(i, p); w_a is [i, p], or [p, i] as an up. */
static void
rebuild (double *out,
         const float *core,
         const float *w_a,
         const float *w_b,
         gint64 rank,
         gint64 p,
         gint64 r,
         gint64 k,
         gboolean is_up)
{
  for (gint64 x = 0; x < p; x++)
    for (gint64 y = 0; y < r; y++)
      for (gint64 z = 0; z < k; z++)
        for (gint64 i = 0; i < rank; i++)
          for (gint64 j = 0; j < rank; j++)
            out[(x * r + y) * k + z] += (double) core[(i * rank + j) * k + z] * w_b[j * r + y] *
                                        w_a[is_up ? x * rank + i : i * p + x];
}

static void
kronecker (Layer *l, const double *w1, gint64 out1, gint64 in1, const double *w2)
{
  gint64 out2 = l->out / out1, in2 = l->in / in1;

  for (gint64 i = 0; i < l->out; i++)
    for (gint64 j = 0; j < l->in; j++)
      for (gint64 k = 0; k < l->k; k++)
        l->d[(i * l->in + j) * l->k + k] =
            w1[i / out2 * in1 + j / in2] * w2[(i % out2 * in2 + j % in2) * l->k + k];
}

static double *
widen (const float *values, gint64 n)
{
  double *out = g_new (double, n);

  for (gint64 i = 0; i < n; i++)
    out[i] = values[i];
  return out;
}

/* --- The forms --- */

static void
make_pair (Layer *l)
{
  float *down, *up;

  if (l->k == 1)
    down = ADD (l, "lora_A.weight", 3, l->in);
  else
    down = ADD (l, "lora_down.weight", 3, l->in, 3, 3);
  up = l->k == 1 ? ADD (l, "lora_B.weight", l->out, 3) : ADD (l, "lora_up.weight", l->out, 3, 1, 1);
  add_alpha (l, 3);
  multiply (l->d, up, down, l->out, 3, l->in * l->k);
}

/* No alpha, of higher rank than the layer, and as one matrix where there is a kernel. */
static void
make_wide (Layer *l)
{
  float *down = ADD (l, "lora.down.weight", 40, l->in * l->k);
  float *up = ADD (l, "lora.up.weight", l->out, 40);

  multiply (l->d, up, down, l->out, 40, l->in * l->k);
}

static void
make_tucker (Layer *l)
{
  float *down = ADD (l, "lora_down.weight", 3, l->in, 1, 1);
  float *mid = ADD (l, "lora_mid.weight", 3, 3, 3, 3);
  float *up = ADD (l, "lora_up.weight", l->out, 3, 1, 1);

  add_alpha (l, 3);
  rebuild (l->d, mid, up, down, 3, l->out, l->in, l->k, TRUE);
}

static void
make_loha_of (Layer *l, gint64 rank, gboolean has_cores)
{
  gint64 rows = has_cores ? rank : l->out, cols = has_cores ? l->out : rank;
  gint64 width = has_cores ? l->in : l->in * l->k, n = l->out * l->in * l->k;
  float *w1_a = ADD (l, "hada_w1_a", rows, cols), *w1_b = ADD (l, "hada_w1_b", rank, width);
  float *w2_a = ADD (l, "hada_w2_a", rows, cols), *w2_b = ADD (l, "hada_w2_b", rank, width);
  g_autofree double *second = g_new0 (double, n);

  if (has_cores)
    {
      float *t1 = ADD (l, "hada_t1", rank, rank, 3, 3), *t2 = ADD (l, "hada_t2", rank, rank, 3, 3);

      rebuild (l->d, t1, w1_a, w1_b, rank, l->out, l->in, l->k, FALSE);
      rebuild (second, t2, w2_a, w2_b, rank, l->out, l->in, l->k, FALSE);
    }
  else
    {
      multiply (l->d, w1_a, w1_b, l->out, rank, width);
      multiply (second, w2_a, w2_b, l->out, rank, width);
    }
  for (gint64 i = 0; i < n; i++)
    l->d[i] *= second[i];
  add_alpha (l, rank);
}

static void
make_loha (Layer *l)
{
  make_loha_of (l, 2, FALSE);
}

static void
make_loha_high (Layer *l)
{
  make_loha_of (l, 8, FALSE);
}

static void
make_loha_cores (Layer *l)
{
  make_loha_of (l, 3, TRUE);
}

static float *
add_second (Layer *l, const char *suffix, gint64 out2, gint64 in2)
{
  return l->k == 1 ? ADD (l, suffix, out2, in2) : ADD (l, suffix, out2, in2, 3, 3);
}

/* Both factors whole: alpha scales nothing. */
static void
make_lokr (Layer *l)
{
  float *w1 = ADD (l, "lokr_w1", 4, 2), *w2 = add_second (l, "lokr_w2", l->out / 4, l->in / 2);
  g_autofree double *first = widen (w1, 8);
  g_autofree double *second = widen (w2, l->out / 4 * (l->in / 2) * l->k);

  *ADD (l, "alpha", 1) = (float) ALPHA;
  kronecker (l, first, 4, 2, second);
}

/* Both of them products. */
static void
make_lokr_products (Layer *l)
{
  gint64 out2 = l->out / 2, in2 = l->in / 4;
  float *w1_a = ADD (l, "lokr_w1_a", 2, 3), *w1_b = ADD (l, "lokr_w1_b", 3, 4);
  float *w2_a = ADD (l, "lokr_w2_a", out2, 3), *w2_b = ADD (l, "lokr_w2_b", 3, in2 * l->k);
  g_autofree double *first = g_new0 (double, 8);
  g_autofree double *second = g_new0 (double, out2 *in2 * l->k);

  multiply (first, w1_a, w1_b, 2, 3, 4);
  multiply (second, w2_a, w2_b, out2, 3, in2 * l->k);
  add_alpha (l, 3);
  kronecker (l, first, 2, 4, second);
}

static void
make_lokr_core (Layer *l)
{
  gint64 out2 = l->out / 2, in2 = l->in / 4;
  float *w1 = ADD (l, "lokr_w1", 2, 4), *core = ADD (l, "lokr_t2", 3, 3, 3, 3);
  float *w2_a = ADD (l, "lokr_w2_a", 3, out2), *w2_b = ADD (l, "lokr_w2_b", 3, in2);
  g_autofree double *first = widen (w1, 8);
  g_autofree double *second = g_new0 (double, out2 *in2 * l->k);

  rebuild (second, core, w2_a, w2_b, 3, out2, in2, l->k, FALSE);
  add_alpha (l, 3);
  kronecker (l, first, 2, 4, second);
}

static void
make_whole (Layer *l)
{
  float *diff = l->k == 1 ? ADD (l, "diff", l->out, l->in) : ADD (l, "diff", l->out, l->in, 3, 3);

  l->bias = ADD (l, "diff_b", l->out);
  for (gint64 i = 0; i < l->out * l->in * l->k; i++)
    l->d[i] = diff[i];
}

static void
make_norm (Layer *l)
{
  float *diff = ADD (l, "w_norm", l->out);

  l->bias = ADD (l, "b_norm", l->out);
  for (gint64 i = 0; i < l->out; i++)
    l->d[i] = diff[i];
}

static void
add_magnitudes (Layer *l, const char *suffix, gboolean is_by_input)
{
  gint64 n = is_by_input ? l->in : l->out;
  float *m = is_by_input ? ADD (l, suffix, 1, l->in) : ADD (l, suffix, l->out);

  l->gains = g_new (double, n);
  l->is_by_input = is_by_input;
  for (gint64 i = 0; i < n; i++)
    l->gains[i] = m[i] += 1.5f;
}

static void
make_dora (Layer *l)
{
  make_pair (l);
  add_magnitudes (l, "dora_scale", FALSE);
}

static void
make_dora_peft (Layer *l)
{
  make_pair (l);
  add_magnitudes (l, "lora_magnitude_vector", FALSE);
}

static void
make_dora_input (Layer *l)
{
  make_pair (l);
  add_magnitudes (l, "dora_scale", TRUE);
}

static void
make_dora_loha (Layer *l)
{
  make_loha (l);
  add_magnitudes (l, "dora_scale", FALSE);
}

static void
make_dora_loha_high (Layer *l)
{
  make_loha_high (l);
  add_magnitudes (l, "dora_scale", TRUE);
}

static void
make_dora_lokr (Layer *l)
{
  make_lokr_products (l);
  add_magnitudes (l, "dora_scale", FALSE);
}

static const Form forms[] = {
  { "pair", LINEAR, make_pair },
  { "pair-conv", CONV, make_pair },
  { "wide", LINEAR, make_wide },
  { "wide-conv", CONV, make_wide },
  { "tucker", CONV, make_tucker },
  { "loha", LINEAR, make_loha },
  { "loha-conv", CONV, make_loha },
  { "loha-high", LINEAR, make_loha_high },
  { "loha-cores", CONV, make_loha_cores },
  { "lokr", LINEAR, make_lokr },
  { "lokr-conv", CONV, make_lokr },
  { "lokr-products", LINEAR, make_lokr_products },
  { "lokr-products-conv", CONV, make_lokr_products },
  { "lokr-core", CONV, make_lokr_core },
  { "whole", LINEAR, make_whole },
  { "whole-conv", CONV, make_whole },
  { "norm", NORM, make_norm },
  { "dora", LINEAR, make_dora },
  { "dora-conv", CONV, make_dora },
  { "dora-peft", LINEAR, make_dora_peft },
  { "dora-input", LINEAR, make_dora_input },
  { "dora-input-conv", CONV, make_dora_input },
  { "dora-loha", LINEAR, make_dora_loha },
  { "dora-loha-high", LINEAR, make_dora_loha_high },
  { "dora-lokr", LINEAR, make_dora_lokr },
  { "dora-lokr-conv", CONV, make_dora_lokr },
};

/* --- Models --- */

static AtlCheckpoint *unet;

static void
open_unet (void)
{
  g_autofree char *folder = model_fixture_path ("sd15", "model/unet");
  g_autofree char *weights = g_build_filename (folder, "diffusion_pytorch_model.safetensors", NULL);
  g_autofree char *config = g_build_filename (folder, "config.json", NULL);
  g_autoptr (GError) error = NULL;
  AtlFileMap *maps[2] = { atl_file_map_new (weights, NULL), atl_file_map_new (config, NULL) };

  unet =
      atl_checkpoint_open (maps, (const char *[]){ "model.safetensors", "config.json" }, 2, &error);
  g_assert_no_error (error);
  atl_file_map_unref (maps[0]);
  atl_file_map_unref (maps[1]);
}

/* The name of the n-th layer of a kind that has a bias, without ".weight"; the caller frees. */
static char *
pick (const Form *form, guint n)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (unet); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (unet, i);
      gboolean is_it = form->kind == LINEAR ? info->n_dims == 2 && strstr (info->name, ".ff.net.")
                       : form->kind == CONV ? info->n_dims == 4 && info->dim[2] == 3 &&
                                                  strstr (info->name, "resnets")
                                            : info->n_dims == 1 && strstr (info->name, ".norm2.");

      if (is_it && g_str_has_suffix (info->name, ".weight") && n-- == 0)
        return g_strndup (info->name, strlen (info->name) - strlen (".weight"));
    }
  return NULL;
}

static double *
numbers_of (const char *name, gint64 *n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlArray) a = atl_array_from_tensor (atl_checkpoint_find (unet, name), &error);

  g_assert_no_error (error);
  *n = atl_array_n_elems (a);
  return widen (atl_array_f32 (a), *n);
}

/* Puts W + s (C - W) into the model under the layer's name. */
static void
put (AtlCheckpoint *model, const char *name, const double *values, gint64 n)
{
  AtlTensorInfo info = *atl_checkpoint_find (unet, name);
  float *narrow = g_new (float, n);

  for (gint64 i = 0; i < n; i++)
    narrow[i] = (float) values[i];
  atl_checkpoint_take (model, narrow, g_free);
  info.dtype = ATL_DTYPE_F32;
  info.data = (const guint8 *) narrow;
  info.size_bytes = (gsize) n * sizeof (float);
  g_assert_true (atl_checkpoint_add_tensor (model, &info, NULL));
}

static void
put_changed (AtlCheckpoint *model, const Layer *l, double strength)
{
  g_autofree char *weight = g_strconcat (l->module, ".weight", NULL);
  g_autofree char *bias = g_strconcat (l->module, ".bias", NULL);
  gint64 n, n_bias, n_gains = l->is_by_input ? l->in : l->out;
  g_autofree double *w = numbers_of (weight, &n);
  g_autofree double *b = NULL;
  g_autofree double *squares = g_new0 (double, n_gains);

  g_assert_cmpint (n, ==, l->out * l->in * l->k);
  for (gint64 i = 0; i < n; i++)
    squares[l->is_by_input ? i / l->k % l->in : i / (l->in * l->k)] +=
        pow (w[i] + l->factor * l->d[i], 2);
  for (gint64 i = 0; i < n; i++)
    {
      gint64 g = l->is_by_input ? i / l->k % l->in : i / (l->in * l->k);
      double gain = l->gains != NULL ? l->gains[g] / sqrt (squares[g]) : 1;

      w[i] += strength * (gain * (w[i] + l->factor * l->d[i]) - w[i]);
    }
  put (model, weight, w, n);
  if (l->bias == NULL)
    return;
  b = numbers_of (bias, &n_bias);
  for (gint64 i = 0; i < n_bias; i++)
    b[i] += strength * l->bias[i];
  put (model, bias, b, n_bias);
}

static void
layer_init (Layer *l, AtlCheckpoint *lora, GRand *rand, const Form *form, const char *module)
{
  g_autofree char *weight = g_strconcat (module, ".weight", NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (unet, weight);

  *l = (Layer){ .lora = lora, .rand = rand, .module = module, .factor = 1 };
  l->out = info->dim[0];
  l->in = info->n_dims > 1 ? info->dim[1] : 1;
  l->k = info->n_dims == 4 ? info->dim[2] * info->dim[3] : 1;
  l->d = g_new0 (double, l->out * l->in * l->k);
  form->make (l);
}

static void
layer_clear (Layer *l)
{
  g_free (l->d);
  g_free (l->gains);
}

/* The model with other numbers in the layers. */
static AtlCheckpoint *
change_model (const Layer *layers, guint n, double strength)
{
  AtlCheckpoint *model = atl_checkpoint_new ("changed.safetensors");

  atl_checkpoint_set_base (model, unet);
  for (guint i = 0; i < n; i++)
    put_changed (model, &layers[i], strength);
  for (guint i = 0; i < atl_checkpoint_n_tensors (unet); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (unet, i);

      if (atl_checkpoint_find (model, info->name) == NULL)
        g_assert_true (atl_checkpoint_add_tensor (model, info, NULL));
    }
  for (guint i = 0; i < atl_checkpoint_n_meta (unet); i++)
    {
      const char *key = atl_checkpoint_meta_key (unet, i);

      g_assert_true (atl_checkpoint_add_meta (model, key, atl_checkpoint_meta (unet, key), NULL));
    }
  return model;
}

static AtlComponent *
load (AtlCheckpoint *cp, const AtlLoraFile *lora, AtlBackend *backend)
{
  AtlBackend *backends[] = { backend, model_fixture_cpu (TRUE) };
  AtlLoadOptions options = { .loras = lora, .n_loras = lora != NULL };
  g_autoptr (GError) error = NULL;
  AtlComponent *component =
      atl_component_load (atl_component_class_for (cp, NULL, "forward", NULL), cp, backends,
                          backend->is_host ? 1 : 2, &options, &error);

  g_assert_no_error (error);
  return component;
}

static AtlArray *
forward (AtlComponent *component)
{
  static const struct
  {
    const char *name;
    guint n_dims;
    gint64 dim[4];
  } inputs[] = { { "latent", 4, { 1, 4, 8, 8 } },
                 { "timestep", 1, { 1 } },
                 { "context", 3, { 1, 7, 64 } } };
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (GPtrArray) outputs = NULL;
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (inputs); i++)
    {
      AtlArray *a = atl_array_new (inputs[i].name, ATL_DTYPE_F32, inputs[i].n_dims, inputs[i].dim);

      for (gint64 k = 0; k < atl_array_n_elems (a); k++)
        atl_array_f32 (a)[k] = (float) (k % 13) / 7 - 0.5f + (float) (i == 1) * 500;
      atl_request_add (request, a);
    }
  outputs = atl_component_run (component, request, NULL, &error);
  g_assert_no_error (error);
  return g_ptr_array_steal_index (outputs, 0);
}

static AtlArray *
forward_without (AtlBackend *backend)
{
  g_autoptr (AtlComponent) plain = load (unet, NULL, backend);

  return forward (plain);
}

/* The layers under the LoRA, from strength to strength, against the changed models. */
static void
compare (const Layer *layers, guint n, AtlCheckpoint *lora, AtlBackend *backend, double tolerance)
{
  static const float strengths[] = { 1, -0.6f };
  g_autoptr (AtlArray) without = forward_without (backend);
  g_autoptr (AtlComponent) component = NULL;
  g_autoptr (AtlArray) off = NULL;
  AtlLoraFile file = { lora, 0 };

  for (gsize i = 0; i < G_N_ELEMENTS (strengths); i++)
    {
      g_autoptr (AtlCheckpoint) model = change_model (layers, n, strengths[i]);
      g_autoptr (AtlComponent) changed = load (model, NULL, backend);
      g_autoptr (AtlArray) want = forward (changed);
      g_autoptr (AtlArray) got = NULL;

      file.scale = strengths[i];
      if (component == NULL)
        component = load (unet, &file, backend);
      else
        g_assert_true (atl_component_set_lora_scales (component, &file, 1));
      got = forward (component);
      g_test_message ("strength %g: %g, and %g without", strengths[i], atl_array_rel_l2 (got, want),
                      atl_array_rel_l2 (without, want));
      g_assert_cmpfloat (atl_array_rel_l2 (without, want), >, 20 * tolerance);
      g_assert_cmpfloat (atl_array_rel_l2 (got, want), <, tolerance);
    }
  file.scale = 0;
  g_assert_true (atl_component_set_lora_scales (component, &file, 1));
  off = forward (component);
  g_assert_cmpfloat (atl_array_rel_l2 (off, without), ==, 0);
}

static void
test_form (gconstpointer data)
{
  const Form *form = data;
  g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  g_autofree char *module = pick (form, 0);
  Layer layer;

  layer_init (&layer, lora, rand, form, module);
  compare (&layer, 1, lora, model_fixture_cpu (TRUE), TOLERANCE_EXACT);
  layer_clear (&layer);
}

/* All of them in one file, each for a layer of its own as far as there are as many. */
static void
compare_all (AtlBackend *backend, double tolerance)
{
  g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  g_autoptr (GPtrArray) modules = g_ptr_array_new_with_free_func (g_free);
  Layer layers[G_N_ELEMENTS (forms)];
  guint n = 0, n_of[NORM + 1] = { 0 };

  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++)
    {
      char *module = pick (&forms[i], n_of[forms[i].kind]++);

      if (module == NULL)
        continue;
      g_ptr_array_add (modules, module);
      layer_init (&layers[n++], lora, rand, &forms[i], module);
    }
  g_test_message ("%u of %u forms", n, (guint) G_N_ELEMENTS (forms));
  compare (layers, n, lora, backend, tolerance);
  for (guint i = 0; i < n; i++)
    layer_clear (&layers[i]);
}

static void
test_fast (void)
{
  compare_all (model_fixture_cpu (FALSE), TOLERANCE_FAST);
}

static void
test_device (void)
{
  AtlBackend *device = opencl_fixture_open (opencl_fixture_cache_dir ());

  if (device == NULL)
    return;
  compare_all (device, TOLERANCE_DEVICE);
  atl_backend_free (device);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  open_unet ();
  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++)
    {
      g_autofree char *path = g_strconcat ("/models/lora-forms/", forms[i].name, NULL);

      g_test_add_data_func (path, &forms[i], test_form);
    }
  g_test_add_func ("/models/lora-forms/fast", test_fast);
  g_test_add_func ("/models/lora-forms/device", test_device);
  status = g_test_run ();
  atl_checkpoint_unref (unet);
  model_fixture_end ();
  return status;
}
