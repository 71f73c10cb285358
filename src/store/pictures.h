/* Pictures that were made, edited, enlarged or taken in: where each file is and its whole recipe.
 *
 *   AtlPictureRow row = { .path = path, .width = 512, .height = 512, .prompt = "a fox" };
 *   gint64 id = atl_store_picture_add (store, &row, &error);
 *   g_autoptr (GArray) foxes = atl_store_picture_list (store, "fox", FALSE, &error);
 *
 * The pixels are the files'; a row may name a file that is gone, and a file may have no row yet
 * (its process was killed between writing the one and the other). Deleting and undo are trash.h's,
 * with ATL_TRASH_PICTURE; the file is the caller's to move.
 *
 * Threading: that of the handle. 10,000 pictures are listed in about 10 ms.
 */
#pragma once

#include "store/store.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_ORIGIN_MADE,     /* of a prompt */
  ATL_ORIGIN_EDITED,   /* of a prompt and a picture */
  ATL_ORIGIN_UPSCALED, /* of a picture */
  ATL_ORIGIN_IMPORTED, /* another program's, or of an Atelier whose list is lost */
} AtlPictureOrigin;

typedef struct
{
  gint64 id;
  char *path; /* absolute; unique */
  AtlPictureOrigin origin;
  gint64 created_us;   /* 0 when added: now */
  guint width, height; /* px */
  char *prompt;        /* (nullable) */
  char *negative;      /* (nullable) */
  char *model;         /* (nullable) its name, for people */
  char *recipe;        /* (nullable) object: all that is known of how it was made */
  gint64 seed;         /* -1: none */
  gint64 parent_id;    /* the picture it was made from; 0: none, or not known */
  gboolean starred;
  gint64 trashed_us;  /* 0: it is not in the trash */
  guint64 size_bytes; /* of the file, with changed_us: by these it is known when it was moved */
  gint64 changed_us;  /* when the file was written */
} AtlPictureRow;

/* NULL is fine. */
void atl_picture_row_free (AtlPictureRow *row);

/* What a grid of many pictures needs to know of each. */
typedef struct
{
  gint64 id;
  gint64 created_us;
  guint width, height;
  gboolean starred;
} AtlPictureBrief;

/* Its id, or 0 on error. `id` and `trashed_us` are ignored. A path that is there already gives that
 * row what is new (it is the same file) and keeps its star; in the trash, it comes back. One that
 * was made here and is another file, by size and time, replaces a row whose file is gone; one in
 * the trash keeps its row, under a path where nothing is. */
gint64 atl_store_picture_add (AtlStore *self, const AtlPictureRow *row, GError **error);

/* NULL with ATL_ERROR_NOT_FOUND when there is none. Trashed ones are found too. */
AtlPictureRow *atl_store_picture_get (AtlStore *self, gint64 id, GError **error);
AtlPictureRow *atl_store_picture_find (AtlStore *self, const char *path, GError **error);

/* Newest first, without those in the trash. `words` (nullable, empty: all) as search.h has them,
 * in prompt, negative prompt and model's name. (transfer full) (element-type AtlPictureBrief) */
GArray *
atl_store_picture_list (AtlStore *self, const char *words, gboolean only_starred, GError **error);

/* All paths that have a row, the trash included: char * -> gint64 *, its id. (transfer full) */
GHashTable *atl_store_picture_paths (AtlStore *self, GError **error);

/* ATL_ERROR_NOT_FOUND when it is not there. */
gboolean atl_store_picture_star (AtlStore *self, gint64 id, gboolean starred, GError **error);

/* The file lies elsewhere now. ATL_ERROR_BUSY when that path has a row of its own. */
gboolean atl_store_picture_move (AtlStore *self, gint64 id, const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPictureRow, atl_picture_row_free)

G_END_DECLS
