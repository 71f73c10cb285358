/* Pairs of files of the ncnn library. */
#include "engine/formats/ncnn.h"
#include "engine/formats/open.h"

#include "build.h"
#include "walk.h"

#define HEAD "7767517\n3 3\nInput  in  0 1 data\n"
#define CONV "Convolution  c0  1 1 data a  0=2 1=1 4=0 5=1 6=6\n"
#define PRELU "PReLU  p0  1 1 a out  0=2\n"
#define F16 "\x47\x6b\x30\x01"

/* Six float16, then two biases and two slopes in float32. */
static const char good_bin[] = F16 "\0\x3c\0\x40\0\x42\0\x44\0\x45\0\x46"
                                   "\0\0\x80\x3f\0\0\0\x40"
                                   "\0\0\0\x3f\0\0\x80\x3e";

static AtlCheckpoint *
open_pair (const char *param, const void *bin, gsize size, GError **error)
{
  g_autoptr (AtlFileMap) p = build_map ("net.param", param, strlen (param));
  g_autoptr (AtlFileMap) b = build_map ("net.bin", bin, size);

  return atl_checkpoint_open ((AtlFileMap *[]){ b, p }, NULL, 2, error);
}

static void
test_pair (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlCheckpoint) cp = open_pair (HEAD CONV PRELU, good_bin, sizeof good_bin - 1, &error);
  const AtlTensorInfo *w;
  const AtlMetaValue *layers;

  g_assert_no_error (error);
  walk_checkpoint (cp);
  g_assert_cmpuint (atl_checkpoint_n_tensors (cp), ==, 3);
  w = atl_checkpoint_find (cp, "0.weight");
  g_assert_cmpint (w->dtype, ==, ATL_DTYPE_F16);
  g_assert_cmpuint (w->n_dims, ==, 4);
  g_assert_cmpint (w->dim[0] * 1000 + w->dim[1] * 100 + w->dim[2] * 10 + w->dim[3], ==, 2311);
  g_assert_nonnull (atl_checkpoint_find (cp, "0.bias"));
  g_assert_cmpint (atl_checkpoint_find (cp, "1.weight")->dim[0], ==, 2);
  layers = atl_checkpoint_meta (cp, "ncnn.layers");
  g_assert_cmpuint (layers->v_array.n, ==, 3);
  g_assert_cmpstr (((char **) layers->v_array.elems)[1], ==, "Convolution 0=2 1=1 4=0 5=1 6=6");
}

/* Files of Windows; weights in float32 under either tag; a kernel that is not square. */
static void
test_forms (void)
{
  static const char *const param = "7767517\r\n2 2\r\nInput in 0 1 data\r\n"
                                   "Convolution c 1 1 data out 0=2 1=1 11=3 6=6 30=1\r\n";
  static const guint32 tags[] = { 0, 0x0002c056 };
  guint32 bin[7] = { 0 };

  for (guint i = 0; i < G_N_ELEMENTS (tags); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlCheckpoint) cp = NULL;
      const AtlTensorInfo *w;

      bin[0] = GUINT32_TO_LE (tags[i]);
      cp = open_pair (param, bin, sizeof bin, &error);
      g_assert_no_error (error);
      walk_checkpoint (cp);
      w = atl_checkpoint_find (cp, "0.weight");
      g_assert_cmpint (w->dtype, ==, ATL_DTYPE_F32);
      g_assert_cmpint (w->dim[0] * 1000 + w->dim[1] * 100 + w->dim[2] * 10 + w->dim[3], ==, 2131);
    }
}

