/* What a picture costs, in words for the line under Create.
 *
 * Threading: the main thread, for its translations.
 */
#pragma once

#include "client/client.h"

G_BEGIN_DECLS

/* "≈ 40 s · 3.1 GB · on your CPU" for `count` pictures; `runs_on` as AtlModelInfo has it. The
 * caller's. */
char *atl_price_words (const AtlPicturePrice *price, guint count, const char *runs_on);

/* How long it would take with so many steps, in seconds; negative when that is not known. What does
 * not depend on the steps is left out, so that it is never too little by much. */
double atl_price_seconds (const AtlPicturePrice *price, guint count, guint steps);

G_END_DECLS
