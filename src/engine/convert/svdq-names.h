/* The names of layers in Nunchaku's files, and diffusers' for what they hold. Private to convert/.
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_SVDQ_AS_ROWS,  /* as many layers as names, of equally many rows */
  ATL_SVDQ_AS_LEFT,  /* the first inputs of a layer; another matrix has the others */
  ATL_SVDQ_AS_RIGHT, /* the others */
} AtlSvdqForm;

typedef struct
{
  const char *in;    /* what a module's name has before its number and `from`; "": anything */
  const char *from;  /* what it ends with */
  const char *to[4]; /* what its parts, row by row, are called instead; ends at NULL */
  AtlSvdqForm form;
  gboolean of_gelu; /* what it takes comes out of a GELU */
} AtlSvdqRename;

/* NULL for a module that is called the same; (out) where `from` begins in its name. */
const AtlSvdqRename *atl_svdq_rename (const char *name, const char **at);
guint atl_svdq_n_names (const AtlSvdqRename *rename);
/* `name` with `to` from `at` on; the caller frees. */
char *atl_svdq_renamed (const char *name, const char *at, const char *to);

/* A modulation's kinds of rows (shift, scale, gate, of attention and MLP), which alternate in the
 * file; 1 for any other layer. */
guint atl_svdq_n_kinds (const char *name);

G_END_DECLS
