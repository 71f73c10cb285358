/* Archives of torch.save(): what is read of them, and what is refused. */
#include "engine/formats/open.h"
#include "engine/formats/torch.h"

#include "build-torch.h"
#include "build.h"
#include "walk.h"

static const float numbers[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

#define PLAIN BUILD_TENSOR ("K\0", "K\2K\3\x86", "K\3K\1\x86")

static AtlCheckpoint *
open_pickle (const char *pickle, gsize size, GError **error)
{
  const BuildMember members[] = { { "x/data.pkl", pickle, size },
                                  { "x/byteorder", "little", 6 },
                                  { "x/data/0", numbers, sizeof numbers } };
  g_autoptr (GByteArray) zip = build_zip (members, G_N_ELEMENTS (members));
  g_autoptr (AtlFileMap) map = build_map ("x.pth", zip->data, zip->len);

  return atl_checkpoint_open (&map, NULL, 1, error);
}

#define OPEN(literal, error) open_pickle (literal, sizeof (literal) - 1, error)

static void
assert_opens (AtlCheckpoint *cp, GError *error)
{
  const AtlTensorInfo *w;

  g_assert_no_error (error);
  walk_checkpoint (cp);
  g_assert_cmpuint (atl_checkpoint_n_tensors (cp), ==, 1);
  w = atl_checkpoint_find (cp, "w");
  g_assert_nonnull (w);
  g_assert_cmpint (w->dtype, ==, ATL_DTYPE_F32);
  g_assert_cmpuint (w->n_dims, ==, 2);
  g_assert_cmpint (w->dim[0] * 10 + w->dim[1], ==, 23);
  atl_checkpoint_unref (cp);
}

static void
test_plain (void)
{
  g_autoptr (GError) error = NULL;

  /* A bare table; one below "params"; of two the averaged one; an OrderedDict with state. */
  assert_opens (OPEN ("\x80\2}" BUILD_WEIGHT PLAIN "s.", &error), error);
  assert_opens (OPEN ("\x80\2}X\6\0\0\0params}" BUILD_WEIGHT PLAIN "ss.", &error), error);
  assert_opens (
      OPEN ("\x80\2}(X\6\0\0\0params}X\2\0\0\0noK\1sX\12\0\0\0params_ema}" BUILD_WEIGHT PLAIN "su.",
            &error),
      error);
  assert_opens (OPEN ("\x80\2ccollections\nOrderedDict\n)R(" BUILD_WEIGHT PLAIN
                      "u}X\t\0\0\0_metadata}sb.",
                      &error),
                error);
  /* Protocol 4, with a frame, a short text and what is not a tensor. */
  assert_opens (OPEN ("\x80\4\x95\0\0\0\0\0\0\0\0}(\x8c\1w" PLAIN
                      "\x8c\5epochK\7\x8c\1nN\x8c\1fG\0\0\0\0"
                      "\0\0\0\0u.",
                      &error),
                error);
}

static void
test_strided (void)
{
  g_autoptr (GError) error = NULL;
  /* [3, 2] turned: element (r, c) is number 1 + r + 3 c. */
  g_autoptr (AtlCheckpoint) cp =
      OPEN ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\1", "K\3K\2\x86", "K\1K\3\x86") "s.", &error);
  const AtlTensorInfo *w;
  float row[4];

  g_assert_no_error (error);
  walk_checkpoint (cp);
  w = atl_checkpoint_find (cp, "w");
  g_assert_null (w->data);
  atl_tensor_info_read (w, 1, 2, (guint8 *) row);
  g_assert_cmpfloat (row[0], ==, 2);
  g_assert_cmpfloat (row[1], ==, 5);
  g_assert_cmpfloat (row[2], ==, 3);
  g_assert_cmpfloat (row[3], ==, 6);
}

/* The most that a number of 64 bits with a sign can be. */
#define MOST "\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f"

#define LARGE "J\xff\xff\xff\x7f"

static void
test_refused (void)
{
#define CASE(literal, words)                                                                       \
  {                                                                                                \
    literal, sizeof (literal) - 1, words                                                           \
  }
  static const struct
  {
    const char *pickle;
    gsize size;
    const char *words;
  } cases[] = {
    CASE ("\x80\2cos\nsystem\nX\4\0\0\0true\x85R.", "os.system"),
    CASE ("\x80\4\x8c\10builtins\x8c\4eval\x93\x8c\1x\x85R.", "builtins.eval"),
    CASE ("\x80\2}" BUILD_WEIGHT "cos\nsystem\nX\4\0\0\0true\x85Rs.", "os.system"),
    CASE ("\x80\2]" PLAIN "a.", "no table"),
    CASE ("\x80\2}" BUILD_WEIGHT "K\1s.", "no table"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\3", "K\2K\3\x86", "K\3K\1\x86") "s.", "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("J\xff\xff\xff\xff", "K\2\x85", "K\1\x85") "s.",
          "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "J\xff\xff\xff\x7f\x85", "K\0\x85") "s.",
          "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "K\2K\3\x86", "K\1\x85") "s.", "“w”"),
    /* Three of 2^63 - 1 each; one that ends at 2^64. */
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "K\3" MOST "\x86", "K\1K\0\x86") "s.", "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\1", "K\2K\2\x86", MOST MOST "\x86") "s.", "“w”"),
    /* No elements, in more rows than can be counted. */
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "(K\0" LARGE LARGE LARGE "t",
                                               "(K\1K\1K\1K\1t") "s.",
          "“w”"),
    CASE ("\x80\2}(" BUILD_WEIGHT PLAIN BUILD_WEIGHT PLAIN "u.", "w"),
    CASE ("\x80\2}X\1\0\0\0\xff" PLAIN "s.", "damaged"),
    CASE ("\x80\2h\1.", "damaged"),
    CASE ("\x80\2}" BUILD_WEIGHT "s.", "damaged"),
    CASE ("\x80\2}(", "damaged"),
    CASE ("\x80\7}.", "damaged"),
    CASE ("", "damaged"),
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (open_pickle (cases[i].pickle, cases[i].size, &error));
      g_assert_true (error->domain == ATL_ERROR);
      if (strstr (error->message, cases[i].words) == NULL)
        g_error ("case %u: “%s” does not speak of “%s”", i, error->message, cases[i].words);
      g_test_message ("%s", error->message);
    }
}

