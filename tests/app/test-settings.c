/* The settings of a chat: what is changed is saved and reaches the parameters of the next answer,
 * can be kept as a preset and be taken back. */
#include "app-steps.h"

#include "app/chat/json-row.h"
#include "app/chat/param-row.h"
#include "app/session/session-private.h"
#include "app/chat/settings-pane.h"
#include "app/chat/tool-card.h"
#include "base/json-bounded.h"
#include "store/chats.h"
#include "store/presets.h"

static GtkWidget *
pane (AppFixture *f, const char *id)
{
  GtkWidget *settings =
      app_fixture_find (GTK_WIDGET (f->window), ATL_TYPE_SETTINGS_PANE, NULL, NULL);
  GtkWidget *widget = app_fixture_find_id (settings, id);

  g_assert_nonnull (widget);
  return widget;
}

static void
start (AppFixture *f)
{
  app_fixture_start (f);
  app_exchange (app_conversation (f), "one", "answer");
  gtk_widget_activate_action (GTK_WIDGET (f->window), "win.toggle-settings", NULL);
  app_fixture_spin (300);
}

static void
stop (AppFixture *f)
{
  gtk_widget_activate_action (GTK_WIDGET (f->window), "win.toggle-settings", NULL);
  app_fixture_spin (50);
  app_fixture_stop (f);
}

static double
get_param (AppFixture *f, const char *key)
{
  g_auto (AtlChatParams) params;

  atl_chat_params_init (&params);
  atl_conversation_get_params (app_conversation (f), &params);
  return atl_chat_param_get (&params, atl_chat_param_find (key));
}

static void
test_change_and_reset (void)
{
  AppFixture f;
  g_autoptr (AtlChat) chat = NULL;
  double before;

  start (&f);
  before = get_param (&f, "temperature");
  gtk_range_set_value (GTK_RANGE (pane (&f, "creative_scale")), 1.5);
  adw_combo_row_set_selected (ADW_COMBO_ROW (pane (&f, "length_row")), 1);
  g_assert_cmpfloat_with_epsilon (get_param (&f, "temperature"), 1.5, 1e-6);
  g_assert_cmpfloat (get_param (&f, "max-tokens"), ==, 200);
  chat = atl_store_chat_get (atl_session_get_store (f.session),
                             atl_conversation_get_chat_id (app_conversation (&f)), NULL);
  g_assert_nonnull (strstr (chat->settings_json, "temperature"));
  g_signal_emit_by_name (pane (&f, "reset_button"), "clicked");
  g_assert_cmpfloat_with_epsilon (get_param (&f, "temperature"), before, 1e-6);
  g_assert_cmpuint (json_object_get_size (atl_conversation_get_settings (app_conversation (&f))),
                    ==, 0);
  stop (&f);
}

/* An emptied number is the one before, not the least. */
static void
test_emptied_number (void)
{
  AppFixture f;
  GtkWidget *row, *spin;
  double before;

  start (&f);
  row = app_fixture_find (pane (&f, "advanced_row"), ATL_TYPE_PARAM_ROW, NULL, NULL);
  g_assert_nonnull (row);
  spin = app_fixture_find (row, GTK_TYPE_SPIN_BUTTON, NULL, NULL);
  gtk_spin_button_spin (GTK_SPIN_BUTTON (spin), GTK_SPIN_STEP_FORWARD, 0);
  before = gtk_spin_button_get_value (GTK_SPIN_BUTTON (spin));
  g_assert_cmpfloat (before, >, atl_param_row_get_spec (ATL_PARAM_ROW (row))->min);
  gtk_editable_set_text (GTK_EDITABLE (spin), "");
  gtk_spin_button_update (GTK_SPIN_BUTTON (spin));
  g_assert_cmpfloat (gtk_spin_button_get_value (GTK_SPIN_BUTTON (spin)), ==, before);
  g_assert_cmpint (*gtk_editable_get_text (GTK_EDITABLE (spin)), !=, '\0');
  stop (&f);
}

static gboolean
is_row_of (GtkWidget *row, gconstpointer spec)
{
  return atl_param_row_get_spec (ATL_PARAM_ROW (row)) == spec;
}

