/* What is a part is found by asking the engine: of the file alone, and of the model with it. */
#define G_LOG_DOMAIN "atl-app"

#include "app/images/brought-parts.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/models/model-list.h"
#include "client/nearby-files.h"
#include "hub/given-part.h"
#include "protocol/protocol.h"

#define KEY "atl-brought-parts"
/* Of a drop of all files of a model. */
#define MAX_WAITING 16u
/* Of a vocabulary, up to its words and more. */
#define MAX_HEAD_BYTES (1u << 20)

/* Those that are not at their places; data of the session. One is tried at a time: each that fits
 * makes the model load anew, and only then it says what it lacks. Files of vocabularies, which are
 * known by their names, go before that together. */
typedef struct
{
  GPtrArray *waiting; /* of char *: paths */
  GPtrArray *words;   /* of char *: files of vocabularies that came with a model, by their names */
  /* Path of a part that waits -> that of the first model that was there beside it (both char *):
   * only that one it was brought for. */
  GHashTable *first_models;
  /* One is asked about or put into its place. What the model lacks must not change meanwhile by
   * another: what one part gives is told from it. */
  gboolean is_busy;
  gboolean is_settling; /* the model is looked at again, with what it was given */
  gboolean is_stale;    /* and must be once more: it was being loaded when something came */
} Brought;

static void
brought_free (gpointer data)
{
  Brought *brought = data;

  g_ptr_array_unref (brought->waiting);
  g_ptr_array_unref (brought->words);
  g_hash_table_unref (brought->first_models);
  g_free (brought);
}

typedef struct
{
  AtlPicturesSession *pictures; /* (owned) */
  char *path;                   /* of the part */
  char *model;                  /* (nullable) whose part it is to be */
  GPtrArray *names;             /* (nullable) what it is called among the model's files */
} Offer;

static Offer *
offer_new (AtlPicturesSession *pictures, const char *path, const char *model)
{
  Offer *offer = g_new0 (Offer, 1);

  offer->pictures = g_object_ref (pictures);
  offer->path = g_strdup (path);
  offer->model = g_strdup (model);
  return offer;
}

static void
offer_free (gpointer data)
{
  Offer *offer = data;

  g_object_unref (offer->pictures);
  g_free (offer->path);
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

static Brought *brought_of (AtlPicturesSession *pictures);
static void try_next (AtlPicturesSession *pictures);
static gboolean take_named (AtlPicturesSession *pictures);

/* --- Into its place --- */

static void give_next (Offer *offer);

static void
given_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Offer) offer = data;
  g_autoptr (AtlPicturesSession) pictures = g_object_ref (offer->pictures);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_given_part_take_finish (result, &error);
  Brought *brought = brought_of (pictures);
  const char *model;
  gboolean lacks_some = atl_pictures_session_get_lacking (pictures, &model) != NULL;

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
  else if (!lacks_some)
    brought->is_stale = TRUE;
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
    atl_given_part_take_async (offer->path, folder, name, ATL_GIVEN_LINK, NULL, given_cb, offer);
}

/* --- Which part it is --- */

static gboolean
lacks (const AtlModelInfo *info, const char *words)
{
  for (guint i = 0; i < info->n_missing + info->n_extra; i++)
    if (g_str_equal (info->missing[i].words, words))
      return TRUE;
  return FALSE;
}

/* The folder of a part that is missing: "text_encoder_2". */
static char *
role_of (const AtlMissingFile *missing)
{
  const char *slash = strchr (missing->name, '/');

  return g_strndup (missing->name, slash != NULL ? (gsize) (slash - missing->name) : 0);
}

/* What the model lacked before and does not with the part; names to put it under. */
static GPtrArray *
names_for (const char *path, const AtlModelInfo *before, const AtlModelInfo *after)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autoptr (GHashTable) roles = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < before->n_missing + before->n_extra; i++)
    {
      char *role = role_of (&before->missing[i]);

      if (*role != '\0' && (i >= before->n_missing || !before->missing[i].is_optional) &&
          !lacks (after, before->missing[i].words) && !g_hash_table_contains (roles, role))
        {
          g_ptr_array_add (names, g_build_filename (role, base, NULL));
          g_hash_table_add (roles, role);
        }
      else
        g_free (role);
    }
  return names;
}

