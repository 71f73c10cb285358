/* One model at a time is read, in the order in which it was asked for. */
#define G_LOG_DOMAIN "atl-app"

#include "app/models/model-verifier.h"

#include <adwaita.h>
#include <glib/gi18n.h>

#include "app/words.h"
#include "hub/verify.h"

/* One model that waits to be verified, or to be fetched again, or that is asked about. */
typedef struct
{
  AtlModelVerifier *self; /* (owned) */
  char *path, *name;
  GtkWindow *parent; /* (nullable) weak */
  GCancellable *cancellable;
  AtlVerified *verified; /* (nullable) what is to be fetched or asked about */
  int percent;           /* -1: it waits */
} Check;

typedef struct
{
  AtlModelVerdict verdict;
  char *why;
} Result;

struct _AtlModelVerifier
{
  GObject parent_instance;

  AtlSession *session; /* borrowed: owns the verifier; NULL when it is gone */
  GQueue checks;       /* of Check; the first is under way */
  GHashTable *results; /* path -> Result */
};

G_DEFINE_FINAL_TYPE (AtlModelVerifier, atl_model_verifier, G_TYPE_OBJECT)

static guint changed_signal;

static void begin (AtlModelVerifier *self);

static Check *
check_new (AtlModelVerifier *self, GtkWindow *parent, const char *path, const char *name)
{
  Check *check = g_new0 (Check, 1);

  check->self = g_object_ref (self);
  check->path = g_strdup (path);
  check->name = g_strdup (name);
  g_set_weak_pointer (&check->parent, parent);
  check->cancellable = g_cancellable_new ();
  check->percent = -1;
  return check;
}

static void
check_free (Check *check)
{
  g_free (check->path);
  g_free (check->name);
  g_clear_weak_pointer (&check->parent);
  g_object_unref (check->cancellable);
  atl_verified_free (check->verified);
  g_clear_object (&check->self);
  g_free (check);
}

static void
result_free (gpointer data)
{
  Result *result = data;

  g_free (result->why);
  g_free (result);
}

static Check *
find (AtlModelVerifier *self, const char *path)
{
  for (GList *l = self->checks.head; l != NULL; l = l->next)
    if (g_str_equal (((Check *) l->data)->path, path))
      return l->data;
  return NULL;
}

static void
set_result (AtlModelVerifier *self, const char *path, AtlModelVerdict verdict, const char *why)
{
  Result *result = g_new0 (Result, 1);

  result->verdict = verdict;
  result->why = g_strdup (why);
  g_hash_table_insert (self->results, g_strdup (path), result);
}

static void
progress_cb (const AtlHubProgress *progress, gpointer data)
{
  Check *check = data;
  int percent =
      progress->total_bytes != 0 ? (int) (100 * progress->done_bytes / progress->total_bytes) : 0;

  if (check->self->session == NULL || percent == check->percent)
    return;
  check->percent = percent;
  g_signal_emit (check->self, changed_signal, 0, check->path);
}

static void
push (AtlModelVerifier *self, Check *check)
{
  g_queue_push_tail (&self->checks, check);
  g_signal_emit (self, changed_signal, 0, check->path);
  if (self->checks.length == 1)
    begin (self);
}

/* The first one is over: the next begins. */
static void
end_first (AtlModelVerifier *self)
{
  Check *check = g_queue_pop_head (&self->checks);
  g_autofree char *path = g_strdup (check->path);

  check_free (check);
  if (self->session == NULL)
    return;
  g_signal_emit (self, changed_signal, 0, path);
  begin (self);
}

static void
tell_error (AtlModelVerifier *self, const GError *error)
{
  if (self->session != NULL && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    atl_session_emit_error (self->session, error);
}

/* --- Getting it again --- */

static void
fetched_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Check *check = data;
  g_autoptr (AtlModelVerifier) self = g_object_ref (check->self);
  g_autoptr (GError) error = NULL;

  if (!atl_library_fetch_again_finish (result, &error))
    tell_error (self, error);
  else if (self->session != NULL)
    {
      g_autofree char *words = g_strdup_printf (_ ("“%s” is whole again."), check->name);

      set_result (self, check->path, ATL_MODEL_INTACT, words);
      atl_session_emit_notice (self->session, words);
      atl_session_emit_models_changed (self->session);
    }
  end_first (self);
}

