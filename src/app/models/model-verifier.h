/* Verifies models, one after the other while everything else goes on; tells the result, and gets
 * what is damaged again if the person wants that.
 *
 *   AtlModelVerifier *verifier = atl_model_verifier_get (session);
 *   atl_model_verifier_verify (verifier, GTK_WINDOW (window), path, "Qwen 2.5");
 *
 * Signal:
 *   "changed" (path)  how far it is, or what is known about it, changed
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_VERIFIER (atl_model_verifier_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelVerifier, atl_model_verifier, ATL, MODEL_VERIFIER, GObject)

/* The one of this session; borrowed. */
AtlModelVerifier *atl_model_verifier_get (AtlSession *session);

/* A good result is told through the session's "notice", a bad one by a question above `parent`:
 * get it again, where its source is known, or take it as it is, where somebody changed it. */
void atl_model_verifier_verify (AtlModelVerifier *self,
                                GtkWindow *parent,
                                const char *path,
                                const char *name);

/* Takes it out again, or stops it. What has been fetched is kept. */
void atl_model_verifier_stop (AtlModelVerifier *self, const char *path);

/* "Verifying · 34 %" of one that is under way or waits; NULL else. The caller's. */
char *atl_model_verifier_words (AtlModelVerifier *self, const char *path);

typedef enum
{
  ATL_MODEL_NOT_VERIFIED,
  ATL_MODEL_INTACT,
  ATL_MODEL_DAMAGED,
} AtlModelVerdict;

/* What came out since the window was opened. `why` (out, nullable) is a sentence, borrowed. */
AtlModelVerdict
atl_model_verifier_result (AtlModelVerifier *self, const char *path, const char **why);

G_END_DECLS