gboolean
atl_brought_parts_refuse (AtlPicturesSession *pictures, const char *path)
{
  AtlModelList *models = atl_session_get_models (atl_pictures_session_get_session (pictures));
  const char *model_path;
  const AtlModelInfo *lacking = atl_pictures_session_get_lacking (pictures, &model_path);
  g_autofree char *base = g_filename_display_basename (path);
  g_autofree char *model = NULL, *missing = NULL, *words = NULL;

  if (lacking == NULL)
    return FALSE;
  model = atl_model_list_get_name (models, model_path);
  missing = atl_model_info_missing_words (lacking);
  /* Translators: a file, a model, a list such as "the text encoder T5, the autoencoder (VAE)". */
  words =
      g_strdup_printf (_ ("“%s” is none of the parts that %s lacks: %s."), base, model, missing);
  notice (pictures, words);
  return TRUE;
}

/* T5's vocabulary is published as spiece.model and as tokenizer.json. The latter name is that of
 * other vocabularies, too, which have no "unk_id": CLIP's lies beside vocab.json in one folder.
 * The key stands before the words, behind a table of characters. The bytes are only searched; what
 * they mean is the engine's to say. */
static gboolean
is_like_spiece (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *head = NULL;
  g_autoptr (GFile) file = NULL;
  g_autoptr (GFileInputStream) stream = NULL;
  gsize n = 0;

  if (!g_str_equal (base, "tokenizer.json"))
    return FALSE;
  file = g_file_new_for_path (path);
  stream = g_file_read (file, NULL, NULL);
  if (stream == NULL)
    return FALSE;
  head = g_malloc (MAX_HEAD_BYTES);
  g_input_stream_read_all (G_INPUT_STREAM (stream), head, MAX_HEAD_BYTES, &n, NULL, NULL);
  return g_strstr_len (head, (gssize) n, "\"unk_id\"") != NULL;
}

/* What it is, but not of this model: FALSE when nothing is known of it. */
static gboolean
say_misfit (AtlPicturesSession *pictures, const Offer *offer, const AtlModelInfo *after)
{
  AtlModelList *models = atl_session_get_models (atl_pictures_session_get_session (pictures));

  for (guint i = 0; i < after->n_missing + after->n_extra; i++)
    if (*after->missing[i].misfit != '\0')
      {
        g_autofree char *base = g_filename_display_basename (offer->path);
        g_autofree char *model = atl_model_list_get_name (models, offer->model);
        /* Translators: a file, a model, a reason with its words. */
        g_autofree char *words = g_strdup_printf (_ ("“%s” does not fit %s: %s."), base, model,
                                                  after->missing[i].misfit);

        notice (pictures, words);
        return TRUE;
      }
  return FALSE;
}

/* The names under which the file is wanted as one of a vocabulary: several parts may have the same.
 */
static GPtrArray *
vocabulary_names (const AtlModelInfo *lacking, const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; lacking != NULL && i < lacking->n_missing; i++)
    {
      g_autofree char *name = g_path_get_basename (lacking->missing[i].name);
      g_autofree char *role = role_of (&lacking->missing[i]);

      if (!g_str_has_prefix (role, "tokenizer"))
        continue;
      if (g_str_equal (name, base) || (g_str_equal (name, "spiece.model") && is_like_spiece (path)))
        g_ptr_array_add (names, g_build_filename (role, base, NULL));
    }
  return names;
}

static gboolean
take_named_of (AtlPicturesSession *pictures, GPtrArray *paths)
{
  Brought *brought = brought_of (pictures);
  const char *model;
  const AtlModelInfo *lacking = atl_pictures_session_get_lacking (pictures, &model);

  for (guint i = 0; i < paths->len; i++)
    {
      g_autoptr (GPtrArray) names = vocabulary_names (lacking, paths->pdata[i]);

      if (names->len > 0)
        {
          g_autofree char *path = g_ptr_array_steal_index (paths, i);
          Offer *offer = offer_new (pictures, path, model);

          offer->names = g_steal_pointer (&names);
          brought->is_busy = TRUE;
          give_next (offer);
          return TRUE;
        }
    }
  return FALSE;
}