/* A number beyond the limits is cut, which is said until it is another one. */
static void
test_cut_number (void)
{
  AppFixture f;
  GtkWidget *row, *spin;
  const AtlChatParamSpec *spec;

  start (&f);
  row = app_fixture_find (pane (&f, "advanced_row"), ATL_TYPE_PARAM_ROW, NULL, NULL);
  spin = app_fixture_find (row, GTK_TYPE_SPIN_BUTTON, NULL, NULL);
  spec = atl_param_row_get_spec (ATL_PARAM_ROW (row));
  gtk_editable_set_text (GTK_EDITABLE (spin), "99999999");
  gtk_spin_button_update (GTK_SPIN_BUTTON (spin));
  g_assert_cmpfloat (gtk_spin_button_get_value (GTK_SPIN_BUTTON (spin)), ==, spec->max);
  g_assert_true (g_str_has_prefix (adw_action_row_get_subtitle (ADW_ACTION_ROW (row)), "At most "));
  /* The focus leaves it. */
  gtk_spin_button_update (GTK_SPIN_BUTTON (spin));
  g_assert_true (g_str_has_prefix (adw_action_row_get_subtitle (ADW_ACTION_ROW (row)), "At most "));
  gtk_spin_button_spin (GTK_SPIN_BUTTON (spin), GTK_SPIN_STEP_BACKWARD, 0);
  g_assert_cmpstr (adw_action_row_get_subtitle (ADW_ACTION_ROW (row)), ==, spec->term);
  stop (&f);
}

/* Numbers are read as people write them, and what is none changes nothing. */
static void
test_odd_numbers (void)
{
  static const struct
  {
    const char *key, *text;
    double value;
  } entries[] = {
    { "temperature", "1,3", 1.3 },
    { "temperature", " 1.25 ", 1.25 },
    { "temperature", "abc", 0.5 },
    { "temperature", "1.2.3", 0.5 },
    { "temperature", "nan", 0.5 },
    { "temperature", "-1e300", 0 },
    { "top-k", "1,000", 1000 },
    { "top-k", "1.000", 1000 },
    { "top-k", "12,4", 12 },
    { "top-k", "ten", 0 },
    { "max-tokens", "many", -1 },
    { "max-tokens", "no limit", -1 },
    { "max-tokens", "100 000", 100000 },
  };
  AppFixture f;

  start (&f);
  for (guint i = 0; i < G_N_ELEMENTS (entries); i++)
    {
      const AtlChatParamSpec *spec = atl_chat_param_find (entries[i].key);
      GtkWidget *row =
          app_fixture_find (pane (&f, "advanced_row"), ATL_TYPE_PARAM_ROW, is_row_of, spec);
      GtkWidget *spin = app_fixture_find (row, GTK_TYPE_SPIN_BUTTON, NULL, NULL);

      gtk_spin_button_set_value (GTK_SPIN_BUTTON (spin), spec->min < 0 ? spec->min : 0.5);
      gtk_editable_set_text (GTK_EDITABLE (spin), entries[i].text);
      gtk_spin_button_update (GTK_SPIN_BUTTON (spin));
      g_test_message ("%s: %s", entries[i].key, entries[i].text);
      g_assert_cmpfloat_with_epsilon (gtk_spin_button_get_value (GTK_SPIN_BUTTON (spin)),
                                      entries[i].value, 1e-9);
    }
  stop (&f);
}

/* The row's text for what a text is worth. */
static gboolean
is_status (GtkWidget *label, gconstpointer words)
{
  return strstr (gtk_label_get_text (GTK_LABEL (label)), words) != NULL;
}

/* The first such row under Advanced is the schema's; what is no schema is not taken over, nor is
 * what no answer could keep to. */