/* --- Asking what to do with a wrong one --- */

static void
answered_cb (AdwMessageDialog *dialog, const char *response, Check *check)
{
  AtlModelVerifier *self = check->self;

  if (self->session != NULL && g_str_equal (response, "again") && find (self, check->path) == NULL)
    {
      Check *fetch = check_new (self, check->parent, check->path, check->name);

      fetch->verified = g_steal_pointer (&check->verified);
      push (self, fetch);
    }
  else if (self->session != NULL && g_str_equal (response, "keep"))
    {
      atl_library_accept (check->verified);
      set_result (self, check->path, ATL_MODEL_INTACT, _ ("Taken as it is."));
      g_signal_emit (self, changed_signal, 0, check->path);
    }
}

static void
question_gone (gpointer data, GClosure *closure)
{
  check_free (data);
}

/* The words for what is wrong; the caller's. */
static char *
describe (const Check *check)
{
  const AtlVerified *verified = check->verified;
  g_autofree char *names = atl_verified_names (verified);
  g_autofree char *noted = verified->noted_us != 0 ? atl_format_time (verified->noted_us) : NULL;
  g_autofree char *changed = atl_format_time (verified->changed_us);

  if (verified->verdict == ATL_VERDICT_CHANGED)
    return g_strdup_printf (
        _ ("%s is not what it was when its checksum was noted (%s). Last written to: %s."), names,
        noted, changed);
  if (noted != NULL)
    return g_strdup_printf (
        _ ("%s is not what it was when its checksum was noted (%s), and nothing has written to it "
           "since. The disk may be failing."),
        names, noted);
  return g_strdup_printf (_ ("%s does not have the checksum that its publisher gives."), names);
}

