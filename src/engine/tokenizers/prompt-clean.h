/* What text encoders of picture and clip models do to a prompt before they tokenise it.
 *
 *   g_autofree char *clean = atl_prompt_clean ("A fox  &amp; a hound ", -1);   "A fox & a hound"
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* HTML entities resolved (twice, as OpenAI's CLIP and diffusers' Wan do), runs of white space made
 * one space, both ends trimmed. Named entities are those of HTML 4. Repair of wrongly decoded text
 * (ftfy) is left out. `len` in bytes or −1; invalid UTF-8 becomes U+FFFD. Free with g_free. */
char *atl_prompt_clean (const char *text, gssize len);

G_END_DECLS
