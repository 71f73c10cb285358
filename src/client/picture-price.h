/* What a picture will take, told before it is asked for: seconds, memory.
 *
 * How fast this machine is, the client learns from finished pictures; what one takes is known of
 * its work (engine/diffusion/cost.h), so that another size or number of steps is foretold well.
 *
 * Threading: a price is plain data; the rest belongs to the client's thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  double seconds;              /* negative until a picture was made on this machine */
  gboolean is_own;             /* measured with this very model, and not with another one */
  guint width, height, steps;  /* as they will be */
  guint64 bytes, free_bytes;   /* needed, and there */
  gboolean fits;               /* else: */
  guint fit_width, fit_height; /* the largest of this shape that would; 0: none */
  gboolean is_frugal;          /* parts are loaded one after the other, which is slower */
  char *words;                 /* a sentence about memory */
} AtlPicturePrice;

/* NULL is fine. */
void atl_picture_price_free (AtlPicturePrice *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPicturePrice, atl_picture_price_free)

G_END_DECLS
