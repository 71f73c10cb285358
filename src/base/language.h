/* The language of sentences, for programs that compute.
 *
 *   atl_language_open ();
 *   g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("%s is empty"), name);
 *
 * Sentences arrive in the person's language (LANGUAGE, LC_ALL, LC_MESSAGES, LANG); everything else
 * stays as in the C locale. Numbers of files, templates and the protocol are written and read with
 * a point, and letters change their case by the same rules for everybody.
 *
 * Threading: atl_language_open() before there are other threads; the rest from any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether the program was started where it was built: what it needs lies there, too. */
gboolean atl_language_is_built_here (void);

/* Tells gettext where the translations are, and that they are UTF-8. */
void atl_language_bind (void);

/* Sets the language of messages and binds the translations. Catalogues (of the libraries that
 * report errors, too) and the way numbers are written are read now: none of these files can be
 * opened once the process has locked itself in. */
void atl_language_open (void);

/* A text to be read by a person, with numbers as they are written where the person lives: with a
 * comma in German. Before atl_language_open(), or without it, as in the process's locale. Owned. */
char *atl_language_printf (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* A number of bytes in words: "1.2 GB", in German "1,2 GB". Owned. */
char *atl_language_size (guint64 size_bytes);

G_END_DECLS
