/* Splits streamed text into thinking and answer, and ends it at a stop string.
 *
 *   AtlTextSplitter *s = atl_text_splitter_new ("<think>", "</think>", FALSE, stop, emit, data);
 *   stopped = atl_text_splitter_push (s, piece);      for each piece of valid UTF-8
 *   atl_text_splitter_finish (s);                     what was held back comes out
 *
 * A mark may be cut anywhere, so text that could begin one is held back until that is decided.
 * Marks never come out. An opening mark counts only before any text: an answer may talk about it.
 * Blank lines between the section and the answer are dropped. Stop strings count in the answer
 * only.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _AtlTextSplitter AtlTextSplitter;

typedef void (*AtlTextSplitterFunc) (const char *text, gboolean is_thinking, gpointer user_data);

/* `open` and `close` (both nullable): marks of the thinking section. `is_open`: the prompt ended
 * inside the section. `stop` (nullable): non-empty strings. All are copied. */
AtlTextSplitter *atl_text_splitter_new (const char *open,
                                        const char *close,
                                        gboolean is_open,
                                        const char *const *stop,
                                        AtlTextSplitterFunc emit,
                                        gpointer user_data);
void atl_text_splitter_free (AtlTextSplitter *self);
/* Marks that some models put around the answer behind their thinking ("<answer>"); they are taken
 * out. Nullable, copied. */
void atl_text_splitter_set_wrapper (AtlTextSplitter *self, const char *open, const char *close);

/* TRUE when a stop string came: it and what follows are dropped, further pushes do nothing. */
gboolean atl_text_splitter_push (AtlTextSplitter *self, const char *text);
void atl_text_splitter_finish (AtlTextSplitter *self);
gboolean atl_text_splitter_is_thinking (const AtlTextSplitter *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlTextSplitter, atl_text_splitter_free)

G_END_DECLS
