/* Two children beside each other where there is room, else one above the other.
 *
 * Property "is-folded" (notifies): one stands above the other. The first child has the width
 * that it needs, the second the rest.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TYPE_SPLIT_BOX (atl_split_box_get_type ())
G_DECLARE_FINAL_TYPE (AtlSplitBox, atl_split_box, ATL, SPLIT_BOX, GtkWidget)

/* Once; takes both over. A line stands between them where one is above the other. */
void atl_split_box_set_children (AtlSplitBox *self, GtkWidget *first, GtkWidget *second);
/* The property; as of the last allocation. */
gboolean atl_split_box_get_is_folded (AtlSplitBox *self);

G_END_DECLS
