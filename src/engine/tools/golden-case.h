/* A golden case as read from its folder, and where its results go. Used by golden*.c and by the
 * tests that run the cases.
 *
 *   g_autoptr (GPtrArray) folders = golden_find_cases ("tests/golden/llm-qwen2", &error);
 *   for (guint i = 0; i < folders->len; i++)
 *     golden_run_case (&report, folders->pdata[i], NULL, backends, n_backends);
 *
 * Threading: one thread.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "engine/models/component.h"
#include "engine/tensor/array.h"
#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct
{
  char *folder;        /* (owned) of the case */
  char *family_folder; /* (owned) two levels up: paths in the case are relative to it */
  JsonNode *root;      /* (owned) */
  const char *name, *kind, *model, *component, *architecture;
  JsonObject *params;
  double tolerance;    /* of float32 backends */
  GPtrArray *inputs;   /* (owned) AtlArray; after golden_case_load() */
  GPtrArray *expected; /* (owned) AtlArray; after golden_case_load() */
} GoldenCase;

typedef struct
{
  const char *name; /* "cpu", "opencl:0" */
  AtlBackend *list[2];
  guint n;
  gboolean exact; /* float32 activations throughout */
} GoldenBackend;

/* One compared output, or a case that came to none. */
typedef struct
{
  const char *name, *backend;
  const char *output; /* "-" when nothing was compared */
  double rel_l2;      /* NAN when nothing was compared */
  double tolerance;
  const char *verdict; /* "ok", "FAIL" or "MISSING": nothing here can run it */
  const char *why;     /* (nullable) the error's words */
} GoldenRow;

typedef struct
{
  void (*row) (const GoldenRow *row, gpointer user_data);
  gpointer user_data;
  guint n_cases;                   /* cases run, once for each backend */
  guint n_ok, n_failed, n_missing; /* rows */
} GoldenReport;

/* Folders with a case.json below `folder`, sorted; at most eight levels deep. ATL_ERROR_INVALID for
 * one with tens of thousands of names, such as a whole disk. (element-type utf8) */
GPtrArray *golden_find_cases (const char *folder, GError **error);

/* Reads case.json only. */
GoldenCase *golden_case_read (const char *folder, GError **error);
/* Reads the inputs and the expected values. */
gboolean golden_case_load (GoldenCase *self, GError **error);
void golden_case_free (GoldenCase *self);
/* Whether cases of this kind can be run at all. */
gboolean golden_kind_is_known (const char *kind);

/* Opens a model file or a folder's weight files with their configuration. `path` is relative to the
 * family. */
AtlCheckpoint *
golden_open (const GoldenCase *self, const char *path, const char *component, GError **error);

/* The files of the parameter "loras": at most `max` into both arrays, whose references the caller
 * drops, also after an error. */
gboolean golden_open_loras (const GoldenCase *self,
                            AtlLoraFile *loras,
                            AtlCheckpoint **checkpoints,
                            guint max,
                            guint *n,
                            GError **error);

/* Files on their way to a bundle: maps, and their logical names. */
typedef struct
{
  GPtrArray *maps, *names; /* (owned, nullable) */
} GoldenFiles;
void golden_files_clear (GoldenFiles *self);
/* A file as `name`, or every file below a folder as `name`/…; "" for the top. */
gboolean golden_files_add (GoldenFiles *self, const char *path, const char *name, GError **error);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GoldenFiles, golden_files_clear)

/* Runs the case on every backend and reports. `only` (nullable) is a pattern for its name. */
void golden_run_case (GoldenReport *report,
                      const char *folder,
                      const char *only,
                      const GoldenBackend *backends,
                      guint n_backends);

/* Each runs one loaded case on one backend and reports. */
void golden_run_llm (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);
void golden_run_schedule (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);
void golden_run_component (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);
void golden_run_sequence (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);
void golden_run_pipeline (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);

/* encode_text of a whole prompt: weights, chunks or two encoders. */
gboolean golden_is_prompt (const GoldenCase *c);
void golden_run_prompt (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);

/* Every expected output but the intermediate ones ("debug_") against what came out. */
void golden_report_outputs (GoldenReport *report,
                            const GoldenCase *c,
                            const GoldenBackend *backend,
                            GPtrArray *outputs);
void golden_report_result (GoldenReport *report,
                           const GoldenCase *c,
                           const GoldenBackend *backend,
                           const char *output,
                           double rel_l2,
                           double tolerance);
/* ATL_ERROR_UNSUPPORTED is MISSING, any other error FAIL. */
void golden_report_error (GoldenReport *report,
                          const GoldenCase *c,
                          const GoldenBackend *backend,
                          const GError *error);
/* The tolerance for this backend. */
double golden_tolerance (const GoldenCase *c, const GoldenBackend *backend);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GoldenCase, golden_case_free)

G_END_DECLS
