/* A golden case as read from its folder, and where its results go. Used by golden*.c only. */
#pragma once

#include <json-glib/json-glib.h>

#include "engine/tensor/array.h"
#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef struct {
  char *folder;        /* (owned) of the case */
  char *family_folder; /* (owned) two levels up: paths in the case are relative to it */
  JsonNode *root;      /* (owned) */
  const char *name, *kind, *model, *component, *architecture;
  JsonObject *params;
  double tolerance;           /* of float32 backends */
  double tolerance_quantised; /* of engines that round activations; 0 = not given */
  GPtrArray *inputs;          /* (owned) AtlArray */
  GPtrArray *expected;        /* (owned) AtlArray */
} GoldenCase;

typedef struct {
  const char *name; /* "cpu", "opencl:0" */
  AtlBackend *list[2];
  guint n;
  gboolean exact; /* float32 activations throughout */
} GoldenBackend;

typedef struct {
  gboolean json;
  guint n_ok, n_failed, n_missing;
} GoldenReport;

GoldenCase *golden_case_read (const char *folder, GError **error);
void golden_case_free (GoldenCase *self);

/* Opens a model file or a folder's weight files with their configuration. `path` is relative to the family. */
AtlCheckpoint *golden_open (const GoldenCase *self, const char *path, const char *component, GError **error);

void golden_report_result (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend, const char *output, double rel_l2, double tolerance);
void golden_report_error (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend, const GError *error);
/* The tolerance for this backend. */
double golden_tolerance (const GoldenCase *c, const GoldenBackend *backend);

/* Each runs one case on one backend and reports. */
void golden_run_llm (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);
void golden_run_component (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GoldenCase, golden_case_free)

G_END_DECLS
