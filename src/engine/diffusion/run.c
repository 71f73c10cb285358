/* Inputs, parts and results of a run. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/run.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/family.h"
#include "engine/diffusion/part-checks.h"
#include "engine/diffusion/passes.h"

#define MAX_SIDE 16384

AtlArray *
atl_run_input (const AtlRun *run, const char *name)
{
  return atl_arrays_find (run->inputs, name);
}

const AtlArray *
atl_run_reference (const AtlRun *run, const char *kind, guint i)
{
  g_autofree char *name = g_strdup_printf ("%s_%u", kind, i + 1);
  const AtlArray *a = atl_run_input (run, name);

  if (a == NULL && i == 0)
    a = atl_run_input (run, kind);
  return a != NULL && a->dtype == ATL_DTYPE_F32 && a->n_dims == 4 && a->dim[0] == 1 &&
                 a->dim[1] == 3 && a->dim[2] > 0 && a->dim[3] > 0
             ? a
             : NULL;
}

AtlArray *
atl_crop_reference (const AtlArray *picture, gint64 multiple, gint64 least, GError **error)
{
  const gint64 from_h = picture->dim[2], from_w = picture->dim[3];
  const gint64 H = from_h / multiple * multiple, W = from_w / multiple * multiple;
  const gint64 top = (from_h - H) / 2, left = (from_w - W) / 2;
  const float *from = atl_array_f32 (picture);
  AtlArray *out;

  if (H < least || W < least)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("A reference picture must be at least %d pixels wide and high"), (int) least);
      return NULL;
    }
  out = atl_array_try_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, H, W }, error);
  for (gint64 r = 0; out != NULL && r < 3 * H && !atl_array_is_hollow (out); r++)
    for (gint64 x = 0; x < W; x++)
      atl_array_f32 (out)[r * W + x] =
          2.0f * from[(r / H * from_h + top + r % H) * from_w + left + x] - 1.0f;
  return out;
}

AtlArray *
atl_run_picture (const AtlRun *run, const char *name, gint64 height, gint64 width, GError **error)
{
  const AtlArray *input = atl_run_input (run, name);
  AtlArray *picture;

  if (input == NULL || input->dtype != ATL_DTYPE_F32 || input->n_dims != 4 || input->dim[0] != 1 ||
      input->dim[1] != 3 || input->dim[2] != height || input->dim[3] != width)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The picture “%s” must be there, with %d × %d pixels"), name, (int) width,
                   (int) height);
      return NULL;
    }
  picture = atl_array_try_copy (input, "image", error);
  if (picture != NULL)
    atl_array_affine (picture, 2.0f, -1.0f);
  return picture;
}

AtlArray *
atl_run_mask (const AtlRun *run, gint64 height, gint64 width, GError **error)
{
  const AtlArray *given = atl_run_input (run, "mask");
  AtlArray *mask;

  if (given == NULL || given->dtype != ATL_DTYPE_F32 || given->n_dims != 4 || given->dim[0] != 1 ||
      given->dim[1] != 1 || given->dim[2] != height || given->dim[3] != width)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The mask must have the size of the picture, %d × %d pixels"), (int) width,
                   (int) height);
      return NULL;
    }
  mask = atl_array_try_copy (given, "mask", error);
  for (gint64 i = 0; mask != NULL && i < height * width && !atl_array_is_hollow (mask); i++)
    atl_array_f32 (mask)[i] = atl_array_f32 (mask)[i] >= 0.5f ? 1.0f : 0.0f;
  return mask;
}

AtlArray *
atl_run_noise (AtlRun *run, const char *name, guint n_dims, const gint64 *dim, GError **error)
{
  const AtlArray *input = atl_run_input (run, name);
  AtlArray *noise;

  if (input == NULL)
    {
      noise = atl_array_try_new ("latent", ATL_DTYPE_F32, n_dims, dim, error);
      if (noise != NULL && run->count == NULL)
        atl_noise_fill (run->noise, atl_array_f32 (noise), (gsize) atl_array_n_elems (noise));
      return noise;
    }
  if (input->dtype != ATL_DTYPE_F32 || input->n_dims != n_dims ||
      memcmp (input->dim, dim, n_dims * sizeof *dim) != 0)
    {
      g_autofree char *got = atl_shape_to_string (input->n_dims, input->dim);
      g_autofree char *wanted = atl_shape_to_string (n_dims, dim);

      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("“%s” is %s; this picture needs %s"),
                   name, got, wanted);
      return NULL;
    }
  return atl_array_try_copy (input, "latent", error);
}

const char *
atl_run_text_for (const AtlRun *run, const char *name, guint encoder)
{
  g_autofree char *own = g_strdup_printf ("%s_%u", name, encoder + 1);
  const char *text = atl_settings_string (run->settings, name, "");

  return encoder == 0 ? text : atl_settings_string (run->settings, own, text);
}

static gint64
rounded (double size, gint64 multiple)
{
  double n = floor (CLAMP (size, 1, MAX_SIDE) / (double) multiple + 0.5);

  return CLAMP ((gint64) n, 1, MAX_SIDE / multiple) * multiple;
}

void
atl_run_size (const AtlRun *run, gint64 multiple, gint64 side, gint64 *width, gint64 *height)
{
  *width = rounded (atl_settings_number (run->settings, "width", (double) side), multiple);
  *height = rounded (atl_settings_number (run->settings, "height", (double) side), multiple);
}

/* --- Parts --- */

