/* Helpers for translating tensor names between the schemes in which a network is published.
 *
 * Threading: any; functions of their arguments alone.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Pairs of heads of names, NULL-terminated: { canonical, file's }. */
typedef struct
{
  const char *from, *to;
} AtlNamePair;

/* If `name` is `from` followed by its end or a dot: `to` and the rest, which the caller frees; else
 * NULL. */
char *atl_name_replace_head (const char *name, const char *from, const char *to);
/* The first pair that fits, else NULL. */
char *atl_name_translate (const char *name, const AtlNamePair *pairs);

G_END_DECLS
