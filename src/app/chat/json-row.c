/* JSON for programs, in the settings of a chat. */
#include "app/chat/json-row.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app/words.h"
#include "base/json-bounded.h"
#include "base/schema-words.h"

#define EDITED_MS 500
#define MAX_BYTES (1u << 20)
#define MIN_HEIGHT 96
#define MAX_HEIGHT 260

struct _AtlJsonRow
{
  AdwExpanderRow parent_instance;

  AtlJsonRowKind kind;
  GtkWidget *view;
  GtkWidget *status;
  char *text; /* (nullable) as last told */
  guint source;
  AtlClient *client;     /* (nullable) */
  GCancellable *checked; /* (nullable) while the engine looks at a text */
  gboolean showing;      /* being set, not edited */
};

G_DEFINE_FINAL_TYPE (AtlJsonRow, atl_json_row, ADW_TYPE_EXPANDER_ROW)

static guint edited_signal;

/* Any object, and no tool: what a row holds that was just switched on. */
static const char *const fallbacks[] = {
  [ATL_JSON_ROW_SCHEMA] = "{\"type\": \"object\"}",
  [ATL_JSON_ROW_TOOLS] = "[]",
};

/* For who has not written one before; can be marked and copied. */
static const char tool_example[] =
    "[{\"name\": \"get_weather\", \"description\": \"Weather of a city\", \"parameters\": "
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, "
    "\"required\": [\"city\"]}}]";

static gboolean
has_name (JsonNode *node)
{
  JsonObject *object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  JsonObject *function = object != NULL ? atl_json_object (object, "function") : NULL;

  return object != NULL &&
         *atl_json_string (function != NULL ? function : object, "name", "") != '\0';
}

/* NULL, or what is wrong with it; the caller's. */
static char *
find_fault (AtlJsonRow *self, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) node = NULL;
  JsonArray *array;

  if (strlen (text) > MAX_BYTES)
    return g_strdup (_ ("This is too long."));
  node = atl_json_parse (text, strlen (text), _ ("Not JSON yet"), &error);
  if (node == NULL)
    return g_strdup (error->message);
  if (self->kind == ATL_JSON_ROW_SCHEMA)
    return JSON_NODE_HOLDS_OBJECT (node)
               ? NULL
               : g_strdup (_ ("A JSON schema is an object: it begins with {"));
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return g_strdup (_ ("Tools are a list: it begins with ["));
  array = json_node_get_array (node);
  for (guint i = 0; i < json_array_get_length (array); i++)
    if (!has_name (json_array_get_element (array, i)))
      return g_strdup_printf (_ ("Tool %u has no name."), i + 1);
  return NULL;
}

static char *
get_text (AtlJsonRow *self)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view)), &start, &end);
  return gtk_text_iter_get_text (&start, &end);
}

static void
tell (AtlJsonRow *self, const char *text)
{
  if (g_strcmp0 (self->text, text) == 0)
    return;
  g_free (self->text);
  self->text = g_strdup (text);
  g_signal_emit (self, edited_signal, 0, text);
}

/* What holds for a text without a fault; the caller's. */
static char *
effect_words (AtlJsonRow *self, const char *text)
{
  g_autoptr (JsonNode) node = atl_json_parse (text, strlen (text), "JSON", NULL);
  g_autofree char *unkept =
      self->kind == ATL_JSON_ROW_SCHEMA && node != NULL ? atl_schema_words_unkept (node) : NULL;

  if (self->kind == ATL_JSON_ROW_TOOLS && node != NULL && JSON_NODE_HOLDS_ARRAY (node) &&
      json_array_get_length (json_node_get_array (node)) == 0)
    return g_strdup_printf (_ ("No tool yet. This is one: %s"), tool_example);
  /* Translators: then words of a JSON schema, such as "not, uniqueItems" */
  return unkept != NULL
             ? g_strdup_printf (_ ("Counts from the next answer on, except for: %s"), unkept)
             : g_strdup (_ ("Counts from the next answer on."));
}

