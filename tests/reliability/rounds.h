/* How often a test of this folder does what it does. */
#pragma once

#include <glib.h>

/* $ATELIER_FAULT_ROUNDS, or `fallback`: few enough for every commit. */
static inline guint
rounds (guint fallback)
{
  const char *said = g_getenv ("ATELIER_FAULT_ROUNDS");

  return said != NULL ? (guint) g_ascii_strtoull (said, NULL, 10) : fallback;
}
