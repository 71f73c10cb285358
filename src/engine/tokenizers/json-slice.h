/* The two huge members of a tokenizer.json, read without building a tree of them.
 *
 * A vocabulary of 250,000 pieces and its merges are a million values; as nodes they take hundreds
 * of megabytes and seconds. They are cut out of the text first, and read one value at a time:
 *
 *   AtlJsonSlices slices;
 *   g_autofree char *rest = atl_json_slice (json, size, &slices);   small, for atl_json_parse
 *   AtlJsonReader r = slices.vocab;
 *   if (atl_json_reader_enter (&r, '{'))
 *     while (atl_json_reader_more (&r, '}'))
 *       atl_json_reader_string (&r, text) && atl_json_reader_colon (&r) && …
 *
 * Every function returns FALSE when the text is something else than asked for, or no JSON.
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  const char *p, *end; /* borrowed; p NULL: the member is absent */
  gboolean first;      /* no value of the innermost container was read yet */
} AtlJsonReader;

typedef struct
{
  AtlJsonReader vocab;  /* model.vocab */
  AtlJsonReader merges; /* model.merges */
} AtlJsonSlices;

/* Finds the members in valid UTF-8 `json` and returns the text without them (null in their place).
 * What is not shaped as expected stays in the rest, for the parser proper to complain about. */
char *atl_json_slice (const char *json, gsize size, AtlJsonSlices *slices);

/* The character a value begins with ('{', '[', '"', a digit…), 0 at the end. */
char atl_json_reader_peek (AtlJsonReader *self);

/* Steps into an object '{' or array '['. */
gboolean atl_json_reader_enter (AtlJsonReader *self, char bracket);
/* Whether another value follows, stepping over the comma; steps out of the container when not.
 * FALSE with `self->p` NULL where the text is broken. */
gboolean atl_json_reader_more (AtlJsonReader *self, char closing);
gboolean atl_json_reader_colon (AtlJsonReader *self);

/* Replaces what `out` holds. */
gboolean atl_json_reader_string (AtlJsonReader *self, GString *out);
gboolean atl_json_reader_int (AtlJsonReader *self, gint64 *out);
gboolean atl_json_reader_double (AtlJsonReader *self, double *out);

/* Whether nothing but white space is left: the value was read to its end. */
gboolean atl_json_reader_done (AtlJsonReader *self);

G_END_DECLS
