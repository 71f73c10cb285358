/* Seconds, bytes, device. */
#include "app/images/price-words.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/words.h"

char *
atl_price_time (const AtlPicturePrice *price, guint count, guint steps, double larger)
{
  double seconds = (price->seconds * steps / MAX (price->steps, 1) + larger) * count;

  return atl_format_seconds (seconds < 10 ? MAX (seconds, 0.1) : (double) (gint64) (seconds + 0.5));
}

char *
atl_price_words (const AtlPicturePrice *price, guint count, const char *runs_on, double larger)
{
  g_autofree char *bytes = atl_format_bytes (price->bytes);
  g_autofree char *time = atl_price_time (price, count, price->steps, MAX (larger, 0));
  const char *where =
      strncmp (runs_on, "CPU", 3) == 0 ? _ ("on your processor") : _ ("on your graphics card");

  if (!price->fits)
    return g_strdup (price->words);
  if (price->seconds < 0)
    /* Translators: memory, and the device. */
    return g_strdup_printf (_ ("%s · %s · how long it takes is known after the first picture"),
                            bytes, where);
  if (larger < 0)
    /* Translators: a time, memory, and the device. */
    return g_strdup_printf (_ ("≈ %s · %s · %s, and the time to enlarge it"), time, bytes, where);
  return g_strdup_printf ("≈ %s · %s · %s", time, bytes, where);
}
