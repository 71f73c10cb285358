/* The text that A1111's web interface and Forge write, and many programs after them:
 *
 *   the prompt, maybe on several lines, with <lora:name:weight>
 *   Negative prompt: maybe on several lines
 *   Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, …
 *
 * A value with a comma, a colon or a line break stands between quotes as JSON has them. */
#define G_LOG_DOMAIN "atl-media"

#include <stdlib.h>
#include <string.h>

#include "media/recipe-private.h"

/* Settings of a line that is one: fewer are words of a prompt. */
#define MIN_PAIRS 3
#define MAX_PAIRS 200
#define NEGATIVE "Negative prompt:"

typedef void (*PairFunc) (gpointer data, const char *key, const char *value);

/* What JSON's quotes hold; `at` is moved behind the closing one. NULL when there is none. */
static char *
take_quoted (const char **at)
{
  const char *end = *at + 1;
  g_autofree char *text = NULL;
  g_autoptr (JsonNode) node = NULL;

  while (*end != '\0' && *end != '"')
    end += *end == '\\' && end[1] != '\0' ? 2 : 1;
  if (*end == '\0')
    return NULL;
  /* A document must be an object or an array for some readers of JSON. */
  text = g_strdup_printf ("[%.*s]", (int) MIN (end + 1 - *at, G_MAXINT), *at);
  node = atl_json_parse (text, strlen (text), "", NULL);
  if (node == NULL || !JSON_NODE_HOLDS_ARRAY (node) ||
      json_array_get_length (json_node_get_array (node)) != 1)
    return NULL;
  *at = end + 1;
  return g_strdup (json_array_get_string_element (json_node_get_array (node), 0));
}

static gboolean
is_key (const char *text, gsize n)
{
  if (n < 1 || n > 60 || !g_ascii_isalpha (*text))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isalnum (text[i]) && strchr (" -_/.+()", text[i]) == NULL)
      return FALSE;
  return TRUE;
}

/* Calls `func` (nullable) for each "key: value" of `line`. How many there are. */
static guint
for_each_pair (const char *line, PairFunc func, gpointer data)
{
  const char *colon = line;
  guint n = 0;

  while (*line != '\0' && n < MAX_PAIRS)
    {
      const char *end;
      g_autofree char *key = NULL, *value = NULL;

      while (*line == ' ' || *line == ',' || *line == '\n' || *line == '\r')
        line++;
      /* Looked for once: words without values may come by the thousand. */
      if (colon != NULL && colon <= line)
        colon = strchr (line, ':');
      end = strchr (line, ',');
      if (colon == NULL)
        break;
      if ((end != NULL && end < colon) || !is_key (line, (gsize) (colon - line)))
        {
          /* A word without a value. */
          if (end == NULL)
            break;
          line = end;
          continue;
        }
      key = g_strndup (line, (gsize) (colon - line));
      line = colon + 1;
      while (*line == ' ')
        line++;
      if (*line == '"')
        value = take_quoted (&line);
      if (value == NULL)
        {
          end = line + strcspn (line, ",\n");
          value = g_strstrip (g_strndup (line, (gsize) (end - line)));
          line = end;
        }
      n++;
      if (func != NULL)
        func (data, key, value);
    }
  return n;
}

typedef struct
{
  AtlRecipeDraft *draft;
  double cfg, distilled;
  const char *source;
  char *sampler, *schedule; /* (owned) */
} Reading;

