/* What the OpenCL tests share: the device they run on and where its compiled kernels go. */
#pragma once

#include "engine/tensor/opencl/opencl.h"

/* Before anything else touches OpenCL: compiled kernels of PoCL and our own files go below the
 * build folder, so that a second run starts warm. */
const char *opencl_fixture_cache_dir (void);

/* The best device of any kind, CPU-type ones (PoCL) included; NULL after g_test_skip with words
 * when there is none. */
AtlOpenclDevice *opencl_fixture_device (void);

/* That device opened; NULL likewise. */
AtlBackend *opencl_fixture_open (const char *cache_dir);

/* Removes a folder and what is in it. */
void opencl_fixture_remove_dir (const char *path);
