/* The rows for what only one family of models can set (AtlModelInfo.knobs), behind "Advanced".
 *
 * Not a widget: it adds rows to an expander row and works on the draft of the AtlPicturesSession.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

typedef struct _AtlPictureKnobs AtlPictureKnobs;

/* `changed` is called after a person changed the draft. `row` outlives the result. */
AtlPictureKnobs *atl_picture_knobs_new (AdwExpanderRow *row,
                                        AtlPicturesSession *pictures,
                                        void (*changed) (gpointer data),
                                        gpointer data);
void atl_picture_knobs_free (AtlPictureKnobs *self);
/* The rows of another model. */
void atl_picture_knobs_set_model (AtlPictureKnobs *self, const AtlModelInfo *info);
/* Shows the draft. */
void atl_picture_knobs_show (AtlPictureKnobs *self);

G_END_DECLS
