/* What is a part is found by asking the engine: of the file alone, and of the model with it. */
#define G_LOG_DOMAIN "atl-app"

#include "app/images/brought-parts.h"

#include <glib/gi18n.h>

#include "app/images/brought-names.h"
#include "app/images/tiny-decoders.h"
#include "app/models/model-list.h"
#include "hub/given-part.h"
#include "protocol/protocol.h"

#define KEY "atl-brought-parts"
/* Of a drop of all files of a model. */
#define MAX_WAITING 16u

typedef struct
{
  char *path;
  char *words;       /* what it is, for people; "" for a file of a vocabulary */
  char *first_model; /* (nullable) that was there beside it: only that one it was brought for */
  char *whole_model; /* (nullable) that lacked nothing, and has no use for it */
} Waiting;

/* Those that are not at their places; data of the session. One is tried at a time: each that fits
 * makes the model load anew, and only then it says what it lacks. Files of vocabularies, which are
 * known by their names, go before that together. */
typedef struct
{
  GQueue waiting;   /* of Waiting */
  GPtrArray *words; /* of char *: files of vocabularies that came with a model, by their names */
  /* One is asked about or put into its place. What the model lacks must not change meanwhile by
   * another: what one part gives is told from it. */
  gboolean is_busy;
  gboolean is_settling; /* the model is looked at again, with what it was given */
  gboolean is_stale;    /* and must be once more: it was being loaded when something came */
} Brought;

static void
waiting_free (gpointer data)
{
  Waiting *waiting = data;

  g_free (waiting->path);
  g_free (waiting->words);
  g_free (waiting->first_model);
  g_free (waiting->whole_model);
  g_free (waiting);
}

static Waiting *
waiting_new (const char *path, const char *words)
{
  Waiting *waiting = g_new0 (Waiting, 1);

  waiting->path = g_strdup (path);
  waiting->words = g_strdup (words);
  return waiting;
}

static void
brought_free (gpointer data)
{
  Brought *brought = data;

  g_queue_clear_full (&brought->waiting, waiting_free);
  g_ptr_array_unref (brought->words);
  g_free (brought);
}

typedef struct
{
  AtlPicturesSession *pictures; /* (owned) */
  Waiting *part;                /* (owned) (nullable) until it waits again */
  char *model;                  /* whose part it is to be */
  GPtrArray *names;             /* (nullable) what it is called among the model's files */
} Offer;

/* Takes `part`. */
static Offer *
offer_new (AtlPicturesSession *pictures, Waiting *part, const char *model)
{
  Offer *offer = g_new0 (Offer, 1);

  offer->pictures = g_object_ref (pictures);
  offer->part = part;
  offer->model = g_strdup (model);
  return offer;
}

static void
offer_free (gpointer data)
{
  Offer *offer = data;

  g_object_unref (offer->pictures);
  g_clear_pointer (&offer->part, waiting_free);
  g_free (offer->model);
  g_clear_pointer (&offer->names, g_ptr_array_unref);
  g_free (offer);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Offer, offer_free)

static void
notice (AtlPicturesSession *pictures, const char *words)
{
  atl_session_emit_notice (atl_pictures_session_get_session (pictures), words);
}

static char *
name_of_model (AtlPicturesSession *pictures, const char *path)
{
  return atl_model_list_get_name (
      atl_session_get_models (atl_pictures_session_get_session (pictures)), path);
}

/* What the model that is meant takes; `path` (out) is its file, borrowed. NULL: it is being looked
 * at, or takes nothing. `is_whole` (out): it draws as it is. */
static const AtlModelInfo *
wanting (AtlPicturesSession *pictures, const char **path, gboolean *is_whole)
{
  const AtlModelInfo *info = atl_pictures_session_get_lacking (pictures, path);
  AtlModel *model = atl_pictures_session_get_model (pictures);

  *is_whole = info == NULL;
  if (info != NULL)
    return info;
  if (model == NULL || atl_pictures_session_get_is_loading (pictures) ||
      g_strcmp0 (*path, atl_model_get_key (model)) != 0)
    return NULL;
  info = atl_model_get_info (model);
  return info->n_extra > 0 ? info : NULL;
}

static Brought *brought_of (AtlPicturesSession *pictures);
static void try_next (AtlPicturesSession *pictures);
static gboolean take_named (AtlPicturesSession *pictures);

