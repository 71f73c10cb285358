/* Reads what a person attaches, and says in words what cannot be read. */
#include "app/chat/attachment.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/words.h"

typedef struct
{
  GFile *file;
  AtlContentKind kind;
} Reading;

guint
atl_attachment_estimate_tokens (gsize n_bytes)
{
  return (guint) (n_bytes * 2 / 7);
}

/* NULL when the bytes are no text in any encoding that people have. */
static char *
to_text (const char *bytes, gsize n_bytes)
{
  if (n_bytes >= 2 && (memcmp (bytes, "\xff\xfe", 2) == 0 || memcmp (bytes, "\xfe\xff", 2) == 0))
    return g_convert (bytes, (gssize) n_bytes, "UTF-8", "UTF-16", NULL, NULL, NULL);
  if (n_bytes >= 3 && memcmp (bytes, "\xef\xbb\xbf", 3) == 0)
    {
      bytes += 3;
      n_bytes -= 3;
    }
  if (memchr (bytes, '\0', n_bytes) != NULL)
    return NULL;
  if (g_utf8_validate (bytes, (gssize) n_bytes, NULL))
    return g_strndup (bytes, n_bytes);
  for (gsize i = 0; i < n_bytes; i++)
    if ((guchar) bytes[i] < 0x20 && strchr ("\t\n\r\f", bytes[i]) == NULL)
      return NULL;
  return g_convert (bytes, (gssize) n_bytes, "UTF-8", "WINDOWS-1252", NULL, NULL, NULL);
}

static gboolean
refuse_kind (const char *name, const char *kind, GError **error)
{
  if (kind != NULL)
    /* Translators: a file's name, and "a PDF document" */
    g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("“%s” is %s."), name, kind);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED, _ ("“%s” is not a text file."), name);
  return FALSE;
}

static gboolean
check_info (GFileInfo *info, const char *name, GError **error)
{
  if (g_file_info_get_file_type (info) == G_FILE_TYPE_DIRECTORY)
    return refuse_kind (name, _ ("a folder"), error);
  if (g_file_info_get_file_type (info) != G_FILE_TYPE_REGULAR)
    return refuse_kind (name, NULL, error);
  if (g_file_info_get_size (info) > 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("“%s” is empty."), name);
  return FALSE;
}

/* The text in it. Of a long file only the beginning was read. Also a PDF may hold no other bytes
 * than those of text, and is none all the same. */
static char *
text_of (Reading *reading,
         const char *name,
         const char *bytes,
         gsize n_bytes,
         guint64 size,
         GError **error)
{
  const char *words;
  char *text = NULL;

  reading->kind = atl_content_kind (bytes, n_bytes, &words);
  if (reading->kind != ATL_CONTENT_TEXT)
    {
      refuse_kind (name, words, error);
      return NULL;
    }
  if (size > ATL_ATTACHMENT_MAX_BYTES)
    {
      g_autofree char *length = atl_format_bytes (size);
      g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                   _ ("“%s” is too long: it has %s, at most 1 MB can be attached."), name, length);
      return NULL;
    }
  text = to_text (bytes, n_bytes);
  if (text == NULL)
    refuse_kind (name, NULL, error);
  return text;
}

static AtlAttachment *
read_file (Reading *reading, GCancellable *cancellable, GError **error)
{
  g_autoptr (GFileInfo) info =
      g_file_query_info (reading->file,
                         G_FILE_ATTRIBUTE_STANDARD_SIZE "," G_FILE_ATTRIBUTE_STANDARD_TYPE
                                                        "," G_FILE_ATTRIBUTE_STANDARD_DISPLAY_NAME,
                         G_FILE_QUERY_INFO_NONE, cancellable, error);
  g_autoptr (GFileInputStream) stream = NULL;
  g_autofree char *bytes = NULL;
  g_autofree char *mime = NULL;
  const char *name;
  char *text;
  guint64 size;
  gsize n;

  if (info == NULL)
    return NULL;
  name = g_file_info_get_display_name (info);
  if (!check_info (info, name, error))
    return NULL;
  stream = g_file_read (reading->file, cancellable, error);
  if (stream == NULL)
    return NULL;
  size = (guint64) g_file_info_get_size (info);
  bytes = g_malloc (ATL_ATTACHMENT_MAX_BYTES + 1);
  if (!g_input_stream_read_all (G_INPUT_STREAM (stream), bytes,
                                size > ATL_ATTACHMENT_MAX_BYTES ? ATL_CONTENT_LOOK_BYTES
                                                                : ATL_ATTACHMENT_MAX_BYTES + 1,
                                &n, cancellable, error))
    return NULL;
  /* It may have grown. */
  text = text_of (reading, name, bytes, n, MAX (size, n), error);
  if (text == NULL)
    return NULL;
  mime = g_content_type_guess (name, NULL, 0, NULL);
  return atl_attachment_new (name, mime, text);
}

/* GIO's words name the whole path and the system's reason. */
static void
say_file (GFile *file, GError **error)
{
  g_autofree char *base = NULL;
  g_autofree char *name = NULL;
  GError *better;

  if ((*error)->domain != G_IO_ERROR || (*error)->code == G_IO_ERROR_CANCELLED)
    return;
  base = g_file_get_basename (file);
  name = g_filename_display_name (base != NULL ? base : "");
  if ((*error)->code == G_IO_ERROR_NOT_FOUND)
    better = g_error_new (ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("“%s” is not there any more."), name);
  else if ((*error)->code == G_IO_ERROR_PERMISSION_DENIED)
    better = g_error_new (ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("You have no permission to read %s."),
                          name);
  else
    better = g_error_new (ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("“%s” could not be read."), name);
  g_error_free (*error);
  *error = better;
}

static void
run (GTask *task, gpointer source, gpointer reading, GCancellable *cancellable)
{
  GError *error = NULL;
  AtlAttachment *attachment = read_file (reading, cancellable, &error);

  if (attachment != NULL)
    g_task_return_pointer (task, attachment, (GDestroyNotify) atl_attachment_unref);
  else
    {
      say_file (((Reading *) reading)->file, &error);
      g_task_return_error (task, error);
    }
}

static void
free_reading (gpointer data)
{
  g_object_unref (((Reading *) data)->file);
  g_free (data);
}

void
atl_attachment_read_async (GFile *file,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, data);
  Reading *reading = g_new0 (Reading, 1);

  reading->file = g_object_ref (file);
  g_task_set_task_data (task, reading, free_reading);
  g_task_run_in_thread (task, run);
}

AtlAttachment *
atl_attachment_read_finish (GAsyncResult *result, AtlContentKind *kind, GError **error)
{
  *kind = ((Reading *) g_task_get_task_data (G_TASK (result)))->kind;
  return g_task_propagate_pointer (G_TASK (result), error);
}
