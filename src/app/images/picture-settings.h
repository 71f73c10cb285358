/* What a person set up for pictures, as plain data: the face of the page, its draft on disk, and
 * what the engine is asked.
 *
 *   AtlPictureSettings *s = atl_picture_settings_new ();
 *   atl_set_string (&s->prompt, "a red fox");
 *   GVariant *asked = atl_picture_settings_to_variant (s, info, seed);
 *
 * What was not touched follows the model: 0 steps, a negative guidance, an empty sampler mean "the
 * model's own". A recipe read from a picture gives settings again, without what it does not say.
 *
 * Threading: plain data, one owner.
 */
#pragma once

#include "client/model-info.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_QUALITY_FAST,
  ATL_QUALITY_BALANCED, /* what the model's authors recommend */
  ATL_QUALITY_BEST,
} AtlQuality;

#define ATL_MAX_PICTURE_COUNT 64u
#define ATL_MAX_PICTURE_STEPS 200u
#define ATL_MAX_GUIDANCE 30.0
#define ATL_DEFAULT_STRENGTH 0.6
#define ATL_MAX_EXTEND 100u /* percent a side */
#define ATL_MAX_ENLARGE 4u
/* A model with either ability takes a picture to begin with; with the second alone only to draw
 * inside a mask. */
#define ATL_PICTURE_BEGINS (ATL_PICTURE_IMAGE | ATL_PICTURE_MASK)

typedef struct
{
  char *path;
  double strength; /* -2 to 2 */
  gboolean is_off;
  /* What it set as it was added, because it was made for few steps, and what was there before. */
  guint steps, steps_before;        /* steps 0: none */
  double guidance, guidance_before; /* guidance negative: none */
  char *sampler, *sampler_before;   /* sampler NULL: none */
  char *schedule, *schedule_before; /* likewise */
} AtlPictureLora;

typedef struct
{
  char *prompt;
  char *negative;
  char *shape;         /* "3:2"; "": width and height */
  guint width, height; /* px, where there is no shape */
  AtlQuality quality;
  guint count; /* 1 to ATL_MAX_PICTURE_COUNT */

  guint steps;     /* 0: as the quality says */
  double guidance; /* negative: the model's own */
  char *sampler;   /* the usual name; "": the model's own */
  char *schedule;
  GHashTable *knobs; /* char* -> GVariant: the family's own settings that were changed */
  guint32 seed;
  gboolean seed_is_locked; /* else every picture gets another */
  guint enlarge;           /* times, once it is drawn: 2 to ATL_MAX_ENLARGE; 0: it is not */

  char *start;           /* (nullable) the picture to begin with: a file */
  double strength;       /* how much of it may change, 0 to 1 */
  GBytes *mask;          /* (nullable) a PNG, white where it may change */
  guint extend[4];       /* percent of the start picture added: left, top, right, bottom */
  GPtrArray *references; /* (element-type char*) files */
  GPtrArray *loras;      /* (element-type AtlPictureLora) */
} AtlPictureSettings;

/* Balanced quality, one square picture, no words; what is negative or empty is left to the model.
 * A copy shares nothing. NULL is fine for free. */
AtlPictureSettings *atl_picture_settings_new (void);
AtlPictureSettings *atl_picture_settings_copy (const AtlPictureSettings *self);
void atl_picture_settings_free (AtlPictureSettings *self);

AtlPictureLora *atl_picture_lora_new (const char *path, double strength);
void atl_picture_lora_free (AtlPictureLora *lora);
/* Adds the file, which `info` tells of, as strong as it is meant. One that was made for few steps
 * sets these and, where it says them, guidance, and sampler and schedule if `model` (nullable) has
 * that sampler. */
void atl_picture_settings_add_lora (AtlPictureSettings *self,
                                    const char *path,
                                    const AtlModelInfo *info,
                                    const AtlModelInfo *model);
/* What to append to `prompt` so that it says `words`: ", words"; NULL when it says them already, in
 * small or capital letters. The caller's. */
char *atl_picture_prompt_with (const char *prompt, const char *words);
/* Takes `lora`, one of self->loras, away and frees it. What it set becomes what was there before,
 * unless that was changed meanwhile. */
void atl_picture_settings_remove_lora (AtlPictureSettings *self, AtlPictureLora *lora);

/* Of `info` (nullable: of no model), as the settings are now. */
guint atl_picture_settings_steps (const AtlPictureSettings *self, const AtlModelInfo *info);
double atl_picture_settings_guidance (const AtlPictureSettings *self, const AtlModelInfo *info);
/* FALSE where what should not be there would have no effect. */
gboolean atl_picture_settings_uses_negative (const AtlPictureSettings *self,
                                             const AtlModelInfo *info);
void atl_picture_settings_size (const AtlPictureSettings *self,
                                const AtlModelInfo *info,
                                guint *width,
                                guint *height);
/* The size in px for a picture that is given: its shape with about as many pixels as the square
 * that the model was trained for. */
void atl_picture_settings_fit (
    const AtlModelInfo *info, guint given_width, guint given_height, guint *width, guint *height);
/* These numbers of px, as the shape of the model that has them where there is one. */
void atl_picture_settings_set_size (AtlPictureSettings *self,
                                    const AtlModelInfo *info,
                                    guint width,
                                    guint height);
/* Brings a size down to the largest of its shape that the model makes; FALSE: it makes this one. */
gboolean atl_picture_size_within (const AtlModelInfo *info, guint *width, guint *height);
/* Where the model does not make pictures of the size in px that was chosen, the most alike of its
 * shapes becomes the size, and TRUE is returned. */
gboolean atl_picture_settings_suit_size (AtlPictureSettings *self, const AtlModelInfo *info);
/* The start picture's size with what is added at its sides. */
void atl_picture_settings_extended (
    const AtlPictureSettings *self, guint given_width, guint given_height, guint *w, guint *h);
gboolean atl_picture_settings_is_extended (const AtlPictureSettings *self);
/* Takes the start picture away, with mask and what is added. */
void atl_picture_settings_clear_start (AtlPictureSettings *self);
/* The steps that a quality means where the authors recommend `recommended`. */
guint atl_quality_steps (AtlQuality quality, guint recommended);

/* a{sv} with ATL_MADE_* for the engine: what the model ignores is left out. Floating. */
GVariant *atl_picture_settings_to_variant (const AtlPictureSettings *self,
                                           const AtlModelInfo *info,
                                           guint32 seed);

/* Takes over what a recipe (a{sv} with ATL_MADE_*) says; the seed is locked then, so that the same
 * picture comes out. What it is silent about becomes the model's own; pictures to begin with are
 * taken away, LoRAs and the count stay. */
void atl_picture_settings_apply_recipe (AtlPictureSettings *self,
                                        GVariant *recipe,
                                        const AtlModelInfo *info);

/* All of it as JSON, and back: what cannot be read has its default. The string is the caller's. */
char *atl_picture_settings_to_json (const AtlPictureSettings *self);
AtlPictureSettings *atl_picture_settings_from_json (const char *json);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlPictureSettings, atl_picture_settings_free)

G_END_DECLS
