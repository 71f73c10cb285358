/* Any bytes as an archive of PyTorch, and as the pickle in one. */
#include "engine/formats/torch.h"

#include "formats/build-torch.h"
#include "formats/build.h"
#include "formats/walk.h"
#include "fuzz.h"

#define PLAIN BUILD_TENSOR ("K\0", "K\2K\3\x86", "K\3K\1\x86")

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES ("\x80\2}" BUILD_WEIGHT PLAIN "s."),
  ATL_FUZZ_BYTES ("\x80\2}q\1X\6\0\0\0params}q\2(" BUILD_WEIGHT PLAIN "X\1\0\0\0vK\1us."),
  ATL_FUZZ_BYTES ("\x80\4\x95\0\0\0\0\0\0\0\0}(\x8c\1w\x94" PLAIN "\x8c\5epochK\7\x8c\1nN]K\1au."),
  ATL_FUZZ_BYTES ("PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\12\0\0\0x/data.pkl"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES (PLAIN),
  ATL_FUZZ_BYTES (BUILD_WEIGHT),
  ATL_FUZZ_BYTES ("K\xff"),
  ATL_FUZZ_BYTES ("J\xff\xff\xff\xff"),
  ATL_FUZZ_BYTES ("\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f"),
  ATL_FUZZ_BYTES ("h\1"),
  ATL_FUZZ_BYTES ("q\1"),
  ATL_FUZZ_BYTES ("PK\1\2"),
  ATL_FUZZ_BYTES ("PK\5\6"),
  ATL_FUZZ_BYTES ("PK\6\6"),
  ATL_FUZZ_BYTES ("PK\6\7"),
  ATL_FUZZ_BYTES ("\x86"),
  ATL_FUZZ_BYTES ("("),
  ATL_FUZZ_BYTES ("tR"),
  ATL_FUZZ_BYTES ("}"),
  ATL_FUZZ_BYTES ("s."),
  { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "torch", NULL, NULL, seeds, words };

static void
check (const void *data, gsize size)
{
  g_autoptr (AtlFileMap) map = build_map ("fuzzed", data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = atl_torch_open (&map, 1, &error);

  if (cp != NULL)
    walk_checkpoint (cp);
  else
    g_assert_nonnull (error);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const float numbers[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
  const BuildMember members[] = { { "x/data.pkl", data, size },
                                  { "x/data/0", numbers, sizeof numbers } };
  g_autoptr (GByteArray) zip = build_zip (members, G_N_ELEMENTS (members));

  if (size == 0)
    return 0;
  check (data, size);
  check (zip->data, zip->len);
  return 0;
}