static void
test_json (void)
{
  AppFixture f;
  GtkWidget *row, *view;
  g_auto (AtlChatParams) params;
  JsonObject *settings;
  gint64 first;

  start (&f);
  settings = atl_conversation_get_settings (app_conversation (&f));
  row = app_fixture_find (pane (&f, "advanced_row"), ATL_TYPE_JSON_ROW, NULL, NULL);
  g_assert_nonnull (row);
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (row), TRUE);
  g_assert_cmpstr (atl_json_string (settings, "json-schema", ""), ==, "{\"type\": \"object\"}");
  view = app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "[1, 2", -1);
  app_fixture_spin (700);
  g_assert_cmpstr (atl_json_string (settings, "json-schema", ""), ==, "{\"type\": \"object\"}");
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)),
                            "{\"type\": \"array\"}", -1);
  app_assert_soon (
      g_str_equal (atl_json_string (settings, "json-schema", ""), "{\"type\": \"array\"}"));
  atl_chat_params_init (&params);
  atl_conversation_get_params (app_conversation (&f), &params);
  g_assert_cmpstr (params.json_schema, ==, "{\"type\": \"array\"}");
  g_assert_cmpstr (adw_expander_row_get_subtitle (ADW_EXPANDER_ROW (pane (&f, "advanced_row"))), ==,
                   "Answers as JSON");
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)),
                            "{\"type\": \"strng\"}", -1);
  app_assert_soon (app_fixture_find (row, GTK_TYPE_LABEL, is_status, "names the type “strng”") !=
                   NULL);
  g_assert_cmpstr (atl_json_string (settings, "json-schema", ""), ==, "{\"type\": \"array\"}");
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (row), FALSE);
  g_assert_false (json_object_has_member (settings, "json-schema"));

  /* What was written a moment before another chat is opened belongs to the first. */
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (row), TRUE);
  app_assert_soon (app_fixture_find (row, GTK_TYPE_LABEL, is_status, "names the type “strng”") !=
                   NULL);
  app_exchange (app_conversation (&f), "one", "two");
  first = atl_conversation_get_chat_id (app_conversation (&f));
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "{\"type\": \"null\"}",
                            -1);
  atl_window_new_chat (f.window, 0);
  g_assert_false (json_object_has_member (atl_conversation_get_settings (app_conversation (&f)),
                                          "json-schema"));
  atl_window_open_chat (f.window, first, 0);
  g_assert_cmpstr (
      atl_json_string (atl_conversation_get_settings (app_conversation (&f)), "json-schema", ""),
      ==, "{\"type\": \"null\"}");
  stop (&f);
}

static gboolean
is_tools_row (GtkWidget *row, gconstpointer data)
{
  return g_str_equal (adw_preferences_row_get_title (ADW_PREFERENCES_ROW (row)), "Tools");
}

static gboolean
is_example (GtkWidget *label, gconstpointer data)
{
  return strstr (gtk_label_get_text (GTK_LABEL (label)), "[{") != NULL;
}

/* Who has no tool yet sees what one looks like, and that is one. */
static void
test_tools (void)
{
  AppFixture f;
  GtkWidget *row, *view, *label;
  JsonObject *settings;
  g_autofree char *example = NULL;

  start (&f);
  settings = atl_conversation_get_settings (app_conversation (&f));
  row = app_fixture_find (pane (&f, "advanced_row"), ATL_TYPE_JSON_ROW, is_tools_row, NULL);
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (row), TRUE);
  g_assert_cmpstr (atl_json_string (settings, "tools", ""), ==, "[]");
  label = app_fixture_find (row, GTK_TYPE_LABEL, is_example, NULL);
  g_assert_nonnull (label);
  g_assert_true (gtk_label_get_selectable (GTK_LABEL (label)));
  example = g_strdup (strstr (gtk_label_get_text (GTK_LABEL (label)), "[{"));
  view = app_fixture_find (row, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "[{", -1);
  app_assert_soon (gtk_widget_has_css_class (label, "error"));
  g_assert_true (g_str_has_prefix (gtk_label_get_text (GTK_LABEL (label)), "Not JSON yet: "));
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), example, -1);
  app_assert_soon (g_str_equal (atl_json_string (settings, "tools", ""), example));
  g_assert_false (gtk_widget_has_css_class (label, "error"));
  g_assert_false (gtk_label_get_selectable (GTK_LABEL (label)));
  stop (&f);
}

static gboolean
is_card (GtkWidget *widget, gconstpointer data)
{
  return gtk_widget_has_css_class (widget, "tool-card");
}

/* A call in an answer is a folded card with the tool's name. */
static void
test_tool_card (void)
{
  g_autofree char *text = atl_tool_card_to_text ("get_weather", "{\"city\": \"Bern\"}");
  AppFixture f;
  GtkWidget *card;

  app_fixture_start (&f);
  app_exchange (app_conversation (&f), "Weather?", text);
  app_fixture_spin (300);
  card = app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_EXPANDER, is_card, NULL);
  g_assert_nonnull (card);
  g_assert_nonnull (strstr (gtk_expander_get_label (GTK_EXPANDER (card)), "get_weather"));
  g_assert_false (gtk_expander_get_expanded (GTK_EXPANDER (card)));
  gtk_test_accessible_assert_property (GTK_ACCESSIBLE (card), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                       gtk_expander_get_label (GTK_EXPANDER (card)));
  app_fixture_stop (&f);
}

