/* Reads what a person attaches, and says in words what cannot be read. */
#include "app/chat/attachment.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/words.h"

guint
atl_attachment_estimate_tokens (gsize n_bytes)
{
  return (guint) (n_bytes * 2 / 7);
}

/* NULL when the bytes are no text in any encoding that people have. */
static char *
to_text (const char *bytes, gsize n_bytes)
{
  char *text;

  if (n_bytes >= 2 && (memcmp (bytes, "\xff\xfe", 2) == 0 || memcmp (bytes, "\xfe\xff", 2) == 0))
    return g_convert (bytes, n_bytes, "UTF-8", "UTF-16", NULL, NULL, NULL);
  if (n_bytes >= 3 && memcmp (bytes, "\xef\xbb\xbf", 3) == 0)
    {
      bytes += 3;
      n_bytes -= 3;
    }
  /* A PDF may hold no other byte than those of text, and is none all the same. */
  if (memchr (bytes, '\0', n_bytes) != NULL || (n_bytes >= 5 && memcmp (bytes, "%PDF-", 5) == 0))
    return NULL;
  if (g_utf8_validate (bytes, n_bytes, NULL))
    return g_strndup (bytes, n_bytes);
  for (gsize i = 0; i < n_bytes; i++)
    if ((guchar) bytes[i] < 0x20 && strchr ("\t\n\r\f", bytes[i]) == NULL)
      return NULL;
  text = g_convert (bytes, n_bytes, "UTF-8", "WINDOWS-1252", NULL, NULL, NULL);
  return text;
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  g_autofree char *bytes = NULL;
  g_autofree char *text = NULL;
  g_autofree char *name = g_file_get_basename (G_FILE (source));
  GError *error = NULL;
  gsize n_bytes;

  if (!g_file_load_contents_finish (G_FILE (source), result, &bytes, &n_bytes, NULL, &error))
    {
      g_task_return_error (task, error);
      return;
    }
  if (n_bytes == 0)
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("“%s” is empty."), name);
      return;
    }
  text = n_bytes <= ATL_ATTACHMENT_MAX_BYTES ? to_text (bytes, n_bytes) : NULL;
  if (text == NULL)
    {
      g_task_return_new_error (
          task, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
          _ ("“%s” is not a text file. Text, Markdown, tables (.csv), JSON and "
             "source code can be attached."),
          name);
      return;
    }
  AtlAttachment *attachment = g_new0 (AtlAttachment, 1);
  attachment->name = g_filename_display_name (name);
  attachment->mime = g_content_type_guess (name, NULL, 0, NULL);
  attachment->text = g_steal_pointer (&text);
  g_task_return_pointer (task, attachment, (GDestroyNotify) atl_attachment_free);
}

static void
info_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autoptr (GTask) task = data;
  GError *error = NULL;
  g_autoptr (GFileInfo) info = g_file_query_info_finish (G_FILE (source), result, &error);

  if (info == NULL)
    {
      g_task_return_error (task, error);
      return;
    }
  if (g_file_info_get_file_type (info) != G_FILE_TYPE_REGULAR)
    {
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                               _ ("“%s” is not a file that can be attached."),
                               g_file_info_get_display_name (info));
      return;
    }
  if (g_file_info_get_size (info) > ATL_ATTACHMENT_MAX_BYTES)
    {
      g_autofree char *size = atl_format_bytes ((guint64) g_file_info_get_size (info));
      g_task_return_new_error (task, ATL_ERROR, ATL_ERROR_FULL,
                               _ ("“%s” is too long: it has %s, at most 1 MB can be attached."),
                               g_file_info_get_display_name (info), size);
      return;
    }
  g_file_load_contents_async (G_FILE (source), g_task_get_cancellable (task), loaded_cb,
                              g_object_ref (task));
}

void
atl_attachment_read_async (GFile *file,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, data);

  g_file_query_info_async (file,
                           G_FILE_ATTRIBUTE_STANDARD_SIZE
                           "," G_FILE_ATTRIBUTE_STANDARD_TYPE
                           "," G_FILE_ATTRIBUTE_STANDARD_DISPLAY_NAME,
                           G_FILE_QUERY_INFO_NONE, G_PRIORITY_DEFAULT, cancellable, info_cb, task);
}

AtlAttachment *
atl_attachment_read_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
