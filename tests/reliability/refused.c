/* See refused.h. */
#include "refused.h"

#include <string.h>
#include <unistd.h>

#include "oom.h"
#include "rounds.h"

/* From here on an allocation depends on what people open or ask for. */
#define LARGE (1u << 20)

void
refused_start (char **argv)
{
  /* GLib's slices keep what is freed; blocks are counted here. */
  if (g_getenv ("G_SLICE") != NULL)
    return;
  g_setenv ("G_SLICE", "always-malloc", TRUE);
  execv ("/proc/self/exe", argv);
}

static void
refuse_one (const RefusedCase *c, guint at, gboolean goes_on, guint *n_said)
{
  for (guint again = 0;; again++)
    {
      g_autoptr (GError) error = NULL;
      long before = oom_n_blocks (), left;
      gboolean ok;

      oom_arm (&(OomPlan){ .at = at, .goes_on = goes_on, .least = MAX (c->least, 1) });
      ok = c->act (&error);
      oom_disarm ();
      /* What threads share between them may take less the second time. */
      g_assert_true (c->has_threads || oom_n_refused () > 0);
      if (!ok)
        {
          g_assert_nonnull (error);
          g_assert_true (error->domain == ATL_ERROR);
          g_assert_true (g_utf8_validate (error->message, -1, NULL));
          g_assert_cmpuint (strlen (error->message), >, 10);
          if (g_getenv ("OOM_LOUD") != NULL)
            g_test_message ("%s %u: %s", c->name, at, error->message);
          (*n_said) += again == 0;
        }
      g_clear_error (&error);
      left = oom_n_blocks () - before;
      if (left <= 0 || c->has_threads)
        return;
      /* What is made once and kept is no leak; what grows each time is. */
      if (again == 3)
        g_error ("%s, allocation %u: %ld blocks were not freed", c->name, at, left);
    }
}

void
refused_test (gconstpointer data)
{
  const RefusedCase *c = data;
  guint wanted = rounds (60), n, n_tried = 0, n_said = 0, step;
  g_autoptr (GError) error = NULL;

  /* What is loaded once. */
  for (guint i = 0; i < 2; i++)
    {
      g_assert_true (c->act (&error));
      g_assert_no_error (error);
    }
  oom_arm (&(OomPlan){ .least = MAX (c->least, 1), .too_big = LARGE });
  g_assert_true (c->act (&error));
  oom_disarm ();
  n = oom_n_seen ();
  g_assert_cmpuint (oom_n_too_big (), ==, 0);
  g_assert_true (c->has_threads || n > 0);
  step = MAX (n / MAX (wanted, 1), 1);
  for (guint at = 1; at <= n; at += step)
    {
      refuse_one (c, at, n_tried % 2 == 1, &n_said);
      n_tried++;
    }
  g_assert_true (c->act (&error));
  g_assert_no_error (error);
  g_test_message ("%u of %u allocations of %s refused, %u times that was said", n_tried, n, c->name,
                  n_said);
}