/* The button is there only when a model could be loaded anew. */
static gboolean
is_reload_button (GtkWidget *widget, gconstpointer data)
{
  return g_strcmp0 (gtk_buildable_get_buildable_id (GTK_BUILDABLE (widget)), "reload_button") == 0;
}

/* Where a model is loaded to counts from the next load on. */
static void
test_offload (void)
{
  AppFixture f;
  JsonObject *settings;
  GtkWidget *button;

  start (&f);
  g_assert_cmpint (f.session->gpu_layers, ==, -1);
  g_assert_cmpint (f.session->cpu_experts, ==, -1);
  settings = atl_conversation_get_settings (app_conversation (&f));
  json_object_set_int_member (settings, "gpu-layers", 5);
  json_object_set_int_member (settings, "cpu-experts", -7);
  button = app_fixture_find (GTK_WIDGET (f.window), GTK_TYPE_BUTTON, is_reload_button, NULL);
  g_signal_emit_by_name (button, "clicked");
  g_assert_cmpint (f.session->gpu_layers, ==, 5);
  g_assert_cmpint (f.session->cpu_experts, ==, -1);
  /* In this chat only. */
  atl_window_new_chat (f.window, 0);
  g_assert_cmpint (f.session->gpu_layers, ==, -1);
  stop (&f);
}

static gboolean
is_seed_row (GtkWidget *row, gconstpointer data)
{
  return g_str_equal (atl_param_row_get_spec (ATL_PARAM_ROW (row))->key, "seed");
}

/* Scrolling through the settings must not turn their numbers, and -1 is said in words. */
static void
test_numbers (void)
{
  AppFixture f;
  GtkWidget *row, *spin;
  g_autoptr (GListModel) controllers = NULL;

  start (&f);
  row = app_fixture_find (GTK_WIDGET (f.window), ATL_TYPE_PARAM_ROW, is_seed_row, NULL);
  spin = app_fixture_find (row, GTK_TYPE_SPIN_BUTTON, NULL, NULL);
  g_assert_cmpstr (gtk_editable_get_text (GTK_EDITABLE (spin)), ==, "random");
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (spin), 7);
  g_assert_cmpstr (gtk_editable_get_text (GTK_EDITABLE (spin)), ==, "7");
  g_assert_cmpfloat (get_param (&f, "seed"), ==, 7);
  g_assert_cmpint (gtk_editable_get_width_chars (GTK_EDITABLE (spin)), >=, 10); /* 4294967295 */
  gtk_editable_set_text (GTK_EDITABLE (spin), "random");
  gtk_spin_button_update (GTK_SPIN_BUTTON (spin));
  g_assert_cmpfloat (get_param (&f, "seed"), ==, -1);
  controllers = gtk_widget_observe_controllers (spin);
  for (guint i = 0; i < g_list_model_get_n_items (controllers); i++)
    {
      g_autoptr (GtkEventController) controller = g_list_model_get_item (controllers, i);
      if (GTK_IS_EVENT_CONTROLLER_SCROLL (controller))
        g_assert_cmpint (gtk_event_controller_get_propagation_phase (controller), ==,
                         GTK_PHASE_NONE);
    }
  stop (&f);
}

static void
test_instructions (void)
{
  AppFixture f;
  GtkWidget *view;
  g_autofree char *messages = NULL;

  start (&f);
  view = pane (&f, "system_view");
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (view)), "Answer in rhymes.",
                            -1);
  app_assert_soon (g_strcmp0 (atl_conversation_get_system_prompt (app_conversation (&f)),
                              "Answer in rhymes.") == 0);
  messages = atl_conversation_to_messages (app_conversation (&f), NULL);
  g_assert_true (g_str_has_prefix (
      messages, "[{\"role\":\"system\",\"content\":\"Answer in rhymes.\"},{\"role\":\"user\""));
  stop (&f);
}

/* A turn of the wheel over a box of text; whether it was taken from the box. */
static gboolean
turn_wheel (GtkWidget *text, double by)
{
  GtkWidget *box = gtk_widget_get_ancestor (text, GTK_TYPE_SCROLLED_WINDOW);
  g_autoptr (GListModel) controllers = gtk_widget_observe_controllers (box);
  gboolean taken = FALSE;

  for (guint i = 0; i < g_list_model_get_n_items (controllers) && !taken; i++)
    {
      g_autoptr (GtkEventController) controller = g_list_model_get_item (controllers, i);
      if (GTK_IS_EVENT_CONTROLLER_SCROLL (controller) &&
          gtk_event_controller_get_propagation_phase (controller) == GTK_PHASE_CAPTURE)
        g_signal_emit_by_name (controller, "scroll", 0.0, by, &taken);
    }
  return taken;
}

