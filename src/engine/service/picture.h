/* Making and enlarging pictures: from a job's arguments to pixels in the caller's file.
 *
 * Threading: on the worker that draws, unless said.
 */
#pragma once

#include "engine/diffusion/lora-file.h"
#include "engine/service/job.h"
#include "media/picture.h"

G_BEGIN_DECLS

/* --- picture-load.c: models for pictures --- */

/* Whether the names are those of a folder for pictures. */
gboolean atl_picture_is_folder (const AtlJob *job);
/* Whether one of the files holds a network that draws. */
gboolean atl_picture_is_meant (const AtlJob *job);
/* Into job->load.pictures. */
gboolean atl_picture_open (AtlJob *job, GError **error);
/* What Inspect tells; `missing` (nullable) is why it cannot be used. */
gboolean atl_picture_inspect (AtlJob *job, const char *missing, GError **error);
/* Moves job->load.pictures into `slot`. */
void atl_picture_load (AtlJob *job, AtlSlot *slot);

/* --- picture-input.c --- */

/* Decodes an untrusted picture, or takes raw pixels of `width` and `height` (0: a file). */
AtlPicture *atl_picture_input_decode (AtlFileMap *map, guint width, guint height, GError **error);
/* [1, n_channels, height, width] in 0…1, filtered to that size. The caller's; NULL where memory is
 * out. */
AtlArray *atl_picture_input_array (const AtlPicture *picture,
                                   const char *name,
                                   guint n_channels,
                                   gint64 width,
                                   gint64 height,
                                   GError **error);
/* Files of Create and ReadPicture into the job: rooms, pictures. */
gboolean atl_picture_take_files (AtlJob *job, GUnixFDList *fds, GVariant *files, GError **error);
/* What a picture to follow, of that size, is brought to: the size that its family wants, else its
 * own shape, no larger than what the model was trained for. */
void atl_picture_reference_size (
    AtlDiffusionModel *model, guint own_width, guint own_height, gint64 *width, gint64 *height);
/* The job's pictures into `inputs`, under the names and in the sizes that the family takes, and the
 * size of the result into the settings. Errors in words. */
gboolean
atl_picture_take_inputs (AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GError **error);
/* Outside the mask, where there is one, `rgb` [height, width, 3] becomes the picture of `inputs`
 * again, with a soft edge: what went through the autoencoder and back is not quite what it was.
 * FALSE where memory is out. */
gboolean
atl_picture_keep_rest (GPtrArray *inputs, guint8 *rgb, gint64 width, gint64 height, GError **error);
/* Whether a model has what it draws in: one that only fills masks draws nothing without a picture
 * and its mask. Else says so. */
gboolean atl_picture_check_fills (const AtlTraits *traits,
                                  const char *family,
                                  gboolean has_image,
                                  gboolean has_mask,
                                  GError **error);
/* The n-th file of that name, and its size if it is raw; NULL. Borrowed. */
AtlFileMap *
atl_picture_find_file (const AtlJob *job, const char *name, guint n, guint *width, guint *height);

/* --- picture-lora.c --- */

/* A LoRA's file into the job; `fd` stays the caller's. */
gboolean atl_picture_take_lora (AtlJob *job, int fd, const char *name, GError **error);
/* The job's LoRAs into its model, and what few-step ones want into the settings where the person
 * said nothing. */
gboolean atl_picture_use_loras (AtlJob *job, AtlSettings *settings, GError **error);
/* What Inspect tells when the job's one file is a LoRA; NULL without an error when it is none. */
GVariant *atl_picture_inspect_lora (AtlJob *job);

/* --- picture-part.c --- */

/* What Inspect tells of the job's own files when they are a part of models for pictures and none
 * themselves; NULL without an error when they are not. */
GVariant *atl_picture_inspect_part (AtlJob *job);

/* --- picture-settings.c --- */

/* As asked for; else of the shape (0: none), never larger than what the model was trained for. */
void atl_picture_choose_size (AtlSettings *settings,
                              const AtlTraits *traits,
                              guint shape_width,
                              guint shape_height,
                              gint64 *width,
                              gint64 *height);