/* --- Into its place --- */

static void give_next (Offer *offer);

/* It was whole before; with the part it is better, or lacks what belongs to that. */
static void
use_extra (AtlPicturesSession *pictures, const Offer *offer)
{
  g_autofree char *base = g_filename_display_basename (offer->part->path);
  g_autofree char *model = name_of_model (pictures, offer->model);
  /* Translators: a file, a model. */
  g_autofree char *words = g_strdup_printf (_ ("“%s” is a part of %s from now on."), base, model);

  notice (pictures, words);
  atl_pictures_session_reload_model (pictures);
}

static void
given_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Offer) offer = data;
  g_autoptr (AtlPicturesSession) pictures = g_object_ref (offer->pictures);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_given_part_take_finish (result, &error);
  Brought *brought = brought_of (pictures);
  const char *model;
  gboolean is_whole;
  const AtlModelInfo *before = wanting (pictures, &model, &is_whole);

  if (path == NULL)
    notice (pictures, error->message);
  else if (offer->names->len > 0)
    {
      give_next (g_steal_pointer (&offer));
      return;
    }
  brought->is_busy = FALSE;
  if (path != NULL)
    atl_session_emit_models_changed (atl_pictures_session_get_session (pictures));
  /* Unless another model was chosen in the meantime. */
  if (path == NULL || g_strcmp0 (model, offer->model) != 0)
    try_next (pictures);
  else if (before == NULL)
    brought->is_stale = TRUE;
  else if (is_whole)
    use_extra (pictures, offer);
  else if (!take_named (pictures))
    {
      brought->is_settling = TRUE;
      atl_pictures_session_load_model (pictures, (const char *[]){ offer->model, NULL }, FALSE);
    }
}

/* The last of its names; takes the offer. */
static void
give_next (Offer *offer)
{
  g_autofree char *folder = atl_client_parts_dir (offer->model);
  g_autofree char *name = g_ptr_array_steal_index (offer->names, offer->names->len - 1);

  /* The model's file is gone. */
  if (folder == NULL)
    {
      g_autoptr (AtlPicturesSession) pictures = g_object_ref (offer->pictures);

      brought_of (pictures)->is_busy = FALSE;
      offer_free (offer);
      try_next (pictures);
    }
  else
    atl_given_part_take_async (offer->part->path, folder, name, ATL_GIVEN_LINK, NULL, given_cb,
                               offer);
}

/* --- Which part it is --- */

gboolean
atl_brought_parts_refuse (AtlPicturesSession *pictures, const char *path)
{
  const char *model_path;
  const AtlModelInfo *lacking = atl_pictures_session_get_lacking (pictures, &model_path);
  g_autofree char *base = g_filename_display_basename (path);
  g_autofree char *model = NULL, *missing = NULL, *words = NULL;

  if (lacking == NULL)
    return FALSE;
  model = name_of_model (pictures, model_path);
  missing = atl_model_info_missing_words (lacking);
  /* Translators: a file, a model, a list such as "the text encoder T5, the autoencoder (VAE)". */
  words =
      g_strdup_printf (_ ("“%s” is none of the parts that %s lacks: %s."), base, model, missing);
  notice (pictures, words);
  return TRUE;
}

static void
say_it_waits (AtlPicturesSession *pictures, const Waiting *part)
{
  g_autofree char *words =
      g_strdup_printf (_ ("%s. It is used when a model is added that lacks it."), part->words);

  notice (pictures, words);
}

/* What it is, but not of this model: FALSE when nothing is known of it. */
static gboolean
say_misfit (AtlPicturesSession *pictures, const Offer *offer, const AtlModelInfo *after)
{
  const char *misfit = atl_brought_names_misfit (after);
  g_autofree char *base = g_filename_display_basename (offer->part->path);
  g_autofree char *model = name_of_model (pictures, offer->model);
  g_autofree char *words = NULL;

  if (misfit == NULL)
    return FALSE;
  /* Translators: a file, a model, a reason with its words. */
  words = g_strdup_printf (_ ("“%s” does not fit %s: %s."), base, model, misfit);
  notice (pictures, words);
  return TRUE;
}

/* It is none of the model's parts. One that is left over from another model was a try; one that a
 * whole model does not take may be another's. */