static void
pair_cb (gpointer data, const char *key, const char *value)
{
  Reading *self = data;
  AtlRecipeDraft *draft = self->draft;

  if (g_str_equal (key, "Steps"))
    atl_recipe_draft_uint (draft, "steps", g_ascii_strtoll (value, NULL, 10), 100000);
  else if (g_str_equal (key, "Sampler"))
    {
      g_free (self->sampler);
      self->sampler = g_strdup (value);
    }
  else if (g_str_equal (key, "Schedule type") || g_str_equal (key, "Scheduler"))
    {
      g_free (self->schedule);
      self->schedule = g_strdup (value);
    }
  else if (g_str_equal (key, "CFG scale"))
    self->cfg = g_ascii_strtod (value, NULL);
  else if (g_str_equal (key, "Distilled CFG Scale"))
    self->distilled = g_ascii_strtod (value, NULL);
  else if (g_str_equal (key, "Seed"))
    atl_recipe_draft_seed (draft, g_ascii_strtoll (value, NULL, 10));
  else if (g_str_equal (key, "Size"))
    {
      char *end;
      gint64 width = g_ascii_strtoll (value, &end, 10);

      if (*end == 'x')
        atl_recipe_draft_size (draft, width, g_ascii_strtoll (end + 1, NULL, 10));
    }
  else if (g_str_equal (key, "Model") || g_str_equal (key, "Base Model"))
    atl_recipe_draft_model (draft, value);
  else if (g_str_equal (key, "Model hash"))
    atl_recipe_draft_text (draft, ATL_RECIPE_MODEL_HASH, value);
  else if (g_str_equal (key, "Denoising strength"))
    atl_recipe_draft_double (draft, "strength", g_ascii_strtod (value, NULL), 1);
  else if (g_str_equal (key, "Clip skip"))
    atl_recipe_draft_uint (draft, ATL_RECIPE_CLIP_SKIP, g_ascii_strtoll (value, NULL, 10), 100);
  else
    {
      if (g_str_equal (key, "Version"))
        self->source = g_str_has_prefix (value, "Atelier")             ? "Atelier"
                       : g_str_has_prefix (value, "Fooocus")           ? "Fooocus"
                       : g_str_has_prefix (value, "ComfyUI")           ? "ComfyUI"
                       : value[0] == 'f' && g_ascii_isdigit (value[1]) ? "Forge"
                                                                       : "A1111";
      atl_recipe_draft_other (draft, key, value);
    }
}

/* The line with the settings: the last that begins with "Steps:", else the last one if it looks
 * like it. NULL when there is none. `text` is what it lies in. */
static const char *
find_settings (const char *text)
{
  const char *found = NULL, *last = text;

  for (const char *line = text; line != NULL;)
    {
      const char *next = strchr (line, '\n');

      if (g_str_has_prefix (line, "Steps: "))
        found = line;
      if (*line != '\0')
        last = line;
      line = next != NULL ? next + 1 : NULL;
    }
  if (found != NULL)
    return found;
  return for_each_pair (last, NULL, NULL) >= MIN_PAIRS ? last : NULL;
}

/* The place of "Negative prompt:" at the beginning of a line. */
static const char *
find_negative (const char *text)
{
  for (const char *p = strstr (text, NEGATIVE); p != NULL; p = strstr (p + 1, NEGATIVE))
    if (p == text || p[-1] == '\n')
      return p;
  return NULL;
}

GVariant *
atl_recipe_a1111 (const char *text)
{
  g_auto (AtlRecipeDraft) draft = { 0 };
  Reading reading = { .draft = &draft, .cfg = -1, .distilled = -1, .source = "A1111" };
  g_autofree char *plain = g_utf8_make_valid (text, -1);
  const char *settings, *negative;
  g_autofree char *above = NULL, *prompt = NULL;

  /* Windows' line ends. */
  for (char *from = plain, *to = plain;; from++)
    {
      if (*from == '\r' && from[1] == '\n')
        continue;
      *to++ = *from;
      if (*from == '\0')
        break;
    }
  settings = find_settings (plain);
  if (settings == NULL)
    return NULL;
  atl_recipe_draft_init (&draft);
  above = g_strndup (plain, (gsize) (settings - plain));
  negative = find_negative (above);
  prompt = negative != NULL ? g_strndup (above, (gsize) (negative - above)) : g_strdup (above);
  atl_recipe_draft_prompt (&draft, prompt);
  if (negative != NULL)
    {
      g_autofree char *words = g_strstrip (g_strdup (negative + strlen (NEGATIVE)));

      if (*words != '\0')
        atl_recipe_draft_text (&draft, "negative_prompt", words);
    }
  for_each_pair (settings, pair_cb, &reading);
  atl_recipe_draft_sampler (&draft, reading.sampler, reading.schedule);
  g_free (reading.sampler);
  g_free (reading.schedule);
  /* Distilled guidance is what the model is told where the other kind is switched off. */
  if (reading.distilled >= 0 && (reading.cfg < 0 || reading.cfg == 1))
    atl_recipe_draft_double (&draft, "guidance", reading.distilled, 1000);
  else if (reading.cfg >= 0)
    atl_recipe_draft_double (&draft, "guidance", reading.cfg, 1000);
  return atl_recipe_draft_end (&draft, reading.source);
}
