/* What each form of a LoRA makes of a layer. */
#include "lora-forms.h"

#define ALPHA 3.0

/* A tensor of the LoRA with small numbers; they live as long as it does. */
static float *
add (LoraLayer *layer, const char *suffix, guint n_dims, const gint64 *dim)
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
add_alpha (LoraLayer *layer, gint64 rank)
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
kronecker (LoraLayer *l, const double *w1, gint64 out1, gint64 in1, const double *w2)
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
make_pair (LoraLayer *l)
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
make_wide (LoraLayer *l)
{
  float *down = ADD (l, "lora.down.weight", 40, l->in * l->k);
  float *up = ADD (l, "lora.up.weight", l->out, 40);

  multiply (l->d, up, down, l->out, 40, l->in * l->k);
}

static void
make_tucker (LoraLayer *l)
{
  float *down = ADD (l, "lora_down.weight", 3, l->in, 1, 1);
  float *mid = ADD (l, "lora_mid.weight", 3, 3, 3, 3);
  float *up = ADD (l, "lora_up.weight", l->out, 3, 1, 1);

  add_alpha (l, 3);
  rebuild (l->d, mid, up, down, 3, l->out, l->in, l->k, TRUE);
}

static void
make_loha_of (LoraLayer *l, gint64 rank, gboolean has_cores)
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
make_loha (LoraLayer *l)
{
  make_loha_of (l, 2, FALSE);
}

static void
make_loha_high (LoraLayer *l)
{
  make_loha_of (l, 8, FALSE);
}

static void
make_loha_cores (LoraLayer *l)
{
  make_loha_of (l, 3, TRUE);
}

static float *
add_second (LoraLayer *l, const char *suffix, gint64 out2, gint64 in2)
{
  return l->k == 1 ? ADD (l, suffix, out2, in2) : ADD (l, suffix, out2, in2, 3, 3);
}

/* Both factors whole: alpha scales nothing. */
static void
make_lokr (LoraLayer *l)
{
  float *w1 = ADD (l, "lokr_w1", 4, 2), *w2 = add_second (l, "lokr_w2", l->out / 4, l->in / 2);
  g_autofree double *first = widen (w1, 8);
  g_autofree double *second = widen (w2, l->out / 4 * (l->in / 2) * l->k);

  *ADD (l, "alpha", 1) = (float) ALPHA;
  kronecker (l, first, 4, 2, second);
}

/* Both of them products. */
static void
make_lokr_products (LoraLayer *l)
{
  gint64 out2 = l->out / 2, in2 = l->in / 4;
  float *w1_a = ADD (l, "lokr_w1_a", 2, 3), *w1_b = ADD (l, "lokr_w1_b", 3, 4);
  float *w2_a = ADD (l, "lokr_w2_a", out2, 3), *w2_b = ADD (l, "lokr_w2_b", 3, in2 * l->k);
  g_autofree double *first = g_new0 (double, 8);
  g_autofree double *second = g_new0 (double, (out2 * in2 * l->k));

  multiply (first, w1_a, w1_b, 2, 3, 4);
  multiply (second, w2_a, w2_b, out2, 3, in2 * l->k);
  add_alpha (l, 3);
  kronecker (l, first, 2, 4, second);
}

static void
make_lokr_core (LoraLayer *l)
{
  gint64 out2 = l->out / 2, in2 = l->in / 4;
  float *w1 = ADD (l, "lokr_w1", 2, 4), *core = ADD (l, "lokr_t2", 3, 3, 3, 3);
  float *w2_a = ADD (l, "lokr_w2_a", 3, out2), *w2_b = ADD (l, "lokr_w2_b", 3, in2);
  g_autofree double *first = widen (w1, 8);
  g_autofree double *second = g_new0 (double, (out2 * in2 * l->k));

  rebuild (second, core, w2_a, w2_b, 3, out2, in2, l->k, FALSE);
  add_alpha (l, 3);
  kronecker (l, first, 2, 4, second);
}

static void
make_whole (LoraLayer *l)
{
  float *diff = l->k == 1 ? ADD (l, "diff", l->out, l->in) : ADD (l, "diff", l->out, l->in, 3, 3);

  l->bias = ADD (l, "diff_b", l->out);
  for (gint64 i = 0; i < l->out * l->in * l->k; i++)
    l->d[i] = diff[i];
}