/* One thing wrong in what is called and in what a tensor is made of. */
static void
test_odd_calls (void)
{
#define STORAGE(key, count) "(X\7\0\0\0storagectorch\nFloatStorage\n" key "X\3\0\0\0cpu" count "tQ"
#define WIDE(byte) "\x8a\x08\0\0\0\0\0\0\0" byte
  static const struct
  {
    const char *pickle;
    gsize size;
    const char *words;
  } cases[] = {
    CASE ("\x80\4\x93.", "damaged"),
    CASE ("\x80\4X\1\0\0\0a\x93.", "damaged"),
    CASE ("\x80\4K\1X\1\0\0\0a\x93.", "damaged"),
    CASE ("\x80\4X\1\0\0\0aK\1\x93.", "damaged"),
    CASE ("\x80\2Q.", "damaged"),
    CASE ("\x80\2K\1Q.", "damaged"),
    CASE ("\x80\2K\1\x85Q.", "damaged"),
    CASE ("\x80\2(K\1K\1K\1K\1K\1tQ.", "damaged"),
    CASE ("\x80\2" STORAGE ("K\0", "K\10") ".", "damaged"),
    CASE ("\x80\2" STORAGE ("X\1\0\0\0000", "X\1\0\0\0x") ".", "damaged"),
    CASE ("\x80\2" STORAGE ("X\1\0\0\0000", "J\xff\xff\xff\xff") ".", "damaged"),
    CASE ("\x80\2R.", "damaged"),
    CASE ("\x80\2)R.", "damaged"),
    CASE ("\x80\2K\1K\1R.", "damaged"),
    CASE ("\x80\2K\1)R.", "damaged"),
    CASE ("\x80\2ctorch\nFloatStorage\n)R.", "damaged"),
    CASE ("\x80\2ccollections\nOrderedDict\nK\1\x85R.", "damaged"),
    CASE ("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R.", "damaged"),
    /* Shapes and strides. */
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("X\1\0\0\0a", "K\2\x85", "K\1\x85") "s.", "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "K\2", "K\1\x85") "s.", "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "K\2\x85", "K\1") "s.", "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "(K\1K\1K\1K\1K\1K\1t",
                                               "(K\1K\1K\1K\1K\1K\1t") "s.",
          "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "J\xff\xff\xff\xff\x85", "K\1\x85") "s.",
          "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "X\1\0\0\0a\x85", "K\1\x85") "s.", "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "K\2\x85", "J\xff\xff\xff\xff\x85") "s.",
          "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", "K\2\x85", "X\1\0\0\0a\x85") "s.", "“w”"),
    /* A last element past 2^64: by one product, by their sum. */
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR ("K\0", WIDE ("\x40") "\x85",
                                               WIDE ("\x40") "\x85") "s.",
          "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT BUILD_TENSOR (
              "K\0", "(K\4K\4K\4t", "(" WIDE ("\x40") WIDE ("\x40") WIDE ("\x40") "t") "s.",
          "“w”"),
    /* Another member of the archive, and more elements than its bytes hold. */
    CASE ("\x80\2}" BUILD_WEIGHT "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE (
              "X\1\0\0\0001", "K\10") "K\0K\2\x85K\1\x85tRs.",
          "“w”"),
    CASE ("\x80\2}" BUILD_WEIGHT "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE (
              "X\1\0\0\0000", "K\20") "K\0K\20\x85K\1\x85tRs.",
          "“w”"),
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (open_pickle (cases[i].pickle, cases[i].size, &error));
      g_assert_true (error->domain == ATL_ERROR);
      if (strstr (error->message, cases[i].words) == NULL)
        g_error ("case %u: “%s” does not speak of “%s”", i, error->message, cases[i].words);
    }
}