static void
show_fault (AtlJsonRow *self, const char *fault)
{
  gtk_label_set_text (GTK_LABEL (self->status), fault);
  gtk_label_set_selectable (GTK_LABEL (self->status), FALSE);
  gtk_widget_add_css_class (self->status, "error");
}

static void
take_over (AtlJsonRow *self, const char *text)
{
  g_autofree char *effect = effect_words (self, text);

  gtk_label_set_text (GTK_LABEL (self->status), effect);
  gtk_label_set_selectable (GTK_LABEL (self->status), strstr (effect, tool_example) != NULL);
  gtk_widget_remove_css_class (self->status, "error");
  tell (self, text);
}

static gboolean
is_fault (const GError *error)
{
  return g_error_matches (error, ATL_ERROR, ATL_ERROR_INVALID) ||
         g_error_matches (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED) ||
         g_error_matches (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX);
}

typedef struct
{
  AtlJsonRow *row;
  char *text;
} Checked;

/* Where there is no engine to ask, the answer will tell. */
static void
checked_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Checked *checked = data;
  AtlJsonRow *self = checked->row;
  g_autoptr (GError) error = NULL;

  atl_client_check_form_finish (ATL_CLIENT (source), result, &error);
  /* Another text came, or the row went. */
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    {
      g_clear_object (&self->checked);
      if (is_fault (error))
        show_fault (self, error->message);
      else
        take_over (self, checked->text);
    }
  g_object_unref (checked->row);
  g_free (checked->text);
  g_free (checked);
}

static void
stop_checking (AtlJsonRow *self)
{
  g_clear_handle_id (&self->source, g_source_remove);
  if (self->checked != NULL)
    g_cancellable_cancel (self->checked);
  g_clear_object (&self->checked);
}

/* Takes the text over if it can be: what is no JSON is seen here, the rest is the engine's to say.
 */
static void
check (AtlJsonRow *self)
{
  g_autofree char *text = get_text (self);
  g_autofree char *fault = find_fault (self, text);
  Checked *checked;

  stop_checking (self);
  if (fault != NULL || self->client == NULL || g_str_equal (text, fallbacks[self->kind]))
    {
      if (fault != NULL)
        show_fault (self, fault);
      else
        take_over (self, text);
      return;
    }
  checked = g_new0 (Checked, 1);
  checked->row = g_object_ref (self);
  checked->text = g_strdup (text);
  self->checked = g_cancellable_new ();
  atl_client_check_form_async (self->client, self->kind == ATL_JSON_ROW_SCHEMA ? text : NULL,
                               self->kind == ATL_JSON_ROW_TOOLS ? text : NULL, self->checked,
                               checked_cb, checked);
}

static gboolean
timeout_cb (gpointer data)
{
  AtlJsonRow *self = data;

  self->source = 0;
  check (self);
  return G_SOURCE_REMOVE;
}

static void
changed_cb (AtlJsonRow *self)
{
  if (self->showing)
    return;
  stop_checking (self);
  self->source = g_timeout_add (EDITED_MS, timeout_cb, self);
}

static void
enabled_cb (AtlJsonRow *self)
{
  if (self->showing)
    return;
  if (adw_expander_row_get_enable_expansion (ADW_EXPANDER_ROW (self)))
    check (self);
  else
    {
      stop_checking (self);
      tell (self, NULL);
    }
}

void
atl_json_row_set_text (AtlJsonRow *self, const char *json)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view));

  if (g_strcmp0 (self->text, json) == 0)
    return;
  g_free (self->text);
  self->text = g_strdup (json);
  self->showing = TRUE;
  stop_checking (self);
  if (json != NULL)
    gtk_text_buffer_set_text (buffer, json, -1);
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (self), json != NULL);
  gtk_label_set_text (GTK_LABEL (self->status), "");
  self->showing = FALSE;
}

void
atl_json_row_flush (AtlJsonRow *self)
{
  g_autofree char *text = get_text (self);
  g_autofree char *fault = NULL;

  if (self->source == 0 && self->checked == NULL)
    return;
  stop_checking (self);
  fault = find_fault (self, text);
  if (fault == NULL)
    tell (self, text);
}

