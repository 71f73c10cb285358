/* The ledger's verdicts on a real model with made-up amounts of free memory. */
#include <string.h>

#include "engine/service/fit.h"
#include "protocol/protocol.h"

#define MIB (1024ull * 1024)

static AtlChatModel *
open_model (void)
{
  const char *conformance = g_getenv ("ATELIER_CONFORMANCE");
  g_autofree char *beside =
      g_build_filename (g_getenv ("ATELIER_SOURCE"), "..", "shared", "conformance", NULL);
  g_autofree char *path = g_build_filename (conformance != NULL ? conformance : beside, "models",
                                            "stories260K.gguf", NULL);
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (GError) error = NULL;
  const char *names[] = { "stories260K.gguf", NULL };
  AtlChatModel *model;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      g_test_skip ("stories260K.gguf not found: this case did not run");
      return NULL;
    }
  map = atl_file_map_new (path, &error);
  g_assert_no_error (error);
  model = atl_chat_model_open (&map, names, 1, &error);
  g_assert_no_error (error);
  return model;
}

static guint64
needed (const AtlChatModel *model, guint n_ctx, AtlDType type)
{
  AtlChatMemory memory;

  g_assert_true (atl_chat_model_estimate (model, n_ctx, type, &memory, NULL));
  return memory.weight_bytes + memory.kv_bytes + memory.scratch_bytes;
}

static void
test_verdicts (void)
{
  g_autoptr (AtlChatModel) model = open_model ();
  guint n_train;

  if (model == NULL)
    return;
  n_train = atl_chat_model_facts (model)->n_ctx_train;
  g_assert_cmpuint (needed (model, n_train, ATL_DTYPE_F16), >, needed (model, 512, ATL_DTYPE_F16));

  /* Plenty: the model's own context. */
  {
    AtlFitRequest request = { .kv_dtype = ATL_DTYPE_F16, .ram_free = 4096 * MIB };
    g_auto (AtlFit) fit = { 0 };

    g_assert_true (atl_fit_judge (model, &request, &fit, NULL));
    g_assert_true (fit.fits);
    g_assert_cmpuint (fit.n_ctx, ==, MIN (n_train, ATL_DEFAULT_N_CTX));
    g_assert_null (fit.notice);
  }
  /* Just below: by itself it shrinks and says so; asked for, it refuses and names what fits. */
  {
    AtlFitRequest request = { .kv_dtype = ATL_DTYPE_F16,
                              .ram_free = needed (model, n_train, ATL_DTYPE_F16) - 1 };
    g_auto (AtlFit) fit = { 0 };
    g_auto (AtlFit) asked = { 0 };

    g_assert_true (atl_fit_judge (model, &request, &fit, NULL));
    g_assert_true (fit.fits);
    g_assert_cmpuint (fit.n_ctx, ==, n_train / 2);
    g_assert_nonnull (fit.notice);
    request.n_ctx = n_train;
    g_assert_true (atl_fit_judge (model, &request, &asked, NULL));
    g_assert_false (asked.fits);
    g_assert_nonnull (strstr (asked.words, "It fits with a context of"));
    g_test_message ("%s", asked.words);
  }
  /* A device has room for the rest if it brings memory of its own. */
  {
    AtlBackend device = { .memory_total = 4096 * MIB, .memory_free = 4096 * MIB };
    AtlFitRequest request = { .n_ctx = n_train,
                              .kv_dtype = ATL_DTYPE_F16,
                              .ram_free = needed (model, n_train, ATL_DTYPE_F16) - 1 };
    g_auto (AtlFit) own = { 0 };
    g_auto (AtlFit) shared = { 0 };

    atl_fit_add_device (&request, &device);
    g_assert_true (atl_fit_judge (model, &request, &own, NULL));
    g_assert_true (own.fits);
    device.shares_memory = TRUE;
    atl_fit_add_device (&request, &device);
    g_assert_true (atl_fit_judge (model, &request, &shared, NULL));
    g_assert_false (shared.fits);
  }
  /* Nothing: words with both numbers. */
  {
    AtlFitRequest request = { .kv_dtype = ATL_DTYPE_F16, .ram_free = 1 };
    g_auto (AtlFit) fit = { 0 };

    g_assert_true (atl_fit_judge (model, &request, &fit, NULL));
    g_assert_false (fit.fits);
    g_assert_nonnull (strstr (fit.words, "Needs"));
    g_assert_nonnull (strstr (fit.words, "free"));
    g_test_message ("%s", fit.words);
  }
  /* Half of it, and the rest from the disk if the person says so. */
  {
    AtlChatMemory memory;
    AtlFitRequest request = { .n_ctx = n_train, .kv_dtype = ATL_DTYPE_F16 };
    g_auto (AtlFit) refused = { 0 };
    g_auto (AtlFit) fit = { 0 };
    g_auto (AtlFit) nothing = { 0 };

    g_assert_true (atl_chat_model_estimate (model, n_train, ATL_DTYPE_F16, &memory, NULL));
    request.ram_free = memory.kv_bytes + memory.scratch_bytes + memory.weight_bytes / 2;
    g_assert_true (atl_fit_judge (model, &request, &refused, NULL));
    g_assert_false (refused.fits);
    g_assert_cmpuint (refused.weight_budget, ==, 0);
    request.from_disk = TRUE;
    g_assert_true (atl_fit_judge (model, &request, &fit, NULL));
    g_assert_true (fit.fits);
    g_assert_cmpuint (fit.weight_budget, >, 0);
    g_assert_cmpuint (fit.weight_budget, <, memory.weight_bytes / 2);
    g_assert_cmpuint (fit.needed_bytes, <=, request.ram_free);
    g_assert_nonnull (strstr (fit.notice, "from the disk"));
    g_test_message ("%s", fit.notice);
    request.ram_free = memory.kv_bytes;
    g_assert_true (atl_fit_judge (model, &request, &nothing, NULL));
    g_assert_false (nothing.fits);
  }
  /* A share is left to the desktop; a GPU's memory counts. */
  {
    guint64 exact = needed (model, n_train, ATL_DTYPE_F16);
    AtlFitRequest request = {
      .n_ctx = n_train, .kv_dtype = ATL_DTYPE_F16, .ram_free = exact, .ram_total = 16 * exact
    };
    g_auto (AtlFit) fit = { 0 };
    g_auto (AtlFit) with_gpu = { 0 };

    g_assert_true (atl_fit_judge (model, &request, &fit, NULL));
    g_assert_false (fit.fits);
    request.vram_free = 2 * exact;
    g_assert_true (atl_fit_judge (model, &request, &with_gpu, NULL));
    g_assert_true (with_gpu.fits);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/fit/verdicts", test_verdicts);
  return g_test_run ();
}
