/* What the Images page works with: the picture model in use, the draft, the queue and whoever
 * works it off. One for each AtlSession; it lives as long.
 *
 *   AtlPicturesSession *pictures = atl_pictures_session_get (session);
 *   atl_set_string (&atl_pictures_session_get_settings (pictures)->prompt, "a red fox");
 *   atl_pictures_session_create (pictures);
 *
 * Properties (all notify):
 *   "model"       AtlModel (nullable): the one that the next pictures are asked from
 *   "is-loading"  gboolean
 *   "current"     AtlPictureTask (nullable): what is being drawn or saved
 *   "start"       the picture to begin with was read
 *   "lacking"     a model that was to be loaded lacks parts that can be fetched, or does no longer
 *   "is-paused"   gboolean: what is being drawn rests, nothing new is begun
 * Signals:
 *   "settings-changed"                      by somebody else than the page: show them again
 *   "saved"        (char *path, GdkTexture *, gint64 id)  a picture is on the disk
 *   "failed"       (AtlPictureTask *)       it is in the queue still, with its error
 *   "load-failed"  (GError *, char *name)
 *
 * Results are saved at once, as PNG with their recipe, into `Pictures/Atelier`; nothing is ever
 * overwritten. What cannot be saved is kept in memory and saved when it is tried again. The draft
 * is in the store half a second after a change, so that it survives a crash; so is the queue, which
 * waits when the program is started again, until it is asked to go on.
 *
 * Threading: the main thread; saving happens on workers.
 */
#pragma once

#include "app/images/picture-queue.h"
#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_PICTURES_SESSION (atl_pictures_session_get_type ())
G_DECLARE_FINAL_TYPE (AtlPicturesSession, atl_pictures_session, ATL, PICTURES_SESSION, GObject)

/* Made when it is asked for first; borrowed. */
AtlPicturesSession *atl_pictures_session_get (AtlSession *session);
AtlSession *atl_pictures_session_get_session (AtlPicturesSession *self); /* borrowed */

/* --- The model --- */

AtlModel *atl_pictures_session_get_model (AtlPicturesSession *self); /* (nullable) borrowed */
/* Of the model in use; NULL without one; borrowed. */
const AtlModelInfo *atl_pictures_session_get_info (AtlPicturesSession *self);
const char *atl_pictures_session_get_model_name (AtlPicturesSession *self); /* (nullable) */
gboolean atl_pictures_session_get_is_loading (AtlPicturesSession *self);
const char *atl_pictures_session_get_load_name (AtlPicturesSession *self); /* "" when none */
/* What loading is at, a sentence; "" when none. With notify::is-loading. */
const char *atl_pictures_session_get_load_phase (AtlPicturesSession *self);
/* As atl_session_load_model(). */
void atl_pictures_session_load_model (AtlPicturesSession *self,
                                      const char *const *paths,
                                      gboolean insist);
/* The model that was to be loaded last, when all it lacks can be fetched; `path` (out) is its file,
 * borrowed. NULL: there is none; borrowed. */
const AtlModelInfo *atl_pictures_session_get_lacking (AtlPicturesSession *self, const char **path);
void atl_pictures_session_unload_model (AtlPicturesSession *self);
/* The model in use once more, with what was put beside its files: now, or when nothing is drawn. */
void atl_pictures_session_reload_model (AtlPicturesSession *self);
/* Once, when nobody has chosen one: the model used last, else another one that was used and is
 * there, else the toy. */
void atl_pictures_session_ensure_model (AtlPicturesSession *self);

/* --- The draft --- */

/* To be changed in place; then tell with the next function. Borrowed. */
AtlPictureSettings *atl_pictures_session_get_settings (AtlPicturesSession *self);
void atl_pictures_session_settings_touched (AtlPicturesSession *self);
/* Takes over `settings` and emits "settings-changed". */
void atl_pictures_session_take_settings (AtlPicturesSession *self, AtlPictureSettings *settings);
/* Writes the draft now. */
void atl_pictures_session_flush (AtlPicturesSession *self);

