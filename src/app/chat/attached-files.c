/* A list of attached files that reads what is added to it. */
#include "app/chat/attached-files.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/chat/attachment.h"

/* Refusals of one call that are told one by one. */
#define MAX_TOLD 3

struct _AtlAttachedFiles
{
  GObject parent_instance;

  GPtrArray *list; /* (element-type AtlAttachment) */
};

G_DEFINE_FINAL_TYPE (AtlAttachedFiles, atl_attached_files, G_TYPE_OBJECT)

enum
{
  CHANGED,
  ATTACHED,
  NOTICE,
  N_SIGNALS
};

static guint signals[N_SIGNALS];

/* Files that were brought together: read at once, told about once. */
typedef struct
{
  AtlAttachedFiles *self; /* (owned) */
  GPtrArray *read;        /* (element-type AtlAttachment) NULL: not yet, or refused */
  GPtrArray *errors;      /* (element-type GError) NULL likewise */
  guint kinds;            /* bits by AtlContentKind of those that are no text */
  guint n_waiting;
  guint n_context;
} Batch;

typedef struct
{
  Batch *batch;
  guint index;
} Reading;

static gsize
count_bytes (GPtrArray *list)
{
  gsize n = 0;

  for (guint i = 0; i < list->len; i++)
    n += strlen (((const AtlAttachment *) list->pdata[i])->text);
  return n;
}

/* --- Taking in --- */

static gboolean
has (AtlAttachedFiles *self, const AtlAttachment *file)
{
  for (guint i = 0; i < self->list->len; i++)
    {
      const AtlAttachment *other = self->list->pdata[i];

      if (g_str_equal (other->name, file->name) && g_str_equal (other->text, file->text))
        return TRUE;
    }
  return FALSE;
}

/* NULL when it can be added. */
static GError *
check_room (AtlAttachedFiles *self, const AtlAttachment *file, guint n_context)
{
  gsize n_bytes = strlen (file->text);
  guint n_tokens = atl_attachment_estimate_tokens (n_bytes);

  if (has (self, file))
    return g_error_new (ATL_ERROR, ATL_ERROR_BUSY, _ ("“%s” is attached already."), file->name);
  if (n_context > 0 && n_tokens > n_context)
    return g_error_new (
        ATL_ERROR, ATL_ERROR_FULL,
        _ ("“%s” is too long for this chat: about %'u tokens, and %'u fit. Choose a longer "
           "context in the settings, or a shorter file."),
        file->name, n_tokens, n_context);
  if (self->list->len >= ATL_ATTACHED_FILES_MAX ||
      count_bytes (self->list) + n_bytes > ATL_ATTACHED_FILES_MAX_BYTES)
    return g_error_new (ATL_ERROR, ATL_ERROR_FULL,
                        _ ("“%s” is too much for one message: at most %d files of 8 MB together "
                           "can be attached."),
                        file->name, ATL_ATTACHED_FILES_MAX);
  return NULL;
}

static void
add_sentence (GString *words, const char *sentence)
{
  if (words->len > 0)
    g_string_append_c (words, ' ');
  g_string_append (words, sentence);
}

/* What is wrong with the first ones, how many more there are, and what would work. */
static void
tell (const Batch *batch)
{
  g_autoptr (GString) words = g_string_new (NULL);
  guint n = 0;

  for (guint i = 0; i < batch->errors->len; i++)
    {
      const GError *error = batch->errors->pdata[i];

      if (error != NULL && n++ < MAX_TOLD)
        add_sentence (words, error->message);
    }
  if (n == 0)
    return;
  if (n > MAX_TOLD)
    {
      g_autofree char *others =
          g_strdup_printf (ngettext ("%u other file cannot be attached either.",
                                     "%u other files cannot be attached either.", n - MAX_TOLD),
                           n - MAX_TOLD);
      add_sentence (words, others);
    }
  if (batch->kinds & (1u << ATL_CONTENT_MODEL))
    add_sentence (words, _ ("Model files that can be opened end in .gguf or .safetensors."));
  if (batch->kinds & (1u << ATL_CONTENT_PICTURE))
    add_sentence (words, _ ("On the Images page a picture can be what the next one begins with."));
  if (batch->kinds & (1u << ATL_CONTENT_OTHER | 1u << ATL_CONTENT_TEXT))
    add_sentence (words,
                  _ ("Text, Markdown, tables (.csv), JSON and source code can be attached."));
  g_signal_emit (batch->self, signals[NOTICE], 0, words->str);
}

static void
free_error (gpointer error)
{
  if (error != NULL)
    g_error_free (error);
}

static void
unref_file (gpointer file)
{
  atl_attachment_unref (file);
}

