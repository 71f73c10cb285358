/* Colours of latents: the published numbers, fitting others, painting. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/colors.h"

#include <math.h>
#include <string.h>

static const AtlColors sd15 = { /* Stable Diffusion 1.x */
  .n_channels = 4,
  .bias = { 0.0f, 0.0f, 0.0f },
  .factors = {
    { 0.3512f, 0.2297f, 0.3227f },
    { 0.325f, 0.4974f, 0.235f },
    { -0.2829f, 0.1762f, 0.2721f },
    { -0.212f, -0.2616f, -0.7177f },
  },
};
static const AtlColors sdxl = { /* XL */
  .n_channels = 4,
  .bias = { 0.1084f, -0.0175f, -0.0011f },
  .factors = {
    { 0.3651f, 0.4232f, 0.4341f },
    { -0.2533f, -0.0042f, 0.1068f },
    { 0.1076f, 0.1111f, -0.0362f },
    { -0.3165f, -0.2492f, -0.2188f },
  },
};
static const AtlColors sd3 = { /* 3 and 3.5 */
  .n_channels = 16,
  .bias = { 0.2394f, 0.2135f, 0.1925f },
  .factors = {
    { -0.0922f, -0.0175f, 0.0749f },
    { 0.0311f, 0.0633f, 0.0954f },
    { 0.1994f, 0.0927f, 0.0458f },
    { 0.0856f, 0.0339f, 0.0902f },
    { 0.0587f, 0.0272f, -0.0496f },
    { -0.0006f, 0.1104f, 0.0309f },
    { 0.0978f, 0.0306f, 0.0427f },
    { -0.0042f, 0.1038f, 0.1358f },
    { -0.0194f, 0.002f, 0.0669f },
    { -0.0488f, 0.013f, -0.0268f },
    { 0.0922f, 0.0988f, 0.0951f },
    { -0.0278f, 0.0524f, -0.0542f },
    { 0.0332f, 0.0456f, 0.0895f },
    { -0.0069f, -0.003f, -0.081f },
    { -0.0596f, -0.0465f, -0.0293f },
    { -0.1448f, -0.1463f, -0.1189f },
  },
};
static const AtlColors flux = { /* Flux.1, Chroma, Z-Image, HiDream */
  .n_channels = 16,
  .bias = { -0.0329f, -0.0718f, -0.0851f },
  .factors = {
    { -0.0346f, 0.0244f, 0.0681f },
    { 0.0034f, 0.021f, 0.0687f },
    { 0.0275f, -0.0668f, -0.0433f },
    { -0.0174f, 0.016f, 0.0617f },
    { 0.0859f, 0.0721f, 0.0329f },
    { 0.0004f, 0.0383f, 0.0115f },
    { 0.0405f, 0.0861f, 0.0915f },
    { -0.0236f, -0.0185f, -0.0259f },
    { -0.0245f, 0.025f, 0.118f },
    { 0.1008f, 0.0755f, -0.0421f },
    { -0.0515f, 0.0201f, 0.0011f },
    { 0.0428f, -0.0012f, -0.0036f },
    { 0.0817f, 0.0765f, 0.0749f },
    { -0.1264f, -0.0522f, -0.1103f },
    { -0.028f, -0.0881f, -0.0499f },
    { -0.1262f, -0.0982f, -0.0778f },
  },
};
static const AtlColors wan21 = { /* Wan 2.1, Qwen-Image */
  .n_channels = 16,
  .bias = { -0.1835f, -0.0868f, -0.336f },
  .factors = {
    { -0.1299f, -0.1692f, 0.2932f },
    { 0.0671f, 0.0406f, 0.0442f },
    { 0.3568f, 0.2548f, 0.1747f },
    { 0.0372f, 0.2344f, 0.142f },
    { 0.0313f, 0.0189f, -0.0328f },
    { 0.0296f, -0.0956f, -0.0665f },
    { -0.3477f, -0.4059f, -0.2925f },
    { 0.0166f, 0.1902f, 0.1975f },
    { -0.0412f, 0.0267f, -0.1364f },
    { -0.1293f, 0.074f, 0.1636f },
    { 0.068f, 0.3019f, 0.1128f },
    { 0.0032f, 0.0581f, 0.0639f },
    { -0.1251f, 0.0927f, 0.1699f },
    { 0.006f, -0.0633f, 0.0005f },
    { 0.3477f, 0.2275f, 0.295f },
    { 0.1984f, 0.0913f, 0.1861f },
  },
};
static const AtlColors wan22 = { /* Wan 2.2 TI2V-5B */
  .n_channels = 48,
  .bias = { 0.0317f, -0.0878f, -0.1388f },
  .factors = {
    { 0.0119f, 0.0103f, 0.0046f },
    { -0.1062f, -0.0504f, 0.0165f },
    { 0.014f, 0.0409f, 0.0491f },
    { -0.0813f, -0.0677f, 0.0607f },
    { 0.0656f, 0.0851f, 0.0808f },
    { 0.0264f, 0.0463f, 0.0912f },
    { 0.0295f, 0.0326f, 0.059f },
    { -0.0244f, -0.027f, 0.0025f },
    { 0.0443f, -0.0102f, 0.0288f },
    { -0.0465f, -0.009f, -0.0205f },
    { 0.0359f, 0.0236f, 0.0082f },
    { -0.0776f, 0.0854f, 0.1048f },
    { 0.0564f, 0.0264f, 0.0561f },
    { 0.0006f, 0.0594f, 0.0418f },
    { -0.0319f, -0.0542f, -0.0637f },
    { -0.0268f, 0.0024f, 0.026f },
    { 0.0539f, 0.0265f, 0.0358f },
    { -0.0359f, -0.0312f, -0.0287f },
    { -0.0285f, -0.1032f, -0.1237f },
    { 0.1041f, 0.0537f, 0.0622f },
    { -0.0086f, -0.0374f, -0.0051f },
    { 0.039f, 0.067f, 0.2863f },
    { 0.0069f, 0.0144f, 0.0082f },
    { 0.0006f, -0.0167f, 0.0079f },
    { 0.0313f, -0.0574f, -0.0232f },
    { -0.1454f, -0.0902f, -0.0481f },
    { 0.0714f, 0.0827f, 0.0447f },
    { -0.0304f, -0.0574f, -0.0196f },
    { 0.0401f, 0.0384f, 0.0204f },
    { -0.0758f, -0.0297f, -0.0014f },
    { 0.0568f, 0.1307f, 0.1372f },
    { -0.0055f, -0.031f, -0.038f },
    { 0.0239f, -0.0305f, 0.0325f },
    { -0.0663f, -0.0673f, -0.014f },
    { -0.0416f, -0.0047f, -0.0023f },
    { 0.0166f, 0.0112f, -0.0093f },
    { -0.0211f, 0.0011f, 0.0331f },
    { 0.1833f, 0.1466f, 0.225f },
    { -0.0368f, 0.037f, 0.0295f },
    { -0.3441f, -0.3543f, -0.2008f },
    { -0.0479f, -0.0489f, -0.042f },
    { -0.066f, -0.0153f, 0.08f },
    { -0.0101f, 0.0068f, 0.0156f },
    { -0.069f, -0.0452f, -0.0927f },
    { -0.0145f, 0.0041f, 0.0015f },
    { 0.0421f, 0.0451f, 0.0373f },
    { 0.0504f, -0.0483f, -0.0356f },
    { -0.0837f, 0.0168f, 0.0055f },
  },
};
static const AtlColors flux2 = { /* Flux.2, of the latent before its 2x2 patches */
  .n_channels = 32,
  .bias = { -0.0329f, -0.0718f, -0.0851f },
  .factors = {
    { 0.0058f, 0.0113f, 0.0073f },
    { 0.0495f, 0.0443f, 0.0836f },
    { -0.0099f, 0.0096f, 0.0644f },
    { 0.2144f, 0.3009f, 0.3652f },
    { 0.0166f, -0.0039f, -0.0054f },
    { 0.0157f, 0.0103f, -0.016f },
    { -0.0398f, 0.0902f, -0.0235f },
    { -0.0052f, 0.0095f, 0.0109f },
    { -0.3527f, -0.2712f, -0.1666f },
    { -0.0301f, -0.0356f, -0.018f },
    { -0.0107f, 0.0078f, 0.0013f },
    { 0.0746f, 0.009f, -0.0941f },
    { 0.0156f, 0.0169f, 0.007f },
    { -0.0034f, -0.004f, -0.0114f },
    { 0.0032f, 0.0181f, 0.008f },
    { -0.0939f, -0.0008f, 0.0186f },
    { 0.0018f, 0.0043f, 0.0104f },
    { 0.0284f, 0.0056f, -0.0127f },
    { -0.0024f, -0.0022f, -0.003f },
    { 0.1207f, -0.0026f, 0.0065f },
    { 0.0128f, 0.0101f, 0.0142f },
    { 0.0137f, -0.0072f, -0.0007f },
    { 0.0095f, 0.0092f, -0.0059f },
    { 0.0f, -0.0077f, -0.0049f },
    { -0.0465f, -0.0204f, -0.0312f },
    { 0.0095f, 0.0012f, -0.0066f },
    { 0.029f, -0.0034f, 0.0025f },
    { 0.022f, 0.0169f, -0.0048f },
    { -0.0332f, -0.0457f, -0.0468f },
    { -0.0085f, 0.0389f, 0.0609f },
    { -0.0076f, 0.0003f, -0.0043f },
    { -0.0111f, -0.046f, -0.0614f },
  },
};