/* Over the instructions, and over JSON, the wheel moves the settings where these texts are short.
 */
static void
test_wheel (void)
{
  AppFixture f;
  GtkWidget *json, *texts[2];
  GtkAdjustment *adjustment;

  start (&f);
  adw_expander_row_set_expanded (ADW_EXPANDER_ROW (pane (&f, "advanced_row")), TRUE);
  json = app_fixture_find (pane (&f, "advanced_row"), ATL_TYPE_JSON_ROW, NULL, NULL);
  adw_expander_row_set_enable_expansion (ADW_EXPANDER_ROW (json), TRUE);
  adw_expander_row_set_expanded (ADW_EXPANDER_ROW (json), TRUE);
  app_fixture_spin (300);
  adjustment = gtk_scrolled_window_get_vadjustment (GTK_SCROLLED_WINDOW (pane (&f, "scroller")));
  app_assert_soon (gtk_adjustment_get_upper (adjustment) >
                   gtk_adjustment_get_page_size (adjustment) + 1);
  texts[0] = pane (&f, "system_view");
  texts[1] = app_fixture_find (json, GTK_TYPE_TEXT_VIEW, NULL, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      gtk_adjustment_set_value (adjustment, 0);
      g_assert_true (turn_wheel (texts[i], 1));
      g_assert_cmpfloat (gtk_adjustment_get_value (adjustment), >, 0);
    }
  stop (&f);
}

static double
letter_size (GtkWidget *label)
{
  return pango_font_description_get_size (
      pango_context_get_font_description (gtk_widget_get_pango_context (label)));
}

/* Every kind of letters on a page grows with the others. */
static void
test_zoom (void)
{
  static const char *const classes[] = { "title-1", "title-2",     "title-3",
                                         "title-4", "large-title", "heading",
                                         "body",    "caption",     "caption-heading" };
  AppFixture f;
  GtkWidget *labels[G_N_ELEMENTS (classes)];
  double before[G_N_ELEMENTS (classes)];

  app_fixture_start (&f);
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    {
      labels[i] = gtk_label_new ("Letters");
      gtk_widget_add_css_class (labels[i], classes[i]);
      gtk_widget_set_parent (labels[i], f.window->chat_page);
      before[i] = letter_size (labels[i]);
    }
  g_settings_set_double (atl_session_get_settings (f.session), "zoom", 2);
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    {
      app_assert_soon (letter_size (labels[i]) > 1.9 * before[i]);
      g_assert_cmpfloat_with_epsilon (letter_size (labels[i]) / before[i], 2, 0.01);
      gtk_widget_unparent (labels[i]);
    }
  g_settings_reset (atl_session_get_settings (f.session), "zoom");
  app_fixture_stop (&f);
}

static guint
n_presets (AtlStore *store)
{
  g_autoptr (GPtrArray) presets = atl_store_preset_list (store, NULL);

  return presets->len;
}

static gboolean
has_preset (AtlStore *store, const char *name)
{
  g_autoptr (GPtrArray) presets = atl_store_preset_list (store, NULL);

  return presets->len == 1 && g_str_equal (((AtlPreset *) presets->pdata[0])->name, name);
}

/* Where what had the focus goes away, keys go on in the composer. */
static void
test_focus (void)
{
  AppFixture f;
  GtkWidget *focus;

  start (&f);
  g_assert_true (gtk_widget_grab_focus (pane (&f, "system_view")));
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  focus = gtk_window_get_focus (GTK_WINDOW (f.window));
  g_assert_true (gtk_widget_is_ancestor (focus, app_composer (&f)));
  app_fixture_stop (&f);
}