/* Puts the first of those that wait and are known by their names into its place. */
static gboolean
take_named (AtlPicturesSession *pictures)
{
  Brought *brought = brought_of (pictures);

  return take_named_of (pictures, brought->waiting) || take_named_of (pictures, brought->words);
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
  const AtlModelInfo *before = atl_pictures_session_get_lacking (pictures, &path);

  brought->is_busy = FALSE;
  if (after == NULL)
    notice (pictures, error->message);
  /* It is loaded again with another part, or another one was chosen. */
  else if (before == NULL || g_strcmp0 (path, offer->model) != 0)
    g_ptr_array_insert (brought->waiting, 0, g_strdup (offer->path));
  else
    {
      offer->names = names_for (offer->path, before, after);
      if (offer->names->len > 0)
        {
          brought->is_busy = TRUE;
          give_next (g_steal_pointer (&offer));
        }
      /* One that was left over from another model was a try. */
      else if (g_strcmp0 (g_hash_table_lookup (brought->first_models, offer->path), path) == 0 &&
               !say_misfit (pictures, offer, after))
        atl_brought_parts_refuse (pictures, offer->path);
    }
  /* One that fits is on its way: the model tells when it has been looked at with it. */
  if (offer != NULL)
    try_next (pictures);
}

/* Those that wait have seen this model. */
static void
note_first (Brought *brought, const char *model)
{
  for (guint i = 0; i < brought->waiting->len; i++)
    if (!g_hash_table_contains (brought->first_models, brought->waiting->pdata[i]))
      g_hash_table_insert (brought->first_models, g_strdup (brought->waiting->pdata[i]),
                           g_strdup (model));
}

/* Asks about the model that lacks something with the next part. */
static void
try_next (AtlPicturesSession *pictures)
{
  Brought *brought = brought_of (pictures);
  g_autofree char *path = NULL;
  const char *model;

  if (atl_pictures_session_get_lacking (pictures, &model) == NULL)
    return;
  if (brought->is_stale)
    {
      g_autofree char *again = g_strdup (model);

      brought->is_stale = FALSE;
      atl_pictures_session_load_model (pictures, (const char *[]){ again, NULL }, FALSE);
      return;
    }
  brought->is_settling = FALSE;
  note_first (brought, model);
  if (brought->is_busy || take_named (pictures) || brought->waiting->len == 0)
    return;
  path = g_ptr_array_steal_index (brought->waiting, 0);
  brought->is_busy = TRUE;
  atl_client_inspect_async (atl_session_get_client (atl_pictures_session_get_session (pictures)),
                            (const char *[]){ model, path, NULL }, NULL, NULL, asked_cb,
                            offer_new (pictures, path, model));
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
  g_ptr_array_set_size (brought->words, 0);
  note_first (brought, atl_model_get_key (model));
}

static Brought *
brought_of (AtlPicturesSession *pictures)
{
  Brought *brought = g_object_get_data (G_OBJECT (pictures), KEY);

  if (brought == NULL)
    {
      brought = g_new0 (Brought, 1);
      brought->waiting = g_ptr_array_new_with_free_func (g_free);
      brought->words = g_ptr_array_new_with_free_func (g_free);
      brought->first_models = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
      g_object_set_data_full (G_OBJECT (pictures), KEY, brought, brought_free);
      g_signal_connect (pictures, "notify::lacking", G_CALLBACK (try_next), NULL);
      g_signal_connect (pictures, "notify::model", G_CALLBACK (settled_cb), NULL);
      g_signal_connect (pictures, "load-failed", G_CALLBACK (settled_cb), NULL);
    }
  return brought;
}

/* Until its turn, or until a model comes that lacks something. */
static void
let_wait (AtlPicturesSession *pictures, const char *path)
{
  Brought *brought = brought_of (pictures);

  if (brought->waiting->len >= MAX_WAITING)
    g_ptr_array_remove_index (brought->waiting, 0);
  g_ptr_array_add (brought->waiting, g_strdup (path));
  g_hash_table_remove (brought->first_models, path);
  try_next (pictures);
}

/* --- Tiny decoders --- */

static void
tiny_given_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (Offer) offer = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_given_part_take_finish (result, &error);
  g_autofree char *name = g_filename_display_basename (offer->path);
  g_autofree char *words = NULL;
  AtlModel *model = atl_pictures_session_get_model (offer->pictures);

  if (path == NULL)
    {
      notice (offer->pictures, error->message);
      return;
    }
  words = g_strdup_printf (
      _ ("“%s” was copied: models that it fits show pictures through it while they are drawn."),
      name);
  notice (offer->pictures, words);
  /* Its files are looked for when a model is loaded. */
  if (model != NULL && atl_pictures_session_get_current (offer->pictures) == NULL &&
      !atl_pictures_session_get_is_loading (offer->pictures))
    {
      g_autofree char *key = g_strdup (atl_model_get_key (model));

      atl_pictures_session_unload_model (offer->pictures);
      atl_pictures_session_load_model (offer->pictures, (const char *[]){ key, NULL }, FALSE);
    }
}

