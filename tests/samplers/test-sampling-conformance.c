/* The filters against conformance/sampling: what is left of tiny distributions, and after several
 * filters one after the other. */
#include <math.h>
#include <string.h>

#include "conformance-json.h"
#include "engine/samplers/history.h"

static void
run_penalties (AtlCandidates *set, JsonObject *params, gboolean dry, gboolean dense)
{
  JsonArray *last = json_object_get_array_member (params, "last_tokens");
  JsonArray *breakers = dry ? json_object_get_array_member (params, "seq_breakers") : NULL;
  g_autoptr (GArray) flat = g_array_new (FALSE, FALSE, sizeof (gint32));
  gsize n = set->n;
  g_autofree float *logits = g_new (float, n);
  AtlLogitView view = { .logits = dense ? logits : NULL, .candidates = set };
  AtlHistory history;

  for (guint i = 0; breakers != NULL && i < json_array_get_length (breakers); i++)
    {
      JsonArray *sequence = json_array_get_array_element (breakers, i);
      gint32 end = -1;

      for (guint k = 0; k < json_array_get_length (sequence); k++)
        {
          gint32 id = (gint32) json_array_get_int_element (sequence, k);

          g_array_append_val (flat, id);
        }
      g_array_append_val (flat, end);
    }
  atl_history_init (&history, n, 64, 64);
  for (guint i = 0; i < json_array_get_length (last); i++)
    atl_history_add (&history, (gint32) json_array_get_int_element (last, i));
  for (gsize i = 0; i < n; i++)
    logits[i] = set->items[i].logit;
  if (dry)
    {
      AtlDryParams dry_params = {
        .multiplier = (float) atl_json_double (params, "multiplier", 0),
        .base = (float) atl_json_double (params, "base", 0),
        .allowed_length = (gsize) atl_json_int (params, "allowed_length", 0),
        .last_n = (gsize) atl_json_int (params, "penalty_last_n", 0),
        .breakers = (const gint32 *) (gpointer) flat->data,
        .n_breakers = flat->len,
      };

      atl_history_dry (&history, &view, &dry_params);
    }
  else
    atl_history_penalize (&history, &view, (float) atl_json_double (params, "repeat", 1),
                          (float) atl_json_double (params, "frequency", 0),
                          (float) atl_json_double (params, "presence", 0));
  if (dense)
    atl_candidates_gather (set, logits, n);
  atl_history_clear (&history);
}

static void
run_case (AtlCandidates *set, const char *sampler, JsonObject *params, gboolean dense)
{
  AtlRandom random;
  float p = (float) atl_json_double (params, "p", 0);

  atl_random_init (&random, 0);
  if (strcmp (sampler, "temp") == 0)
    atl_candidates_temperature (set, (float) atl_json_double (params, "temp", 0));
  else if (strcmp (sampler, "temp_ext") == 0)
    atl_candidates_dynamic_temperature (set, (float) atl_json_double (params, "temp", 0),
                                        (float) atl_json_double (params, "dynatemp_range", 0),
                                        (float) atl_json_double (params, "dynatemp_exponent", 0));
  else if (strcmp (sampler, "top_k") == 0)
    atl_candidates_top_k (set, atl_json_int (params, "k", 0));
  else if (strcmp (sampler, "top_p") == 0)
    atl_candidates_top_p (set, p, 0);
  else if (strcmp (sampler, "min_p") == 0)
    atl_candidates_min_p (set, p, 0);
  else if (strcmp (sampler, "typical") == 0)
    atl_candidates_typical (set, p, 0);
  else if (strcmp (sampler, "xtc") == 0)
    atl_candidates_xtc (set, (float) atl_json_double (params, "probability", 0),
                        (float) atl_json_double (params, "threshold", 0), 0, &random);
  else if (strcmp (sampler, "top_n_sigma") == 0)
    atl_candidates_top_n_sigma (set, (float) atl_json_double (params, "n", 0));
  else
    run_penalties (set, params, strcmp (sampler, "dry") == 0, dense);
}

static void
fill (AtlCandidates *set, JsonArray *probs)
{
  gsize n = json_array_get_length (probs);
  g_autofree float *logits = g_new (float, n);

  for (guint i = 0; i < n; i++)
    logits[i] = logf ((float) json_array_get_double_element (probs, i));
  atl_candidates_gather (set, logits, n);
}