void
atl_run_progress (AtlRun *run, const char *phase, guint step, guint n_steps)
{
  if (run->hooks.progress != NULL)
    run->hooks.progress (phase, step, n_steps, run->hooks.user_data);
}

void
atl_run_trace (AtlRun *run, const char *name, const AtlArray *value)
{
  if (run->hooks.trace != NULL)
    run->hooks.trace (name, value, run->hooks.user_data);
}

static guint
kind_of (const char *role, const char *function)
{
  return g_str_equal (role, ATL_TINY_ROLE)        ? ATL_COUNT_PREVIEW
         : g_str_equal (function, "encode_text")  ? ATL_COUNT_TEXT
         : g_str_has_prefix (function, "forward") ? ATL_COUNT_STEP
         : g_str_equal (function, "vae_decode")   ? ATL_COUNT_DECODE
                                                  : ATL_COUNT_ENCODE;
}

/* What a person calls the part. */
static const char *
words_of (const AtlRun *run, const char *role)
{
  for (guint i = 0; run->family != NULL && i < run->family->n_parts; i++)
    if (g_str_equal (run->family->parts[i].role, role))
      return _ (run->family->parts[i].words);
  return role;
}

/* A text encoder of another width, in words; the caller's. NULL: there is none. */
static char *
describe_width (const AtlRun *run)
{
  for (guint i = 0; run->family != NULL && i < run->family->n_parts; i++)
    {
      const AtlPart *part = &run->family->parts[i];
      const AtlMisfit *misfit = atl_bundle_text_misfit (run->bundle, part);

      if (misfit != NULL)
        /* Translators: a part of a model, such as “the CLIP-L text encoder”, two widths. */
        return g_strdup_printf (_ ("The parts of this model do not fit each other: %s has to give "
                                   "%u numbers, and this one gives %u"),
                                _ (part->words), (guint) misfit->takes, (guint) misfit->gives);
    }
  return NULL;
}

/* The walk that only counts comes before all work: what does not fit there is a part of another
 * model, and its network knows no more than shapes. */
static void
name_misfit (const AtlRun *run, const char *role, GError **error)
{
  g_autofree char *width = NULL;

  if (error == NULL || *error == NULL || (*error)->domain != ATL_ERROR ||
      (*error)->code == ATL_ERROR_NO_MEMORY)
    return;
  width = describe_width (run);
  if (width != NULL)
    {
      g_clear_error (error);
      g_set_error_literal (error, ATL_ERROR, ATL_ERROR_BAD_FILE, width);
    }
  else
    /* Translators: %s is a part of a model, such as “the CLIP-L text encoder”; details follow. */
    g_prefix_error (error, _ ("The parts of this model do not fit each other, seen from %s: "),
                    words_of (run, role));
}

/* What was read wrong would draw wrong, or would be laid to the denoiser. That one's numbers, the
 * pixels and previews are looked at where they go. */
static gboolean
check_outputs (const AtlRun *run, const char *role, guint kind, GPtrArray *outputs, GError **error)
{
  if (kind != ATL_COUNT_TEXT && kind != ATL_COUNT_ENCODE)
    return TRUE;
  for (guint i = 0; i < outputs->len; i++)
    if (!atl_array_is_finite (outputs->pdata[i]))
      {
        /* Translators: %s is a part of a model, such as “the CLIP-L text encoder”. */
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("The numbers of one part overflowed, so there is no picture: %s. Another "
                        "copy of its file may help"),
                     words_of (run, role));
        return FALSE;
      }
  return TRUE;
}

GPtrArray *
atl_run_component (AtlRun *run, const char *role, const AtlRequest *request, GError **error)
{
  const char *function = atl_request_function (request);
  AtlRunCount *count = run->count;
  guint64 weights = count != NULL ? atl_count_weights (count) : 0;
  double products = count != NULL ? atl_count_products (count) : 0;
  AtlComponent *component;
  GPtrArray *outputs;

  if (g_cancellable_set_error_if_cancelled (run->cancellable, error))
    return NULL;
  component = atl_parts_get (run->parts, role, function, run->cancellable, error);
  outputs =
      component != NULL ? atl_component_run (component, request, run->cancellable, error) : NULL;
  if (count != NULL)
    {
      count->largest_part = MAX (count->largest_part, atl_count_weights (count) - weights);
      count->products[kind_of (role, function)] += atl_count_products (count) - products;
      if (component != NULL && outputs == NULL)
        name_misfit (run, role, error);
    }
  else if (outputs != NULL && !check_outputs (run, role, kind_of (role, function), outputs, error))
    g_clear_pointer (&outputs, g_ptr_array_unref);
  return outputs;
}

AtlArray *
atl_run_output_of (
    AtlRun *run, const char *role, AtlRequest *request, const char *name, GError **error)
{
  g_autoptr (GPtrArray) outputs = NULL;

  if (atl_passes_concerns (run->passes, role, atl_request_function (request)))
    return atl_passes_forward (run->passes, role, request, error);
  outputs = atl_run_component (run, role, request, error);
  if (outputs == NULL)
    return NULL;
  for (guint i = 0; i < outputs->len; i++)
    if (g_str_equal (((AtlArray *) outputs->pdata[i])->name, name))
      return g_ptr_array_steal_index (outputs, i);
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the part “%s” gives no “%s”"), role, name);
  return NULL;
}

void
atl_run_take_output (AtlRun *run, const char *name, AtlArray *array)
{
  g_free (array->name);
  array->name = g_strdup (name);
  g_ptr_array_add (run->outputs, array);
}
