/* One file's change of one weight: checked, brought to few forms, and given row by row, so that a
 * change is never whole in memory beside its weight.
 *
 *   g_auto (AtlLoraChange) change = { 0 };
 *   if (atl_lora_change_read (group, total, cols, TRUE, &change))
 *     for (gint64 i = 0; i < change.rows; i++)
 *       atl_lora_change_row (&change, i, row);
 *
 * Threading: none of its own.
 */
#pragma once

#include "engine/models/blocks/lora-index.h"
#include "engine/tensor/tensor.h"

G_BEGIN_DECLS

/* A tensor seen as a matrix, in float32. */
typedef struct
{
  float *data; /* (owned) (nullable) */
  gint64 rows, cols;
} AtlLoraMatrix;

typedef enum
{
  ATL_LORA_NOTHING,   /* the file says nothing of this weight */
  ATL_LORA_PRODUCT,   /* b . a */
  ATL_LORA_HADAMARD,  /* (b . a) * (b2 . a2), element by element */
  ATL_LORA_KRONECKER, /* b (x) a */
  ATL_LORA_WHOLE,     /* a */
} AtlLoraForm;

/* A change of a weight [rows, …] whose rows have `cols` elements; without the group's factor. */
typedef struct
{
  AtlLoraForm form;
  AtlLoraMatrix a, b, a2, b2;
  gint64 rows, cols;
  gint64 turn; /* the weight's row i is the file's row i + turn, from the end on to the start */
} AtlLoraChange;

/* FALSE where the group's tensors do not fit each other or a weight [rows, …] of rows * cols
 * elements, or have no usable type. Without `numbers` only shapes are looked at. */
gboolean atl_lora_change_read (
    const AtlLoraGroup *group, gint64 rows, gint64 cols, gboolean numbers, AtlLoraChange *out);
void atl_lora_change_clear (AtlLoraChange *self);
/* Row `i` into out [cols]; read with its numbers. */
void atl_lora_change_row (const AtlLoraChange *self, gint64 i, float *out);

/* DoRA (Liu et al. 2024, eq. 5): W + D becomes m * (W + D) / |W + D|, with a magnitude for each row
 * or, in files of older LyCORIS, for each channel of the input. */
typedef enum
{
  ATL_LORA_NO_MAGNITUDE,
  ATL_LORA_OF_ROWS,
  ATL_LORA_OF_INPUT,
} AtlLoraAxis;

/* Which magnitudes the group has for a weight [rows, in, …]; FALSE where their number is another
 * one. */
gboolean
atl_lora_magnitude_axis (const AtlLoraGroup *group, gint64 rows, gint64 in, AtlLoraAxis *axis);
/* m / |W + factor * D| of rows [first, first + n), or of every channel of the input, over all rows.
 * `weight` is those rows or, by input, the whole weight, and its bytes are there; `magnitudes` are
 * the file's. The caller frees. */
float *atl_lora_gains (const AtlLoraChange *change,
                       double factor,
                       const float *magnitudes,
                       const AtlWeight *weight,
                       gint64 first,
                       AtlLoraAxis axis);
/* The group's magnitudes: all of them; the caller frees. */
float *atl_lora_magnitudes (const AtlLoraGroup *group, gint64 n);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlLoraChange, atl_lora_change_clear)

G_END_DECLS
