/* What tests of pictures share: the tiny models of the golden cases, and one picture, waited for.
 */
#pragma once

#include "client-fixture.h"

/* One picture, collected. */
typedef struct
{
  AtlPictureJob *job;
  guint n_steps; /* told */
  guint n_previews;
  gboolean is_over;
  GError *error;
  gboolean stops_early;
  guint pauses_at, finishes_at; /* step; 0: never */
  gboolean is_resting;
} Drawing;

void drawing_clear (Drawing *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Drawing, drawing_clear)

/* Unpacks families (ended by NULL) into a folder of the test's own, runs the tests, removes it. */
int picture_fixture_run (const char *const *families);
/* "sd15/model" in that folder; owned. */
char *picture_fixture_path (const char *name);
AtlModel *picture_fixture_load (AtlClient *client, const char *name);

/* Takes the job. */
void drawing_watch (Drawing *self, AtlPictureJob *job);
void drawing_begin (Drawing *self, AtlClient *client, AtlModel *model, AtlPictureRequest *request);
/* A (red:1.3) fox of 72 × 64, seed 7; or of the size of `image` (nullable: a path). */
void
drawing_start (Drawing *self, AtlClient *client, AtlModel *model, guint steps, const char *image);
/* In three steps, without an error. Borrowed. */
GBytes *
drawing_draw (Drawing *self, AtlClient *client, AtlModel *model, guint *width, guint *height);
/* Draws until it rests at a step. A picture that was finished before the pause came, because this
 * program was late, is begun again. */
void drawing_rest (Drawing *self, AtlClient *client, AtlModel *model, guint pauses_at, guint steps);
/* Waits for a request to succeed. Borrowed. */
GBytes *drawing_finish (Drawing *self, guint *width, guint *height);
