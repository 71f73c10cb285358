/* Runs the golden cases of every family in families.h on one backend: each family is a test.
 *
 *   test-golden --backend NAME
 *
 * The archives beside this file are unpacked into the build folder; the rest comes from
 * ../shared/golden, or from the folders in ATELIER_GOLDEN_PATH instead.
 */
#include <math.h>
#include <string.h>

#include "engine/tools/golden-backends.h"

#include "families.h"

/* A folder whose families are laid out, and what people call it. */
typedef struct
{
  char *folder;
  char *label;
  guint n_cases; /* that ran */
} Root;

typedef struct
{
  const GoldenFamily *family;
  gboolean shipped;
  GPtrArray *cases; /* folders */
  GArray *roots;    /* guint, for each case */
} Family;

static struct
{
  char *archives; /* tests/golden */
  char *out;      /* where archives are unpacked */
  Root roots[16];
  guint n_roots;
  GPtrArray *not_run; /* names of families that are there and in no list */
  GoldenBackends backends;
} suite;

static gboolean
is_listed (const char *family)
{
  for (gsize i = 0; i < G_N_ELEMENTS (golden_families); i++)
    if (g_str_equal (golden_families[i].name, family))
      return TRUE;
  return FALSE;
}

static gboolean
matches (const char *patterns, const char *name)
{
  g_auto (GStrv) list = g_strsplit (patterns != NULL ? patterns : "", "|", -1);

  for (guint i = 0; list[i] != NULL; i++)
    if (g_pattern_match_simple (list[i], name))
      return TRUE;
  return FALSE;
}

/* --- Finding cases --- */

static gboolean
same_content (const char *a, const char *b)
{
  g_autoptr (GMappedFile) ma = g_mapped_file_new (a, FALSE, NULL);
  g_autoptr (GMappedFile) mb = g_mapped_file_new (b, FALSE, NULL);

  return ma != NULL && mb != NULL &&
         g_mapped_file_get_length (ma) == g_mapped_file_get_length (mb) &&
         memcmp (g_mapped_file_get_contents (ma), g_mapped_file_get_contents (mb),
                 g_mapped_file_get_length (ma)) == 0;
}

static void
add_root (const char *folder, const char *label)
{
  g_assert_cmpuint (suite.n_roots, <, G_N_ELEMENTS (suite.roots));
  suite.roots[suite.n_roots++] = (Root){ g_strdup (folder), g_strdup (label), 0 };
}

/* Unpacks the listed families' archives in `folder` and makes their place a root. Archives that the
 * project ships as they are would only run twice. */
static void
unpack (const char *folder, const char *label, gboolean is_ours)
{
  g_autofree char *script = g_build_filename (suite.archives, "unpack", NULL);
  g_autofree char *key = g_compute_checksum_for_string (G_CHECKSUM_MD5, folder, -1);
  g_autofree char *out = g_build_filename (suite.out, is_ours ? "shipped" : key, NULL);
  g_autoptr (GPtrArray) argv = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GError) error = NULL;
  const char *name;
  int status = -1;
  guint n_fixed;

  if (dir == NULL)
    return;
  for (const char *const *arg = (const char *const[]){ script, "-f", folder, out, NULL }; *arg;
       arg++)
    g_ptr_array_add (argv, g_strdup (*arg));
  n_fixed = argv->len;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *ours = g_build_filename (suite.archives, name, NULL);
      g_autofree char *path = g_build_filename (folder, name, NULL);
      g_autofree char *family = g_strndup (name, strcspn (name, "."));

      if (!g_str_has_suffix (name, ".tar.xz") || (!is_ours && same_content (path, ours)))
        continue;
      if (is_listed (family))
        g_ptr_array_add (argv, g_steal_pointer (&family));
      else
        g_ptr_array_add (suite.not_run, g_steal_pointer (&family));
    }
  if (argv->len == n_fixed)
    return;
  g_ptr_array_add (argv, NULL);
  g_spawn_sync (NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, &error))
    g_error ("The golden cases in %s could not be unpacked (is xz there?): %s", folder,
             error->message);
  add_root (out, label);
}

static void
find_roots (void)
{
  const char *source = g_getenv ("ATELIER_SOURCE");
  const char *path = g_getenv ("ATELIER_GOLDEN_PATH");
  g_autofree char *shared = NULL;
  g_auto (GStrv) folders = NULL;

  g_assert_nonnull (source);
  shared = g_build_filename (source, "..", "shared", "golden", NULL);
  folders = g_strsplit (path != NULL ? path : shared, ":", 12);
  suite.archives = g_build_filename (source, "tests", "golden", NULL);
  suite.out = g_test_build_filename (G_TEST_BUILT, "golden", "unpacked", NULL);
  suite.not_run = g_ptr_array_new_with_free_func (g_free);
  unpack (suite.archives, "tests/golden", TRUE);
  for (guint i = 0; folders[i] != NULL; i++)
    {
      const char *label = path != NULL ? folders[i] : "../shared/golden";

      if (folders[i][0] == '\0')
        continue;
      unpack (folders[i], label, FALSE);
      /* Families that lie there unpacked. */
      if (path != NULL)
        add_root (folders[i], label);
    }
}

