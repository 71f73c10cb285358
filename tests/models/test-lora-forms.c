/* Every form of a LoRA on a small UNet: the same as the model whose weights are changed by the
 * authors' formula, in plain loops here. Other strengths need no loading, and no strength is the
 * model as it was, bit for bit. On the CPU in float32, as people run it, and on PoCL. */
#include <math.h>
#include <string.h>

#include "engine/formats/open.h"
#include "engine/models/component.h"

#include "lora-forms.h"
#include "model-fixture.h"
#include "opencl-fixture.h"

/* Float32 in another order; half precision; float32 on the device. */
#define TOLERANCE_EXACT 2e-5
#define TOLERANCE_FAST 4e-3
#define TOLERANCE_DEVICE 1e-4

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
pick (const LoraForm *form, guint n)
{
  for (guint i = 0; i < atl_checkpoint_n_tensors (unet); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (unet, i);
      gboolean is_it =
          form->kind == LORA_FORM_LINEAR ? info->n_dims == 2 && strstr (info->name, ".ff.net.")
          : form->kind == LORA_FORM_CONV
              ? info->n_dims == 4 && info->dim[2] == 3 && strstr (info->name, "resnets")
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
  double *out;
  g_autoptr (AtlArray) a = atl_array_from_tensor (atl_checkpoint_find (unet, name), &error);

  g_assert_no_error (error);
  *n = atl_array_n_elems (a);
  out = g_new (double, *n);
  for (gint64 i = 0; i < *n; i++)
    out[i] = atl_array_f32 (a)[i];
  return out;
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
put_changed (AtlCheckpoint *model, const LoraLayer *l, double strength)
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
layer_init (
    LoraLayer *l, AtlCheckpoint *lora, GRand *rand, const LoraForm *form, const char *module)
{
  g_autofree char *weight = g_strconcat (module, ".weight", NULL);
  const AtlTensorInfo *info = atl_checkpoint_find (unet, weight);

  *l = (LoraLayer){ .lora = lora, .rand = rand, .module = module };
  l->out = info->dim[0];
  l->in = info->n_dims > 1 ? info->dim[1] : 1;
  l->k = info->n_dims == 4 ? info->dim[2] * info->dim[3] : 1;
  lora_layer_make (l, form);
}

/* The model with other numbers in the layers. */
static AtlCheckpoint *
change_model (const LoraLayer *layers, guint n, double strength)
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
load (AtlCheckpoint *cp, const AtlLoraFile *loras, guint n, AtlBackend *backend)
{
  AtlBackend *backends[] = { backend, model_fixture_cpu (TRUE) };
  AtlLoadOptions options = { .loras = loras, .n_loras = n };
  g_autoptr (GError) error = NULL;
  AtlComponent *component =
      atl_component_load (atl_component_class_for (cp, NULL, "forward", NULL), cp, backends,
                          backend->is_host ? 1 : 2, &options, &error);

  g_assert_no_error (error);
  return component;
}

static AtlArray *
forward_without (AtlBackend *backend)
{
  g_autoptr (AtlComponent) plain = load (unet, NULL, 0, backend);

  return model_fixture_run_unet (plain, 64);
}

/* Twice the same file, once with the strength below 0: nothing. */
static void
cancel (AtlCheckpoint *lora, AtlBackend *backend, double tolerance)
{
  const AtlLoraFile both[] = { { lora, 0.7f }, { lora, -0.7f } };
  g_autoptr (AtlArray) without = forward_without (backend);
  g_autoptr (AtlComponent) component = load (unet, both, 2, backend);
  g_autoptr (AtlArray) got = model_fixture_run_unet (component, 64);

  g_assert_cmpfloat (atl_array_rel_l2 (got, without), <, tolerance);
}

/* The layers under the LoRA, from strength to strength, against the changed models. */
static void
compare (
    const LoraLayer *layers, guint n, AtlCheckpoint *lora, AtlBackend *backend, double tolerance)
{
  static const float strengths[] = { 1, -0.6f };
  g_autoptr (AtlArray) without = forward_without (backend);
  g_autoptr (AtlComponent) component = NULL;
  g_autoptr (AtlArray) off = NULL;
  AtlLoraFile file = { lora, 0 };

  for (gsize i = 0; i < G_N_ELEMENTS (strengths); i++)
    {
      g_autoptr (AtlCheckpoint) model = change_model (layers, n, strengths[i]);
      g_autoptr (AtlComponent) changed = load (model, NULL, 0, backend);
      g_autoptr (AtlArray) want = model_fixture_run_unet (changed, 64);
      g_autoptr (AtlArray) got = NULL;

      file.scale = strengths[i];
      if (component == NULL)
        component = load (unet, &file, 1, backend);
      else
        g_assert_true (atl_component_set_lora_scales (component, &file, 1));
      got = model_fixture_run_unet (component, 64);
      g_test_message ("strength %g: %g, and %g without", strengths[i], atl_array_rel_l2 (got, want),
                      atl_array_rel_l2 (without, want));
      g_assert_cmpfloat (atl_array_rel_l2 (without, want), >, 20 * tolerance);
      g_assert_cmpfloat (atl_array_rel_l2 (got, want), <, tolerance);
    }
  file.scale = 0;
  g_assert_true (atl_component_set_lora_scales (component, &file, 1));
  off = model_fixture_run_unet (component, 64);
  g_assert_cmpfloat (atl_array_rel_l2 (off, without), ==, 0);
}

static void
test_form (gconstpointer data)
{
  const LoraForm *form = data;
  g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  g_autofree char *module = pick (form, 0);
  LoraLayer layer;

  layer_init (&layer, lora, rand, form, module);
  compare (&layer, 1, lora, model_fixture_cpu (TRUE), TOLERANCE_EXACT);
  cancel (lora, model_fixture_cpu (TRUE), TOLERANCE_EXACT);
  lora_layer_clear (&layer);
}

/* All of them in one file, each for a layer of its own as far as there are as many. */
static void
compare_all (AtlBackend *backend, double tolerance)
{
  g_autoptr (AtlCheckpoint) lora = atl_checkpoint_new ("lora.safetensors");
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  g_autoptr (GPtrArray) modules = g_ptr_array_new_with_free_func (g_free);
  guint n_forms, n = 0, n_of[LORA_FORM_NORM + 1] = { 0 };
  const LoraForm *forms = lora_forms (&n_forms);
  g_autofree LoraLayer *layers = g_new0 (LoraLayer, n_forms);

  for (guint i = 0; i < n_forms; i++)
    {
      char *module = pick (&forms[i], n_of[forms[i].kind]++);

      if (module == NULL)
        continue;
      g_ptr_array_add (modules, module);
      layer_init (&layers[n++], lora, rand, &forms[i], module);
    }
  g_test_message ("%u of %u forms", n, n_forms);
  compare (layers, n, lora, backend, tolerance);
  for (guint i = 0; i < n; i++)
    lora_layer_clear (&layers[i]);
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
  const LoraForm *forms;
  guint n_forms;
  int status;

  g_test_init (&argc, &argv, NULL);
  open_unet ();
  forms = lora_forms (&n_forms);
  for (guint i = 0; i < n_forms; i++)
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
