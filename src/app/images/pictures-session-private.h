/* The fields that the files of the session share: pictures-session.c has the draft,
 * pictures-model.c the model, pictures-inputs.c reads the pictures that go in, pictures-work.c
 * draws and saves, pictures-enlarge.c makes larger,
 * pictures-kept.c keeps the queue. */
#pragma once

#include "app/images/pictures-session.h"

struct _AtlPicturesSession
{
  GObject parent_instance;

  AtlSession *session;   /* borrowed: it outlives this */
  AtlModel *model;       /* (nullable) */
  GCancellable *load;    /* (nullable) */
  char *load_name;       /* (nullable) */
  char *load_phase;      /* (nullable) */
  char *lacking_path;    /* (nullable) what was to be loaded and is not whole */
  AtlModelInfo *lacking; /* (nullable) what it lacks */
  gboolean is_decided;   /* which model to use, by the person or at the start */
  gboolean reloads;      /* the model, when nothing is drawn any more */
  gboolean is_gone;      /* the session is being disposed of */

  AtlPictureSettings *settings;
  guint draft_source;

  AtlPictureFile *start;      /* (nullable) */
  char *start_path;           /* (nullable) of `start`, or of what is being read */
  GCancellable *start_cancel; /* (nullable) while it is read */

  AtlPictureQueue *queue;
  guint keep_source;       /* the queue changed and is not kept yet */
  gboolean has_kept;       /* it waits since the program was started */
  AtlPictureTask *current; /* (nullable) */
  GCancellable *preparing; /* (nullable) before current is drawn */
  AtlPictureJob *job;      /* (nullable) of current, while it is drawn or enlarged */
  gboolean is_enlarging;   /* current is drawn, or was a picture before */
  gboolean keeps_small;    /* it is not to be enlarged to the end, and saved as it was drawn */
  AtlModel *upscaler;      /* (nullable) used last */
  gboolean is_paused;
  GHashTable *unsaved; /* AtlPictureTask -> what was drawn and could not be saved */
};

/* What waits for the end of drawing. */
void atl_pictures_session_reload_when_idle (AtlPicturesSession *self);
/* As the preferences say. */
void atl_pictures_session_load_options (AtlPicturesSession *self, AtlLoadOptions *options);
void atl_pictures_session_notify_start (AtlPicturesSession *self);
/* Reads the draft's start picture, if it is another one than before. */
void atl_pictures_session_follow_start (AtlPicturesSession *self);
/* Removes copies of pasted pictures that the draft does not use. */
void atl_pictures_session_clean_pasted (AtlPicturesSession *self);
void atl_pictures_session_dispose_inputs (AtlPicturesSession *self);
void atl_pictures_session_notify_current (AtlPicturesSession *self);
void atl_pictures_session_emit_saved (AtlPicturesSession *self,
                                      const char *path,
                                      GdkTexture *texture,
                                      gint64 id);
void atl_pictures_session_emit_failed (AtlPicturesSession *self, AtlPictureTask *task);
/* Begins the next task when nothing is at work. */
void atl_pictures_session_work (AtlPicturesSession *self);
void atl_pictures_session_init_work (AtlPicturesSession *self);
void atl_pictures_session_dispose_work (AtlPicturesSession *self);
/* The job of current has begun: its signals are followed. Takes it over. */
void atl_pictures_session_watch (AtlPicturesSession *self, AtlPictureJob *job);
/* The current task ended without a picture. */
void atl_pictures_session_over (AtlPicturesSession *self, const GError *error);
/* Of pictures-kept.c: what waited when the program ended is there again, and waits; from then on
 * each change of the queue is kept. */
void atl_pictures_session_restore_queue (AtlPicturesSession *self);
/* Writes the queue now. */
void atl_pictures_session_flush_queue (AtlPicturesSession *self);
/* The queue changed in a way that its list does not tell: it is kept soon. */
void atl_pictures_session_keep_queue (AtlPicturesSession *self);
/* The model of current, which was kept, is loaded; then it is drawn. */
void atl_pictures_session_load_kept (AtlPicturesSession *self);
/* Draws current, whose model is there. */
void atl_pictures_session_draw (AtlPicturesSession *self);
/* Of pictures-enlarge.c: enlarges the picture of the request; what comes of it goes to the two
 * functions above. */
void atl_pictures_session_ask_larger (AtlPicturesSession *self, AtlPictureRequest *request);