const AtlColors *
atl_colors_published (gint64 channels, double scaling)
{
  static const struct
  {
    const AtlColors *colors;
    double scaling;
  } all[] = { { &sd15, 0.18215 }, { &sdxl, 0.13025 }, { &sd3, 1.5305 }, { &flux, 0.3611 },
              { &wan21, 0 },      { &wan22, 0 },      { &flux2, 1 } };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++)
    if (all[i].colors->n_channels == channels && fabs (all[i].scaling - scaling) < 1e-4)
      return all[i].colors;
  return NULL;
}

/* --- Fitting --- */

#define N_MAX (ATL_COLORS_MAX_CHANNELS + 1)

/* a [n, n] symmetric, lower half used; becomes its Cholesky factor. */
static gboolean
factorise (double a[N_MAX][N_MAX], guint n)
{
  for (guint j = 0; j < n; j++)
    {
      for (guint k = 0; k < j; k++)
        a[j][j] -= a[j][k] * a[j][k];
      if (!(a[j][j] > 0))
        return FALSE;
      a[j][j] = sqrt (a[j][j]);
      for (guint i = j + 1; i < n; i++)
        {
          for (guint k = 0; k < j; k++)
            a[i][j] -= a[i][k] * a[j][k];
          a[i][j] /= a[j][j];
        }
    }
  return TRUE;
}

