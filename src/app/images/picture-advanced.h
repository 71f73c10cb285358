/* The rows behind "Advanced" on the Images page: numbers, sampler, seed, what should not be there.
 *
 * Not a widget: it fills an expander row and works on the draft of the AtlPicturesSession.
 *
 * Threading: the main thread.
 */
#pragma once

#include <adwaita.h>

#include "app/images/pictures-session.h"

G_BEGIN_DECLS

typedef struct _AtlPictureAdvanced AtlPictureAdvanced;

/* `changed` is called after a person changed the draft. `row` outlives the result. */
AtlPictureAdvanced *atl_picture_advanced_new (AdwExpanderRow *row,
                                              AtlPicturesSession *pictures,
                                              void (*changed) (gpointer data),
                                              gpointer data);
void atl_picture_advanced_free (AtlPictureAdvanced *self);
/* Shows the draft for the model in use. */
void atl_picture_advanced_show (AtlPictureAdvanced *self);
/* To the number of the width, which the caller has unfolded. */
void atl_picture_advanced_focus_size (AtlPictureAdvanced *self);

G_END_DECLS
