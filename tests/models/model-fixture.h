/* For tests of models: tiny models from the golden cases, and backends.
 *
 *   g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
 *   AtlBackend *cpu = model_fixture_cpu (TRUE);      shared by all tests of the program
 *   g_autoptr (AtlLlm) llm = model_fixture_load (cp, cpu);
 */
#pragma once

#include "engine/models/component.h"
#include "engine/models/llm/llm.h"

/* The path of a file of a family that tests/golden ships, unpacked into the build folder. */
char *model_fixture_path (const char *family, const char *file);
AtlCheckpoint *model_fixture_open (const char *family, const char *file);
AtlCheckpoint *model_fixture_open_path (const char *path);
/* Paths of all language models that tests/golden ships, and of other families in the folders that
 * $ATELIER_GOLDEN_PATH names, other forms of the same weights included; the caller owns the array
 * and its strings. */
GPtrArray *model_fixture_models (void);

/* A folder as its authors publish it; and the paths of all that tests/golden ships, as above. */
AtlCheckpoint *model_fixture_open_folder (const char *path);
GPtrArray *model_fixture_folders (void);

/* The CPU in float32, or as people run it. Freed by model_fixture_end(). */
AtlBackend *model_fixture_cpu (gboolean exact);
/* The same in float32 on this thread only: for thousands of models that hardly compute. */
AtlBackend *model_fixture_one_thread (void);
void model_fixture_end (void);

/* Loads or fails the test. */
AtlLlm *model_fixture_load (AtlCheckpoint *cp, AtlBackend *backend);

/* Decodes or fails the test; the logits of the last token, borrowed. */
const float *model_fixture_feed (AtlLlm *llm, AtlLlmCache *cache, const gint32 *ids, guint n);

/* A backend that is interrupted: after `n_until` more runs the device fails, or, if `cancellable`
 * is there, that is cancelled. `half_way`: when half of the nodes have run. trap_end gives the
 * backend back as it was. */
void model_fixture_trap (AtlBackend *backend,
                         guint n_until,
                         GCancellable *cancellable,
                         gboolean half_way);
void model_fixture_trap_end (AtlBackend *backend);

/* One pass of a tiny UNet of four channels with fixed inputs, or the test fails; the text is
 * [1, 7, n_context]. The caller's. */
AtlArray *model_fixture_run_unet (AtlComponent *unet, gint64 n_context);

/* ||a - b|| / ||b||; infinity when a is not finite. */
double model_fixture_distance (const float *a, const float *b, guint n);

/* The largest amount of memory the process had so far, in bytes; 0 where a sanitizer counts. */
guint64 model_fixture_peak (void);
