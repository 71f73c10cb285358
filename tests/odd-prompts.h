/* Prompts that nobody expects: lengths from nothing to 10,000 characters, of several scripts and of
 * none, the same each time.
 *
 *   g_autofree char *prompt = odd_prompt (i);
 */
#pragma once

#include <glib.h>

/* Number `i`. The caller's. */
static inline char *
odd_prompt (guint i)
{
  static const char *const pieces[] = {
    "a fox ",
    "🦊🏳️‍🌈👩‍👩‍👧 ",
    "ثعلب في الثلج ",
    "שועל בשלג ",
    "雪の中の狐",
    "\001\002\037\177",
    "((((",
    "(x:1.5)",
    "[[a|b]",
    "<lora:x:1>",
    "\\(\\)",
    "\xe2\x80\xae\xe2\x80\x8f",
    "e\xcc\x81\xcc\x81\xcc\x81",
    "BREAK AND ",
    "\t\n\r ",
    "%s%n%d",
    "\xf0\x90\x8d\x88",
    "𝔣𝔬𝔵",
    "{{prompt}}",
    "(a:99999999999)",
  };
  static const guint counts[] = { 1, 2, 7, 25 };
  GString *text = g_string_new (NULL);
  guint n = counts[i / G_N_ELEMENTS (pieces) % G_N_ELEMENTS (counts)];

  if (i % 31 == 0)
    n = i % 2 == 0 ? 0 : 1500;

  for (guint k = 0; k < n && g_utf8_strlen (text->str, -1) < 10000; k++)
    g_string_append (text, pieces[(i + (i % 3) * k) % G_N_ELEMENTS (pieces)]);
  return g_string_free (text, FALSE);
}
