/* File names of models: "stem-00001-of-00003.gguf". */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/model-name.h"

#include <string.h>

static const char *const endings[] = { ".gguf", ".safetensors", ".sft", ".pth" };

/* Five digits at `p`, or 0. */
static guint
five_digits (const char *p)
{
  guint value = 0;

  for (int i = 0; i < 5; i++)
    {
      if (!g_ascii_isdigit (p[i]))
        return 0;
      value = value * 10 + (guint) (p[i] - '0');
    }
  return value;
}

gboolean
atl_model_name_parse (const char *name, AtlModelName *out)
{
  static const char shape[] = "-00001-of-00002";
  const gsize tail_bytes = sizeof shape - 1;

  memset (out, 0, sizeof *out);
  if (name[0] == '.' || name[0] == '\0')
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      gsize length = strlen (name), ending = strlen (endings[i]);
      const char *tail;

      if (length <= ending || g_ascii_strcasecmp (name + length - ending, endings[i]) != 0)
        continue;
      out->ending = endings[i];
      length -= ending;
      tail = length > tail_bytes ? name + length - tail_bytes : NULL;
      if (tail != NULL && tail[0] == '-' && strncmp (tail + 6, "-of-", 4) == 0)
        {
          out->shard = five_digits (tail + 1);
          out->n_shards = five_digits (tail + 10);
          if (out->shard >= 1 && out->shard <= out->n_shards)
            length -= tail_bytes;
          else
            out->shard = out->n_shards = 0;
        }
      out->stem = g_strndup (name, length);
      return TRUE;
    }
  return FALSE;
}

void
atl_model_name_clear (AtlModelName *name)
{
  g_clear_pointer (&name->stem, g_free);
}

char *
atl_model_name_format (const AtlModelName *name, const char *stem, guint shard)
{
  if (name->n_shards == 0)
    return g_strconcat (stem, name->ending, NULL);
  return g_strdup_printf ("%s-%05u-of-%05u%s", stem, shard, name->n_shards, name->ending);
}
