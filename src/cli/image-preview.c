/* Pixels as half blocks. */
#define G_LOG_DOMAIN "atl-cli"

#include "cli/image-preview.h"

#include <stdio.h>

/* The mean of the pixels that fall into cell (x, y) of a grid. */
static void
mean (const guint8 *rgb,
      guint width,
      guint height,
      guint columns,
      guint rows,
      guint x,
      guint y,
      guint out[3])
{
  guint left = (guint) ((guint64) x * width / columns), top = (guint) ((guint64) y * height / rows);
  guint right = MAX ((guint) ((guint64) (x + 1) * width / columns), left + 1);
  guint bottom = MAX ((guint) ((guint64) (y + 1) * height / rows), top + 1);
  guint n = (right - left) * (bottom - top), sum[3] = { 0 };

  for (guint i = top; i < bottom; i++)
    for (guint k = left; k < right; k++)
      for (guint c = 0; c < 3; c++)
        sum[c] += rgb[((gsize) i * width + k) * 3 + c];
  for (guint c = 0; c < 3; c++)
    out[c] = sum[c] / n;
}

guint
atl_cli_preview_draw (const guint8 *rgb, guint width, guint height, guint columns, guint previous)
{
  guint n = MIN (columns, width);
  guint lines = CLAMP ((guint) ((guint64) n * height / width) / 2, 1, 60);
  g_autoptr (GString) text = g_string_new ("\r\033[K");

  if (previous > 0)
    g_string_append_printf (text, "\033[%uA", previous);
  for (guint y = 0; y < lines; y++)
    {
      for (guint x = 0; x < n; x++)
        {
          guint upper[3], lower[3];

          mean (rgb, width, height, n, lines * 2, x, y * 2, upper);
          mean (rgb, width, height, n, lines * 2, x, y * 2 + 1, lower);
          g_string_append_printf (text, "\033[38;2;%u;%u;%um\033[48;2;%u;%u;%um▀", upper[0],
                                  upper[1], upper[2], lower[0], lower[1], lower[2]);
        }
      g_string_append (text, "\033[0m\033[K\n");
    }
  fputs (text->str, stderr);
  return lines;
}