/* They are known by their names there; the folder says more than "diffusion_pytorch_model". */
static char *
tiny_name (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *above = g_path_get_dirname (path);
  g_autofree char *folder = g_path_get_basename (above);
  const char *dot = strrchr (base, '.');

  if (atl_nearby_is_tiny_name (base))
    return g_steal_pointer (&base);
  return atl_nearby_is_tiny_name (folder)
             ? g_strconcat (folder, dot != NULL ? dot : ".safetensors", NULL)
             : g_strconcat ("tae-", base, NULL);
}

static void
take_tiny (AtlPicturesSession *pictures, const char *path)
{
  g_autofree char *folder = atl_nearby_tiny_dir ();
  g_autofree char *name = tiny_name (path);

  atl_given_part_take_async (path, folder, name, ATL_GIVEN_COPY, NULL, tiny_given_cb,
                             offer_new (pictures, path, NULL));
}

/* --- Taking --- */

gboolean
atl_brought_parts_wants (AtlPicturesSession *pictures, const char *path)
{
  const char *model;
  const AtlModelInfo *lacking = atl_pictures_session_get_lacking (pictures, &model);
  g_autoptr (GPtrArray) names = vocabulary_names (lacking, path);

  return names->len > 0;
}

gboolean
atl_brought_parts_is_words (const char *name)
{
  static const char *const names[] = { "vocab.json",
                                       "merges.txt",
                                       "tokenizer.json",
                                       "spiece.model",
                                       "tokenizer.model",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       NULL };

  return g_strv_contains (names, name);
}

void
atl_brought_parts_keep_words (AtlPicturesSession *pictures, GFile *const *files, guint n_files)
{
  Brought *brought = brought_of (pictures);

  g_ptr_array_set_size (brought->words, 0);
  for (guint i = 0; i < n_files; i++)
    if (g_file_peek_path (files[i]) != NULL)
      g_ptr_array_add (brought->words, g_strdup (g_file_peek_path (files[i])));
  try_next (pictures);
}

gboolean
atl_brought_parts_take_folder (AtlPicturesSession *pictures, const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_object_unref);
  gboolean is_wanted = atl_pictures_session_get_is_loading (pictures);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (atl_brought_parts_is_words (name))
      {
        GFile *file = g_file_new_build_filename (path, name, NULL);

        is_wanted = is_wanted || atl_brought_parts_wants (pictures, g_file_peek_path (file));
        g_ptr_array_add (files, file);
      }
  if (files->len == 0 || !is_wanted)
    return FALSE;
  atl_brought_parts_keep_words (pictures, (GFile *const *) files->pdata, files->len);
  return TRUE;
}

gboolean
atl_brought_parts_take (AtlPicturesSession *pictures, const char *path, const AtlModelInfo *info)
{
  gboolean is_part = info != NULL && *info->part != '\0';
  const Brought *brought = brought_of (pictures);
  const char *model;
  const AtlModelInfo *lacking = atl_pictures_session_get_lacking (pictures, &model);

  if (is_part && g_str_equal (info->part, ATL_PART_TINY_DECODER))
    take_tiny (pictures, path);
  else if (atl_brought_parts_wants (pictures, path))
    let_wait (pictures, path);
  /* A whole model that chats may be the text encoder of one that draws. */
  else if (lacking != NULL &&
           (is_part || (info != NULL && !info->is_picture && !info->is_upscaler)))
    let_wait (pictures, path);
  else if (is_part)
    {
      g_autofree char *words = g_strdup_printf (
          _ ("%s. It is used when a model is added that lacks it."), info->fit_words);

      /* A model that is just looked at may want it. */
      if (!atl_pictures_session_get_is_loading (pictures) && brought->waiting->len == 0 &&
          !brought->is_busy && !brought->is_settling)
        notice (pictures, words);
      let_wait (pictures, path);
    }
  else
    return FALSE;
  return TRUE;
}
