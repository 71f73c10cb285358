/* Opening the catalogue, and the two places where numbers are written as people write them. */
#define G_LOG_DOMAIN "atl-base"

#include "base/language.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include <locale.h>

#include "atelier-config.h"

/* The process's locale but for the way of writing numbers; 0 before atl_language_open(). */
static locale_t numbers;

gboolean
atl_language_is_built_here (void)
{
  g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);

  return exe != NULL && g_str_has_prefix (exe, ATL_BUILD_DIR G_DIR_SEPARATOR_S);
}

void
atl_language_bind (void)
{
  bindtextdomain (ATL_GETTEXT_PACKAGE, atl_language_is_built_here ()
                                           ? ATL_BUILD_DIR G_DIR_SEPARATOR_S "po"
                                           : ATL_LOCALEDIR);
  bind_textdomain_codeset (ATL_GETTEXT_PACKAGE, "UTF-8");
  textdomain (ATL_GETTEXT_PACKAGE);
}

/* A catalogue is read when its first sentence is asked for. */
static void
read_catalogs (void)
{
  g_autofree char *glib = g_format_size (0);
  g_autoptr (JsonParser) parser = json_parser_new ();

  g_debug ("%s: %s", _ ("Loading the model"), g_strerror (ENOENT));
  json_parser_load_from_data (parser, "{", 1, NULL);
}

void
atl_language_open (void)
{
  /* In Turkish "i" has another capital: a template must not notice. */
  if (setlocale (LC_CTYPE, "C.UTF-8") == NULL)
    setlocale (LC_CTYPE, "");
  setlocale (LC_MESSAGES, "");
  atl_language_bind ();
  read_catalogs ();
  if (numbers == (locale_t) 0)
    numbers = newlocale (LC_NUMERIC_MASK, "", duplocale (LC_GLOBAL_LOCALE));
}

/* For this thread; uselocale (0) would only ask. */
static locale_t
use_numbers (void)
{
  return numbers != (locale_t) 0 ? uselocale (numbers) : uselocale ((locale_t) 0);
}

char *
atl_language_printf (const char *format, ...)
{
  locale_t before = use_numbers ();
  char *text;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  uselocale (before);
  return text;
}

char *
atl_language_size (guint64 size_bytes)
{
  locale_t before = use_numbers ();
  char *text = g_format_size (size_bytes);

  uselocale (before);
  return text;
}
