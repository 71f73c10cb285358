/* The parts of a picture or clip model as people have them: a diffusers folder, one file with
 * everything in it, or loose files (a denoiser here, an autoencoder there).
 *
 *   g_autoptr (AtlBundle) bundle = atl_bundle_new (maps, names, n, error);
 *   AtlCheckpoint *vae = atl_bundle_checkpoint (bundle, "vae", error);
 *   AtlTokenizer *tokenizer = atl_bundle_tokenizer (bundle, "tokenizer", error);
 *
 * Roles have the names of diffusers' folders: "transformer", "unet", "text_encoder_2", "vae"… A
 * file whose logical name begins with such a folder has that role; other files are asked what
 * networks they hold, by the parts that a family needs (family.h). Files "nearby/…" just lie where
 * others of its parts may be: they are asked last, what is broken among them is passed over.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "engine/models/component.h"
#include "engine/tokenizers/tokenizer.h"

G_BEGIN_DECLS

typedef struct _AtlBundle AtlBundle;

/* Where a denoiser reads what a text encoder gives, which has to be as wide: the last dimension of
 * a tensor. */
typedef struct
{
  const char *denoiser;     /* role */
  const char *const *names; /* NULL-terminated, without prefix: the tensor by any of them */
  guint n_states;           /* hidden states side by side; 0: the pooled vector of CLIP */
  /* Of pooled vectors: numbers that are read beside them; (nullable) the role of the encoder whose
   * vector is, too, and how wide that is usually. */
  gint64 beside;
  const char *other;
  gint64 usual;
} AtlTextReader;

/* A network that a family needs. */
typedef struct
{
  const char *role;     /* "text_encoder_2" */
  const char *words;    /* what a person calls it: "CLIP-G text encoder"; translatable */
  const char *function; /* what it must be able to do: "encode_text" */
  const char *origin; /* the authors' class, where no model_index.json says it: "T5EncoderModel" */
  /* Of several networks that can: which is meant. (nullable) any */
  gboolean (*accepts) (const AtlCheckpoint *cp);
  gboolean is_optional;
  /* (nullable) Of an optional one: whether this bundle's denoiser needs it all the same. */
  gboolean (*needs) (AtlBundle *bundle);
  /* (nullable) The role whose files may hold this network as well, under its own names: a vision
   * tower in those of its language model. */
  const char *beside;
  /* (nullable) Whether a loose file's network belongs to the denoiser, which stands before this
   * part in its family's list; atl_bundle_note_misfit() says why not. */
  gboolean (*fits) (AtlBundle *bundle, const AtlCheckpoint *cp);
  const AtlTextReader *reader; /* (nullable) of a text encoder: the same by its width */
} AtlPart;

/* Of a loose file that would be a part but for its width. */
typedef struct
{
  const char *name;    /* of the file, borrowed from it */
  gint64 gives, takes; /* numbers that it has for a text or a token, and that the denoiser reads */
} AtlMisfit;

/* `names` (nullable members) are logical names; takes references on the maps. Only looks at names;
 * files are opened when they are asked for. ATL_ERROR_INVALID when there is nothing. */
AtlBundle *
atl_bundle_new (AtlFileMap *const *maps, const char *const *names, guint n, GError **error);
/* The same files, read anew, for another thread. */
AtlBundle *atl_bundle_copy (const AtlBundle *self);
void atl_bundle_free (AtlBundle *self);

/* "_class_name" of model_index.json; NULL without one. Borrowed. */
const char *atl_bundle_pipeline (AtlBundle *self);
/* The class that model_index.json, or the part it was assigned to, gives a role; NULL. Borrowed. */
const char *atl_bundle_class (AtlBundle *self, const char *role);
/* A JSON file of a role's folder, or with role NULL of the top; NULL when it is absent or no
 * object. Borrowed. */
JsonObject *atl_bundle_json (AtlBundle *self, const char *role, const char *file);

/* Looks in the loose files for the parts that no folder gives. ATL_ERROR_BAD_FILE when a file is
 * broken; what is still missing is not an error here. */
gboolean atl_bundle_assign (AtlBundle *self, const AtlPart *parts, guint n_parts, GError **error);
/* The first loose file, or folder of a denoiser, that holds a network of that component class
 * (component.h), for a family to recognise itself by; NULL without an error when there is none.
 * Borrowed. */
AtlCheckpoint *atl_bundle_loose (AtlBundle *self, const char *class_name, GError **error);
/* For AtlPart.fits: that the file it is asked about has another width. */
void atl_bundle_note_misfit (AtlBundle *self, const AtlCheckpoint *cp, gint64 gives, gint64 takes);
/* NULL unless a loose file was no part for that role because of its width. Borrowed. */
const AtlMisfit *atl_bundle_misfit (const AtlBundle *self, const char *role);
/* NULL unless the text encoder that plays the part, wherever it lies, has another width than is
 * read of it. Borrowed, until the next question. */
const AtlMisfit *atl_bundle_text_misfit (AtlBundle *self, const AtlPart *part);
gboolean atl_bundle_has (AtlBundle *self, const char *role);
/* Whether a model does not work without the part. After atl_bundle_assign(). */
gboolean atl_bundle_needs (AtlBundle *self, const AtlPart *part);
/* Whether files of the role's own are there, weights or not. */
gboolean atl_bundle_has_folder (const AtlBundle *self, const char *role);
/* Whether one of them has that name, without its folder. */
gboolean atl_bundle_has_file (const AtlBundle *self, const char *role, const char *name);
/* Borrowed. ATL_ERROR_NOT_FOUND when the bundle has no such part, ATL_ERROR_BAD_FILE when its files
 * are broken. */
AtlCheckpoint *atl_bundle_checkpoint (AtlBundle *self, const char *role, GError **error);
/* The vocabulary in a role's folder, or in the text encoder's file itself ("text_encoder" for
 * "tokenizer"). Borrowed. Errors as above, ATL_ERROR_BAD_FILE also where it is not that text
 * encoder's. */
AtlTokenizer *atl_bundle_tokenizer (AtlBundle *self, const char *role, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlBundle, atl_bundle_free)

G_END_DECLS
