/* The one way in which commands say how they are called. */
#include "engine/tools/usage.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

int
atl_tool_usage (int argc, char **argv, const char *words)
{
  gboolean is_asked = argc > 1 && (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0);

  fprintf (is_asked ? stdout : stderr, _ ("Usage: atelier-cli %s %s"), argv[0], words);
  return is_asked ? 0 : 2;
}
