/* Any bytes as a safetensors file, as the index of one, and as its settings. */
#include <sys/mman.h>
#include <unistd.h>

#include "engine/formats/open.h"
#include "engine/formats/safetensors.h"

#include "formats/build.h"
#include "formats/walk.h"
#include "fuzz.h"

#define GOOD "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES ("\x34\0\0\0\0\0\0\0" GOOD "x"),
  ATL_FUZZ_BYTES ("{\"metadata\":{\"n\":[1,2.5e3,null]},\"weight_map\":{\"a\":\"good\"}}"),
  ATL_FUZZ_BYTES ("{\"a\":{\"b\":[1,2],\"c\":[1.5,2]},\"d\":\"e\",\"f\":[true],\"g\":null}"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\"dtype\":\"F32\","),
  ATL_FUZZ_BYTES ("\"shape\":[1,2],"),
  ATL_FUZZ_BYTES ("\"data_offsets\":[0,8],"),
  ATL_FUZZ_BYTES ("\"__metadata__\":{\"a\":\"b\"},"),
  ATL_FUZZ_BYTES ("\"weight_map\":{\"a\":\"good\"},"),
  ATL_FUZZ_BYTES ("18446744073709551615"),
  ATL_FUZZ_BYTES ("\\ud83d\\ude00"),
  ATL_FUZZ_BYTES ("\\u0000"),
  ATL_FUZZ_BYTES ("[[[["),
  ATL_FUZZ_BYTES ("{"),
  ATL_FUZZ_BYTES ("}"),
  ATL_FUZZ_BYTES (","),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "safetensors", "gguf-bad/generated", ".safetensors", seeds,
                                        words };

static void
check (AtlCheckpoint *cp, GError **error)
{
  if (cp != NULL)
    {
      walk_checkpoint (cp);
      atl_checkpoint_unref (cp);
    }
  else
    g_assert_nonnull (*error);
  g_clear_error (error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static AtlFileMap *good;
  const char *text = (const char *) data;
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (GError) error = NULL;

  if (size == 0)
    return 0;
  if (good == NULL)
    good = build_safetensors ("good", GOOD, 1);
  map = build_map ("fuzzed", data, size);
  check (atl_safetensors_open (&map, 1, NULL, 0, &error), &error);
  check (atl_safetensors_open (&good, 1, text, size, &error), &error);
  check (atl_checkpoint_open (&map, NULL, 1, &error), &error);

  cp = atl_checkpoint_new ("settings");
  if (!atl_config_add_json (cp, text, size, "settings", &error))
    g_assert_nonnull (error);
  walk_checkpoint (cp);
  return 0;
}
