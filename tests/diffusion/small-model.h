/* A small whole model for tests: one of the golden cases that come with the source. */
#pragma once

#include "engine/diffusion/model.h"

/* Opens FAMILY/model of tests/golden, unpacked into the build folder. */
AtlDiffusionModel *small_model_open (const char *family);
/* The same with another file (nullable) of that name among its own. */
AtlDiffusionModel *small_model_open_with (const char *family, AtlFileMap *more, const char *name);
/* Its folder; the caller's. */
char *small_model_folder (const char *family);