static void
turn_away (AtlPicturesSession *pictures, Offer *offer, const AtlModelInfo *after, gboolean is_whole)
{
  Waiting *part = offer->part;

  if (g_strcmp0 (part->first_model, offer->model) == 0 && !say_misfit (pictures, offer, after))
    {
      if (is_whole)
        say_it_waits (pictures, part);
      else
        atl_brought_parts_refuse (pictures, part->path);
    }
  if (!is_whole)
    return;
  g_free (part->whole_model);
  part->whole_model = g_strdup (offer->model);
  g_queue_push_tail (&brought_of (pictures)->waiting, g_steal_pointer (&offer->part));
}

static gboolean
take_named_of (AtlPicturesSession *pictures, GPtrArray *paths)
{
  Brought *brought = brought_of (pictures);
  const char *model;
  gboolean is_whole;
  const AtlModelInfo *takes = wanting (pictures, &model, &is_whole);

  for (guint i = 0; i < paths->len; i++)
    {
      g_autoptr (GPtrArray) names = atl_brought_names_of_words (paths->pdata[i], takes);

      if (names->len > 0)
        {
          g_autofree char *path = g_ptr_array_steal_index (paths, i);
          Offer *offer = offer_new (pictures, waiting_new (path, ""), model);

          offer->names = g_steal_pointer (&names);
          brought->is_busy = TRUE;
          give_next (offer);
          return TRUE;
        }
    }
  return FALSE;
}

/* Puts the first of those that are known by their names into its place. */
static gboolean
take_named (AtlPicturesSession *pictures)
{
  return take_named_of (pictures, brought_of (pictures)->words);
}

static void
asked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Offer) offer = data;
  g_autoptr (AtlPicturesSession) pictures = g_object_ref (offer->pictures);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) after = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);
  Brought *brought = brought_of (pictures);
  const char *path;
  gboolean is_whole;
  const AtlModelInfo *before = wanting (pictures, &path, &is_whole);

  brought->is_busy = FALSE;
  if (after == NULL)
    notice (pictures, error->message);
  /* It is loaded again with another part, or another one was chosen. */
  else if (before == NULL || g_strcmp0 (path, offer->model) != 0)
    g_queue_push_head (&brought->waiting, g_steal_pointer (&offer->part));
  else
    {
      offer->names = atl_brought_names_of_part (offer->part->path, before, after);
      if (offer->names->len > 0)
        {
          brought->is_busy = TRUE;
          give_next (g_steal_pointer (&offer));
        }
      else
        turn_away (pictures, offer, after, is_whole);
    }
  /* One that fits is on its way: the model tells when it has been looked at with it. */
  if (offer != NULL)
    try_next (pictures);
}

/* Those that wait have seen this model. */
static void
note_first (Brought *brought, const char *model)
{
  for (GList *l = brought->waiting.head; l != NULL; l = l->next)
    if (((Waiting *) l->data)->first_model == NULL)
      ((Waiting *) l->data)->first_model = g_strdup (model);
}

/* The next that is to be tried, taken out; NULL: none. */
static Waiting *
pop_waiting (Brought *brought, const char *model, gboolean is_whole)
{
  for (GList *l = brought->waiting.head; l != NULL; l = l->next)
    {
      Waiting *part = l->data;

      if (is_whole && g_strcmp0 (part->whole_model, model) == 0)
        continue;
      g_queue_delete_link (&brought->waiting, l);
      return part;
    }
  return NULL;
}

/* Asks about the model that is meant with the next part. */
static void
try_next (AtlPicturesSession *pictures)
{
  Brought *brought = brought_of (pictures);
  Waiting *part;
  const char *model;
  gboolean is_whole;

  if (wanting (pictures, &model, &is_whole) == NULL)
    return;
  if (brought->is_stale && !is_whole)
    {
      g_autofree char *again = g_strdup (model);

      brought->is_stale = FALSE;
      atl_pictures_session_load_model (pictures, (const char *[]){ again, NULL }, FALSE);
      return;
    }
  brought->is_settling = FALSE;
  note_first (brought, model);
  if (brought->is_busy || take_named (pictures) ||
      (part = pop_waiting (brought, model, is_whole)) == NULL)
    return;
  brought->is_busy = TRUE;
  atl_client_inspect_async (atl_session_get_client (atl_pictures_session_get_session (pictures)),
                            (const char *[]){ model, part->path, NULL }, NULL, NULL, asked_cb,
                            offer_new (pictures, part, model));
}

