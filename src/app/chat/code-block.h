/* A block of code: its language, a copy button, highlighted text that scrolls sideways.
 *
 *   GtkWidget *block = atl_code_block_new ();
 *   atl_code_block_set (ATL_CODE_BLOCK (block), "int a;", "c");
 *
 * Setting a text that begins with the present one appends the rest, as streaming does.
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ATL_TYPE_CODE_BLOCK (atl_code_block_get_type ())
G_DECLARE_FINAL_TYPE (AtlCodeBlock, atl_code_block, ATL, CODE_BLOCK, GtkWidget)

GtkWidget *atl_code_block_new (void);
/* `language` is what stood after the fence, nullable. */
void atl_code_block_set (AtlCodeBlock *self, const char *code, const char *language);

G_END_DECLS