static AtlCheckpoint *
open_members (const BuildMember *members, guint n, GError **error)
{
  g_autoptr (GByteArray) zip = build_zip (members, n);
  g_autoptr (AtlFileMap) map = build_map ("x.pth", zip->data, zip->len);

  return atl_checkpoint_open (&map, NULL, 1, error);
}

/* Archives whose list lies elsewhere, and those of the other order of bytes. */
static void
test_archives (void)
{
  static const char pickle[] = "\x80\2}" BUILD_WEIGHT PLAIN "s.";
  BuildMember members[] = { { "x/data.pkl", pickle, sizeof pickle - 1 },
                            { "x/byteorder", "big", 3 },
                            { "x/data/0", numbers, sizeof numbers } };
  g_autoptr (GError) error = NULL;

  g_assert_null (open_members (members, 3, &error));
  g_assert_nonnull (strstr (error->message, "other order"));
  g_clear_error (&error);
  members[1].size = 2;
  assert_opens (open_members (members, 3, &error), error);
  members[0].name = "x/y/data.pkl";
  g_assert_null (open_members (members, 3, &error));
  g_assert_nonnull (strstr (error->message, "data.pkl"));
}

/* A tensor of no elements, and "params" that is no table. */
static void
test_empty (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp =
      OPEN ("\x80\2}(" BUILD_WEIGHT BUILD_TENSOR ("K\1", "K\0K\3\x86",
                                                  "K\7K\1\x86") "X\6\0\0\0paramsK\1u.",
            &error);

  g_assert_no_error (error);
  walk_checkpoint (cp);
  g_assert_cmpuint (atl_checkpoint_find (cp, "w")->size_bytes, ==, 0);
}

/* Lists inside themselves, many values, marks and what is remembered: time and memory stay small.
 */
static void
test_bombs (void)
{
  g_autofree char *many = g_malloc0 (4 << 20);
  g_autoptr (GError) error = NULL;

  g_assert_null (OPEN ("\x80\2}q\1X\1\0\0\0ah\1sX\6\0\0\0paramsh\1s.", &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  memset (many, ')', 4 << 20);
  g_assert_null (open_pickle (many, 4 << 20, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  memset (many, '(', 4 << 20);
  g_assert_null (open_pickle (many, 4 << 20, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
  g_clear_error (&error);
  memset (many, '\x94', 4 << 20);
  memcpy (many, "\x80\4N", 3);
  g_assert_null (open_pickle (many, 4 << 20, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED);
}

/* Every beginning of an archive is refused in words, and every byte may be another. */
static void
test_cut (void)
{
  static const char pickle[] = "\x80\2}" BUILD_WEIGHT PLAIN "s.";
  const BuildMember members[] = { { "x/data.pkl", pickle, sizeof pickle - 1 },
                                  { "x/data/0", numbers, sizeof numbers } };
  g_autoptr (GByteArray) zip = build_zip (members, G_N_ELEMENTS (members));

  for (guint n = 1; n < zip->len; n++)
    {
      g_autoptr (AtlFileMap) map = build_map ("x.pth", zip->data, n);
      g_autoptr (GError) error = NULL;

      g_assert_null (atl_torch_open (&map, 1, &error));
      g_assert_true (error->domain == ATL_ERROR);
    }
  for (guint i = 0; i < zip->len; i++)
    for (guint bit = 0; bit < 8; bit += 7)
      {
        g_autofree guint8 *copy = g_memdup2 (zip->data, zip->len);
        g_autoptr (AtlFileMap) map = NULL;
        g_autoptr (AtlCheckpoint) cp = NULL;
        g_autoptr (GError) error = NULL;

        copy[i] ^= 1 << bit;
        map = build_map ("x.pth", copy, zip->len);
        cp = atl_torch_open (&map, 1, &error);
        if (cp != NULL)
          walk_checkpoint (cp);
        else
          g_assert_true (error->domain == ATL_ERROR);
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/torch/plain", test_plain);
  g_test_add_func ("/torch/strided", test_strided);
  g_test_add_func ("/torch/refused", test_refused);
  g_test_add_func ("/torch/odd-calls", test_odd_calls);
  g_test_add_func ("/torch/archives", test_archives);
  g_test_add_func ("/torch/empty", test_empty);
  g_test_add_func ("/torch/bombs", test_bombs);
  g_test_add_func ("/torch/cut", test_cut);
  return g_test_run ();
}
