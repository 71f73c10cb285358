/* A queue of files to ask the engine about, and a memory of its answers. */
#define G_LOG_DOMAIN "atl-app"

#include "app/models/model-inspector.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include <glib/gi18n.h>

#include "base/error.h"
#include "base/json-bounded.h"

/* Files asked about in one go: a folder of another app may hold hundreds. */
#define MAX_ASKED 40
#define SAVE_S 2

struct _AtlModelInspector
{
  GObject parent_instance;

  AtlClient *client;
  GHashTable *verdicts; /* path -> Verdict */
  GQueue waiting;       /* (element-type AtlModelEntry) */
  GCancellable *gone;   /* cancelled when the inspector is */
  gboolean is_asking;
  char *file; /* of the cache */
  guint save_source;
};

G_DEFINE_FINAL_TYPE (AtlModelInspector, atl_model_inspector, G_TYPE_OBJECT)

static guint judged_signal;

typedef struct
{
  gint64 changed_us;
  guint64 size_bytes;
  gboolean is_passing; /* true now, but nothing about the file: not remembered, asked again */
  char *why_not;       /* (nullable) */
  AtlModelKind kind;
  AtlModelInfo *info; /* (nullable) asked in this session */
} Verdict;

static void
free_verdict (gpointer data)
{
  Verdict *verdict = data;

  g_free (verdict->why_not);
  g_clear_pointer (&verdict->info, atl_model_info_unref);
  g_free (verdict);
}

static Verdict *
find (AtlModelInspector *self, AtlModelEntry *entry)
{
  Verdict *verdict = g_hash_table_lookup (self->verdicts, entry->path);

  return verdict != NULL && verdict->changed_us == entry->changed_us &&
                 verdict->size_bytes == entry->size_bytes
             ? verdict
             : NULL;
}

/* --- Remembering --- */

/* Who judged, in which language: another engine may know more. */
static char *
judge_name (void)
{
  g_autofree char *program = atl_client_find_engine (NULL);
  GStatBuf st = { 0 };

  if (program != NULL && g_stat (program, &st) != 0)
    st = (GStatBuf){ 0 };
  return g_strdup_printf ("%" G_GINT64_FORMAT ".%09ld %" G_GINT64_FORMAT " %s",
                          (gint64) st.st_mtim.tv_sec, (long) st.st_mtim.tv_nsec,
                          (gint64) st.st_size, g_get_language_names ()[0]);
}

static void
save (AtlModelInspector *self)
{
  g_autoptr (JsonObject) root = json_object_new ();
  g_autoptr (JsonNode) node = json_node_alloc ();
  g_autofree char *judge = judge_name ();
  g_autofree char *text = NULL;
  g_autofree char *folder = g_path_get_dirname (self->file);
  g_autoptr (GError) error = NULL;
  JsonObject *models = json_object_new ();
  GHashTableIter iter;
  gpointer path, value;

  g_clear_handle_id (&self->save_source, g_source_remove);
  g_hash_table_iter_init (&iter, self->verdicts);
  while (g_hash_table_iter_next (&iter, &path, &value))
    {
      const Verdict *verdict = value;
      JsonObject *model;

      if (verdict->is_passing || !g_utf8_validate (path, -1, NULL) ||
          !g_file_test (path, G_FILE_TEST_EXISTS))
        continue;
      model = json_object_new ();
      json_object_set_int_member (model, "changed", verdict->changed_us);
      json_object_set_int_member (model, "size", (gint64) verdict->size_bytes);
      if (verdict->why_not != NULL)
        json_object_set_string_member (model, "why_not", verdict->why_not);
      json_object_set_int_member (model, "kind", verdict->kind);
      json_object_set_object_member (models, path, model);
    }
  json_object_set_string_member (root, "judge", judge);
  json_object_set_object_member (root, "models", models);
  json_node_init_object (node, root);
  text = json_to_string (node, FALSE);
  g_mkdir_with_parents (folder, 0700);
  /* Lost, it is asked again. */
  if (!g_file_set_contents_full (self->file, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error))
    g_debug ("what was learnt about models is not remembered: %s", error->message);
}

static gboolean
save_cb (gpointer data)
{
  AtlModelInspector *self = data;

  self->save_source = 0;
  save (self);
  return G_SOURCE_REMOVE;
}

