/* The words of a picture: without what is no text, and what of them does not do what it looks like.
 * People bring prompts from other programs, where a tag in them adds a LoRA. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/clip-pieces.h"
#include "engine/service/picture.h"
#include "protocol/protocol.h"

/* Longer ones are not quoted. */
#define MAX_QUOTED 60

static const char *const texts[] = { ATL_MADE_PROMPT, ATL_MADE_NEGATIVE };

/* --- Control characters --- */

void
atl_picture_clean_words (AtlSettings *settings)
{
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      const char *text = atl_settings_string (settings, texts[i], "");
      g_autoptr (GString) clean = g_string_new (NULL);

      for (const char *p = text; *p != '\0'; p = g_utf8_next_char (p))
        {
          gunichar c = g_utf8_get_char (p);

          g_string_append_unichar (clean,
                                   g_unichar_iscntrl (c) && c != '\n' && c != '\t' ? ' ' : c);
        }
      if (!g_str_equal (clean->str, text))
        atl_settings_set_string (settings, texts[i], clean->str);
    }
}

void
atl_picture_add_words (GVariantDict *facts, GVariant *asked, const AtlSettings *settings)
{
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *before = atl_dict_string (asked, texts[i], "");
      const char *text = atl_settings_string (settings, texts[i], "");

      if (!g_str_equal (before, text))
        g_variant_dict_insert (facts, texts[i], "s", text);
    }
}

/* --- What is read as mere words --- */

/* The first part of `text` that matches, if it is short; else NULL. The caller's. */
static char *
find (const char *text, const char *pattern)
{
  g_autoptr (GRegex) regex = g_regex_new (pattern, G_REGEX_CASELESS, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree char *found = NULL;

  if (!g_regex_match (regex, text, 0, &match))
    return NULL;
  found = g_match_info_fetch (match, 0);
  return g_utf8_strlen (found, -1) <= MAX_QUOTED ? g_steal_pointer (&found) : NULL;
}

/* What its program reads as no weight though it was meant as one: it stays in the text of a piece.
 */
static char *
unread_weight (const char *text, gboolean is_a1111)
{
  g_autoptr (GArray) pieces =
      is_a1111 ? atl_clip_pieces_a1111 (text) : atl_clip_pieces_comfyui (text);

  for (guint i = 0; i < pieces->len; i++)
    {
      const AtlClipPiece *piece = atl_clip_piece_at (pieces, i);
      char *found = piece->text != NULL && piece->weight != 1.0
                        ? find (piece->text->str,
                                "(?<=:)\\s*[-+]?([0-9.,]+(e[-+]?[0-9]*)?|inf(inity)?|nan)\\s*$")
                        : NULL;

      if (found != NULL)
        return g_strstrip (found);
    }
  return NULL;
}

/* Whether what should not be there is said to a model that does not look at it. */
static gboolean
has_vain_negative (const AtlSettings *settings, const AtlTraits *traits)
{
  double guidance = atl_settings_number (settings, ATL_MADE_GUIDANCE, traits->guidance);

  if (*atl_settings_string (settings, ATL_MADE_NEGATIVE, "") == '\0')
    return FALSE;
  guidance = MAX (guidance, atl_settings_number (settings, "guidance_2", guidance));
  return (traits->abilities & ATL_CAN_NEGATIVE) == 0 || guidance <= (traits->adds_guidance ? 0 : 1);
}

char *
atl_picture_words_notice (const AtlSettings *settings, const AtlTraits *traits)
{
  gboolean can_weigh = (traits->abilities & ATL_CAN_WEIGHTS) != 0;
  const char *rule = atl_settings_string (settings, ATL_MADE_WEIGHTING, can_weigh ? "a1111" : "");
  gboolean is_plain = g_str_equal (rule, "plain");
  g_autofree char *tag = NULL;
  g_autofree char *weight = NULL;
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      const char *text = atl_settings_string (settings, texts[i], "");

      if (tag == NULL)
        tag = find (text, "<(lora|lyco|hypernet):[^<>]*>");
      if (weight != NULL || is_plain)
        continue;
      weight = can_weigh
                   ? unread_weight (text, g_str_equal (rule, "a1111"))
                   : find (text, "(?<!\\\\)\\([^()]*:\\s*[-+]?([0-9]|[0-9]?\\.[0-9]+)\\s*\\)");
    }
  if (tag != NULL)
    /* Translators: such as <lora:ink:0.8> */
    g_ptr_array_add (
        all, g_strdup_printf (_ ("“%s” in the prompt adds no LoRA: add the LoRA’s file"), tag));
  if (weight != NULL && can_weigh)
    /* Translators: what stands where a number should be, such as 1e999 */
    g_ptr_array_add (
        all,
        g_strdup_printf (_ ("“%s” in the prompt is no weight: write it as in (fox:1.3)"), weight));
  else if (weight != NULL)
    /* Translators: such as (fox:1.3) */
    g_ptr_array_add (
        all, g_strdup_printf (_ ("This model knows no weights: “%s” is read as words"), weight));
  else if (!can_weigh && *rule != '\0' && !is_plain)
    /* Translators: the name of a program's rule for weights, such as comfyui */
    g_ptr_array_add (
        all,
        g_strdup_printf (_ ("The weighting “%s” is left out: this model knows no weights"), rule));
  if (has_vain_negative (settings, traits))
    g_ptr_array_add (all, g_strdup ((traits->abilities & ATL_CAN_NEGATIVE) == 0
                                        ? _ ("The negative prompt is left out: this model knows "
                                             "none")
                                        : _ ("The negative prompt has no effect at so low a "
                                             "guidance")));
  if (all->len == 0)
    return NULL;
  g_ptr_array_add (all, NULL);
  return g_strjoinv ("\n", (char **) all->pdata);
}