/* From usual names to what the pipelines take. ATL_ERROR_INVALID, naming those that there are. */
gboolean
atl_picture_choose_sampler (AtlSettings *settings, const AtlTraits *traits, GError **error);
/* What is offered, as ATL_INFO_SAMPLERS, _SCHEDULES, _SIZES and _KNOBS, floating. */
GVariant *atl_picture_samplers (const AtlTraits *traits);
GVariant *atl_picture_schedules (const AtlTraits *traits);
GVariant *atl_picture_sizes (const AtlTraits *traits);
GVariant *atl_picture_knobs (const AtlTraits *traits);
/* Where the settings say nothing: a seed by chance, steps, guidance and weighting of
 * words as the model has them. Of frames always one. */
void atl_picture_set_defaults (AtlSettings *settings, const AtlTraits *traits);
/* What a LoRA for few steps wants, where the person said nothing: steps, guidance, sampler,
 * schedule and timesteps, eta, shift. */
void atl_picture_set_few_steps (AtlSettings *settings, const AtlLoraFacts *facts);
/* Whether the setting "faster_method" is a word that is known; ATL_ERROR_INVALID naming those of
 * the model. One that only other models have gives way to the next best (diffusion/passes.h). */
gboolean
atl_picture_check_method (const AtlSettings *settings, const AtlTraits *traits, GError **error);
/* Whether steps were left out ("faster"), whose time says nothing of others'; after the run. */
gboolean atl_picture_left_out_steps (const AtlJob *job);
/* What a picture takes, as ATL_WORK_*, without its steps' number. */
void atl_picture_add_work (GVariantDict *dict, const AtlDiffusionCost *cost);
/* How its settings leave out steps, so that what that saved can be foretold. */
void atl_picture_add_faster (GVariantDict *work, const AtlSettings *settings);
/* What a picture was made with, a{sv}, floating. */
GVariant *atl_picture_make_facts (const AtlJob *job, const AtlSettings *settings);

/* --- picture-words.c --- */

/* Control characters of the prompts become spaces, but for line ends and tabs: no tokenizer knows
 * them, and no file should hold them. */
void atl_picture_clean_words (AtlSettings *settings);
/* The prompts that are other than `asked` said, into the facts. */
void atl_picture_add_words (GVariantDict *facts, GVariant *asked, const AtlSettings *settings);
/* What in the prompts does not do what it looks like: tags of LoRAs, numbers that are no weights,
 * weights where there are none. Lines for people, the caller's; NULL: nothing. */
char *atl_picture_words_notice (const AtlSettings *settings, const AtlTraits *traits);

/* --- picture-send.c: on the worker that draws --- */

/* AtlRunHooks of a job. */
void atl_picture_progress_cb (const char *phase, guint step, guint n_steps, gpointer user_data);
void atl_picture_step_cb (const AtlArray *latent, guint step, guint n_steps, gpointer user_data);
/* When the run succeeded. */
void atl_picture_note_end (AtlJob *job);
/* All of `bytes` at the beginning of the descriptor, which stays the caller's. ATL_ERROR_FULL in
 * words. */
gboolean atl_picture_write (int fd, const guint8 *bytes, gsize size, GError **error);

/* After `done` of `total` tiles of another phase than steps: tells, lets others compute, rests. */
void atl_picture_tile_done (AtlJob *job, const char *phase, guint done, guint total);

/* --- picture-upscale.c: models that enlarge --- */

/* Into job->load.upscaler. */
gboolean atl_upscale_open (AtlJob *job, GError **error);
/* Whether the files' names leave nothing else. */
gboolean atl_upscale_is_meant (const AtlJob *job);
/* What is told about it, into job->info. */
void atl_upscale_inspect (AtlJob *job, const char *runs_on);
/* Moves job->load.upscaler into `slot`. */
void atl_upscale_load (AtlJob *job, AtlSlot *slot);

/* --- picture-ask.c --- */

/* The beginning of both: answers the call, and has `run` called on the worker that draws, which
 * leaves PictureDone's arguments in job->stats. */
gboolean atl_picture_begin (AtlService *self,
                            GDBusMethodInvocation *invocation,
                            GUnixFDList *fds,
                            guint request,
                            guint model,
                            GVariant *settings,
                            GVariant *files,
                            gboolean (*run) (AtlJob *, GError **));

G_END_DECLS
