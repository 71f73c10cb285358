/* One picture of HiDream on its way: its texts, and what editing adds. */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

#define ATL_HIDREAM_FACTOR 8
#define ATL_HIDREAM_TOKEN 16 /* side, px */
#define ATL_HIDREAM_DENOISER "transformer"
#define ATL_HIDREAM_EDITOR "editor" /* where I1 is the denoiser */
#define ATL_HIDREAM_EDITING "HiDreamImageEditingPipeline"
/* Behind it a prompt says what an edited picture shows. */
#define ATL_HIDREAM_TARGET "Target Image Description:"

/* What the encoders make of a text. */
typedef struct
{
  AtlArray *pooled, *context, *llama; /* (owned) */
} AtlHiDreamText;

enum
{
  ATL_HIDREAM_NEGATIVE,
  ATL_HIDREAM_POSITIVE,
  ATL_HIDREAM_REFINED,
  ATL_HIDREAM_N_TEXTS
};

typedef struct
{
  gboolean is_guided;
  double guidance;
  AtlLatent latent;
  AtlHiDreamText texts[ATL_HIDREAM_N_TEXTS]; /* (owned) */
  AtlHiDreamText batch;                      /* (owned) of the denoiser under way */
  const char *editor, *refiner; /* roles: the denoiser; (nullable) the one of the last steps */
  /* Of editing. */
  gboolean edits, keeps_norm;
  double image_guidance;
  guint n_edits;       /* steps before the refiner's */
  gboolean has_turned; /* to the refiner */
  double max_seq[2];   /* of editor and refiner; negative: their own */
  AtlArray *picture;   /* (owned, nullable) clean latent */
} AtlHiDream;

/* Runs all prompts of this run through all encoders: fills `texts`. */
gboolean atl_hidream_encode_text (AtlRun *run, AtlHiDream *self, GError **error);
/* Puts n of the texts beside each other, as the network takes a batch: fills `batch`. */
void atl_hidream_set_batch (AtlHiDream *self, const guint *which, guint n);
void atl_hidream_text_clear (AtlHiDreamText *self);

/* Whether a denoiser's file is called E1: its network is I1's. */
gboolean atl_hidream_is_editor (const AtlCheckpoint *cp);
/* Which parts edit and refine; no editor: I1. */
void atl_hidream_find_editor (AtlBundle *bundle,
                              const char *pipeline,
                              const char **editor,
                              const char **refiner);
/* The size in the shape of a picture, sides multiples of 16, of about that area; all in px. */
void atl_hidream_fit_area (
    double width, double height, double area, gint64 *to_width, gint64 *to_height);
/* Finds out whether and how this run edits; the latent gets the picture's size. ATL_ERROR_INVALID
 * where the picture does not divide into tokens. */
gboolean atl_hidream_prepare_edit (AtlRun *run, AtlHiDream *self, GError **error);
/* The picture's latent, and who does which of the steps. */
gboolean atl_hidream_read_picture (AtlRun *run, AtlHiDream *self, guint n_steps, GError **error);
/* The noisy latent three times, the first beside nothing, the others beside the picture: [3, C, h,
 * 2 w]. The caller's. */
AtlArray *atl_hidream_beside_picture (const AtlHiDream *self, const AtlArray *x);
/* The three predictions [3, C, h, 2 w], of which the left halves count, as one: out [1, C, h, w].
 */
void atl_hidream_guide_edit (const AtlHiDream *self, const AtlArray *three, AtlArray *out);

G_END_DECLS