static void
collect (Family *families)
{
  for (guint r = 0; r < suite.n_roots; r++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) folders = golden_find_cases (suite.roots[r].folder, &error);

      g_assert_no_error (error);
      for (guint i = 0; i < folders->len; i++)
        {
          g_autoptr (GoldenCase) c = golden_case_read (folders->pdata[i], NULL);
          g_autofree char *cases = g_path_get_dirname (folders->pdata[i]);
          g_autofree char *parent = g_path_get_dirname (cases);
          g_autofree char *name = g_path_get_basename (parent);

          for (gsize f = 0; f < G_N_ELEMENTS (golden_families); f++)
            if (g_str_equal (golden_families[f].name, name))
              {
                g_ptr_array_add (families[f].cases, g_strdup (folders->pdata[i]));
                g_array_append_val (families[f].roots, r);
                families[f].shipped |= r == 0;
              }
        }
    }
}

/* --- Where the work was done --- */

/* A device is only tested by what it computes itself: its node counts and those of the host behind
 * it are kept. */
typedef struct
{
  AtlBackendClass klass; /* that of the backend, with our run() */
  const AtlBackendClass *original;
  guint64 n_nodes;
} Watch;

static Watch watches[2]; /* device, host */

static gboolean
watched_run (AtlBackend *self,
             AtlNode *const *nodes,
             guint n_nodes,
             AtlBuffer *scratch,
             GCancellable *cancellable,
             GError **error)
{
  Watch *watch = (Watch *) self->klass;

  watch->n_nodes += n_nodes;
  return watch->original->run (self, nodes, n_nodes, scratch, cancellable, error);
}

static void
watch_device (const GoldenBackend *backend)
{
  for (guint i = 0; i < G_N_ELEMENTS (watches); i++)
    {
      watches[i].original = backend->list[i]->klass;
      watches[i].klass = *watches[i].original;
      watches[i].klass.run = watched_run;
      backend->list[i]->klass = &watches[i].klass;
    }
}

/* The embedding of a language model stays on the host: one node in a pass of dozens. */
static void
check_share_of_host (void)
{
  guint64 n_device = watches[0].n_nodes, n_host = watches[1].n_nodes;

  watches[0].n_nodes = watches[1].n_nodes = 0;
  g_test_message ("%" G_GUINT64_FORMAT " operations on the device, %" G_GUINT64_FORMAT
                  " on the host behind it",
                  n_device, n_host);
  if (n_device < 10 * n_host)
    {
      g_test_message ("too much fell back to the host");
      g_test_fail ();
    }
}

/* --- Tests --- */

static void
row_cb (const GoldenRow *row, gpointer user_data)
{
  g_test_message ("%s %s %s %.3g %.3g %s%s%s", row->name, row->backend, row->output, row->rel_l2,
                  row->tolerance, row->verdict, row->why != NULL ? ": " : "",
                  row->why != NULL ? row->why : "");
}

/* Sorts the case away, with a word in `skipped`, unless it is to be run. */
static gboolean
is_wanted (const GoldenFamily *family, const char *folder, GString *skipped)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GoldenCase) c = golden_case_read (folder, &error);
  g_autofree char *name = g_path_get_basename (folder);

  if (c == NULL)
    return TRUE; /* and fail */
  if (!golden_kind_is_known (c->kind))
    g_string_append_printf (skipped, "%s%s (%s)", skipped->len > 0 ? ", " : "", name, c->kind);
  else if (matches (family->not_yet, name))
    g_string_append_printf (skipped, "%s%s", skipped->len > 0 ? ", " : "", name);
  else
    return TRUE;
  return FALSE;
}

static void
test_family (gconstpointer user_data)
{
  const Family *f = user_data;
  g_autoptr (GString) skipped = g_string_new (NULL);
  GoldenReport report = { .row = row_cb };

  for (guint i = 0; i < f->cases->len; i++)
    if (is_wanted (f->family, f->cases->pdata[i], skipped))
      {
        golden_run_case (&report, f->cases->pdata[i], NULL, suite.backends.list, suite.backends.n);
        suite.roots[g_array_index (f->roots, guint, i)].n_cases++;
      }
  g_assert_cmpuint (report.n_ok + report.n_failed + report.n_missing, >, 0);
  if (watches[0].original != NULL)
    check_share_of_host ();
  if (report.n_failed > 0 || report.n_missing > 0)
    {
      g_test_message ("%s: %u failed, %u missing", f->family->name, report.n_failed,
                      report.n_missing);
      g_test_fail ();
    }
}