/* Compared as a map from id to probability; a token of probability 0 may as well be gone. */
static gboolean
same_outcome (AtlCandidates *set, JsonObject *item, JsonArray *probs_in)
{
  JsonArray *ids = json_object_get_array_member (item, "token_ids_out");
  JsonArray *probs = json_object_get_array_member (item, "probs_out");
  gboolean softmax = json_object_get_boolean_member (item, "softmax_after");
  double tolerance = json_object_get_double_member (item, "tolerance");
  guint n_left = 0;

  if (softmax)
    {
      set->has_p = FALSE;
      atl_candidates_softmax (set);
    }
  for (guint i = 0; i < json_array_get_length (ids); i++)
    {
      gint64 id = json_array_get_int_element (ids, i);
      double wanted = json_array_get_double_element (probs, i);
      double got = 0;

      for (gsize k = 0; k < set->n; k++)
        if (set->items[k].id == id)
          {
            got = softmax ? set->items[k].p
                          : json_array_get_double_element (probs_in, (guint) set->items[k].id);
            n_left++;
          }
      if (fabs (got - wanted) > tolerance)
        return FALSE;
    }
  return n_left == set->n;
}

static void
test_cases (void)
{
  JsonArray *cases = atl_test_conformance_cases ("sampling", "cases.json");
  guint n_failed = 0;

  if (cases == NULL)
    return;
  for (guint i = 0; i < json_array_get_length (cases); i++)
    for (guint dense = 0; dense < 2; dense++)
      {
        JsonObject *item = json_array_get_object_element (cases, i);
        JsonArray *probs = json_object_get_array_member (item, "probs_in");
        AtlCandidates set;

        atl_candidates_init (&set, json_array_get_length (probs));
        fill (&set, probs);
        run_case (&set, json_object_get_string_member (item, "sampler"),
                  json_object_get_object_member (item, "params"), dense != 0);
        if (!same_outcome (&set, item, probs))
          {
            g_test_message ("FAILED %s", json_object_get_string_member (item, "name"));
            for (gsize k = 0; k < set.n; k++)
              g_test_message ("  %d: %g %g", set.items[k].id, set.items[k].logit, set.items[k].p);
            n_failed++;
          }
        atl_candidates_clear (&set);
      }
  g_assert_cmpuint (json_array_get_length (cases), >=, 41);
  g_assert_cmpuint (n_failed, ==, 0);
}

static void
test_queue (void)
{
  JsonArray *cases = atl_test_conformance_cases ("sampling", "queue.json");
  guint n_failed = 0;

  if (cases == NULL)
    return;
  for (guint i = 0; i < json_array_get_length (cases); i++)
    {
      JsonObject *item = json_array_get_object_element (cases, i);
      JsonObject *params = json_object_get_object_member (item, "params");
      JsonArray *samplers = json_object_get_array_member (item, "samplers");
      gsize n = (gsize) json_object_get_int_member (item, "n_vocab");
      g_autofree float *logits = g_new (float, n);
      gint64 lowest = G_MAXINT64;
      gint64 highest = -1;
      AtlCandidates set;

      for (gsize k = 0; k < n; k++)
        logits[k] = logf ((float) k);
      atl_candidates_init (&set, n);
      atl_candidates_gather (&set, logits, n);
      for (guint k = 0; k < json_array_get_length (samplers); k++)
        {
          const char *name = json_array_get_string_element (samplers, k);

          if (strcmp (name, "top_k") == 0)
            atl_candidates_top_k (&set, atl_json_int (params, "top_k", 0));
          else if (strcmp (name, "top_p") == 0)
            atl_candidates_top_p (&set, (float) atl_json_double (params, "top_p", 1), 1);
          else
            atl_candidates_min_p (&set, (float) atl_json_double (params, "min_p", 0), 1);
        }
      for (gsize k = 0; k < set.n; k++)
        {
          lowest = MIN (lowest, set.items[k].id);
          highest = MAX (highest, set.items[k].id);
        }
      if (set.n != (gsize) json_object_get_int_member (item, "expected_size") ||
          lowest != json_object_get_int_member (item, "expected_min_id") ||
          highest != json_object_get_int_member (item, "expected_max_id"))
        {
          g_test_message ("FAILED %s: %" G_GSIZE_FORMAT " left",
                          json_object_get_string_member (item, "name"), set.n);
          n_failed++;
        }
      atl_candidates_clear (&set);
    }
  g_assert_cmpuint (json_array_get_length (cases), >=, 24);
  g_assert_cmpuint (n_failed, ==, 0);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sampler/conformance/cases", test_cases);
  g_test_add_func ("/sampler/conformance/queue", test_queue);
  return g_test_run ();
}
