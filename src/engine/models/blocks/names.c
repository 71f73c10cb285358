/* Name translation by heads. */
#include "engine/models/blocks/names.h"

#include <string.h>

char *
atl_name_replace_head (const char *name, const char *from, const char *to)
{
  gsize n = strlen (from);

  if (strncmp (name, from, n) != 0 || (name[n] != '\0' && name[n] != '.'))
    return NULL;
  return g_strconcat (to, name + n, NULL);
}

char *
atl_name_translate (const char *name, const AtlNamePair *pairs)
{
  for (; pairs->from != NULL; pairs++)
    {
      char *out = atl_name_replace_head (name, pairs->from, pairs->to);
      if (out != NULL)
        return out;
    }
  return NULL;
}