/* --- Pictures that go in --- */

/* The picture to begin with, at most 1024 px a side; NULL without one, or until it is read; then
 * "notify::start". Borrowed. */
AtlPictureFile *atl_pictures_session_get_start (AtlPicturesSession *self);
/* Whether the model follows pictures and begins with none. */
gboolean atl_pictures_session_follows (AtlPicturesSession *self);
/* Reads the file and begins with it (NULL: with none). Of a model that begins with no picture and
 * follows some, it becomes one to follow. What is wrong with it becomes a notice of the session. */
void atl_pictures_session_set_start (AtlPicturesSession *self, const char *path);
/* The same with the bytes of a picture file, which are kept in the program's folder. */
void atl_pictures_session_set_start_bytes (AtlPicturesSession *self, GBytes *bytes);
/* What people call the picture in the file `path`: its file's name, of one that was pasted when
 * that was. The caller's. */
char *atl_pictures_input_name (const char *path);
/* What is told of a recipe that cannot be followed here: its model is another than the one in use,
 * the names `loras` (nullable) are nowhere. NULL where nothing lacks; the caller's. */
char *
atl_pictures_session_lacks_words (AtlPicturesSession *self, GVariant *recipe, const char *loras);
/* Fills `settings` from a recipe, with its LoRAs: the names of those that are nowhere, "a, b", or
 * NULL; the caller's. */
char *atl_pictures_session_apply_recipe (AtlPicturesSession *self,
                                         AtlPictureSettings *settings,
                                         GVariant *recipe);
/* How the picture was made becomes the draft. */
void atl_pictures_session_restore_recipe (AtlPicturesSession *self, const char *path);
/* Sets what is added at the sides, in percent, and the size of the result after it. */
void atl_pictures_session_set_extend (AtlPicturesSession *self, const guint extend[4]);

/* --- Enlarging --- */

/* The file or folder of the network that pictures are enlarged with: the one that was chosen last,
 * else any that is there. NULL: there is none; the caller's. */
char *atl_pictures_session_dup_upscaler (AtlPicturesSession *self);
void atl_pictures_session_set_upscaler (AtlPicturesSession *self, const char *path);
/* Puts the picture in the file `path` into the queue, to be enlarged `factor` times; the result is
 * another file, saved as what is drawn is. */
void atl_pictures_session_enlarge (AtlPicturesSession *self, const char *path, guint factor);

/* --- Work --- */

AtlPictureQueue *atl_pictures_session_get_queue (AtlPicturesSession *self);  /* borrowed */
AtlPictureTask *atl_pictures_session_get_current (AtlPicturesSession *self); /* (nullable) */
/* As many tasks as the settings say; FALSE without a model. */
gboolean atl_pictures_session_create (AtlPicturesSession *self);
/* Ends what is being drawn; the queue goes on. `keep`: what can be seen of it is saved; of one that
 * is enlarged after it was drawn, that is the small one. */
void atl_pictures_session_stop (AtlPicturesSession *self, gboolean keep);
/* Of the queue, nothing was drawn since the program was started. */
gboolean atl_pictures_session_get_has_kept (AtlPicturesSession *self);
gboolean atl_pictures_session_get_is_paused (AtlPicturesSession *self);
void atl_pictures_session_set_is_paused (AtlPicturesSession *self, gboolean is_paused);
/* A failed task once more: only its saving, if it is drawn. Ends a pause. */
void atl_pictures_session_retry (AtlPicturesSession *self, AtlPictureTask *task);
/* A task that was taken out of the queue is there again, as `at`, and drawn when its turn comes. */
void atl_pictures_session_put_back (AtlPicturesSession *self, AtlPictureTask *task, guint at);

/* Where results go: "Atelier" in the person's folder of pictures. The caller's. */
char *atl_pictures_dir (void);

G_END_DECLS
