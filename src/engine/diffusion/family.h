/* A family of picture or clip models: which parts it needs, what it can do, and its pipeline.
 *
 * Adding one: its file, a line in families.c, family-list.h and meson.build, a row in knobs.c where
 * its sampler or settings are not those of most, rows in missing.c for the published files of its
 * parts, its golden cases.
 */
#pragma once

#include "engine/diffusion/run.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_CAN_NEGATIVE = 1 << 0,  /* a negative prompt has an effect */
  ATL_CAN_IMAGE = 1 << 1,     /* starts from a picture ("image", "strength") */
  ATL_CAN_MASK = 1 << 2,      /* paints inside a mask ("mask") */
  ATL_CAN_REFERENCE = 1 << 3, /* edits or follows reference pictures ("image_1"…) */
  ATL_CAN_WEIGHTS = 1 << 4,   /* (word:1.3) in prompts */
  ATL_CAN_CLIP = 1 << 5,      /* makes several frames */
  ATL_CAN_PICTURE = 1 << 6,   /* makes single pictures */
  ATL_CAN_GUIDANCE = 1 << 7,  /* the guidance has an effect */
  ATL_CAN_LORA = 1 << 8,      /* takes LoRAs */
} AtlAbility;

typedef enum
{
  ATL_KNOB_WHOLE,
  ATL_KNOB_NUMBER,
  ATL_KNOB_SWITCH,
  ATL_KNOB_CHOICE
} AtlKnobKind;

/* A setting of a family beside those that all have. Words are translatable. */
typedef struct
{
  const char *name; /* of the setting */
  const char *label, *help;
  AtlKnobKind kind;
  double min, max, step, fallback;
  const char *const *choices; /* NULL-terminated, the first is the fallback */
} AtlKnob;

/* Its fallback is AtlTraits.shift. */
#define ATL_KNOB_SHIFT "shift"

/* What a model of the family recommends and can do; filled from the bundle. Member "atelier" of its
 * model_index.json says otherwise: {"side": 128, "steps": 20, "guidance": 4, "frames": 1, "fps": 8,
 * "toy": true}. */
typedef struct
{
  guint abilities; /* AtlAbility */
  guint multiple;  /* of width and height in px */
  guint side;      /* of the square it was trained for, px */
  guint steps;
  double guidance;
  guint max_references;
  guint frames; /* 1: pictures */
  double fps;
  /* Of knobs.c: */
  const char *sampler; /* class of its own schedule; of the bundle */
  gboolean is_flow;    /* matches flows */
  double shift;
  const AtlKnob *const *knobs; /* NULL-terminated */
  gboolean is_toy;             /* shows how things work rather than drawing well */
} AtlTraits;

typedef struct
{
  const char *name;  /* "sdxl" */
  const char *words; /* "Stable Diffusion XL" */
  /* NULL-terminated class names in model_index.json and golden cases. */
  const char *const *pipelines;
  /* The component class (component.h) that loose files are told by, and which of its networks are
   * this family's (nullable: all). */
  const char *component;
  gboolean (*accepts) (const AtlCheckpoint *cp);
  /* (nullable) Whether this one can run, asked when its parts are known; FALSE in words. */
  gboolean (*check) (AtlBundle *bundle, GError **error);
  const AtlPart *parts;
  guint n_parts;
  void (*traits) (AtlBundle *bundle, AtlTraits *traits);
  /* (nullable: as it is, no larger than the square of side) The size in which a reference picture
   * is given to run(). */
  void (*reference_size) (
      const AtlTraits *traits, double width, double height, gint64 *to_width, gint64 *to_height);
  /* The pipeline: leaves "image" [1, 3, H, W] or "video" [F, 3, H, W] in 0…1, and "final_latent".
   */
  gboolean (*run) (AtlRun *run, GError **error);
} AtlDiffusionFamily;

/* NULL-terminated. */
const AtlDiffusionFamily *const *atl_diffusion_families (void);
/* By `pipeline` (nullable: a class name the caller knows), by model_index.json, else by its loose
 * files, whose parts are then assigned. NULL with ATL_ERROR_UNSUPPORTED in words. */
const AtlDiffusionFamily *
atl_diffusion_family_for (AtlBundle *bundle, const char *pipeline, GError **error);

/* knobs.c: what the family's traits() leaves out. */
void atl_family_complete (const AtlDiffusionFamily *family, AtlBundle *bundle, AtlTraits *traits);

G_END_DECLS