static void
finish (Batch *batch)
{
  AtlAttachedFiles *self = batch->self;
  guint n_before = self->list->len;

  for (guint i = 0; i < batch->read->len; i++)
    {
      AtlAttachment *file = batch->read->pdata[i];

      if (file == NULL)
        continue;
      batch->errors->pdata[i] = check_room (self, file, batch->n_context);
      if (batch->errors->pdata[i] == NULL)
        g_ptr_array_add (self->list, atl_attachment_ref (file));
    }
  if (self->list->len > n_before)
    {
      g_signal_emit (self, signals[CHANGED], 0);
      g_signal_emit (self, signals[ATTACHED], 0);
    }
  tell (batch);
  g_object_unref (batch->self);
  g_ptr_array_unref (batch->read);
  g_ptr_array_unref (batch->errors);
  g_free (batch);
}

static void
read_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  g_autofree Reading *reading = data;
  Batch *batch = reading->batch;
  AtlContentKind kind;
  GError *error = NULL;

  batch->read->pdata[reading->index] = atl_attachment_read_finish (result, &kind, &error);
  batch->errors->pdata[reading->index] = error;
  if (g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED))
    batch->kinds |= 1u << kind;
  if (--batch->n_waiting == 0)
    finish (batch);
}

void
atl_attached_files_attach (AtlAttachedFiles *self, GSList *files, guint n_context)
{
  guint n = g_slist_length (files);
  Batch *batch;

  if (n == 0)
    return;
  batch = g_new0 (Batch, 1);
  batch->self = g_object_ref (self);
  batch->read = g_ptr_array_new_full (n, unref_file);
  g_ptr_array_set_size (batch->read, (int) n);
  batch->errors = g_ptr_array_new_full (n, free_error);
  g_ptr_array_set_size (batch->errors, (int) n);
  batch->n_context = n_context;
  batch->n_waiting = n;
  for (GSList *l = files; l != NULL; l = l->next)
    {
      Reading *reading = g_new0 (Reading, 1);

      reading->batch = batch;
      reading->index = (guint) g_slist_position (files, l);
      atl_attachment_read_async (l->data, NULL, read_cb, reading);
    }
}

void
atl_attached_files_attach_text (AtlAttachedFiles *self, const char *text, guint n_context)
{
  AtlAttachment *file = atl_attachment_new (_ ("Pasted text.txt"), "text/plain", g_strdup (text));
  g_autoptr (GError) refusal = check_room (self, file, n_context);

  if (refusal != NULL)
    {
      atl_attachment_unref (file);
      g_signal_emit (self, signals[NOTICE], 0, refusal->message);
      return;
    }
  g_ptr_array_add (self->list, file);
  g_signal_emit (self, signals[CHANGED], 0);
  g_signal_emit (self, signals[ATTACHED], 0);
}

void
atl_attached_files_refuse_picture (AtlAttachedFiles *self)
{
  g_autoptr (GString) words = g_string_new (_ ("A picture cannot be attached."));

  add_sentence (words, _ ("On the Images page a picture can be what the next one begins with."));
  g_signal_emit (self, signals[NOTICE], 0, words->str);
}

/* --- The list --- */

GPtrArray *
atl_attached_files_get (AtlAttachedFiles *self)
{
  return self->list;
}

void
atl_attached_files_remove (AtlAttachedFiles *self, AtlAttachment *file)
{
  if (g_ptr_array_remove (self->list, file))
    g_signal_emit (self, signals[CHANGED], 0);
}

void
atl_attached_files_clear (AtlAttachedFiles *self)
{
  if (self->list->len == 0)
    return;
  g_ptr_array_set_size (self->list, 0);
  g_signal_emit (self, signals[CHANGED], 0);
}

/* --- GObject --- */

static void
atl_attached_files_finalize (GObject *object)
{
  g_ptr_array_unref (ATL_ATTACHED_FILES (object)->list);
  G_OBJECT_CLASS (atl_attached_files_parent_class)->finalize (object);
}

static void
atl_attached_files_class_init (AtlAttachedFilesClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = atl_attached_files_finalize;
  signals[CHANGED] = g_signal_new ("changed", ATL_TYPE_ATTACHED_FILES, G_SIGNAL_RUN_LAST, 0, NULL,
                                   NULL, NULL, G_TYPE_NONE, 0);
  signals[ATTACHED] = g_signal_new ("attached", ATL_TYPE_ATTACHED_FILES, G_SIGNAL_RUN_LAST, 0, NULL,
                                    NULL, NULL, G_TYPE_NONE, 0);
  signals[NOTICE] = g_signal_new ("notice", ATL_TYPE_ATTACHED_FILES, G_SIGNAL_RUN_LAST, 0, NULL,
                                  NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
atl_attached_files_init (AtlAttachedFiles *self)
{
  self->list = atl_attachments_new ();
}

AtlAttachedFiles *
atl_attached_files_new (GPtrArray *list)
{
  AtlAttachedFiles *self = g_object_new (ATL_TYPE_ATTACHED_FILES, NULL);

  for (guint i = 0; list != NULL && i < list->len; i++)
    g_ptr_array_add (self->list, atl_attachment_ref (list->pdata[i]));
  return self;
}
