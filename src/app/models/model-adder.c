/* One thing after the other: folders are read, files are looked at by the engine, the person is
 * asked, the chosen ones are brought in. More may come at any time. */
#define G_LOG_DOMAIN "atl-app"

#include "app/models/model-adder.h"

#include <glib/gi18n.h>

#include "app/chat/adapter-list.h"
#include "app/models/add-candidates.h"
#include "app/models/add-model.h"
#include "app/models/add-question.h"
#include "app/models/add-refusals.h"
#include "app/models/open-model.h"
#include "app/words.h"
#include "hub/library.h"
#include "hub/model-folder.h"

/* A folder with more models is not read file by file before the question. */
#define MAX_LOOKS 16

typedef struct
{
  char *path;
  AtlAddMode mode;
} Chosen;

/* How what is looked at was brought. */
typedef enum
{
  IN_FOLDER, /* not by itself */
  BY_NAME,
  FOR_PICTURES /* by name, where pictures are made */
} How;

struct _AtlModelAdder
{
  GObject parent_instance;

  AtlSession *session;         /* borrowed: owns the adder */
  GtkWindow *parent;           /* (nullable) weak */
  GQueue to_scan;              /* of char: paths that were brought */
  GQueue to_look;              /* of AtlModelFile */
  AtlAddCandidates candidates; /* the question is about */
  GHashTable *by_name;         /* paths -> How, of those that were not brought in a folder */
  AtlDroppedParts *parts;      /* that came with them: until the first is opened */
  AtlAddRefusals *refusals;
  GtkWidget *question; /* (nullable) weak */
  GQueue to_add;       /* of Chosen */
  gboolean is_looking; /* a scan or a look is on its way */
  gboolean opens;      /* the next one that is added is opened */
  gboolean is_opening; /* one is on its way to be the model in use */

  GCancellable *adding; /* (nullable) */
  char *name;           /* (nullable) of what is copied */
  char *words;
  double fraction;
};

G_DEFINE_FINAL_TYPE (AtlModelAdder, atl_model_adder, G_TYPE_OBJECT)

enum
{
  CHANGED,
  LORA,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

static void look_on (AtlModelAdder *self);
static void add_on (AtlModelAdder *self);

static void
free_chosen (gpointer data)
{
  Chosen *chosen = data;

  g_free (chosen->path);
  g_free (chosen);
}

/* --- Bringing in --- */

static void
set_copying (AtlModelAdder *self, const char *name)
{
  atl_set_string (&self->name, name);
  atl_set_string (&self->words, "");
  self->fraction = 0;
  g_signal_emit (self, signals[CHANGED], 0);
}

static void
progress_cb (const AtlHubProgress *p, gpointer data)
{
  AtlModelAdder *self = data;
  g_autofree char *done = atl_format_bytes (p->done_bytes);
  g_autofree char *total = atl_format_bytes (p->total_bytes);

  if (self->name == NULL || p->total_bytes == 0)
    return;
  g_free (self->words);
  self->words = p->stage == ATL_HUB_CHECKING ? g_strdup (_ ("Checking…"))
                                             : g_strdup_printf (_ ("%s of %s"), done, total);
  self->fraction = MAX (self->fraction, (double) p->done_bytes / (double) p->total_bytes);
  g_signal_emit (self, signals[CHANGED], 0);
}

static void
refuse_as_no_model (AtlModelAdder *self, const char *path)
{
  g_autofree char *name = g_path_get_basename (path);

  atl_add_refusals_add (
      self->refusals, g_strdup_printf (_ ("There is no model in “%s”. Models that Atelier can use "
                                          "end in .gguf or .safetensors."),
                                       name));
}

/* The parts that came with a model are that one's, not those of another that lacks some, too. */
static void
hand_on_parts (AtlModelAdder *self)
{
  g_autoptr (GPtrArray) refused = NULL;

  if (self->is_looking || self->candidates.models->len > 0 || self->adding != NULL ||
      self->is_opening || !g_queue_is_empty (&self->to_add))
    return;
  refused = atl_dropped_parts_hand_on (self->parts, atl_pictures_session_get (self->session));
  for (guint i = 0; i < refused->len; i++)
    refuse_as_no_model (self, refused->pdata[i]);
  atl_add_refusals_tell (self->refusals, self->session);
}

static void
opened_cb (gpointer data)
{
  g_autoptr (AtlModelAdder) self = data;

  self->is_opening = FALSE;
  if (self->session != NULL)
    hand_on_parts (self);
}

static void
open_model (AtlModelAdder *self, const char *path)
{
  self->is_opening = TRUE;
  atl_open_model_then (GTK_WIDGET (self->parent), self->session, path, opened_cb,
                       g_object_ref (self));
}

static void
added_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelAdder) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_library_add_finish (result, &error);

  g_clear_object (&self->adding);
  if (self->name != NULL)
    set_copying (self, NULL);
  if (self->session == NULL)
    return;
  if (path != NULL)
    {
      atl_session_emit_models_changed (self->session);
      if (self->opens && self->parent != NULL)
        open_model (self, path);
      self->opens = FALSE;
    }
  else
    {
      atl_dropped_parts_forget (self->parts);
      /* What stopped this one, a full disk or the person, stops the others as well. */
      g_queue_clear_full (&self->to_add, free_chosen);
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        atl_session_emit_notice (self->session, error->message);
    }
  add_on (self);
  hand_on_parts (self);
}