/* Takes the check. */
static void
ask (Check *check, const char *why)
{
  g_autofree char *body =
      check->verified->can_fetch || check->verified->verdict == ATL_VERDICT_CHANGED
          ? g_strdup (why)
          : g_strdup_printf ("%s\n\n%s", why,
                             _ ("Where it came from is not known here: put a new copy of it in its "
                                "place."));
  g_autofree char *heading =
      g_strdup_printf (check->verified->verdict == ATL_VERDICT_CHANGED ? _ ("“%s” was changed")
                                                                       : _ ("“%s” is damaged"),
                       check->name);
  GtkWidget *dialog = adw_message_dialog_new (check->parent, heading, body);
  AdwMessageDialog *question = ADW_MESSAGE_DIALOG (dialog);

  adw_message_dialog_add_response (question, "close", _ ("_Close"));
  if (check->verified->verdict == ATL_VERDICT_CHANGED)
    adw_message_dialog_add_response (question, "keep", _ ("_Take it as it is"));
  if (check->verified->can_fetch)
    {
      adw_message_dialog_add_response (question, "again", _ ("_Download again"));
      adw_message_dialog_set_response_appearance (question, "again", ADW_RESPONSE_SUGGESTED);
      adw_message_dialog_set_default_response (question, "again");
    }
  adw_message_dialog_set_close_response (question, "close");
  g_signal_connect_data (dialog, "response", G_CALLBACK (answered_cb), check, question_gone, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* --- Verifying --- */

static void
tell_good (AtlModelVerifier *self, const Check *check)
{
  g_autofree char *words =
      check->verified->verdict == ATL_VERDICT_NOTED
          ? g_strdup_printf (_ ("What “%s” should be was not known. Its checksum is noted now: the "
                                "next time, a change will be found."),
                             check->name)
          : g_strdup_printf (_ ("“%s” is intact."), check->name);

  set_result (self, check->path,
              check->verified->verdict == ATL_VERDICT_NOTED ? ATL_MODEL_NOT_VERIFIED
                                                            : ATL_MODEL_INTACT,
              words);
  atl_session_emit_notice (self->session, words);
}

static void
verified_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Check *check = data;
  g_autoptr (AtlModelVerifier) self = g_object_ref (check->self);
  g_autoptr (GError) error = NULL;

  check->verified = atl_library_verify_finish (result, &error);
  if (check->verified == NULL)
    tell_error (self, error);
  else if (self->session != NULL && check->verified->wrong->len == 0)
    tell_good (self, check);
  else if (self->session != NULL)
    {
      Check *asked = check_new (self, check->parent, check->path, check->name);
      g_autofree char *why = describe (check);

      set_result (self, check->path, ATL_MODEL_DAMAGED, why);
      asked->verified = g_steal_pointer (&check->verified);
      ask (asked, why);
    }
  end_first (self);
}

static void
begin (AtlModelVerifier *self)
{
  Check *check = g_queue_peek_head (&self->checks);

  if (check == NULL)
    return;
  check->percent = 0;
  g_signal_emit (self, changed_signal, 0, check->path);
  if (check->verified != NULL)
    atl_library_fetch_again_async (check->verified, progress_cb, check, check->cancellable,
                                   fetched_cb, check);
  else
    atl_library_verify_async (check->path, progress_cb, check, check->cancellable, verified_cb,
                              check);
}

void
atl_model_verifier_verify (AtlModelVerifier *self,
                           GtkWindow *parent,
                           const char *path,
                           const char *name)
{
  if (self->session == NULL || find (self, path) != NULL)
    return;
  g_hash_table_remove (self->results, path);
  push (self, check_new (self, parent, path, name));
}

void
atl_model_verifier_stop (AtlModelVerifier *self, const char *path)
{
  Check *check = find (self, path);

  if (check == NULL)
    return;
  /* The one under way ends with its thread. */
  g_cancellable_cancel (check->cancellable);
  if (check == g_queue_peek_head (&self->checks))
    return;
  g_queue_remove (&self->checks, check);
  check_free (check);
  g_signal_emit (self, changed_signal, 0, path);
}

char *
atl_model_verifier_words (AtlModelVerifier *self, const char *path)
{
  const Check *check = find (self, path);

  if (check == NULL)
    return NULL;
  if (check->percent < 0)
    return g_strdup (_ ("Waits to be verified"));
  return g_strdup_printf (check->verified != NULL ? _ ("Downloading again · %d %%")
                                                  : _ ("Verifying · %d %%"),
                          check->percent);
}

AtlModelVerdict
atl_model_verifier_result (AtlModelVerifier *self, const char *path, const char **why)
{
  const Result *result = g_hash_table_lookup (self->results, path);

  if (why != NULL)
    *why = result != NULL ? result->why : NULL;
  return result != NULL ? result->verdict : ATL_MODEL_NOT_VERIFIED;
}

/* --- GObject --- */

/* The session ends: whatever is on its way finds nobody to tell. */
static void
session_gone (gpointer data)
{
  AtlModelVerifier *self = data;

  self->session = NULL;
  for (GList *l = self->checks.head; l != NULL; l = l->next)
    g_cancellable_cancel (((Check *) l->data)->cancellable);
  while (self->checks.length > 1)
    check_free (g_queue_pop_tail (&self->checks));
  g_object_unref (self);
}

AtlModelVerifier *
atl_model_verifier_get (AtlSession *session)
{
  AtlModelVerifier *self = g_object_get_data (G_OBJECT (session), "atl-model-verifier");

  if (self == NULL)
    {
      self = g_object_new (ATL_TYPE_MODEL_VERIFIER, NULL);
      self->session = session;
      g_object_set_data_full (G_OBJECT (session), "atl-model-verifier", self, session_gone);
    }
  return self;
}

static void
atl_model_verifier_finalize (GObject *object)
{
  g_hash_table_unref (ATL_MODEL_VERIFIER (object)->results);
  G_OBJECT_CLASS (atl_model_verifier_parent_class)->finalize (object);
}

static void
atl_model_verifier_class_init (AtlModelVerifierClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_model_verifier_finalize;
  changed_signal = g_signal_new ("changed", ATL_TYPE_MODEL_VERIFIER, G_SIGNAL_RUN_LAST, 0, NULL,
                                 NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
atl_model_verifier_init (AtlModelVerifier *self)
{
  self->results = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, result_free);
}
