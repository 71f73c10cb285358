/* Letters that choose in a menu: no two rows of one menu have the same, in any language. A menu is
 * what one function appends, or a <menu> of a .ui file; labels of one statement are one row. */
#include <gio/gio.h>
#include <string.h>

#include "source-files.h"

static const char *const sources[] = { ".c", NULL };
static const char *const layouts[] = { ".ui", NULL };
static const char *const languages[] = { NULL, "de", "fr" };

/* What msgid is in the catalogue, which is its plain text: none of the labels is longer than a
 * line; the caller's. */
static char *
translate (const char *catalog, const char *label)
{
  g_autofree char *key = g_strdup_printf ("\nmsgid \"%s\"\nmsgstr \"", label);
  const char *at = catalog != NULL ? strstr (catalog, key) : NULL;

  if (catalog == NULL)
    return g_strdup (label);
  if (at == NULL)
    return NULL;
  at += strlen (key);
  return g_strndup (at, strcspn (at, "\""));
}

/* The letter behind the underscore; 0: none. */
static gunichar
letter_of (const char *label)
{
  const char *mark = strchr (label, '_');

  return mark != NULL ? g_unichar_tolower (g_utf8_get_char (mark + 1)) : 0;
}

typedef struct
{
  const char *where;
  const char *language; /* (nullable) */
  const char *catalog;
  guint n_wrong;
} Check;

/* `rows` (element-type GPtrArray of char): the labels that each may have. */
static void
check_menu (Check *check, const GPtrArray *rows)
{
  g_autoptr (GHashTable) taken = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < rows->len; i++)
    {
      const GPtrArray *labels = rows->pdata[i];

      for (guint k = 0; k < labels->len; k++)
        {
          g_autofree char *label = translate (check->catalog, labels->pdata[k]);
          gunichar letter = label != NULL ? letter_of (label) : 0;
          guint by = letter != 0
                         ? GPOINTER_TO_UINT (g_hash_table_lookup (taken, GUINT_TO_POINTER (letter)))
                         : 0;

          if (letter == 0 || (by != 0 && by != i + 1))
            {
              g_test_message ("%s, %s: “%s” %s", check->where,
                              check->language != NULL ? check->language : "en",
                              label != NULL ? label : (char *) labels->pdata[k],
                              letter == 0 ? "has no letter" : "has the letter of another row");
              check->n_wrong++;
            }
          else
            g_hash_table_insert (taken, GUINT_TO_POINTER (letter), GUINT_TO_POINTER (i + 1));
        }
    }
}

/* The labels with a letter in `text`, which `pattern` finds; NULL without any. */
static GPtrArray *
labels_in (const char *text, const char *pattern)
{
  g_autoptr (GRegex) regex = g_regex_new (pattern, 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autoptr (GPtrArray) labels = g_ptr_array_new_with_free_func (g_free);

  for (g_regex_match (regex, text, 0, &match); g_match_info_matches (match);
       g_match_info_next (match, NULL))
    g_ptr_array_add (labels, g_match_info_fetch (match, 1));
  return labels->len > 0 ? g_steal_pointer (&labels) : NULL;
}

/* The menus of a text: parts that `end` ends, in which each piece that `row` finds is a row. */
static guint
check_text (Check *check, const char *text, const char *end, const char *row, const char *label)
{
  g_auto (GStrv) parts = g_strsplit (text, end, -1);
  g_autoptr (GRegex) regex = g_regex_new (row, G_REGEX_DOTALL, 0, NULL);
  guint n_menus = 0;

  for (char **part = parts; *part != NULL; part++)
    {
      g_autoptr (GPtrArray) rows =
          g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);
      g_autoptr (GMatchInfo) match = NULL;

      for (g_regex_match (regex, *part, 0, &match); g_match_info_matches (match);
           g_match_info_next (match, NULL))
        {
          g_autofree char *piece = g_match_info_fetch (match, 0);
          GPtrArray *labels = labels_in (piece, label);

          if (labels != NULL)
            g_ptr_array_add (rows, labels);
        }
      check_menu (check, rows);
      n_menus += rows->len > 1;
    }
  return n_menus;
}

static guint
check_files (Check *check, const char *below, const char *const *endings)
{
  gboolean is_source = endings == sources;
  g_autoptr (GPtrArray) files = source_files (below, endings);
  guint n_menus = 0;

  for (guint i = 0; i < files->len; i++)
    {
      gsize size;
      g_autofree char *text = read_source (files->pdata[i], &size);

      check->where = files->pdata[i];
      n_menus += is_source ? check_text (check, text, "\n}\n", "\\b(g_menu_)?append \\([^;]*;",
                                         "_ \\(\"([^\"]*_[^\"]*)\"\\)")
                           : check_text (check, text, "</menu>",
                                         "<attribute name=\"label\" translatable=\"yes\">[^<]*<",
                                         ">([^<]*_[^<]*)<");
    }
  return n_menus;
}

static void
test_menus (void)
{
  for (gsize l = 0; l < G_N_ELEMENTS (languages); l++)
    {
      gsize size;
      g_autofree char *name =
          languages[l] != NULL ? g_strdup_printf ("po/%s.po", languages[l]) : NULL;
      g_autofree char *catalog = name != NULL ? read_source (name, &size) : NULL;
      Check check = { .language = languages[l], .catalog = catalog };

      /* Else the patterns find nothing any more. */
      g_assert_cmpuint (check_files (&check, "src/app", sources), >=, 4);
      g_assert_cmpuint (check_files (&check, "resources", layouts), >=, 2);
      g_assert_cmpuint (check.n_wrong, ==, 0);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rules/mnemonics/menus", test_menus);
  return g_test_run ();
}