static void
test_preset (void)
{
  AppFixture f;
  AtlStore *store;

  app_fixture_start (&f);
  store = atl_session_get_store (f.session);
  g_assert_cmpint (atl_store_preset_save (store, "Poet",
                                          "{\"temperature\":1.2,\"system-prompt\":\"Be a poet.\"}",
                                          NULL),
                   !=, 0);
  atl_window_new_chat (f.window, 0);
  app_exchange (app_conversation (&f), "one", "answer");
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.toggle-settings", NULL);
  app_fixture_spin (300);
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (GTK_TEXT_VIEW (pane (&f, "system_view"))),
                            "Mine.", -1);
  adw_combo_row_set_selected (ADW_COMBO_ROW (pane (&f, "preset_row")), 1);
  g_assert_cmpfloat_with_epsilon (get_param (&f, "temperature"), 1.2, 1e-6);
  g_assert_cmpstr (atl_conversation_get_system_prompt (app_conversation (&f)), ==, "Be a poet.");
  /* What one wrote oneself comes back, and a preset that was removed. */
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  g_assert_cmpstr (atl_conversation_get_system_prompt (app_conversation (&f)), ==, "Mine.");
  g_assert_cmpint (adw_combo_row_get_selected (ADW_COMBO_ROW (pane (&f, "preset_row"))), ==, 0);
  adw_combo_row_set_selected (ADW_COMBO_ROW (pane (&f, "preset_row")), 1);
  /* Its name is changed, and comes back too. */
  g_signal_emit_by_name (pane (&f, "rename_button"), "clicked");
  app_assert_soon (app_dialog () != NULL);
  gtk_editable_set_text (
      GTK_EDITABLE (app_fixture_find (GTK_WIDGET (app_dialog ()), GTK_TYPE_ENTRY, NULL, NULL)),
      "Rhymer");
  adw_message_dialog_response (app_dialog (), "accept");
  app_assert_soon (has_preset (store, "Rhymer"));
  g_assert_cmpint (adw_combo_row_get_selected (ADW_COMBO_ROW (pane (&f, "preset_row"))), ==, 1);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  g_assert_true (has_preset (store, "Poet"));
  g_assert_cmpint (adw_combo_row_get_selected (ADW_COMBO_ROW (pane (&f, "preset_row"))), ==, 1);
  g_signal_emit_by_name (pane (&f, "remove_button"), "clicked");
  g_assert_cmpuint (n_presets (store), ==, 0);
  gtk_widget_activate_action (GTK_WIDGET (f.window), "win.undo", NULL);
  g_assert_cmpuint (n_presets (store), ==, 1);
  stop (&f);
}

/* Screen readers are told what the pop-ups of the combo rows list. */
static void
test_names (void)
{
  AppFixture f;
  const char *ids[] = { "preset_row", "length_row" };

  start (&f);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      GtkWidget *list = app_fixture_find (pane (&f, ids[i]), GTK_TYPE_LIST_VIEW, NULL, NULL);
      g_assert_nonnull (list);
      g_assert_true (
          gtk_test_accessible_has_property (GTK_ACCESSIBLE (list), GTK_ACCESSIBLE_PROPERTY_LABEL));
    }
  g_assert_true (gtk_test_accessible_has_property (GTK_ACCESSIBLE (pane (&f, "advanced_row")),
                                                   GTK_ACCESSIBLE_PROPERTY_LABEL));
  stop (&f);
}

/* A damaged row must not take the other settings with it. */
static void
test_out_of_range (void)
{
  AppFixture f;

  app_fixture_start (&f);
  json_object_set_double_member (atl_conversation_get_settings (app_conversation (&f)),
                                 "temperature", 1e9);
  g_assert_cmpfloat (get_param (&f, "temperature"), <=, 5);
  app_fixture_stop (&f);
}

int
main (int argc, char **argv)
{
  app_fixture_init (&argc, &argv);
  g_test_add_func ("/settings/emptied-number", test_emptied_number);
  g_test_add_func ("/settings/cut-number", test_cut_number);
  g_test_add_func ("/settings/odd-numbers", test_odd_numbers);
  g_test_add_func ("/app/settings/change-and-reset", test_change_and_reset);
  g_test_add_func ("/app/settings/json", test_json);
  g_test_add_func ("/app/settings/tools", test_tools);
  g_test_add_func ("/app/settings/tool-card", test_tool_card);
  g_test_add_func ("/app/settings/offload", test_offload);
  g_test_add_func ("/app/settings/numbers", test_numbers);
  g_test_add_func ("/app/settings/instructions", test_instructions);
  g_test_add_func ("/app/settings/wheel", test_wheel);
  g_test_add_func ("/app/settings/zoom", test_zoom);
  g_test_add_func ("/app/settings/focus", test_focus);
  g_test_add_func ("/app/settings/preset", test_preset);
  g_test_add_func ("/app/settings/names", test_names);
  g_test_add_func ("/app/settings/out-of-range", test_out_of_range);
  return g_test_run ();
}
