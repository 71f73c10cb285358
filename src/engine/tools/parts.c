/* Names of a model's parts, as llama.cpp writes them. */
#include "engine/tools/parts.h"

#include <string.h>

/* "model-00001-of-00003.gguf": how much of the name all parts share; 0 when it is none. */
static gsize
part_stem (const char *name)
{
  static const gsize tail = sizeof "-00001-of-00003.gguf" - 1;
  gsize length = strlen (name);

  if (length <= tail || !g_str_has_suffix (name, ".gguf") ||
      memcmp (name + length - tail + 6, "-of-", 4) != 0)
    return 0;
  return length - tail;
}

gboolean
atl_tool_same_parts (const char *name, const char *only)
{
  gsize stem = part_stem (only);

  return stem > 0 ? part_stem (name) == stem && strncmp (name, only, stem) == 0
                  : strcmp (name, only) == 0;
}
