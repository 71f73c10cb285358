/* Moves the blanks between the tokens of a JSON text. */
#include "app/chat/json-lines.h"

#include <string.h>

#define MAX_INDENT 40u

static void
break_line (GString *out, guint depth)
{
  g_string_append_c (out, '\n');
  for (guint i = 0; i < MIN (depth, MAX_INDENT); i++)
    g_string_append (out, "  ");
}

/* Copies a text in quotes; where it ends. */
static const char *
copy_text (GString *out, const char *p)
{
  const char *end = p + 1;

  while (*end != '\0' && *end != '"')
    end += *end == '\\' && end[1] != '\0' ? 2 : 1;
  if (*end == '"')
    end++;
  g_string_append_len (out, p, end - p);
  return end;
}

char *
atl_json_lines (const char *json)
{
  g_autoptr (GString) out = g_string_new (NULL);
  guint depth = 0;
  gboolean is_begun = FALSE; /* a list or object whose first line is not there yet */

  for (const char *p = json; *p != '\0';)
    {
      if (strchr (" \t\r\n", *p) != NULL)
        {
          p++;
          continue;
        }
      if (strchr ("]}", *p) != NULL)
        {
          depth -= MIN (depth, 1);
          if (!is_begun)
            break_line (out, depth);
        }
      else if (is_begun)
        break_line (out, depth);
      is_begun = strchr ("[{", *p) != NULL;
      if (*p == '"')
        {
          p = copy_text (out, p);
          continue;
        }
      g_string_append_c (out, *p);
      if (is_begun)
        depth++;
      else if (*p == ',')
        break_line (out, depth);
      else if (*p == ':')
        g_string_append_c (out, ' ');
      p++;
    }
  return g_strdup (out->str);
}