static void
restore (AtlModelInspector *self)
{
  g_autofree char *text = NULL;
  g_autofree char *judge = judge_name ();
  g_autoptr (JsonNode) node = NULL;
  JsonObject *root, *models;
  JsonObjectIter iter;
  const char *path;
  JsonNode *value;
  gsize size;

  if (!g_file_get_contents (self->file, &text, &size, NULL))
    return;
  node = atl_json_parse (text, size, self->file, NULL);
  root = node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  if (root == NULL || g_strcmp0 (atl_json_string (root, "judge", NULL), judge) != 0)
    return;
  models = atl_json_object (root, "models");
  if (models == NULL)
    return;
  json_object_iter_init (&iter, models);
  while (json_object_iter_next (&iter, &path, &value))
    {
      JsonObject *model = JSON_NODE_HOLDS_OBJECT (value) ? json_node_get_object (value) : NULL;
      Verdict *verdict;

      if (model == NULL)
        continue;
      verdict = g_new0 (Verdict, 1);
      verdict->changed_us = atl_json_int (model, "changed", 0);
      verdict->size_bytes = (guint64) atl_json_int (model, "size", 0);
      verdict->why_not = g_strdup (atl_json_string (model, "why_not", NULL));
      verdict->kind =
          (AtlModelKind) CLAMP (atl_json_int (model, "kind", 0), ATL_MODEL_UNKNOWN, ATL_MODEL_LORA);
      g_hash_table_replace (self->verdicts, g_strdup (path), verdict);
    }
}

/* --- Asking --- */

static void ask_next (AtlModelInspector *self);

typedef struct
{
  AtlModelInspector *inspector;
  AtlModelEntry *entry;
} Asked;

static AtlModelKind
kind_of (AtlModelEntry *entry, const AtlModelInfo *info)
{
  if (info == NULL)
    return entry->kind;
  return info->is_picture    ? ATL_MODEL_PICTURES
         : info->is_lora     ? ATL_MODEL_LORA
         : info->is_upscaler ? ATL_MODEL_UPSCALER
                             : ATL_MODEL_CHAT;
}

static void
learn (AtlModelInspector *self, AtlModelEntry *entry, AtlModelInfo *info, const GError *error)
{
  Verdict *verdict = g_new0 (Verdict, 1);

  verdict->changed_us = entry->changed_us;
  verdict->size_bytes = entry->size_bytes;
  if (error != NULL)
    verdict->why_not = g_strdup (error->message);
  else if (!info->can_run && !atl_model_info_can_be_completed (info))
    verdict->why_not = g_strdup (info->fit_words);
  verdict->kind = kind_of (entry, info);
  /* A disk that is not plugged in, a file that must not be read: tomorrow it may be otherwise. */
  verdict->is_passing = error != NULL
                            ? !g_error_matches (error, ATL_ERROR, ATL_ERROR_BAD_FILE) &&
                                  !g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED)
                            : info->n_missing > 0;
  verdict->info = info != NULL ? atl_model_info_ref (info) : NULL;
  g_hash_table_replace (self->verdicts, g_strdup (entry->path), verdict);
  if (self->save_source == 0)
    self->save_source = g_timeout_add_seconds (SAVE_S, save_cb, self);
  g_signal_emit (self, judged_signal, 0, entry->path);
}

static void
asked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Asked *asked = data;
  g_autoptr (AtlModelInspector) self = asked->inspector;
  g_autoptr (AtlModelEntry) entry = asked->entry;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = atl_client_inspect_finish (ATL_CLIENT (source), result, &error);

  g_free (asked);
  self->is_asking = FALSE;
  if (g_cancellable_is_cancelled (self->gone))
    return;
  /* An engine that ended says nothing about the file, and the next look asks again. */
  if (g_error_matches (error, ATL_ERROR, ATL_ERROR_ENGINE_GONE))
    {
      g_queue_clear_full (&self->waiting, g_object_unref);
      return;
    }
  learn (self, entry, info, error);
  ask_next (self);
}

