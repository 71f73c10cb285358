/* Stacks of weights. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/blocks/stack.h"

#include <string.h>

#include "engine/models/blocks/lora.h"
#include "engine/tensor/quants/dequant.h"

typedef struct
{
  AtlTensorInfo info; /* [n, out, in] */
  char *name;         /* (owned) */
  guint n;
  AtlWeight **parts; /* (owned) borrowed weights */
  gsize row_bytes;   /* of the widest part */
  gboolean as_floats;
} Stack;

static void
stack_free (gpointer data)
{
  Stack *self = data;

  g_free (self->name);
  g_free (self->parts);
  g_free (self);
}

GPtrArray *
atl_stacks_new (void)
{
  return g_ptr_array_new_with_free_func (stack_free);
}

/* Row `row` of a part as it lies in its file, or made into `buffer`. */
static const guint8 *
read_row (const AtlWeight *part, gint64 row, gsize row_bytes, guint8 *buffer)
{
  if (part->data != NULL)
    return part->data + row_bytes * (gsize) row;
  part->made->rows (part->made, part->made_row + row, 1, buffer);
  return buffer;
}

static void
make_rows (const AtlTensorInfo *info, gint64 first, gint64 n, guint8 *out)
{
  const Stack *self = info->rows_data;
  gsize out_bytes = info->size_bytes / (gsize) (info->dim[0] * info->dim[1]);
  g_autofree guint8 *buffer = g_malloc (self->row_bytes);

  for (gint64 i = first; i < first + n; i++, out += out_bytes)
    {
      const AtlWeight *part = self->parts[i / info->dim[1]];
      gsize row_bytes = part->size_bytes / (gsize) info->dim[1];
      const guint8 *row = read_row (part, i % info->dim[1], row_bytes, buffer);
      float *floats = (float *) (gpointer) out;

      if (!self->as_floats)
        {
          memcpy (out, row, row_bytes);
          continue;
        }
      atl_dequantize (part->dtype, row, floats, (gsize) info->dim[2]);
      for (gint64 k = 0; k < info->dim[2]; k++)
        floats[k] *= part->scale;
    }
}

AtlWeight *
atl_source_stack (AtlSource *source,
                  GPtrArray *stacks,
                  guint n,
                  gint64 out,
                  gint64 in,
                  const char *prefix,
                  const char *name)
{
  Stack *self = g_new0 (Stack, 1);
  guint n_changed = source->loras != NULL ? atl_loras_n_changed (source->loras) : 0;
  AtlWeight *stack;
  gsize size = 0;

  g_ptr_array_add (stacks, self);
  self->n = n;
  self->parts = g_new0 (AtlWeight *, n);
  self->name = g_strdup_printf ("%s.%s", prefix, name);
  for (guint i = 0; i < n; i++)
    {
      AtlWeight *w;

      source->only_bytes = TRUE;
      w = atl_source_linear (source, out, in, "%s.%u.%s", prefix, i, name).w;
      source->only_bytes = FALSE;
      if (w == NULL)
        return NULL;
      self->parts[i] = w;
      out = w->dim[0];
      in = w->dim[1];
      size += w->size_bytes;
      self->row_bytes = MAX (self->row_bytes, w->size_bytes / (gsize) out);
      self->as_floats = self->as_floats || w->dtype != self->parts[0]->dtype || w->scale != 1.0f;
      /* Only the stack is used. */
      w->use = 0;
    }
  /* What LoRAs change is in float32. */
  self->as_floats =
      self->as_floats || (source->loras != NULL && atl_loras_n_changed (source->loras) > n_changed);
  /* All parts lie in files: their numbers can be counted. */
  self->info =
      (AtlTensorInfo){ .name = self->name,
                       .dtype = self->as_floats ? ATL_DTYPE_F32 : self->parts[0]->dtype,
                       .n_dims = 3,
                       .dim = { n, out, in },
                       .size_bytes =
                           self->as_floats ? (gsize) n * (gsize) (out * in) * sizeof (float) : size,
                       .rows = make_rows,
                       .rows_data = self };
  stack = atl_weights_add_made (source->weights, ATL_USE_LINEAR, 0, &self->info);
  for (guint i = 0; source->loras != NULL && i < n; i++)
    atl_loras_set_stack (source->loras, self->parts[i], stack);
  return stack;
}
