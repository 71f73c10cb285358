/* Slots of a recurrent model's states. One holds the sequence as it is; a run of tokens reads that
 * and writes another, so that a run that fails has lost nothing, and the slot that was read stays
 * as the state of one run ago. Slots that are marked stay longer: checkpoints. */
#define G_LOG_DOMAIN "atl-models"

#include "engine/models/llm/llm-private.h"

gboolean
llm_role_has_slots (AtlLlmStateRole role)
{
  return role == ATL_LLM_STATE_CONV || role == ATL_LLM_STATE_SSM;
}

static void
clear (LlmSlots *self)
{
  self->now = self->pinned = -1;
  for (guint i = 0; i < ATL_LLM_MAX_SLOTS; i++)
    {
      self->length[i] = -1;
      self->is_checkpoint[i] = FALSE;
    }
}

void
llm_slots_init (LlmSlots *self, guint max)
{
  g_assert (max == 0 || (max >= 2 && max <= ATL_LLM_MAX_SLOTS));
  *self = (LlmSlots){ .max = max };
  clear (self);
}

guint
llm_slots_wanted (const LlmSlots *self)
{
  if (self->n < 2)
    return MIN (self->max, 2);
  for (gint32 i = 0; i < (gint32) self->n; i++)
    if (i != self->now && !self->is_checkpoint[i])
      return self->n;
  return MIN (self->n + 1, self->max);
}

/* The longest slot but `except` that has seen at most `length` tokens; -1 if there is none. */
static gint32
find_longest (const LlmSlots *self, gint32 except, gint64 length)
{
  gint32 found = -1;

  for (gint32 i = 0; i < (gint32) self->n; i++)
    if (i != except && self->length[i] >= 0 && self->length[i] <= length &&
        (found < 0 || self->length[i] > self->length[found]))
      found = i;
  return found;
}

/* The checkpoint whose loss costs the fewest tokens when it is asked for, since there is one
 * shortly before. The pinned one stays, else the newest: most often it is the last message that is
 * answered again. */
static gint32
find_least_useful (const LlmSlots *self)
{
  gint32 newest = self->pinned >= 0 && self->pinned != self->now
                      ? self->pinned
                      : find_longest (self, self->now, G_MAXINT64);
  gint32 least = -1;
  gint64 least_lost = G_MAXINT64;

  for (gint32 i = 0; i < (gint32) self->n; i++)
    {
      gint32 before = find_longest (self, i, self->length[i]);
      gint64 lost = self->length[i] - (before >= 0 ? self->length[before] : 0);

      if (i == self->now || i == newest || lost >= least_lost)
        continue;
      least = i;
      least_lost = lost;
    }
  return least >= 0 ? least : newest;
}

void
llm_slots_begin (LlmSlots *self)
{
  gint32 spare = -1;

  if (self->n == 0)
    return;

  for (gint32 i = 0; i < (gint32) self->n; i++)
    {
      if (i == self->now || self->is_checkpoint[i])
        continue;
      /* What is left of the run before last first, so that slots that were never needed are never
       * touched. */
      if (spare < 0 || (self->length[i] >= 0 && self->length[spare] < 0))
        spare = i;
    }
  if (spare < 0)
    spare = find_least_useful (self);
  g_assert (spare >= 0);
  self->length[spare] = -1;
  self->is_checkpoint[spare] = FALSE;
  if (self->pinned == spare)
    self->pinned = -1;
  self->next = spare;
}

void
llm_slots_commit (LlmSlots *self, guint length)
{
  if (self->n == 0)
    return;
  self->now = self->next;
  self->length[self->now] = length;
}

gint32
llm_slots_find (const LlmSlots *self, guint length)
{
  return find_longest (self, -1, length);
}

void
llm_slots_take (LlmSlots *self, guint length)
{
  clear (self);
  if (self->max == 0)
    return;
  self->now = 0;
  self->length[0] = length;
}

void
llm_slots_set (LlmSlots *self, const AtlLlmCacheImage *image)
{
  clear (self);
  if (self->max == 0)
    return;
  self->now = 0;
  for (guint i = 0; i < image->n_slots; i++)
    {
      self->length[i] = image->slots[i].length;
      self->is_checkpoint[i] = image->slots[i].is_checkpoint != 0;
    }
}

void
llm_slots_checkpoint (LlmSlots *self, gboolean is_pinned)
{
  if (self->now < 0)
    return;
  self->is_checkpoint[self->now] = TRUE;
  if (is_pinned)
    self->pinned = self->now;
}

guint
llm_slots_truncate (LlmSlots *self, guint length)
{
  for (guint i = 0; i < self->n; i++)
    if (self->length[i] > (gint64) length)
      {
        self->length[i] = -1;
        self->is_checkpoint[i] = FALSE;
        if (self->pinned == (gint32) i)
          self->pinned = -1;
      }
  if (self->now >= 0 && self->length[self->now] < 0)
    self->now = find_longest (self, -1, length);
  return self->now >= 0 ? (guint) self->length[self->now] : 0;
}
