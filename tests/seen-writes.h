/* For tests: whether somebody could see a file of a folder change under its name. */
#pragma once

#include <glib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* From now on; a descriptor for writes_seen(). */
static inline int
writes_watch (const char *folder)
{
  int watch = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);

  g_assert_cmpint (inotify_add_watch (watch, folder, IN_MODIFY), >=, 0);
  return watch;
}

/* Ends the watch. */
static inline gboolean
writes_seen (int watch, const char *name)
{
  _Alignas(struct inotify_event) char events[4096];
  gboolean seen = FALSE;
  gssize n;

  while ((n = read (watch, events, sizeof events)) > 0)
    for (gssize at = 0; at < n;)
      {
        const struct inotify_event *event = (const struct inotify_event *) (events + at);

        seen |= event->len > 0 && strcmp (event->name, name) == 0;
        at += (gssize) (sizeof *event + event->len);
      }
  close (watch);
  return seen;
}