static void
make_norm (LoraLayer *l)
{
  float *diff = ADD (l, "w_norm", l->out);

  l->bias = ADD (l, "b_norm", l->out);
  for (gint64 i = 0; i < l->out; i++)
    l->d[i] = diff[i];
}

static void
add_magnitudes (LoraLayer *l, const char *suffix, gboolean is_by_input)
{
  gint64 n = is_by_input ? l->in : l->out;
  float *m = is_by_input ? ADD (l, suffix, 1, l->in) : ADD (l, suffix, l->out);

  l->gains = g_new (double, n);
  l->is_by_input = is_by_input;
  for (gint64 i = 0; i < n; i++)
    l->gains[i] = m[i] += 1.5f;
}

static void
make_dora (LoraLayer *l)
{
  make_pair (l);
  add_magnitudes (l, "dora_scale", FALSE);
}

static void
make_dora_peft (LoraLayer *l)
{
  make_pair (l);
  add_magnitudes (l, "lora_magnitude_vector", FALSE);
}

static void
make_dora_input (LoraLayer *l)
{
  make_pair (l);
  add_magnitudes (l, "dora_scale", TRUE);
}

static void
make_dora_loha (LoraLayer *l)
{
  make_loha (l);
  add_magnitudes (l, "dora_scale", FALSE);
}

static void
make_dora_loha_high (LoraLayer *l)
{
  make_loha_high (l);
  add_magnitudes (l, "dora_scale", TRUE);
}

static void
make_dora_lokr (LoraLayer *l)
{
  make_lokr_products (l);
  add_magnitudes (l, "dora_scale", FALSE);
}

static const LoraForm forms[] = {
  { "pair", LORA_FORM_LINEAR, make_pair },
  { "pair-conv", LORA_FORM_CONV, make_pair },
  { "wide", LORA_FORM_LINEAR, make_wide },
  { "wide-conv", LORA_FORM_CONV, make_wide },
  { "tucker", LORA_FORM_CONV, make_tucker },
  { "loha", LORA_FORM_LINEAR, make_loha },
  { "loha-conv", LORA_FORM_CONV, make_loha },
  { "loha-high", LORA_FORM_LINEAR, make_loha_high },
  { "loha-cores", LORA_FORM_CONV, make_loha_cores },
  { "lokr", LORA_FORM_LINEAR, make_lokr },
  { "lokr-conv", LORA_FORM_CONV, make_lokr },
  { "lokr-products", LORA_FORM_LINEAR, make_lokr_products },
  { "lokr-products-conv", LORA_FORM_CONV, make_lokr_products },
  { "lokr-core", LORA_FORM_CONV, make_lokr_core },
  { "whole", LORA_FORM_LINEAR, make_whole },
  { "whole-conv", LORA_FORM_CONV, make_whole },
  { "norm", LORA_FORM_NORM, make_norm },
  { "dora", LORA_FORM_LINEAR, make_dora },
  { "dora-conv", LORA_FORM_CONV, make_dora },
  { "dora-peft", LORA_FORM_LINEAR, make_dora_peft },
  { "dora-input", LORA_FORM_LINEAR, make_dora_input },
  { "dora-input-conv", LORA_FORM_CONV, make_dora_input },
  { "dora-loha", LORA_FORM_LINEAR, make_dora_loha },
  { "dora-loha-high", LORA_FORM_LINEAR, make_dora_loha_high },
  { "dora-lokr", LORA_FORM_LINEAR, make_dora_lokr },
  { "dora-lokr-conv", LORA_FORM_CONV, make_dora_lokr },
};

const LoraForm *
lora_forms (guint *n)
{
  *n = G_N_ELEMENTS (forms);
  return forms;
}

void
lora_layer_make (LoraLayer *layer, const LoraForm *form)
{
  layer->factor = 1;
  layer->d = g_new0 (double, layer->out * layer->in * layer->k);
  form->make (layer);
}

void
lora_layer_clear (LoraLayer *layer)
{
  g_free (layer->d);
  g_free (layer->gains);
}
