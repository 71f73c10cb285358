/* Small helpers on text that GLib has only in later versions or that every page needs.
 *
 * Threading: the main thread, for its translations.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* Replaces an owned string; `text` may be part of the old one, or NULL. */
static inline void
atl_set_string (char **field, const char *text)
{
  char *old = *field;
  *field = g_strdup (text);
  g_free (old);
}

/* "1.1 GB", "340 MB": decimal, as file managers and shops count. The caller's. */
char *atl_format_bytes (guint64 n_bytes);

/* "12 s", "2 min 5 s", "3 h 20 min". The caller's. */
char *atl_format_seconds (double seconds);

/* "3,104 tokens". The caller's. */
char *atl_format_tokens (guint n_tokens);

/* What a person calls the time of a message or chat: "14:05", "Yesterday 14:05", "3 May 2026".
 * `time_us` as g_get_real_time(). The caller's. */
char *atl_format_time (gint64 time_us);

/* Which way the script of a letter runs. (Pango's own answer is deprecated.) */
GtkTextDirection atl_letter_direction (gunichar letter);

/* A word that is broken over lines gets no hyphen that was not written. */
void atl_label_never_hyphenate (GtkLabel *label);
/* The same for what is written in a text view, now and later. */
void atl_text_never_hyphenate (GtkTextView *view);

/* A name for files: `title` without separators and control characters, never empty, never hidden.
 * The caller's. */
char *atl_file_name_from_title (const char *title, const char *extension);

G_END_DECLS
