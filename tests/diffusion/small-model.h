/* A small whole model for tests: one of the golden cases that come with the source. */
#pragma once

#include "engine/diffusion/model.h"

/* Opens FAMILY/model of tests/golden, unpacked into the build folder. */
AtlDiffusionModel *small_model_open (const char *family);
/* The same with another file (nullable) of that name among its own. */
AtlDiffusionModel *small_model_open_with (const char *family, AtlFileMap *more, const char *name);
/* That of any folder. */
AtlDiffusionModel *small_model_open_folder (const char *folder, AtlFileMap *more, const char *name);
/* A family's folder of golden cases that come with the source; the caller's. */
char *small_model_shipped (const char *family);
/* A family's folder of golden cases that do not come with the source (ATELIER_GOLDEN_PATH, or
 * ../shared/golden beside the tree); NULL where they are not there. The caller's. */
char *small_model_family (const char *family);
/* Its folder; the caller's. */
char *small_model_folder (const char *family);