/* It is whole, or something else is wrong with it. */
static void
settled_cb (AtlPicturesSession *pictures)
{
  Brought *brought = brought_of (pictures);
  AtlModel *model = atl_pictures_session_get_model (pictures);

  brought->is_settling = brought->is_stale = FALSE;
  if (model == NULL)
    return;
  note_first (brought, atl_model_get_key (model));
  try_next (pictures);
  /* What was just given may still want its vocabulary. */
  if (!brought->is_busy)
    g_ptr_array_set_size (brought->words, 0);
}

static Brought *
brought_of (AtlPicturesSession *pictures)
{
  Brought *brought = g_object_get_data (G_OBJECT (pictures), KEY);

  if (brought == NULL)
    {
      brought = g_new0 (Brought, 1);
      brought->words = g_ptr_array_new_with_free_func (g_free);
      g_object_set_data_full (G_OBJECT (pictures), KEY, brought, brought_free);
      g_signal_connect (pictures, "notify::lacking", G_CALLBACK (try_next), NULL);
      g_signal_connect (pictures, "notify::model", G_CALLBACK (settled_cb), NULL);
      g_signal_connect (pictures, "load-failed", G_CALLBACK (settled_cb), NULL);
    }
  return brought;
}

/* --- Taking --- */

/* Until its turn, or until a model comes that lacks something. */
static void
let_wait (AtlPicturesSession *pictures, const char *path, const char *words)
{
  Brought *brought = brought_of (pictures);

  if (brought->waiting.length >= MAX_WAITING)
    waiting_free (g_queue_pop_head (&brought->waiting));
  g_queue_push_tail (&brought->waiting, waiting_new (path, words));
  try_next (pictures);
}

gboolean
atl_brought_parts_wants (AtlPicturesSession *pictures, const char *path)
{
  const char *model;
  gboolean is_whole;
  const AtlModelInfo *takes = wanting (pictures, &model, &is_whole);
  g_autoptr (GPtrArray) names = atl_brought_names_of_words (path, takes);

  return names->len > 0;
}

gboolean
atl_brought_parts_take_words (AtlPicturesSession *pictures, GPtrArray *paths, gboolean keep)
{
  Brought *brought = brought_of (pictures);
  gboolean is_wanted = keep || atl_pictures_session_get_is_loading (pictures);

  for (guint i = 0; i < paths->len; i++)
    is_wanted = is_wanted || atl_brought_parts_wants (pictures, paths->pdata[i]);
  if (paths->len == 0 || !is_wanted)
    return FALSE;
  g_ptr_array_set_size (brought->words, 0);
  for (guint i = 0; i < paths->len; i++)
    g_ptr_array_add (brought->words, g_strdup (paths->pdata[i]));
  try_next (pictures);
  return TRUE;
}

gboolean
atl_brought_parts_take (AtlPicturesSession *pictures, const char *path, const AtlModelInfo *info)
{
  gboolean is_part = *info->part != '\0';
  gboolean is_loading = atl_pictures_session_get_is_loading (pictures);
  const Brought *brought = brought_of (pictures);
  const char *model;
  gboolean is_whole;
  const AtlModelInfo *takes = wanting (pictures, &model, &is_whole);
  gboolean lacks_some = takes != NULL && !is_whole;

  if (is_part && g_str_equal (info->part, ATL_PART_TINY_DECODER))
    atl_tiny_decoders_take (pictures, path);
  /* A whole model that chats may be the text encoder of one that draws. */
  else if (!is_part && ((!lacks_some && !is_loading) || info->is_picture || info->is_upscaler))
    return FALSE;
  else
    {
      /* A model that is just looked at may want it; of one that takes it, or does not, more is
       * known when the engine was asked. */
      if (is_part && takes == NULL && !is_loading && brought->waiting.length == 0 &&
          !brought->is_busy && !brought->is_settling)
        {
          Waiting *part = waiting_new (path, info->fit_words);

          say_it_waits (pictures, part);
          waiting_free (part);
        }
      let_wait (pictures, path, info->fit_words);
    }
  return TRUE;
}
