/* What an answer must look like, checked by a real engine process before anybody asks. */
#include <string.h>

#include "client-fixture.h"

typedef struct
{
  gboolean is_done;
  GError *error; /* (nullable) */
} Check;

static void
form_checked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Check *check = data;

  g_assert_true (atl_client_check_form_finish (ATL_CLIENT (source), result, &check->error) ==
                 (check->error == NULL));
  check->is_done = TRUE;
}

/* What no answer could keep to is said before one is asked for; no model is needed. */
static void
test_check_form (Fixture *fixture, gconstpointer data)
{
  static const struct
  {
    const char *schema, *tools;
    const char *fault; /* (nullable) a piece of what is said */
  } forms[] = {
    { "{\"type\": \"object\"}", NULL, NULL },
    { "{\"type\": \"strng\"}", NULL, "names the type “strng”" },
    { "{\"properties\": {\"a\": {\"type\": \"strng\"}}}", NULL, "names the type “strng”" },
    { "{\"type\": []}", NULL, "a list of types is empty" },
    { "{\"$ref\": \"#/$defs/none\"}", NULL, "points to nothing" },
    { NULL, "[]", NULL },
    { NULL, "[{\"name\": \"now\"}]", NULL },
    { NULL, "[{\"name\": \"now then\"}]", "now then" },
    { NULL, "[{\"name\": \"now\", \"parameters\": {\"type\": \"strng\"}}]", "“now”" },
    { NULL, "[{\"name\": \"now\", \"parameters\": {\"properties\": {\"at\": {\"type\": 3}}}}]",
      "“now”" },
    { "{\"type\": \"array\"}", "[{\"name\": \"now\"}]", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (forms); i++)
    {
      Check check = { 0 };

      g_test_message ("%s %s", forms[i].schema ? forms[i].schema : "", forms[i].tools);
      atl_client_check_form_async (fixture->client, forms[i].schema, forms[i].tools, NULL,
                                   form_checked_cb, &check);
      g_assert_true (fixture_wait (&check.is_done, WAIT_MS));
      if (forms[i].fault == NULL)
        g_assert_no_error (check.error);
      else
        {
          g_assert_error (check.error, ATL_ERROR, ATL_ERROR_INVALID);
          if (strstr (check.error->message, forms[i].fault) == NULL)
            g_test_fail_printf ("%s", check.error->message);
        }
      g_clear_error (&check.error);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/client/forms", Fixture, NULL, fixture_set_up, test_check_form, fixture_tear_down);
  return g_test_run ();
}
