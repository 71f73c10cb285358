/* The shipped Flux of one double and one single block, as its four-bit file or unpacked.
 *
 *   g_autoptr (AtlCheckpoint) cp = flux_fixture_open (TRUE);
 *   g_autoptr (AtlArray) out = flux_fixture_forward (cp, model_fixture_cpu (TRUE), NULL, 0);
 */
#pragma once

#include "engine/models/component.h"

#define FLUX_FIXTURE_WIDTH 128

/* Under diffusers' names; `unpacked`: without the four-bit form of its layers. The caller's. */
AtlCheckpoint *flux_fixture_open (gboolean unpacked);
/* What the shipped case's inputs give on a backend and the host's, or the test fails; the caller's.
 */
AtlArray *flux_fixture_forward (AtlCheckpoint *cp,
                                AtlBackend *backend,
                                const AtlLoraFile *loras,
                                guint n_loras);
/* A float32 matrix, whose numbers are borrowed. */
void flux_fixture_add (
    AtlCheckpoint *cp, const char *name, gint64 rows, gint64 columns, const float *data);