void
atl_json_row_set_client (AtlJsonRow *self, AtlClient *client)
{
  g_set_object (&self->client, client);
}

static void
atl_json_row_dispose (GObject *object)
{
  AtlJsonRow *self = ATL_JSON_ROW (object);

  stop_checking (self);
  g_clear_object (&self->client);
  g_clear_pointer (&self->text, g_free);
  G_OBJECT_CLASS (atl_json_row_parent_class)->dispose (object);
}

static void
atl_json_row_class_init (AtlJsonRowClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = atl_json_row_dispose;
  edited_signal = g_signal_new ("edited", ATL_TYPE_JSON_ROW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 1, G_TYPE_STRING);
}

/* As high as its text, within limits: a text view does not tell its height before it is drawn. */
static void
fit_cb (GtkAdjustment *adjustment, GtkScrolledWindow *scroller)
{
  int height = (int) gtk_adjustment_get_upper (adjustment);

  gtk_scrolled_window_set_min_content_height (scroller, CLAMP (height, MIN_HEIGHT, MAX_HEIGHT));
}

static void
atl_json_row_init (AtlJsonRow *self)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *row = gtk_list_box_row_new ();

  self->view = gtk_text_view_new ();
  gtk_text_view_set_monospace (GTK_TEXT_VIEW (self->view), TRUE);
  gtk_text_view_set_wrap_mode (GTK_TEXT_VIEW (self->view), GTK_WRAP_WORD_CHAR);
  gtk_text_view_set_accepts_tab (GTK_TEXT_VIEW (self->view), FALSE);
  atl_text_never_hyphenate (GTK_TEXT_VIEW (self->view));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER,
                                  GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_min_content_height (GTK_SCROLLED_WINDOW (scroller), MIN_HEIGHT);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scroller), MAX_HEIGHT);
  g_signal_connect (gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (scroller)), "changed",
                    G_CALLBACK (fit_cb), scroller);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scroller), TRUE);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), self->view);
  self->status = gtk_label_new ("");
  gtk_label_set_xalign (GTK_LABEL (self->status), 0);
  gtk_label_set_wrap (GTK_LABEL (self->status), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (self->status), PANGO_WRAP_WORD_CHAR);
  gtk_widget_add_css_class (self->status, "caption");
  gtk_widget_set_margin_top (box, 9);
  gtk_widget_set_margin_bottom (box, 9);
  gtk_widget_set_margin_start (box, 12);
  gtk_widget_set_margin_end (box, 12);
  gtk_box_append (GTK_BOX (box), scroller);
  gtk_box_append (GTK_BOX (box), self->status);
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), FALSE);
  gtk_widget_set_focusable (row, FALSE);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), box);
  adw_expander_row_add_row (ADW_EXPANDER_ROW (self), row);
  adw_expander_row_set_show_enable_switch (ADW_EXPANDER_ROW (self), TRUE);
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (self), FALSE);
  g_signal_connect_swapped (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view)), "changed",
                            G_CALLBACK (changed_cb), self);
  g_signal_connect (self, "notify::enable-expansion", G_CALLBACK (enabled_cb), NULL);
}

GtkWidget *
atl_json_row_new (AtlJsonRowKind kind)
{
  AtlJsonRow *self = g_object_new (ATL_TYPE_JSON_ROW, NULL);
  gboolean is_schema = kind == ATL_JSON_ROW_SCHEMA;
  const char *title = is_schema ? _ ("Answer as JSON") : _ ("Tools");

  self->kind = kind;
  adw_preferences_row_set_title (ADW_PREFERENCES_ROW (self), title);
  adw_expander_row_set_subtitle (
      ADW_EXPANDER_ROW (self),
      is_schema ? _ ("Answers keep to a JSON schema, so that programs can read them.")
                : _ ("The model may ask for these, described as JSON. Nothing is run by itself."));
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->view), GTK_ACCESSIBLE_PROPERTY_LABEL, title,
                                  -1);
  self->showing = TRUE;
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (self->view)), fallbacks[kind],
                            -1);
  self->showing = FALSE;
  return GTK_WIDGET (self);
}