static void
ask_next (AtlModelInspector *self)
{
  AtlModelEntry *entry = self->is_asking ? NULL : g_queue_pop_head (&self->waiting);
  Asked *asked;

  if (entry == NULL)
    return;
  asked = g_new0 (Asked, 1);
  asked->inspector = g_object_ref (self);
  asked->entry = entry;
  self->is_asking = TRUE;
  atl_client_inspect_async (self->client, (const char *[]){ entry->path, NULL }, NULL, self->gone,
                            asked_cb, asked);
}

static gboolean
may_be_too_large (AtlModelEntry *entry)
{
  return entry->size_bytes / 1024 >
         (guint64) sysconf (_SC_PHYS_PAGES) * (guint64) sysconf (_SC_PAGESIZE) / 1024 / 4;
}

void
atl_model_inspector_look (AtlModelInspector *self, GPtrArray *entries, gboolean all)
{
  g_queue_clear_full (&self->waiting, g_object_unref);
  for (guint i = 0; i < entries->len && self->waiting.length < MAX_ASKED; i++)
    {
      AtlModelEntry *entry = g_ptr_array_index (entries, i);
      const Verdict *verdict = find (self, entry);
      gboolean ask;

      if (verdict == NULL)
        ask = entry->why_not == NULL;
      else if (verdict->info != NULL)
        ask = verdict->is_passing || (verdict->info->can_run && !verdict->info->fits);
      else
        ask =
            verdict->is_passing || (verdict->why_not == NULL && (all || may_be_too_large (entry)));
      if (ask)
        g_queue_push_tail (&self->waiting, g_object_ref (entry));
    }
  ask_next (self);
}

void
atl_model_inspector_fill (AtlModelInspector *self, AtlModelEntry *entry)
{
  const Verdict *verdict = find (self, entry);
  const AtlModelInfo *info = verdict != NULL ? verdict->info : NULL;

  if (verdict == NULL)
    return;
  if (verdict->kind != ATL_MODEL_UNKNOWN)
    entry->kind = verdict->kind;
  g_free (entry->why_not);
  entry->why_not = g_strdup (verdict->why_not);
  g_clear_pointer (&entry->too_large, g_free);
  g_clear_pointer (&entry->lacks, g_free);
  g_clear_pointer (&entry->fit_words, g_free);
  if (info != NULL && info->can_run)
    *(info->fits ? &entry->fit_words : &entry->too_large) = g_strdup (info->fit_words);
  else if (info != NULL && verdict->why_not == NULL)
    {
      g_autofree char *missing = atl_model_info_missing_words (info);

      entry->lacks = g_strdup_printf (_ ("Parts are missing: %s"), missing);
    }
}

/* --- GObject --- */

static void
atl_model_inspector_dispose (GObject *object)
{
  AtlModelInspector *self = ATL_MODEL_INSPECTOR (object);

  g_cancellable_cancel (self->gone);
  g_queue_clear_full (&self->waiting, g_object_unref);
  if (self->save_source != 0)
    save (self);
  g_clear_object (&self->client);
  G_OBJECT_CLASS (atl_model_inspector_parent_class)->dispose (object);
}

static void
atl_model_inspector_finalize (GObject *object)
{
  AtlModelInspector *self = ATL_MODEL_INSPECTOR (object);

  g_object_unref (self->gone);
  g_hash_table_unref (self->verdicts);
  g_free (self->file);
  G_OBJECT_CLASS (atl_model_inspector_parent_class)->finalize (object);
}

static void
atl_model_inspector_class_init (AtlModelInspectorClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_model_inspector_dispose;
  G_OBJECT_CLASS (klass)->finalize = atl_model_inspector_finalize;
  judged_signal = g_signal_new ("judged", ATL_TYPE_MODEL_INSPECTOR, G_SIGNAL_RUN_LAST, 0, NULL,
                                NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
atl_model_inspector_init (AtlModelInspector *self)
{
  self->verdicts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_verdict);
  self->gone = g_cancellable_new ();
  self->file = g_build_filename (g_get_user_cache_dir (), "atelier", "models.json", NULL);
  restore (self);
}

AtlModelInspector *
atl_model_inspector_new (AtlClient *client)
{
  AtlModelInspector *self = g_object_new (ATL_TYPE_MODEL_INSPECTOR, NULL);

  self->client = g_object_ref (client);
  return self;
}
