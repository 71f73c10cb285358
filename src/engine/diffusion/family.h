/* A family of picture or clip models: everything that is its own, in one struct: which parts it
 * needs and where they are published, what it can do and what can be set, its schedule, what tells
 * its LoRAs, and its pipeline.
 *
 *   const AtlDiffusionFamily atl_family_flux = { .name = "flux", …, .run = run_flux };
 *
 * Adding one: its file, a line in families.c, family-list.h and meson.build, its golden cases.
 *
 * Threading: constant.
 */
#pragma once

#include "engine/diffusion/passes.h"
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

/* What a model recommends and can do: its family's, and what its bundle says otherwise. Member
 * "atelier" of model_index.json says the last word: {"side": 128, "steps": 20, "guidance": 4,
 * "frames": 1, "fps": 8, "toy": true}. */
typedef struct
{
  guint abilities; /* AtlAbility */
  guint multiple;  /* of width and height in px */
  guint side;      /* of the square it was trained for, px */
  guint max_side;  /* px, of the longer side; 0: any */
  guint steps;
  double guidance;
  gboolean adds_guidance; /* to one pass, so that 0 is none; others scale the way between two
                           * passes, so that 1 and less is none */
  guint max_references;
  guint frames; /* 1: pictures */
  double fps;
  gboolean is_flow;            /* matches flows */
  const AtlKnob *const *knobs; /* NULL-terminated (knobs.h) */
  /* Of the bundle, else of AtlDiffusionFamily.schedule: */
  const char *sampler; /* class of its own schedule */
  double shift;
  gboolean is_toy; /* shows how things work rather than drawing well */
} AtlTraits;

/* A schedule as it is where the bundle has no configuration of one. */
typedef struct
{
  const char *name;   /* class: "FlowMatchEulerDiscreteScheduler" */
  const char *config; /* JSON */
  const char *fixed;  /* (nullable) JSON, which wins over every other configuration */
} AtlOwnSchedule;

/* A file at Hugging Face that serves as a part, or is one of those that a vocabulary consists of.
 */
typedef struct
{
  const char *role;
  const char *repository, *file;
  guint64 size_bytes; /* as the repository lists it; 0: not known */
  /* (nullable: all) Whether it is for the denoiser of this bundle, of those that a family has. */
  gboolean (*suits) (AtlBundle *bundle);
} AtlPublished;

/* What tells a family's LoRA files, and what those for few steps want beside steps. */
typedef struct
{
  /* NULL-terminated, both nullable: how the model's name in the file's metadata begins, and parts
   * of tensors' names that only this family's layers have, dots as underscores. */
  const char *const *bases, *const *marks;
  gint64 text_width;                /* that a UNet's layers attend to; 0: no UNet */
  gboolean has_clip_g;              /* files of the larger CLIP alone are taken for its own */
  const AtlDiffusionFamily *shared; /* (nullable) another family whose LoRAs it takes */
  /* Few steps: */
  gboolean keeps_guidance;  /* an input that was taught, and not a second pass */
  const char *sampler;      /* (nullable) usual name: the one to take */
  double shift;             /* of the steps; 0: the model's */
  gboolean is_shift_sized;  /* which the model takes from the picture's size */
  double hyper_strength;    /* that Hyper's authors merge theirs with; 0: 1 */
  double hyper_guidance[3]; /* of those that keep it, in 4, 8, 16 steps; 0: the model's */
} AtlLoraTraits;

struct _AtlDiffusionFamily
{
  const char *name;  /* "sdxl" */
  const char *words; /* "Stable Diffusion XL" */
  /* (nullable) What is in the names of those of its models that follow other pictures, where
   * nothing else tells them. */
  const char *editing_word;
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
  const AtlPublished *published; /* files of one role one after another (missing.h) */
  guint n_published;
  AtlTraits traits;
  /* (nullable) What differs among its models. */
  void (*refine) (AtlBundle *bundle, AtlTraits *traits);
  AtlOwnSchedule schedule;
  double first_timestep; /* that its denoiser is asked at: 1000 or 1 */
  /* (nullable) What TeaCache's authors fitted to a denoiser; NULL where they did not. */
  const AtlTeaFit *(*tea_fit) (const AtlStepNetwork *network);
  AtlLoraTraits lora;
  /* (nullable: as it is, no larger than the square of side) The size in which a reference picture
   * is given to run(). */
  void (*reference_size) (
      const AtlTraits *traits, double width, double height, gint64 *to_width, gint64 *to_height);
  /* The pipeline: leaves "image" [1, 3, H, W] or "video" [F, 3, H, W] in 0…1, and "final_latent".
   */
  gboolean (*run) (AtlRun *run, GError **error);
};

/* NULL-terminated. */
const AtlDiffusionFamily *const *atl_diffusion_families (void);
/* By `pipeline` (nullable: a class name the caller knows), by model_index.json, else by its loose
 * files, whose parts are then assigned. NULL with ATL_ERROR_UNSUPPORTED in words. */
const AtlDiffusionFamily *
atl_diffusion_family_for (AtlBundle *bundle, const char *pipeline, GError **error);

/* Whether one file, by that logical name, holds a denoiser of some family. */
gboolean atl_diffusion_is_denoiser (AtlFileMap *map, const char *name);

/* The traits of this bundle. */
void
atl_family_read_traits (const AtlDiffusionFamily *family, AtlBundle *bundle, AtlTraits *traits);

G_END_DECLS
