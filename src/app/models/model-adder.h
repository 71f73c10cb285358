/* Brings models into the library: looks at what a person brought, asks once however much that is,
 * copies one after the other while everything else goes on, and opens the first.
 *
 *   AtlModelAdder *adder = atl_model_adder_get (session);
 *   atl_model_adder_bring (adder, GTK_WINDOW (window), files, n_files);
 *
 * Signals:
 *   "changed"  what is being copied, or how far it is, changed
 *   "lora"     (char *path, AtlModelInfo *) one was brought where pictures are made; TRUE where
 *              it is used
 *
 * Threading: the main thread.
 */
#pragma once

#include <gtk/gtk.h>

#include "app/session/session.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_ADDER (atl_model_adder_get_type ())
G_DECLARE_FINAL_TYPE (AtlModelAdder, atl_model_adder, ATL, MODEL_ADDER, GObject)

/* The one of this session; borrowed. */
AtlModelAdder *atl_model_adder_get (AtlSession *session);

/* Files and folders with models. What is in the library already is opened; what cannot be brought
 * is told through the session's "notice", what is no model or damaged through its "load-failed",
 * once for all; about the others there is one question, which grows when more is brought while it
 * is open, and says which of them cannot be used by themselves. */
void atl_model_adder_bring (AtlModelAdder *self, GtkWindow *parent, GFile *const *files, guint n);

/* The same where pictures are made: LoRAs go to "lora", language models may be text encoders, and
 * parts, with files of vocabularies (`words`), go to the model among them once it is chosen, else
 * to the one that is. */
void atl_model_adder_bring_for_pictures (AtlModelAdder *self,
                                         GtkWindow *parent,
                                         GFile *const *files,
                                         guint n,
                                         GFile *const *words,
                                         guint n_words);

/* What is being copied into the library, for people; NULL when nothing is; borrowed. */
const char *atl_model_adder_get_name (AtlModelAdder *self);
/* "390 MB of 1.1 GB", borrowed; and 0 to 1, which never falls for one model. */
const char *atl_model_adder_get_words (AtlModelAdder *self);
double atl_model_adder_get_fraction (AtlModelAdder *self);
/* Ends the copy, and leaves out those that wait behind it. */
void atl_model_adder_cancel (AtlModelAdder *self);

G_END_DECLS
