/* pip's idea of where packages come from, and the two forms of an index page. */
#define G_LOG_DOMAIN "atl-hub"

#include "hub/hub-private.h"
#include "hub/package-index.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "base/json-bounded.h"

#define PUBLIC_INDEX "https://pypi.org/simple"
#define MAX_PAGE_BYTES (32u << 20)

struct _AtlPackageIndex
{
  GPtrArray *urls;  /* (owned) indexes, NULL-terminated */
  GPtrArray *links; /* (owned) folders of wheels */
};

/* "key = value" below [global] or [install] or [download] of one of pip's files; later files win.
 * pip lets long values go on in indented lines. */
static void
read_pip_file (const char *path, GHashTable *values)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  g_autofree char *key = NULL;
  gboolean wanted = FALSE;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      char *line = lines[i];
      gboolean indented = g_ascii_isspace (line[0]);
      char *separator;

      g_strstrip (line);
      if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
        continue;
      if (line[0] == '[')
        {
          wanted = g_str_equal (line, "[global]") || g_str_equal (line, "[install]") ||
                   g_str_equal (line, "[download]");
          g_clear_pointer (&key, g_free);
          continue;
        }
      separator = strpbrk (line, "=:");
      if (!wanted)
        continue;
      if (indented && key != NULL)
        {
          const char *before = g_hash_table_lookup (values, key);

          g_hash_table_insert (values, g_strdup (key), g_strjoin (" ", before, line, NULL));
        }
      else if (separator != NULL)
        {
          g_free (key);
          key = g_strndup (line, (gsize) (separator - line));
          g_strdelimit (g_strstrip (key), "_", '-');
          g_hash_table_insert (values, g_strdup (key), g_strdup (g_strstrip (separator + 1)));
        }
    }
}

static void
read_pip_settings (GHashTable *values)
{
  static const char *const keys[] = { "index-url", "extra-index-url", "find-links", "no-index" };
  const char *const *dirs = g_get_system_config_dirs ();
  const char *own = g_getenv ("PIP_CONFIG_FILE"), *env = g_getenv ("VIRTUAL_ENV");

  if (g_strcmp0 (own, "/dev/null") != 0)
    {
      for (guint i = g_strv_length ((char **) dirs); i-- > 0;)
        {
          g_autofree char *path = g_build_filename (dirs[i], "pip", "pip.conf", NULL);
          read_pip_file (path, values);
        }
      read_pip_file ("/etc/pip.conf", values);
      {
        g_autofree char *old = g_build_filename (g_get_home_dir (), ".pip", "pip.conf", NULL);
        g_autofree char *new = g_build_filename (g_get_user_config_dir (), "pip", "pip.conf", NULL);

        read_pip_file (old, values);
        read_pip_file (new, values);
      }
      if (env != NULL)
        {
          g_autofree char *path = g_build_filename (env, "pip.conf", NULL);
          read_pip_file (path, values);
        }
      if (own != NULL)
        read_pip_file (own, values);
    }
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *upper = g_ascii_strup (keys[i], -1);
      g_autofree char *name = g_strconcat ("PIP_", g_strdelimit (upper, "-", '_'), NULL);
      const char *value = g_getenv (name);

      if (value != NULL && value[0] != '\0')
        g_hash_table_insert (values, g_strdup (keys[i]), g_strdup (value));
    }
}

static void
add_words (GPtrArray *list, const char *words)
{
  g_auto (GStrv) parts = g_strsplit_set (words != NULL ? words : "", " \t", -1);

  for (guint i = 0; parts[i] != NULL; i++)
    if (parts[i][0] != '\0')
      g_ptr_array_add (list, g_strdup (parts[i]));
}