static void
add_on (AtlModelAdder *self)
{
  Chosen *chosen;

  if (self->adding != NULL || (chosen = g_queue_pop_head (&self->to_add)) == NULL)
    return;
  self->adding = g_cancellable_new ();
  if (chosen->mode == ATL_ADD_COPY)
    {
      g_autofree char *name = g_path_get_basename (chosen->path);
      set_copying (self, name);
    }
  atl_library_add_async (chosen->path, chosen->mode, progress_cb, self, self->adding, added_cb,
                         g_object_ref (self));
  free_chosen (chosen);
}

/* --- Asking --- */

static void
answered_cb (GtkWidget *question, AtlAddAnswer answer, gpointer data)
{
  AtlModelAdder *self = data;

  g_clear_weak_pointer (&self->question);
  if (answer != ATL_ADD_ANSWER_CANCEL && self->session != NULL)
    {
      gboolean is_first = TRUE;

      for (guint i = 0; i < self->candidates.models->len; i++)
        {
          const AtlModelFile *file = g_ptr_array_index (self->candidates.models, i);
          Chosen *chosen;

          if (!atl_add_question_is_chosen (question, i))
            continue;
          /* To open what cannot run would only say so again. */
          if (is_first)
            self->opens = !g_hash_table_contains (self->candidates.reasons, file->path);
          is_first = FALSE;
          chosen = g_new0 (Chosen, 1);
          chosen->path = g_strdup (file->path);
          chosen->mode = answer == ATL_ADD_ANSWER_COPY ? ATL_ADD_COPY : ATL_ADD_REFERENCE;
          g_queue_push_tail (&self->to_add, chosen);
        }
    }
  if (answer == ATL_ADD_ANSWER_CANCEL)
    atl_dropped_parts_forget (self->parts);
  atl_add_candidates_forget (&self->candidates);
  if (self->session == NULL)
    return;
  add_on (self);
  hand_on_parts (self);
}

static void
ask (AtlModelAdder *self)
{
  GtkWidget *before = self->question;

  if (self->parent == NULL)
    {
      atl_dropped_parts_forget (self->parts);
      atl_add_candidates_forget (&self->candidates);
      return;
    }
  if (before != NULL)
    {
      g_clear_weak_pointer (&self->question);
      atl_add_question_withdraw (before);
    }
  g_set_weak_pointer (&self->question,
                      atl_add_question_new (self->parent, self->candidates.models,
                                            self->candidates.reasons, answered_cb, self));
  gtk_window_present (GTK_WINDOW (self->question));
}

/* --- Looking --- */

static How
how_brought (AtlModelAdder *self, const char *path)
{
  return (How) GPOINTER_TO_INT (g_hash_table_lookup (self->by_name, path));
}

/* TRUE when somebody uses it. */
static gboolean
use_lora (AtlModelAdder *self, const char *path, const AtlModelInfo *info)
{
  gboolean is_used = FALSE;

  g_signal_emit (self, signals[LORA], 0, path, info, &is_used);
  return is_used;
}

/* What is no part of another one: it is asked about, unless it is here already. */
static void
take_model (AtlModelAdder *self, AtlModelFile *file, AtlModelInfo *info)
{
  How how = how_brought (self, file->path);
  g_autofree char *inside = how == FOR_PICTURES ? atl_library_find (file->path) : NULL;

  if (inside != NULL)
    {
      if (!self->is_opening)
        open_model (self, inside);
      atl_model_file_free (file);
      return;
    }
  atl_add_candidates_add (&self->candidates, file, info, how == FOR_PICTURES);
}