static void
test_not_yet (gconstpointer user_data)
{
  const Family *f = user_data;
  g_autoptr (GString) skipped = g_string_new (NULL);

  for (guint i = 0; i < f->cases->len; i++)
    is_wanted (f->family, f->cases->pdata[i], skipped);
  if (f->family->why_not_yet != NULL)
    g_string_append_printf (skipped, "; %s", f->family->why_not_yet);
  g_string_prepend (skipped, "not run yet: ");
  g_test_skip (skipped->str);
}

static void
test_absent (gconstpointer user_data)
{
  const Family *f = user_data;
  g_autofree char *why = g_strdup_printf (
      "the cases of %s were not found: set ATELIER_GOLDEN_PATH to a folder that has them",
      f->family->name);

  g_test_skip (why);
}

static void
test_other_families (void)
{
  g_autofree char *list = NULL;
  g_autofree char *why = NULL;

  g_ptr_array_add (suite.not_run, NULL);
  list = g_strjoinv (", ", (char **) suite.not_run->pdata);
  why = g_strdup_printf ("%u families cannot run yet: %s", suite.not_run->len - 1, list);
  g_test_skip (why);
}

/* Last: where the cases came from. */
static void
test_counts (void)
{
  guint n = 0;

  for (guint r = 0; r < suite.n_roots; r++)
    {
      if (suite.roots[r].n_cases > 0)
        g_test_message ("%s: %u cases from %s", suite.backends.list[0].name, suite.roots[r].n_cases,
                        suite.roots[r].label);
      n += suite.roots[r].n_cases;
    }
  g_assert_cmpuint (n, >, 0);
  g_assert_cmpuint (suite.roots[0].n_cases, >, 0);
}

static char *missing_backend;

static void
test_no_backend (void)
{
  g_test_skip (missing_backend);
}

static void
add_tests (const char *backend, Family *families)
{
  for (gsize i = 0; i < G_N_ELEMENTS (golden_families); i++)
    {
      Family *f = &families[i];
      g_autofree char *path = g_strdup_printf ("/golden/%s/%s", backend, f->family->name);
      g_autofree char *rest = g_strconcat (path, "/not-yet", NULL);
      g_autoptr (GString) skipped = g_string_new (NULL);
      guint n_wanted = 0;

      for (guint k = 0; k < f->cases->len; k++)
        n_wanted += is_wanted (f->family, f->cases->pdata[k], skipped);
      if (f->cases->len == 0)
        g_test_add_data_func (path, f, test_absent);
      else if (n_wanted > 0)
        g_test_add_data_func (path, f, test_family);
      if (skipped->len > 0)
        g_test_add_data_func (rest, f, test_not_yet);
    }
  if (suite.not_run->len > 0)
    {
      g_autofree char *path = g_strdup_printf ("/golden/%s/other-families", backend);
      g_test_add_func (path, test_other_families);
    }
  g_autofree char *path = g_strdup_printf ("/golden/%s/counts", backend);
  g_test_add_func (path, test_counts);
}

int
main (int argc, char **argv)
{
  Family families[G_N_ELEMENTS (golden_families)];
  g_autofree char *backend = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  GOptionEntry entries[] = {
    { "backend", 0, 0, G_OPTION_ARG_STRING, &backend, "As for atelier-cli golden", "NAME" },
    { NULL },
  };
  int status;

  g_test_init (&argc, &argv, NULL);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || backend == NULL)
    g_error ("%s", error != NULL ? error->message : "Name a backend");

  if (!golden_backends_open (&suite.backends, backend, &error))
    {
      g_autofree char *path = g_strdup_printf ("/golden/%s", backend);

      if (!g_error_matches (error, ATL_ERROR, ATL_ERROR_NOT_FOUND))
        g_error ("%s", error->message);
      missing_backend = g_strdup (error->message);
      g_test_add_func (path, test_no_backend);
      return g_test_run ();
    }
  /* More devices would need more watches; the tests' machine has PoCL. */
  if (suite.backends.list[0].n == 2)
    {
      suite.backends.n = 1;
      watch_device (&suite.backends.list[0]);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (golden_families); i++)
    families[i] = (Family){ .family = &golden_families[i],
                            .cases = g_ptr_array_new_with_free_func (g_free),
                            .roots = g_array_new (FALSE, FALSE, sizeof (guint)) };
  find_roots ();
  collect (families);
  add_tests (backend, families);
  status = g_test_run ();
  golden_backends_clear (&suite.backends);
  return status;
}