AtlPackageIndex *
atl_package_index_new (void)
{
  AtlPackageIndex *self = g_new0 (AtlPackageIndex, 1);
  g_autoptr (GHashTable) values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  const char *index, *none;

  self->urls = g_ptr_array_new_with_free_func (g_free);
  self->links = g_ptr_array_new_with_free_func (g_free);
  read_pip_settings (values);
  index = g_hash_table_lookup (values, "index-url");
  none = g_hash_table_lookup (values, "no-index");
  if (none == NULL || g_str_equal (none, "0") || g_ascii_strcasecmp (none, "false") == 0)
    {
      add_words (self->urls, index != NULL ? index : PUBLIC_INDEX);
      add_words (self->urls, g_hash_table_lookup (values, "extra-index-url"));
    }
  add_words (self->links, g_hash_table_lookup (values, "find-links"));
  g_ptr_array_add (self->urls, NULL);
  return self;
}

void
atl_package_index_free (AtlPackageIndex *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->urls);
  g_ptr_array_unref (self->links);
  g_free (self);
}

const char *const *
atl_package_index_urls (AtlPackageIndex *self)
{
  return (const char *const *) self->urls->pdata;
}

/* PEP 503: lower case, runs of "-", "_" and "." as one "-". */
static char *
normalize (const char *package)
{
  GString *out = g_string_new (NULL);

  for (const char *p = package; *p != '\0'; p++)
    if (strchr ("-_.", *p) == NULL)
      g_string_append_c (out, g_ascii_tolower (*p));
    else if (out->len > 0 && out->str[out->len - 1] != '-')
      g_string_append_c (out, '-');
  return g_string_free (out, FALSE);
}

static char *
resolve (const char *page_url, const char *href)
{
  return g_uri_resolve_relative (page_url, href, G_URI_FLAGS_PARSE_RELAXED | G_URI_FLAGS_ENCODED,
                                 NULL);
}

static char *
find_in_json (const char *page_url, const char *text, gsize size, const char *wheel)
{
  g_autoptr (JsonNode) root = atl_json_parse (text, size, page_url, NULL);
  JsonArray *files;

  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return NULL;
  files = atl_json_array (json_node_get_object (root), "files");
  for (guint i = 0; files != NULL && i < json_array_get_length (files); i++)
    {
      JsonNode *node = json_array_get_element (files, i);
      JsonObject *file = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
      const char *url = atl_json_string (file, "url", NULL);

      if (url != NULL && g_strcmp0 (atl_json_string (file, "filename", NULL), wheel) == 0)
        return resolve (page_url, url);
    }
  return NULL;
}

/* The last part of an address' path, percent-decoded: the name of the file. */
static char *
file_name_of (const char *url)
{
  gsize length = strcspn (url, "?#");
  const char *slash = g_strrstr_len (url, (gssize) length, "/");
  const char *start = slash != NULL ? slash + 1 : url;

  return g_uri_unescape_segment (start, url + length, NULL);
}

/* The five entities that an address can hold. */
static char *
unescape_html (const char *text, gsize size)
{
  static const char *const entities[] = { "&amp;",  "&",  "&lt;",  "<", "&gt;",   ">",
                                          "&quot;", "\"", "&#39;", "'", "&#x27;", "'" };
  GString *out = g_string_new_len (text, (gssize) size);

  /* "&amp;" last, so that "&amp;lt;" stays "&lt;". */
  for (gsize i = G_N_ELEMENTS (entities); i >= 2; i -= 2)
    g_string_replace (out, entities[i - 2], entities[i - 1], 0);
  return g_string_free (out, FALSE);
}

/* Walks over <a href="...">; nothing else of HTML matters here. */
static char *
find_in_html (const char *page_url, const char *text, gsize size, const char *wheel)
{
  const char *end = text + size, *p = text;

  while ((p = g_strstr_len (p, end - p, "href")) != NULL)
    {
      g_autofree char *href = NULL, *name = NULL;
      const char *close;
      char quote;

      p += strlen ("href");
      while (p < end && (*p == ' ' || *p == '='))
        p++;
      if (p >= end || (*p != '"' && *p != '\''))
        continue;
      quote = *p++;
      close = memchr (p, quote, (gsize) (end - p));
      if (close == NULL)
        break;
      href = unescape_html (p, (gsize) (close - p));
      name = file_name_of (href);
      if (g_strcmp0 (name, wheel) == 0)
        return resolve (page_url, href);
      p = close + 1;
    }
  return NULL;
}

