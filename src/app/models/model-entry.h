/* One model of this computer, and what is known about it.
 *
 *   AtlModelEntry *entry = atl_model_list_find (list, path);
 *   if (entry->why_not != NULL)
 *     ...                                       // cannot be asked: the words say why
 *
 * Plain data, filled in by its list; AtlModelList::judged says when why_not, too_large or fit_words
 * changed. Property "name" (for searching drop-downs).
 *
 * Threading: the main thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_MODEL_UNKNOWN, /* nobody has looked into it yet */
  ATL_MODEL_CHAT,
  ATL_MODEL_PICTURES,
  ATL_MODEL_UPSCALER,
  ATL_MODEL_LORA,
} AtlModelKind;

#define ATL_TYPE_MODEL_ENTRY (atl_model_entry_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelEntry, atl_model_entry, ATL, MODEL_ENTRY, GObject)

struct _AtlModelEntry
{
  GObject parent_instance;

  char *path;
  char *name;
  AtlModelKind kind;
  char *origin; /* (nullable) "Ollama": the files belong to that app */
  guint64 size_bytes;
  gint64 changed_us;   /* when the newest of its files was written */
  gint64 last_used_us; /* 0: never */
  gboolean in_library; /* in our folder, so it can be removed here */
  gboolean reference;  /* in our folder as a link */
  gboolean is_toy;

  char *why_not;   /* (nullable) it cannot be used: damaged, incomplete, of an unknown kind */
  char *too_large; /* (nullable) it can, but the memory does not suffice now */
  char *lacks;     /* (nullable) it can, once parts are fetched that are known: which */
  char *fit_words; /* (nullable) it can, and does: what it needs and what is free */
};

/* Copies both; everything else about it is unknown yet. */
AtlModelEntry *atl_model_entry_new (const char *path, const char *name);

/* Whether it may be asked as far as is known: a chat's model, or one that nobody has looked into.
 */
gboolean atl_model_entry_may_answer (const AtlModelEntry *self);

/* A sentence on what is worth knowing before choosing it: why it cannot be used, that it is too
 * large, else its size and where it comes from. The caller's. */
char *atl_model_entry_describe (AtlModelEntry *self);

G_END_DECLS