static void
solve (double a[N_MAX][N_MAX], guint n, double *b)
{
  for (guint i = 0; i < n; i++)
    {
      for (guint k = 0; k < i; k++)
        b[i] -= a[i][k] * b[k];
      b[i] /= a[i][i];
    }
  for (guint i = n; i-- > 0;)
    {
      for (guint k = i + 1; k < n; k++)
        b[i] -= a[k][i] * b[k];
      b[i] /= a[i][i];
    }
}

/* The mean of colour c under a cell. */
static double
cell_color (const AtlArray *picture, gint64 c, gint64 factor, gint64 y, gint64 x)
{
  gint64 H = picture->dim[2], W = picture->dim[3];
  const float *plane = atl_array_f32 (picture) + c * H * W;
  double sum = 0;

  for (gint64 i = 0; i < factor; i++)
    for (gint64 j = 0; j < factor; j++)
      sum += plane[(y * factor + i) * W + x * factor + j];
  return sum / (double) (factor * factor);
}

gboolean
atl_colors_fit (const AtlArray *latent, const AtlArray *picture, AtlColors *out)
{
  guint C = (guint) latent->dim[1], n = C + 1;
  gint64 h = latent->dim[2], w = latent->dim[3], cells = h * w, factor = picture->dim[2] / h;
  double normal[N_MAX][N_MAX] = { 0 }, right[3][N_MAX] = { 0 }, trace = 0;
  const float *x = atl_array_f32 (latent);

  if (C == 0 || C > ATL_COLORS_MAX_CHANNELS || picture->dim[2] != h * factor ||
      picture->dim[3] != w * factor)
    return FALSE;
  for (gint64 i = 0; i < cells; i++)
    {
      double v[N_MAX];

      for (guint c = 0; c < C; c++)
        v[c] = x[(gint64) c * cells + i];
      v[C] = 1;
      for (guint a = 0; a < n; a++)
        {
          for (guint b = 0; b <= a; b++)
            normal[a][b] += v[a] * v[b];
          for (guint c = 0; c < 3; c++)
            right[c][a] += v[a] * cell_color (picture, c, factor, i / w, i % w);
        }
    }
  for (guint a = 0; a < n; a++)
    trace += normal[a][a];
  /* With more channels than colours many mixes fit; a small one is the least noisy. */
  for (guint a = 0; a < n; a++)
    normal[a][a] += 2e-2 * trace / n;
  if (!isfinite (trace) || !factorise (normal, n))
    return FALSE;
  *out = (AtlColors){ .n_channels = C };
  for (guint c = 0; c < 3; c++)
    {
      solve (normal, n, right[c]);
      for (guint a = 0; a < C; a++)
        out->factors[a][c] = (float) right[c][a];
      out->bias[c] = (float) right[c][C];
    }
  return TRUE;
}