char *
atl_package_page_find (
    const char *page_url, const char *text, gsize size, gboolean json, const char *wheel)
{
  return json ? find_in_json (page_url, text, size, wheel)
              : find_in_html (page_url, text, size, wheel);
}

static char *
ask_web (SoupSession *session,
         const char *page_url,
         const char *wheel,
         GCancellable *cancellable,
         GError **error)
{
  AtlHttpRequest request = {
    .url = page_url,
    .accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
              "text/html;q=0.1",
  };
  g_auto (AtlHttpResponse) response = { 0 };
  g_autoptr (GBytes) bytes = NULL;
  g_autofree char *host = atl_http_host (page_url);
  const char *type, *text;
  gsize size;
  char *found;

  if (!atl_http_send (session, &request, &response, cancellable, error))
    return NULL;
  if (response.status != 200)
    {
      atl_http_status_error (&response, wheel, error);
      return NULL;
    }
  bytes = atl_http_read_all (&response, MAX_PAGE_BYTES, cancellable, error);
  if (bytes == NULL)
    return NULL;
  text = g_bytes_get_data (bytes, &size);
  type = soup_message_headers_get_content_type (
      soup_message_get_response_headers (response.message), NULL);
  found = atl_package_page_find (response.url, text, size,
                                 type != NULL && strstr (type, "json") != NULL, wheel);
  if (found == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not on %s"), wheel, host);
  return found;
}

static char *
ask_folder (const char *page_url, const char *wheel, GError **error)
{
  g_autofree char *folder = g_filename_from_uri (page_url, NULL, NULL);
  g_autofree char *page = folder != NULL ? g_build_filename (folder, "index.html", NULL) : NULL;
  g_autofree char *text = NULL;
  gsize size;
  char *found = NULL;

  if (page != NULL && g_file_get_contents (page, &text, &size, NULL))
    found = find_in_html (page_url, text, size, wheel);
  if (found == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s is not in %s"), wheel, page_url);
  return found;
}

/* pip's --find-links: a folder that holds the wheel itself. */
static char *
find_in_folders (AtlPackageIndex *self, const char *wheel)
{
  for (guint i = 0; i < self->links->len; i++)
    {
      const char *place = self->links->pdata[i];
      g_autofree char *folder = g_str_has_prefix (place, "file:")
                                    ? g_filename_from_uri (place, NULL, NULL)
                                    : g_strdup (place);
      g_autofree char *path = folder != NULL ? g_build_filename (folder, wheel, NULL) : NULL;

      if (path != NULL && g_path_is_absolute (path) && g_file_test (path, G_FILE_TEST_IS_REGULAR))
        return g_filename_to_uri (path, NULL, NULL);
    }
  return NULL;
}

char *
atl_package_index_find (AtlPackageIndex *self,
                        SoupSession *session,
                        const char *package,
                        const char *wheel,
                        GCancellable *cancellable,
                        GError **error)
{
  g_autofree char *name = normalize (package);
  g_autoptr (GError) first = NULL;
  char *found;

  g_return_val_if_fail (strchr (wheel, '/') == NULL, NULL);
  found = find_in_folders (self, wheel);
  for (guint i = 0; found == NULL && self->urls->pdata[i] != NULL; i++)
    {
      const char *index = self->urls->pdata[i];
      g_autofree char *page =
          g_strconcat (index, g_str_has_suffix (index, "/") ? "" : "/", name, "/", NULL);
      g_autoptr (GError) local = NULL;

      found = g_str_has_prefix (page, "file:")
                  ? ask_folder (page, wheel, &local)
                  : ask_web (session, page, wheel, cancellable, &local);
      if (local != NULL && g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      /* The index that could not be asked says more than the one that has nothing. */
      if (local != NULL &&
          (first == NULL || g_error_matches (first, ATL_ERROR, ATL_ERROR_NOT_FOUND)))
        {
          g_clear_error (&first);
          first = g_steal_pointer (&local);
        }
    }
  if (found == NULL && first != NULL)
    g_propagate_error (error, g_steal_pointer (&first));
  else if (found == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                 _ ("pip is told to use no package index here, and %s is in no folder it knows"),
                 wheel);
  return found;
}
