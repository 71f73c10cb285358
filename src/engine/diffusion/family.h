/* A family of picture or clip models: which parts it needs, what it can do, and its pipeline.
 *
 * Adding one: its file, a line in families.c and in meson.build, its golden cases.
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
} AtlAbility;

/* What a model of the family recommends and can do; filled from the bundle. */
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
  const AtlPart *parts;
  guint n_parts;
  void (*traits) (AtlBundle *bundle, AtlTraits *traits);
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

G_END_DECLS