/* Each number of a convolution beyond what it may be. */
static void
test_numbers (void)
{
  static const char *const numbers[] = {
    "0=0 1=1 6=6",
    "0=1048577 1=1 6=6",
    "0=2 1=0 6=6",
    "0=2 1=65 6=260",
    "0=2 1=1 11=65 6=130",
    "0=2 1=1 6=0",
    "0=2 1=1 6=5",
    "0=2 1=1 6=6 8=1",
    "0=2 1=1 6=6 19=1",
    "0=2 x",
    "0=2 1",
  };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      g_autofree char *param =
          g_strdup_printf (HEAD "Convolution c 1 1 data a %s\n" PRELU, numbers[i]);
      g_autoptr (GError) error = NULL;

      g_assert_null (open_pair (param, good_bin, sizeof good_bin - 1, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
      g_assert_nonnull (strstr (error->message, "describes no layer"));
    }
}

/* A line of as many words as a file has bytes. */
static void
test_long_line (void)
{
  g_autofree char *spaces = g_strnfill (1 << 17, ' ');
  g_autofree char *param =
      g_strconcat (HEAD "Convolution c 1 1 data a", spaces, "0=2 1=1 4=0 5=1 6=6\n" PRELU, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (open_pair (param, good_bin, sizeof good_bin - 1, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_nonnull (strstr (error->message, "describes no layer"));
}

/* What atl_checkpoint_open() would not take for a network at all. */
static void
test_no_text (void)
{
  const gsize large = (16u << 20) + 1;
  g_autofree char *spaces = g_malloc (large);
  g_autoptr (AtlFileMap) bin = build_map ("net.bin", good_bin, sizeof good_bin - 1);
  g_autoptr (AtlFileMap) one = build_map ("net.param", "7767517", 7);
  g_autoptr (AtlFileMap) latin = build_map ("net.param", "7767517\n1 1\n\xe4", 13);
  g_autoptr (AtlFileMap) huge = NULL;
  AtlFileMap *maps[3];

  memset (spaces, ' ', large);
  huge = build_map ("net.param", spaces, large);
  maps[0] = one;
  maps[1] = latin;
  maps[2] = huge;
  for (guint i = 0; i < G_N_ELEMENTS (maps); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (atl_ncnn_open (maps[i], bin, &error));
      g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
      g_assert_nonnull (strstr (error->message, "how many layers"));
    }
  g_assert_false (atl_ncnn_is_param ((const guint8 *) "7767517", 7));
  g_assert_false (atl_ncnn_is_param ((const guint8 *) "77675171", 8));
}

static void
test_refused (void)
{
  static const struct
  {
    const char *param;
    gsize bin_size;
    const char *words;
  } cases[] = {
    { HEAD CONV PRELU, sizeof good_bin - 2, "layer 1" },
    { HEAD CONV, sizeof good_bin - 1, "ends before its last layer" },
    { HEAD CONV "ReLU r 1 1 a out\n", sizeof good_bin - 1, "8 of its bytes" },
    { HEAD CONV "Deconvolution d 1 1 a out 0=2\n", sizeof good_bin - 1, "Deconvolution" },
    { HEAD "Convolution c0 1 1 data a 0=2 1=1 5=1 6=5\n" PRELU, sizeof good_bin - 1,
      "describes no layer" },
    { HEAD "Convolution c0 1 1 data a 0=2 1=1 5=1 6=6 8=1\n" PRELU, sizeof good_bin - 1,
      "describes no layer" },
    { HEAD "Convolution c0 9 1 data a 0=2\n" PRELU, sizeof good_bin - 1, "describes no layer" },
    { HEAD "Convolution\n" PRELU, sizeof good_bin - 1, "describes no layer" },
    { "7767517\n99999999 3\n", sizeof good_bin - 1, "how many layers" },
    { HEAD CONV "PReLU p0 1 1 a out 0=-2\n", sizeof good_bin - 1, "describes no layer" },
    { HEAD CONV "PReLU p0 1 1 a out 0=4611686018427387904\n", sizeof good_bin - 1, "layer 1" },
    { HEAD CONV PRELU, 3, "layer 0" },
    { "7767517\n0 3\n", sizeof good_bin - 1, "how many layers" },
  };
  static const char other_tag[] = "\1\2\3\4";
  g_autoptr (AtlFileMap) alone = build_map ("net.param", HEAD CONV PRELU, strlen (HEAD CONV PRELU));
  g_autoptr (AtlFileMap) weights = build_map ("net.bin", good_bin, sizeof good_bin - 1);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_assert_null (open_pair (cases[i].param, good_bin, cases[i].bin_size, &error));
      g_assert_true (error->domain == ATL_ERROR);
      if (strstr (error->message, cases[i].words) == NULL)
        g_error ("case %u: “%s” does not speak of “%s”", i, error->message, cases[i].words);
      g_test_message ("%s", error->message);
      g_clear_error (&error);
    }
  g_assert_null (open_pair (HEAD CONV PRELU, other_tag, sizeof other_tag - 1, &error));
  g_assert_nonnull (strstr (error->message, "quantised"));
  g_clear_error (&error);
  g_assert_null (atl_checkpoint_open (&alone, NULL, 1, &error));
  g_assert_nonnull (strstr (error->message, "net.bin"));
  g_clear_error (&error);
  g_assert_null (atl_checkpoint_open (&weights, NULL, 1, &error));
  g_assert_nonnull (strstr (error->message, ".param"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ncnn/pair", test_pair);
  g_test_add_func ("/ncnn/forms", test_forms);
  g_test_add_func ("/ncnn/numbers", test_numbers);
  g_test_add_func ("/ncnn/no-text", test_no_text);
  g_test_add_func ("/ncnn/refused", test_refused);
  g_test_add_func ("/ncnn/long-line", test_long_line);
  return g_test_run ();
}
