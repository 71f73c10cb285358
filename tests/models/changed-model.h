/* Models made wrong: a tiny model of the golden cases with one tensor or key replaced or left out.
 *
 *   g_autoptr (AtlCheckpoint) cp = model_fixture_open ("llm-llama2", "model.gguf");
 *   changed_model_refuse (cp, &(Change){ .tensor = "blk.0.attn_q.weight" });
 */
#pragma once

#include "model-fixture.h"

typedef struct
{
  const char *tensor;        /* (nullable) its name */
  const AtlTensorInfo *info; /* (nullable) what takes its place */
  const char *key;           /* (nullable) */
  const AtlMetaValue *value; /* (nullable) what takes its place */
} Change;

AtlCheckpoint *changed_model (AtlCheckpoint *from, const Change *c);

/* Fails the test unless the error is one of ours and in words. */
void changed_model_check_words (const GError *error);
/* Loads and runs a few tokens; FALSE in words. Whatever loads must run, if only to numbers that are
 * none, and without memory that the file does not account for. */
gboolean changed_model_try (AtlCheckpoint *files, GError **error);

/* Fails the test unless the changed model is refused in words, which name a changed tensor. */
void changed_model_refuse (AtlCheckpoint *from, const Change *c);
/* Either way is right, as long as it is orderly. */
void changed_model_survive (AtlCheckpoint *from, const Change *c);
void changed_model_expect (AtlCheckpoint *from, const Change *c, gboolean refused);
/* Zeros under the shape and type that it has now; FALSE where no reader would let those pass. */
gboolean changed_model_fill (AtlTensorInfo *info);
/* The same with another type over the same shape. */
gboolean changed_model_retype (AtlTensorInfo *info, AtlDType dtype);
/* One more and one less of each dimension, two of them exchanged, all in one or in one less, none,
 * one: calls `func` with each that `have` is not. `is_rows`: only the first dimension changed. */
typedef void (*ChangedModelShape) (AtlCheckpoint *from, const Change *c, gboolean is_rows);
void
changed_model_try_shapes (AtlCheckpoint *from, const AtlTensorInfo *have, ChangedModelShape func);
/* The number as files have it: whole where it is whole. */
AtlMetaValue changed_model_number (double number);
/* Every absurd number, word and list in place of what the key has; a part of them, another one for
 * each key, unless $ATELIER_FAULT_ROUNDS says that there is time. */
void changed_model_try_values (AtlCheckpoint *from, const char *key);

/* Registers each test for each path, under "/models/", `group`, what `name` makes of the path (the
 * caller frees) and the test's name; ended by one without a name. */
typedef struct
{
  const char *name;
  GTestDataFunc func;
} ChangedModelTest;
void changed_model_add_tests (const char *group,
                              const GPtrArray *paths,
                              char *(*name) (const char *path),
                              const ChangedModelTest *tests);
