/* Seconds, bytes, device. */
#include "app/images/price-words.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/words.h"

double
atl_price_seconds (const AtlPicturePrice *price, guint count, guint steps)
{
  if (price->seconds < 0)
    return -1;
  return price->seconds * count * steps / MAX (price->steps, 1);
}

char *
atl_price_words (const AtlPicturePrice *price, guint count, const char *runs_on)
{
  g_autofree char *bytes = atl_format_bytes (price->bytes);
  double seconds = price->seconds * count;
  g_autofree char *time =
      atl_format_seconds (seconds < 10 ? MAX (seconds, 0.1) : (double) (gint64) (seconds + 0.5));
  const char *where =
      strncmp (runs_on, "CPU", 3) == 0 ? _ ("on your CPU") : _ ("on your graphics card");

  if (!price->fits)
    return g_strdup (price->words);
  if (price->seconds < 0)
    /* Translators: memory, and the device. */
    return g_strdup_printf (_ ("%s · %s · how long it takes is known after the first picture"),
                            bytes, where);
  return g_strdup_printf ("≈ %s · %s · %s", time, bytes, where);
}
