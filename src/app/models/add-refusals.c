/* The first of those that are damaged is told in its own words. */
#include "app/models/add-refusals.h"

#include <glib/gi18n.h>

#include "app/words.h"

/* Refusals that are told one by one. */
#define MAX_TOLD 3

struct _AtlAddRefusals
{
  GPtrArray *refusals; /* (element-type char) */
  guint n_damaged;
  GError *damage; /* (nullable) of the first of them */
  char *damaged;  /* (nullable) its name */
};

AtlAddRefusals *
atl_add_refusals_new (void)
{
  AtlAddRefusals *self = g_new0 (AtlAddRefusals, 1);

  self->refusals = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
atl_add_refusals_free (AtlAddRefusals *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->refusals);
  g_clear_error (&self->damage);
  g_free (self->damaged);
  g_free (self);
}

void
atl_add_refusals_add (AtlAddRefusals *self, char *words)
{
  g_ptr_array_add (self->refusals, words);
}

void
atl_add_refusals_add_damage (AtlAddRefusals *self, const GError *error, const char *name)
{
  if (self->n_damaged++ > 0)
    return;
  self->damage = g_error_copy (error);
  atl_set_string (&self->damaged, name);
}

static void
tell_damage (AtlAddRefusals *self, AtlSession *session)
{
  if (self->damage == NULL)
    return;
  if (self->n_damaged > 1)
    {
      g_autofree char *others = g_strdup_printf (
          ngettext ("%u other file cannot be opened either.",
                    "%u other files cannot be opened either.", self->n_damaged - 1),
          self->n_damaged - 1);
      g_autofree char *both = g_strdup_printf ("%s\n%s", self->damage->message, others);
      atl_set_string (&self->damage->message, both);
    }
  g_signal_emit_by_name (session, "load-failed", self->damage, self->damaged);
  self->n_damaged = 0;
  g_clear_error (&self->damage);
}

static void
tell_refusals (AtlAddRefusals *self, AtlSession *session)
{
  g_autoptr (GString) words = g_string_new (NULL);
  guint n = self->refusals->len;

  if (n == 0)
    return;
  for (guint i = 0; i < MIN (n, MAX_TOLD); i++)
    g_string_append_printf (words, "%s%s", i > 0 ? " " : "", (char *) self->refusals->pdata[i]);
  if (n > MAX_TOLD)
    {
      g_autofree char *others =
          g_strdup_printf (ngettext ("%u other cannot be opened either.",
                                     "%u others cannot be opened either.", n - MAX_TOLD),
                           n - MAX_TOLD);
      g_string_append_printf (words, " %s", others);
    }
  g_ptr_array_set_size (self->refusals, 0);
  atl_session_emit_notice (session, words->str);
}

void
atl_add_refusals_tell (AtlAddRefusals *self, AtlSession *session)
{
  tell_damage (self, session);
  tell_refusals (self, session);
}
