/* Files of pictures that are made to do harm, or that are only rare, for the tests of whoever reads
 * pictures of others.
 *
 *   g_autoptr (GPtrArray) all = hostile_pictures ();
 *   for (guint i = 0; i < all->len; i++)
 *     decode (((HostilePicture *) all->pdata[i])->bytes)
 */
#pragma once

#include <glib.h>

typedef enum
{
  HOSTILE_REFUSED, /* an error in words */
  HOSTILE_OPENS,   /* rare, and yet a picture */
  HOSTILE_EITHER,
} HostileEnd;

typedef struct
{
  char *name;
  GBytes *bytes;
  HostileEnd end;
} HostilePicture;

/* (transfer full) (element-type HostilePicture) */
GPtrArray *hostile_pictures (void);
