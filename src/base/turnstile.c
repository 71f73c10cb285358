/* Tickets: who enters draws the next number and waits until it is served. */
#include "base/turnstile.h"

struct _AtlTurnstile
{
  GMutex mutex;
  GCond cond;
  guint64 next;    /* (mutex mutex) the ticket drawn next */
  guint64 serving; /* (mutex mutex) */
};

AtlTurnstile *
atl_turnstile_new (void)
{
  AtlTurnstile *self = g_new0 (AtlTurnstile, 1);

  g_mutex_init (&self->mutex);
  g_cond_init (&self->cond);
  return self;
}

void
atl_turnstile_free (AtlTurnstile *self)
{
  if (self == NULL)
    return;
  g_assert (self->next == self->serving);
  g_mutex_clear (&self->mutex);
  g_cond_clear (&self->cond);
  g_free (self);
}

static void
enter_locked (AtlTurnstile *self)
{
  guint64 ticket = self->next++;

  while (self->serving != ticket)
    g_cond_wait (&self->cond, &self->mutex);
}

void
atl_turnstile_enter (AtlTurnstile *self)
{
  g_mutex_lock (&self->mutex);
  enter_locked (self);
  g_mutex_unlock (&self->mutex);
}

void
atl_turnstile_leave (AtlTurnstile *self)
{
  g_mutex_lock (&self->mutex);
  g_assert (self->serving < self->next);
  self->serving++;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->mutex);
}

void
atl_turnstile_yield (AtlTurnstile *self)
{
  g_mutex_lock (&self->mutex);
  g_assert (self->serving < self->next);
  if (self->next > self->serving + 1)
    {
      self->serving++;
      g_cond_broadcast (&self->cond);
      enter_locked (self);
    }
  g_mutex_unlock (&self->mutex);
}
