/* What else the model might have written, kept with the text: each token it wrote carries its
 * alternatives as a tag, so that they stay with it when a person edits around it.
 *
 *   AtlTokenTags *tags = atl_token_tags_new (buffer);
 *   atl_token_tags_begin (tags, offset);     // the model begins to write there
 *   atl_token_tags_add (tags, tokens);       // as AtlChatJob's "tokens" tells them
 *   atl_token_tags_inserted (tags, n_chars); // text was inserted behind what came before
 *   char *words = atl_token_tags_describe (tags, &iter, TRUE);
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "client/chat-job.h"

G_BEGIN_DECLS

typedef struct _AtlTokenTags AtlTokenTags;

/* `buffer` must live as long. */
AtlTokenTags *atl_token_tags_new (GtkTextBuffer *buffer);
void atl_token_tags_free (AtlTokenTags *self);

/* The model begins to write at character `offset` of the buffer. Forgets tokens whose text did not
 * come. */
void atl_token_tags_begin (AtlTokenTags *self, int offset);
/* Tokens in the order in which they are written (element-type AtlChatToken, borrowed): before or
 * after their text is in the buffer. Reasoning and tokens without text are left out. */
void atl_token_tags_add (AtlTokenTags *self, GPtrArray *tokens);
/* So many characters stand behind what stood there; those whose tokens are known are tagged. */
void atl_token_tags_inserted (AtlTokenTags *self, int n_chars);

/* The likeliest tokens at `iter` with their probabilities, the written one marked: lines of Pango
 * markup, or one plain line. NULL where the model wrote nothing; the caller's. */
char *atl_token_tags_describe (AtlTokenTags *self, const GtkTextIter *iter, gboolean as_markup);

/* What is pointed at, in coordinates of the view: a character, or the line end behind the last one
 * of a line. FALSE where there is neither. */
gboolean atl_token_tags_point (GtkTextView *view, int x, int y, GtkTextIter *iter);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlTokenTags, atl_token_tags_free)

G_END_DECLS
