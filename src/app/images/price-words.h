/* What a picture costs, in words for the line under Create.
 *
 * Threading: the main thread, for its translations.
 */
#pragma once

#include "client/client.h"

G_BEGIN_DECLS

/* "≈ 40 s · 3.1 GB · on your CPU" for `count` pictures; `runs_on` as AtlModelInfo has it. `larger`
 * are the seconds for enlarging one afterwards, negative when they are not known. The caller's. */
char *
atl_price_words (const AtlPicturePrice *price, guint count, const char *runs_on, double larger);

/* "40 s", with so many steps; the price's seconds must be known. The caller's. */
char *atl_price_time (const AtlPicturePrice *price, guint count, guint steps, double larger);

G_END_DECLS