AtlArray *
atl_colors_chart (gint64 side)
{
  AtlArray *chart = atl_array_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, side, side });

  /* Waves of another length a colour on the left, squares of all mixes on the right. */
  for (gint64 c = 0; c < 3; c++)
    for (gint64 y = 0; y < side; y++)
      for (gint64 x = 0; x < side; x++)
        {
          double u = (double) x / (double) side, v = (double) y / (double) side;
          double wave = sin (2 * G_PI * ((c + 1.3) * u + (2.6 - c) * v) + c);
          gint64 square = (gint64) (v * 16) * 4 + (gint64) (u * 8) % 4;
          double flat = (double) ((square >> (2 * c) & 3) * 2) / 3 - 1;

          atl_array_f32 (chart)[(c * side + y) * side + x] = (float) (u < 0.5 ? wave : flat);
        }
  return chart;
}

/* --- Painting --- */

guint8 *
atl_colors_paint (const AtlColors *self,
                  const AtlArray *latent,
                  gint64 frame,
                  guint max_side,
                  guint *width,
                  guint *height)
{
  gint64 h = latent->dim[latent->n_dims - 2], w = latent->dim[latent->n_dims - 1];
  gint64 plane = atl_array_n_elems (latent) / latent->dim[0] / latent->dim[1];
  gint64 step = MAX ((MAX (w, h) + max_side - 1) / max_side, 1);
  const float *x = atl_array_f32 (latent) + frame * h * w;
  guint8 *rgb, *to;

  g_assert (latent->dim[1] == self->n_channels && (frame + 1) * h * w <= plane);
  *width = (guint) ((w + step - 1) / step);
  *height = (guint) ((h + step - 1) / step);
  rgb = to = g_malloc ((gsize) *width * *height * 3);
  for (gint64 row = 0; row < h; row += step)
    for (gint64 column = 0; column < w; column += step)
      for (guint c = 0; c < 3; c++)
        {
          double sum = self->bias[c];

          for (guint k = 0; k < self->n_channels; k++)
            sum += self->factors[k][c] * x[k * plane + row * w + column];
          /* What is no number is black. */
          *to++ = isfinite (sum) ? (guint8) (CLAMP (sum * 0.5 + 0.5, 0, 1) * 255 + 0.5) : 0;
        }
  return rgb;
}