static void
looked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelAdder) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelFile) file = g_queue_pop_head (&self->to_look);
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);

  self->is_looking = FALSE;
  if (self->session == NULL)
    return;
  if (g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE) ||
      g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
    atl_add_refusals_add_damage (self->refusals, error, file->name);
  /* What is no model by itself goes where it belongs. */
  else if (info != NULL && info->is_lora && how_brought (self, file->path) == FOR_PICTURES &&
           use_lora (self, file->path, info))
    ;
  else if (info != NULL && info->is_adapter)
    {
      g_autofree char *name = atl_adapter_list_dup_name (file->path);

      atl_add_refusals_add (
          self->refusals,
          g_strdup_printf (_ ("“%s” is an adapter (LoRA), which changes a language model: drop it "
                              "on “Adapters” in the advanced settings of a chat."),
                           name));
    }
  else if (info != NULL && info->is_lora)
    atl_add_refusals_add (
        self->refusals,
        g_strdup_printf (_ ("“%s” is a LoRA, which changes a model for pictures: drop "
                            "it on the Images page."),
                         file->name));
  else if (info != NULL && *info->part != '\0' && how_brought (self, file->path) != IN_FOLDER)
    atl_dropped_parts_add (self->parts, file->path, info);
  else
    take_model (self, g_steal_pointer (&file), info);
  look_on (self);
}

static void
look (AtlModelAdder *self)
{
  AtlModelFile *file = g_queue_peek_head (&self->to_look);
  const char *paths[] = { file->path, NULL };

  self->is_looking = TRUE;
  atl_client_inspect_async (atl_session_get_client (self->session), paths, NULL, NULL, looked_cb,
                            g_object_ref (self));
}

static void
scanned_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (AtlModelAdder) self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_queue_pop_head (&self->to_scan);
  g_autoptr (GPtrArray) found = atl_library_scan_finish (result, &error);

  self->is_looking = FALSE;
  if (self->session == NULL)
    return;
  if (found == NULL)
    atl_add_refusals_add (self->refusals, g_strdup (error->message));
  else if (found->len == 0 && !atl_dropped_parts_add_folder (self->parts, path))
    refuse_as_no_model (self, path);
  /* Of several files with one model the first stands for all. */
  if (found != NULL && found->len == 1 && !g_file_test (path, G_FILE_TEST_IS_DIR))
    g_hash_table_insert (self->by_name, g_strdup (((AtlModelFile *) found->pdata[0])->path),
                         GINT_TO_POINTER (how_brought (self, path)));
  for (guint i = 0; found != NULL && i < found->len; i++)
    {
      const AtlModelFile *file = g_ptr_array_index (found, i);
      gboolean waits = atl_add_candidates_has (&self->candidates, file->path);

      for (GList *l = self->to_look.head; l != NULL && !waits; l = l->next)
        waits = g_str_equal (((AtlModelFile *) l->data)->path, file->path);
      if (!waits && found->len > MAX_LOOKS)
        g_ptr_array_add (self->candidates.models, atl_model_file_copy (file));
      else if (!waits)
        g_queue_push_tail (&self->to_look, atl_model_file_copy (file));
    }
  look_on (self);
}

static void
look_on (AtlModelAdder *self)
{
  const char *path;

  if (self->is_looking || atl_session_get_client (self->session) == NULL)
    return;
  if (!g_queue_is_empty (&self->to_scan))
    {
      self->is_looking = TRUE;
      atl_library_scan_async (g_queue_peek_head (&self->to_scan), NULL, scanned_cb,
                              g_object_ref (self));
    }
  else if (!g_queue_is_empty (&self->to_look))
    look (self);
  else
    {
      atl_add_candidates_take_encoders (
          &self->candidates,
          atl_pictures_session_get_lacking (atl_pictures_session_get (self->session), &path) !=
              NULL,
          self->parts);
      hand_on_parts (self);
      atl_add_refusals_tell (self->refusals, self->session);
      if (self->candidates.models->len > 0)
        ask (self);
      g_hash_table_remove_all (self->by_name);
    }
}

/* A sentence when nothing can be done with it. */
static char *
refusal (GFile *file, const char *path)
{
  g_autofree char *name = g_file_get_basename (file);

  if (path == NULL)
    return g_strdup (_ ("Only files on this computer can be used. Download the file first."));
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return g_strdup_printf (_ ("“%s” is not there any more."), name);
  if (!g_file_test (path, G_FILE_TEST_IS_DIR) && !atl_add_model_is_model (file))
    return g_strdup_printf (
        _ ("“%s” is no model file. Those that Atelier can use end in .gguf or .safetensors."),
        name);
  return NULL;
}

