/* Any bytes as a GGUF file, and as both shards of one. */
#include <sys/mman.h>
#include <unistd.h>

#include "engine/formats/gguf.h"
#include "engine/formats/open.h"

#include "formats/build.h"
#include "formats/walk.h"
#include "fuzz.h"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES ("GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
  /* version 1: one setting, one tensor of four floats */
  ATL_FUZZ_BYTES ("GGUF\1\0\0\0\1\0\0\0\1\0\0\0"
                  "\1\0\0\0x\4\0\0\0\7\0\0\0"
                  "\1\0\0\0t\1\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                  "\0\0\0\0\0\0\0\0\0\0"
                  "0123456789abcdef"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("GGUF"),
  ATL_FUZZ_BYTES ("\x11\0\0\0\0\0\0\0general.alignment\4\0\0\0"),
  ATL_FUZZ_BYTES ("\x14\0\0\0\0\0\0\0general.architecture\10\0\0\0\5\0\0\0\0\0\0\0llama"),
  ATL_FUZZ_BYTES ("\10\0\0\0\0\0\0\0split.no\2\0\0\0"),
  ATL_FUZZ_BYTES ("\13\0\0\0\0\0\0\0split.count\2\0\0\0"),
  ATL_FUZZ_BYTES ("\11\0\0\0\10\0\0\0"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "gguf", "gguf-bad/generated", ".gguf", seeds, words };

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
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (GError) error = NULL;

  if (size == 0)
    return 0;
  map = build_map ("fuzzed", data, size);
  check (atl_gguf_open (&map, 1, &error), &error);
  check (atl_gguf_open ((AtlFileMap *[]){ map, map }, 2, &error), &error);
  check (atl_checkpoint_open (&map, NULL, 1, &error), &error);
  return 0;
}
