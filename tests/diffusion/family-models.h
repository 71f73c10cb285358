/* A small whole model of each family of pictures, in the forms that are drawn differently: what the
 * golden cases hold, put together as people have it.
 *
 *   for (guint i = 0; i < family_models_n (); i++)
 *     {
 *       const FamilyModel *model = family_model (i);
 *       g_autofree char *folder = family_model_folder (model);      NULL: not unpacked here
 *       …
 *       patched_model_remove (folder);
 *     }
 */
#pragma once

#include "patched-model.h"

typedef struct
{
  const char *name;   /* "flux1-kontext" */
  const char *family; /* of golden cases */
  const char *folder; /* in it: "model" */
  /* NULL-terminated pairs of paths, the first below the family, the second below the model that is
   * made: a folder that takes another's place, or NULL: that one goes. */
  const char *const *changes;
  const char *pipeline; /* (nullable) of model_index.json, in place of its own */
  /* What it begins with: "", "image", "image mask" or "reference". */
  const char *inputs;
  /* (nullable) A dictionary in text form: what so small a model cannot take from its family. */
  const char *settings;
  gboolean is_shipped; /* its archive comes with the source */
} FamilyModel;

guint family_models_n (void);
const FamilyModel *family_model (guint i);
/* A copy that may be changed, for patched_model_remove(); NULL where its cases are not there, after
 * saying so. */
char *family_model_folder (const FamilyModel *self);