static void
bring (AtlModelAdder *self, GtkWindow *parent, GFile *const *files, guint n, How how)
{
  g_autofree char *open = NULL;

  g_set_weak_pointer (&self->parent, parent);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *given = g_file_get_path (files[i]);
      char *pair = given != NULL ? atl_model_pair_of_weights (given) : NULL;
      /* Of two files that belong together the one with the description stands for both. */
      g_autofree char *path = pair != NULL ? pair : g_strdup (given);
      char *words = refusal (files[i], path);
      /* Of what comes here for pictures it is not known yet whether it is one. */
      g_autofree char *inside =
          words == NULL && how != FOR_PICTURES ? atl_library_find (path) : NULL;

      if (words != NULL)
        atl_add_refusals_add (self->refusals, words);
      else if (inside == NULL)
        {
          g_hash_table_insert (self->by_name, g_strdup (path), GINT_TO_POINTER (how));
          g_queue_push_tail (&self->to_scan, g_steal_pointer (&path));
        }
      else if (open == NULL)
        open = g_steal_pointer (&inside);
    }
  if (open != NULL)
    open_model (self, open);
  look_on (self);
}

void
atl_model_adder_bring (AtlModelAdder *self, GtkWindow *parent, GFile *const *files, guint n)
{
  if (self->session != NULL)
    bring (self, parent, files, n, BY_NAME);
}

void
atl_model_adder_bring_for_pictures (AtlModelAdder *self,
                                    GtkWindow *parent,
                                    GFile *const *files,
                                    guint n,
                                    GFile *const *words,
                                    guint n_words)
{
  if (self->session == NULL)
    return;
  for (guint i = 0; i < n_words; i++)
    if (g_file_peek_path (words[i]) != NULL)
      atl_dropped_parts_add_words (self->parts, g_file_peek_path (words[i]));
  bring (self, parent, files, n, FOR_PICTURES);
}

/* --- For the bar --- */

const char *
atl_model_adder_get_name (AtlModelAdder *self)
{
  return self->name;
}

const char *
atl_model_adder_get_words (AtlModelAdder *self)
{
  return self->words != NULL ? self->words : "";
}

double
atl_model_adder_get_fraction (AtlModelAdder *self)
{
  return self->fraction;
}

void
atl_model_adder_cancel (AtlModelAdder *self)
{
  g_queue_clear_full (&self->to_add, free_chosen);
  if (self->adding != NULL)
    g_cancellable_cancel (self->adding);
}

/* --- GObject --- */

/* The session ends: whatever is on its way finds nobody to tell. */
static void
session_gone (gpointer data)
{
  AtlModelAdder *self = data;

  atl_model_adder_cancel (self);
  self->session = NULL;
  g_object_unref (self);
}

AtlModelAdder *
atl_model_adder_get (AtlSession *session)
{
  AtlModelAdder *self = g_object_get_data (G_OBJECT (session), "atl-model-adder");

  if (self == NULL)
    {
      self = g_object_new (ATL_TYPE_MODEL_ADDER, NULL);
      self->session = session;
      g_object_set_data_full (G_OBJECT (session), "atl-model-adder", self, session_gone);
    }
  return self;
}

static void
atl_model_adder_finalize (GObject *object)
{
  AtlModelAdder *self = ATL_MODEL_ADDER (object);

  g_clear_weak_pointer (&self->parent);
  g_clear_weak_pointer (&self->question);
  g_queue_clear_full (&self->to_scan, g_free);
  g_queue_clear_full (&self->to_look, (GDestroyNotify) atl_model_file_free);
  g_queue_clear_full (&self->to_add, free_chosen);
  atl_add_candidates_clear (&self->candidates);
  g_hash_table_unref (self->by_name);
  atl_dropped_parts_free (self->parts);
  atl_add_refusals_free (self->refusals);
  g_clear_object (&self->adding);
  g_free (self->name);
  g_free (self->words);
  G_OBJECT_CLASS (atl_model_adder_parent_class)->finalize (object);
}

static void
atl_model_adder_class_init (AtlModelAdderClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_model_adder_finalize;
  signals[CHANGED] = g_signal_new ("changed", ATL_TYPE_MODEL_ADDER, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 0);
  signals[LORA] = g_signal_new ("lora", ATL_TYPE_MODEL_ADDER, G_SIGNAL_RUN_LAST, 0,
                                g_signal_accumulator_true_handled, NULL, NULL, G_TYPE_BOOLEAN, 2,
                                G_TYPE_STRING, G_TYPE_POINTER);
}

static void
atl_model_adder_init (AtlModelAdder *self)
{
  atl_add_candidates_init (&self->candidates);
  self->by_name = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->parts = atl_dropped_parts_new ();
  self->refusals = atl_add_refusals_new ();
}
