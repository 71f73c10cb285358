/* Finds and loads the tokenizers of the conformance data. For tests only. */
#pragma once

#include "base/json-bounded.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizers/detokenizer.h"

G_BEGIN_DECLS

/* The folder of the conformance data, or NULL where it is absent. */
char *fixture_conformance_dir (void);

/* Parses a JSON file whose root is an object; aborts the test when it cannot. */
JsonNode *fixture_json (const char *path);

/* The metadata of a GGUF file. */
AtlCheckpoint *fixture_gguf (const char *path, GError **error);

/* The tokenizer of tokenizers/NAME, loaded as its cases.json says. */
AtlTokenizer *fixture_tokenizer (const char *conformance, const char *name, GError **error);

G_END_DECLS
