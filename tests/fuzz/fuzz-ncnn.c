/* Any bytes as the description of an ncnn network, and as its weights. */
#include "engine/formats/ncnn.h"

#include "formats/build.h"
#include "formats/walk.h"
#include "fuzz.h"

#define GOOD                                                                                       \
  "7767517\n3 3\nInput in 0 1 data\nConvolution c0 1 1 data a 0=2 1=1 4=0 5=1 6=6\n"               \
  "PReLU p0 1 1 a out 0=2\n"
#define WEIGHTS                                                                                    \
  "\x47\x6b\x30\x01"                                                                               \
  "abcdefghijklabcdefghabcdefgh"

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES (GOOD),
  ATL_FUZZ_BYTES ("7767517\n2 2\nInput in 0 1 a\nEltwise e 2 1 a a b 0=1 -23301=2,0.2,1.0\n"),
  ATL_FUZZ_BYTES (WEIGHTS),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("0=9223372036854775807 "),
  ATL_FUZZ_BYTES ("6=65536 "),
  ATL_FUZZ_BYTES ("1=-3 "),
  ATL_FUZZ_BYTES ("-23310=1,0.2 "),
  ATL_FUZZ_BYTES ("PReLU p 1 1 a b 0=2\n"),
  ATL_FUZZ_BYTES ("\x47\x6b\x30\x01"),
  ATL_FUZZ_BYTES ("\n"),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "ncnn", NULL, NULL, seeds, words };

static void
check (AtlFileMap *param, AtlFileMap *bin)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = atl_ncnn_open (param, bin, &error);

  if (cp != NULL)
    walk_checkpoint (cp);
  else
    g_assert_nonnull (error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static AtlFileMap *param, *bin;
  g_autoptr (AtlFileMap) map = NULL;

  if (size == 0)
    return 0;
  if (param == NULL)
    {
      param = build_map ("net.param", GOOD, strlen (GOOD));
      bin = build_map ("net.bin", WEIGHTS, sizeof WEIGHTS - 1);
    }
  map = build_map ("fuzzed", data, size);
  check (map, bin);
  check (param, map);
  return 0;
}
