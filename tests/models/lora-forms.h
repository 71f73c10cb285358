/* The forms that LoRAs come in, and what each makes of a layer by its authors' formula, in plain
 * loops: for tests.
 *
 *   LoraLayer layer = { .lora = cp, .rand = rand, .module = name, .out = 32, .in = 64, .k = 9 };
 *   lora_layer_make (&layer, form);       tensors in `lora`; layer.d, .factor, .gains, .bias
 */
#pragma once

#include "base/checkpoint.h"

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
} LoraLayer;

typedef struct
{
  const char *name;
  enum
  {
    LORA_FORM_LINEAR,
    LORA_FORM_CONV,
    LORA_FORM_NORM,
  } kind;
  void (*make) (LoraLayer *layer);
} LoraForm;

/* `n` is how many there are. */
const LoraForm *lora_forms (guint *n);
/* Allocates layer->d and calls the form. */
void lora_layer_make (LoraLayer *layer, const LoraForm *form);
void lora_layer_clear (LoraLayer *layer);
