/* The graph builder: shapes, views, and mistakes in words. */
#include <string.h>

#include "engine/tensor/backend.h"
#include "engine/tensor/graph.h"

static AtlTensor *
input (AtlGraph *g, const char *name, guint n, const gint64 *dim)
{
  return atl_graph_input (g, name, ATL_DTYPE_F32, n, dim);
}

static void
test_views (void)
{
  g_autoptr (AtlGraph) g = atl_graph_new ();
  AtlTensor *x = input (g, "x", 3, (gint64[]){ 2, 3, 8 });
  AtlTensor *heads = atl_reshape_to (g, x, 2, 3, 2, 4);
  AtlTensor *swapped = atl_permute_to (g, heads, 0, 2, 1, 3);
  gint64 n, stride;

  g_assert_cmpuint (atl_graph_n_nodes (g), ==, 0);
  g_assert_true (heads->base == x);
  g_assert_cmpint (swapped->dim[1], ==, 2);
  g_assert_cmpint (swapped->stride[1], ==, 4);
  g_assert_cmpint (swapped->stride[2], ==, 8);
  g_assert_false (atl_tensor_is_contiguous (swapped));
  g_assert_false (atl_tensor_rows (swapped, &n, &stride));

  /* A slice of the last dimension is rows with a longer stride, and splits without a copy. */
  AtlTensor *half = atl_slice (g, x, 2, 4, 4);
  g_assert_true (atl_tensor_rows (half, &n, &stride));
  g_assert_cmpint (n, ==, 6);
  g_assert_cmpint (stride, ==, 8);
  AtlTensor *split = atl_reshape_to (g, half, 6, 2, 2);
  g_assert_cmpuint (atl_graph_n_nodes (g), ==, 0);
  g_assert_cmpint (split->offset, ==, 4);
  g_assert_cmpint (split->stride[0], ==, 8);

  /* Merging what does not follow each other needs a copy. */
  AtlTensor *merged = atl_reshape_to (g, swapped, 2, -1);
  g_assert_cmpuint (atl_graph_n_nodes (g), ==, 1);
  g_assert_cmpint (atl_graph_node (g, 0)->op, ==, ATL_OP_COPY);
  g_assert_cmpint (merged->dim[1], ==, 24);
  g_assert_null (atl_graph_error (g));
}

static void
test_sizes_of_one (void)
{
  g_autoptr (AtlGraph) g = atl_graph_new ();
  AtlTensor *x = input (g, "x", 4, (gint64[]){ 1, 5, 1, 7 });
  AtlTensor *a = atl_reshape_to (g, x, 5, 7);
  AtlTensor *b = atl_reshape_to (g, a, 1, 1, 35, 1, 1);
  AtlTensor *c = atl_reshape_to (g, atl_slice (g, a, 0, 2, 1), 7);

  g_assert_cmpint (b->stride[2], ==, 1);
  g_assert_cmpint (c->offset, ==, 14);
  g_assert_cmpuint (atl_graph_n_nodes (g), ==, 0);
  g_assert_null (atl_graph_error (g));
}

static void
test_mistakes_in_words (void)
{
  AtlWeight w = { .name = (char *) "blk.3.wo.weight",
                  .dtype = ATL_DTYPE_F32,
                  .n_dims = 2,
                  .dim = { 8, 6 },
                  .scale = 1 };
  g_autoptr (AtlGraph) g = atl_graph_new ();
  AtlTensor *x = input (g, "x", 2, (gint64[]){ 3, 5 });
  AtlTensor *y = atl_linear (g, x, atl_weight (g, &w), NULL);

  g_assert_error (atl_graph_error (g), ATL_ERROR, ATL_ERROR_BAD_FILE);
  g_assert_nonnull (strstr (atl_graph_error (g)->message, "blk.3.wo.weight"));
  g_assert_nonnull (strstr (atl_graph_error (g)->message, "[8, 6]"));
  g_autofree char *first = g_strdup (atl_graph_error (g)->message);

  /* Later calls do no harm, and the first mistake stays. */
  y = atl_add (g, atl_norm (g, ATL_NORM_RMS, y, NULL, NULL, 1e-5f), x);
  y = atl_attention (g, y, y, y, NULL, NULL, NULL, 0, 0);
  atl_graph_output (g, y, "y");
  g_assert_cmpstr (atl_graph_error (g)->message, ==, first);
}

static void
test_shape_checks (void)
{
  /* Each of these is one mistake in a fresh graph. */
  for (guint i = 0; i < 8; i++)
    {
      g_autoptr (AtlGraph) g = atl_graph_new ();
      AtlTensor *a = input (g, "a", 2, (gint64[]){ 4, 6 });
      AtlTensor *b = input (g, "b", 2, (gint64[]){ 4, 5 });
      AtlTensor *q = input (g, "q", 3, (gint64[]){ 2, 3, 8 });
      AtlTensor *k = input (g, "k", 3, (gint64[]){ 5, 2, 8 });

      switch (i)
        {
        case 0:
          atl_add (g, a, b);
          break;
        case 1:
          atl_reshape_to (g, a, 5, 5);
          break;
        case 2:
          atl_slice (g, a, 1, 4, 3);
          break;
        case 3:
          atl_attention (g, q, k, k, NULL, NULL, NULL, 0, 0);
          break; /* 3 heads on 2 */
        case 4:
          atl_rope (g, q, input (g, "t", 2, (gint64[]){ 2, 10 }), ATL_ROPE_HALVES);
          break;
        case 5:
          atl_concat (g, 1, 2, (AtlTensor *[]){ a, q });
          break;
        case 6:
          atl_glu (g, b, ATL_ACT_SILU, FALSE);
          break;
        case 7:
          atl_group_norm (g, a, NULL, NULL, 4, 1e-5f, ATL_ACT_NONE);
          break;
        }
      if (atl_graph_error (g) == NULL)
        g_error ("mistake %u was not noticed", i);
    }
}

static void
test_convolution_sizes (void)
{
  AtlWeight w = {
    .name = (char *) "w", .dtype = ATL_DTYPE_F32, .n_dims = 4, .dim = { 7, 3, 3, 3 }, .scale = 1
  };
  g_autoptr (AtlGraph) g = atl_graph_new ();
  AtlTensor *x = input (g, "x", 4, (gint64[]){ 2, 9, 6, 3 });
  AtlTensor *y = atl_conv2d (g, x, atl_weight (g, &w), NULL, 2, 1);

  g_assert_null (atl_graph_error (g));
  g_assert_cmpint (y->dim[1], ==, 5);
  g_assert_cmpint (y->dim[2], ==, 3);
  g_assert_cmpint (y->dim[3], ==, 7);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tensor/graph/views", test_views);
  g_test_add_func ("/tensor/graph/sizes-of-one", test_sizes_of_one);
  g_test_add_func ("/tensor/graph/mistakes-in-words", test_mistakes_in_words);
  g_test_add_func ("/tensor/graph/shape-checks", test_shape_checks);
  g_test_add_func ("/tensor/graph/convolution-sizes", test_convolution_sizes);
  return g_test_run ();
}
