/* Pictures for Qwen-Image-Edit (diffusers 0.42.1, pipeline_qwenimage_edit and _edit_plus). */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/qwen-edit.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "engine/diffusion/clip-pixels.h"
#include "engine/diffusion/decode.h"
#include "engine/diffusion/latents.h"

#define PIXELS 16 /* a token's side */
#define CELL 28   /* of the vision tower */
#define MIN_SEEN 3136.0
#define MAX_SEEN 12845056.0
#define TEMPLATE_TOKENS 64
#define MAX_ASPECT 200 /* the tower's processor refuses more */

static const char template_start[] =
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, "
    "texture, objects, background), then explain how the user's text instruction should alter or "
    "modify the image. Generate a new image that meets the user's requirements while maintaining "
    "consistency with the original input where appropriate.<|im_end|>\n<|im_start|>user\n";
static const char template_end[] = "<|im_end|>\n<|im_start|>assistant\n";

void
atl_qwen_references_clear (AtlQwenReferences *self)
{
  atl_qwen_pictures_clear (&self->seen);
  g_clear_pointer (&self->tokens, atl_array_free);
}

guint
atl_qwen_references_count (const AtlRun *run, gboolean takes_image)
{
  guint n = 0;

  if (!takes_image && atl_run_input (run, "image_1") == NULL)
    return 0;
  while (n < ATL_QWEN_MAX_PICTURES && atl_run_reference (run, "image", n) != NULL)
    n++;
  return n;
}

void
atl_qwen_fit_area (double width, double height, double area, gint64 *to_width, gint64 *to_height)
{
  double ratio = width / height, w = sqrt (area * ratio);

  *to_width = MAX ((gint64) nearbyint (w / 32), 1) * 32;
  *to_height = MAX ((gint64) nearbyint (w / ratio / 32), 1) * 32;
}

/* As the tower's own processor rounds sizes. */
static void
fit_cells (gint64 *width, gint64 *height)
{
  double w = (double) *width, h = (double) *height, beta;
  gint64 cw = (gint64) nearbyint (w / CELL) * CELL, ch = (gint64) nearbyint (h / CELL) * CELL;

  if ((double) cw * (double) ch > MAX_SEEN)
    {
      beta = sqrt (w * h / MAX_SEEN);
      cw = MAX ((gint64) floor (w / beta / CELL), 1) * CELL;
      ch = MAX ((gint64) floor (h / beta / CELL), 1) * CELL;
    }
  else if ((double) cw * (double) ch < MIN_SEEN)
    {
      beta = sqrt (MIN_SEEN / (w * h));
      cw = (gint64) ceil (w * beta / CELL) * CELL;
      ch = (gint64) ceil (h * beta / CELL) * CELL;
    }
  *width = cw;
  *height = ch;
}

/* Picture number `i` as the tower is to see it, in 0…1. The caller's. */
static AtlArray *
show (const AtlRun *run, const AtlQwenReferences *self, guint i)
{
  const AtlArray *picture = atl_run_reference (run, "image", i),
                 *ready = atl_run_reference (run, "condition", i);
  g_autoptr (AtlArray) middle = NULL;
  gint64 width, height;

  if (ready != NULL)
    return atl_array_copy (ready, "image");
  /* Plus shows small ones; both sizes are rounded twice, as the origin does. */
  atl_qwen_fit_area ((double) picture->dim[3], (double) picture->dim[2],
                     self->is_plus ? 384.0 * 384.0 : 1024.0 * 1024.0, &width, &height);
  middle = atl_resize_picture (picture, "image", height, width, ATL_FILTER_BICUBIC);
  fit_cells (&width, &height);
  return atl_resize_picture (middle, "image", height, width, ATL_FILTER_BICUBIC);
}

gboolean
atl_qwen_references_look (AtlRun *run, AtlQwenReferences *self, GError **error)
{
  atl_run_progress (run, _ ("Looking at the picture"), 0, 0);
  for (guint i = 0; i < self->n; i++)
    {
      const AtlArray *given = atl_run_reference (run, "image", i);
      g_autoptr (AtlArray) picture = NULL;

      if (MAX (given->dim[2], given->dim[3]) > MAX_ASPECT * MIN (given->dim[2], given->dim[3]))
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("A reference picture must not be more than %d times as long as it is "
                          "wide"),
                       MAX_ASPECT);
          return FALSE;
        }
      picture = show (run, self, i);
      atl_clip_normalize (picture);
      if (!atl_qwen_look (run, picture, &self->seen, error))
        return FALSE;
    }
  atl_parts_release (run->parts, "vision_tower");
  return TRUE;
}

AtlArray *
atl_qwen_references_encode (
    AtlRun *run, const AtlQwenReferences *self, const char *prompt, gint64 length, GError **error)
{
  g_autoptr (GString) text = g_string_new (template_start);

  for (guint i = 0; i < self->n; i++)
    {
      if (self->is_plus)
        g_string_append_printf (text, "Picture %u: ", i + 1);
      g_string_append (text, ATL_QWEN_PICTURE);
    }
  g_string_append (text, prompt);
  g_string_append (text, template_end);
  return atl_qwen_encode (run, text->str, length + TEMPLATE_TOKENS, TEMPLATE_TOKENS, &self->seen,
                          error);
}

AtlArray *
atl_qwen_latent_of (
    AtlRun *run, AtlArray *picture, const float *mean, const float *std, GError **error)
{
  AtlArray *latent;

  picture->n_dims = 5;
  memcpy (picture->dim, (gint64[]){ 1, 3, 1, picture->dim[2], picture->dim[3] },
          5 * sizeof *picture->dim);
  latent = atl_run_encode (run, picture, error);
  if (latent == NULL)
    return NULL;
  atl_latent_normalize (latent, mean, std);
  latent->n_dims = 4;
  memcpy (latent->dim, (gint64[]){ 1, latent->dim[1], latent->dim[3], latent->dim[4] },
          4 * sizeof *latent->dim);
  return latent;
}

gboolean
atl_qwen_references_measure (
    AtlRun *run, AtlQwenReferences *self, const float *mean, const float *std, GError **error)
{
  for (guint i = 0; i < self->n; i++)
    {
      const AtlArray *given = atl_run_reference (run, "image", i);
      gint64 H = given->dim[2], W = given->dim[3];
      g_autoptr (AtlArray) old = g_steal_pointer (&self->tokens);
      g_autoptr (AtlArray) latent = NULL;
      g_autoptr (AtlArray) tokens = NULL;
      AtlArray *picture;

      if (H % PIXELS != 0 || W % PIXELS != 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                       _ ("A reference picture's width and height must be multiples of %d pixels"),
                       PIXELS);
          return FALSE;
        }
      picture = atl_array_copy (given, "image");
      atl_array_affine (picture, 2.0f, -1.0f);
      latent = atl_qwen_latent_of (run, picture, mean, std, error);
      if (latent == NULL)
        return FALSE;
      self->size[i][0] = latent->dim[2] / 2;
      self->size[i][1] = latent->dim[3] / 2;
      tokens = atl_latent_pack (latent, "references");
      self->tokens = old == NULL ? g_steal_pointer (&tokens)
                                 : atl_array_join ("references", 1, 2,
                                                   (const AtlArray *const[]){ old, tokens });
    }
  atl_parts_release (run->parts, "vae");
  return TRUE;
}
