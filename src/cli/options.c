/* Options drawn from the table of parameters, so that the command line never lags behind it. */
#define G_LOG_DOMAIN "atl-cli"

#include "cli/options.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "atelier-config.h"
#include "base/json-bounded.h"
#include "base/schema-words.h"
#include "hub/starter.h"

/* Of layers and tokens: more than any model has. */
#define MAX_NUMBER (1 << 24)

static char *
read_text (const char *value, GError **error)
{
  char *text = NULL;

  if (*value != '@')
    return g_strdup (value);
  g_file_get_contents (value + 1, &text, NULL, error);
  return text;
}

/* JSON as it is, or the file that has it, with or without "@". */
static char *
read_json (const char *value, GError **error)
{
  const char *start = value + strspn (value, " \t\r\n");
  char *text = NULL;

  if (*start == '{' || *start == '[' || *value == '@')
    return read_text (value, error);
  g_file_get_contents (value, &text, NULL, error);
  return text;
}

static const char *
intern (const char *key)
{
  return g_intern_string (key);
}

gboolean
atl_cli_options_set (AtlCliOptions *self, const char *key, const char *value, GError **error)
{
  const AtlChatParamSpec *spec = atl_chat_param_find (key);
  char *end = NULL;
  double number;

  if (spec == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("there is no parameter “%s”"), key);
      return FALSE;
    }
  number = g_ascii_strtod (value, &end);
  if (g_str_equal (value, "on"))
    number = 1;
  else if (g_str_equal (value, "off"))
    number = 0;
  else if (end == value || *end != '\0')
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s needs a number, not “%s”"), key,
                   value);
      return FALSE;
    }
  if (!atl_chat_param_set (&self->given, spec, number, error))
    return FALSE;
  g_ptr_array_add (self->given_keys, (gpointer) intern (key));
  return TRUE;
}

static gboolean
param_cb (const char *name, const char *value, gpointer data, GError **error)
{
  return atl_cli_options_set (data, name + strspn (name, "-"), value != NULL ? value : "1", error);
}

/* Says before the answer what it will not be held to; what is no JSON is refused later. */
static void
tell_unkept (const char *schema)
{
  g_autoptr (JsonNode) node = atl_json_parse (schema, strlen (schema), "JSON", NULL);
  g_autofree char *words = node != NULL ? atl_schema_words_unkept (node) : NULL;

  if (words == NULL)
    return;
  /* Translators: then words of a JSON schema, such as "not, uniqueItems" */
  g_printerr (_ ("Answers are not held to all that the schema says: %s"), words);
  g_printerr ("\n");
}

static gboolean
text_cb (const char *name, const char *value, gpointer data, GError **error)
{
  AtlCliOptions *self = data;
  const char *key = name + strspn (name, "-");
  gboolean is_json = g_str_equal (key, "tools") || g_str_has_suffix (key, "schema");
  g_autofree char *text = is_json ? read_json (value, error) : read_text (value, error);

  if (text == NULL)
    return FALSE;
  /* A file that is empty by mistake would otherwise be no rule at all. */
  if (text[strspn (text, " \t\r\n")] == '\0' && !g_str_equal (key, "stop"))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("--%s: “%s” is empty"), key, value);
      return FALSE;
    }
  if (g_str_equal (key, "stop"))
    {
      g_autoptr (GStrvBuilder) stop = g_strv_builder_new ();

      if (self->given.stop != NULL)
        g_strv_builder_addv (stop, (const char **) self->given.stop);
      g_strv_builder_add (stop, text);
      g_strfreev (self->given.stop);
      self->given.stop = g_strv_builder_end (stop);
    }
  else
    {
      char **field = g_str_equal (key, "grammar")       ? &self->given.grammar
                     : g_str_has_suffix (key, "schema") ? &self->given.json_schema
                                                        : &self->given.tools;

      g_free (*field);
      *field = g_steal_pointer (&text);
      if (field == &self->given.json_schema)
        tell_unkept (*field);
    }
  return TRUE;
}

gboolean
atl_cli_options_check (const char *option, int value, int low, int high, GError **error)
{
  if (value >= low && value <= high)
    return TRUE;
  /* Translators: an option such as --steps, then numbers */
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s: %d is not in %d to %d"), option, value,
               low, high);
  return FALSE;
}

static gboolean
load_cb (const char *name, const char *value, gpointer data, GError **error)
{
  AtlCliOptions *self = data;
  const char *key = name + strspn (name, "-");
  /* GLib names a short option by its letter. */
  gboolean is_threads = g_str_equal (key, "threads") || g_str_equal (key, "t");
  gboolean is_layers = g_str_equal (key, "gpu-layers");
  gboolean is_auto = is_layers || g_str_equal (key, "cpu-experts");
  gint64 number;

  if (!g_ascii_string_to_signed (value, 10, G_MININT, G_MAXINT, &number, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s needs a whole number, not “%s”"),
                   key, value);
      return FALSE;
    }
  if (!atl_cli_options_check (name, (int) number, is_auto ? -1 : 0,
                              is_threads ? ATL_CLI_MAX_THREADS : MAX_NUMBER, error))
    return FALSE;
  if (is_layers)
    self->load.gpu_layers = (gint) number;
  else if (is_auto)
    self->load.cpu_experts = (gint) number;
  else if (is_threads)
    self->load.n_threads = (guint) number;
  else
    self->load.n_ctx = (guint) number;
  return TRUE;
}

gboolean
atl_cli_options_parse (AtlCliOptions *self,
                       int *argc,
                       char ***argv,
                       const char *arguments,
                       const char *summary,
                       const GOptionEntry *more,
                       GError **error)
{
  static const AtlLoadOptions load_defaults = ATL_LOAD_OPTIONS_INIT;
  g_autoptr (GOptionContext) context = g_option_context_new (arguments);
  g_autofree GOptionEntry *params = NULL;
  GOptionGroup *main_group, *group;
  const AtlChatParamSpec *specs;
  guint n_specs;
  const GOptionEntry own[] = {
    { "model", 'm', 0, G_OPTION_ARG_FILENAME, &self->model,
      N_ ("A model file, a folder, or a name in the library"), "PATH|NAME" },
    { "system", 's', 0, G_OPTION_ARG_STRING, &self->system, N_ ("The system prompt"), "TEXT" },
    { "ctx", 'c', 0, G_OPTION_ARG_CALLBACK, load_cb, N_ ("Context length in tokens"), "N" },
    { "threads", 't', 0, G_OPTION_ARG_CALLBACK, load_cb, N_ ("Threads of the CPU (default: all)"),
      "N" },
    { "device", 0, 0, G_OPTION_ARG_STRING, &self->device, N_ ("auto, cpu or gpu"), "DEVICE" },
    { "gpu-layers", 0, 0, G_OPTION_ARG_CALLBACK, load_cb,
      N_ ("Layers on the GPU (default: what fits)"), "N" },
    { "cpu-experts", 0, 0, G_OPTION_ARG_CALLBACK, load_cb,
      N_ ("Layers whose experts stay on the CPU (default: as many as must)"), "N" },
    { "from-disk", 0, 0, G_OPTION_ARG_NONE, &self->load.from_disk,
      N_ ("Read from the disk what does not fit into memory (slow)"), NULL },
    { "kv-type", 0, 0, G_OPTION_ARG_STRING, &self->kv_type,
      N_ ("How the chat is kept in memory: f16, q8_0 or q4_0"), "TYPE" },
    { "lora", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &self->adapters,
      N_ ("An adapter (LoRA) for the model and how strong it is (repeatable)"), "PATH[:STRENGTH]" },
    { "draft", 0, 0, G_OPTION_ARG_FILENAME, &self->draft,
      N_ ("A smaller model of the same family that guesses ahead: faster, the same text"),
      "PATH|NAME" },
    { "stop", 0, 0, G_OPTION_ARG_CALLBACK, text_cb, N_ ("End the answer at this text (repeatable)"),
      "TEXT" },
    { "grammar", 0, 0, G_OPTION_ARG_CALLBACK, text_cb, N_ ("Keep to this GBNF grammar"),
      "TEXT|@FILE" },
    { "json-schema", 0, 0, G_OPTION_ARG_CALLBACK, text_cb, N_ ("Answer with JSON of this schema"),
      "JSON|FILE" },
    { "schema", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_CALLBACK, text_cb, NULL, NULL },
    { "tools", 0, 0, G_OPTION_ARG_CALLBACK, text_cb,
      N_ ("Tools that the model may call, a JSON array; calls are printed, nothing is run"),
      "JSON|FILE" },
    { "tool-choice", 0, 0, G_OPTION_ARG_STRING, &self->given.tool_choice,
      N_ ("auto, none, required, or the name of the tool that must be called"), "CHOICE" },
    { "show-thinking", 0, 0, G_OPTION_ARG_NONE, &self->show_thinking,
      N_ ("Print the reasoning too"), NULL },
    { NULL },
  };

  *self = (AtlCliOptions){ .load = load_defaults };
  self->given_keys = g_ptr_array_new ();
  atl_chat_params_init (&self->given);

  specs = atl_chat_param_specs (&n_specs);
  params = g_new0 (GOptionEntry, n_specs + 1);
  for (guint i = 0; i < n_specs; i++)
    params[i] = (GOptionEntry){ .long_name = specs[i].key,
                                .arg = G_OPTION_ARG_CALLBACK,
                                .arg_data = param_cb,
                                .description = specs[i].tooltip,
                                .arg_description = "VALUE" };

  main_group = g_option_group_new ("main", NULL, NULL, self, NULL);
  g_option_group_add_entries (main_group, own);
  if (more != NULL)
    g_option_group_add_entries (main_group, more);
  g_option_context_set_main_group (context, main_group);
  group = g_option_group_new ("answer", _ ("How the answer is chosen:"),
                              _ ("Parameters of the answer"), self, NULL);
  g_option_group_add_entries (group, params);
  g_option_context_add_group (context, group);
  g_option_group_set_translation_domain (main_group, ATL_GETTEXT_PACKAGE);
  g_option_group_set_translation_domain (group, ATL_GETTEXT_PACKAGE);
  g_option_context_set_summary (context, _ (summary));
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (self->given.tool_choice != NULL && *self->given.tool_choice == '\0')
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("--%s: “%s” is empty"), "tool-choice",
                   "");
      return FALSE;
    }
  self->load.kv_type = self->kv_type;
  self->load.device = self->device;
  self->load.draft = self->draft;
  self->load.adapters = (const char *const *) self->adapters;
  /* A person who types the command insists. */
  self->load.insist = TRUE;
  return TRUE;
}

void
atl_cli_options_clear (AtlCliOptions *self)
{
  g_clear_pointer (&self->model, g_free);
  g_clear_pointer (&self->system, g_free);
  g_clear_pointer (&self->kv_type, g_free);
  g_clear_pointer (&self->device, g_free);
  g_clear_pointer (&self->adapters, g_strfreev);
  g_clear_pointer (&self->draft, g_free);
  g_clear_pointer (&self->given_keys, g_ptr_array_unref);
  atl_chat_params_clear (&self->given);
}

static gboolean
is_greedy (const AtlCliOptions *self)
{
  return g_ptr_array_find_with_equal_func (self->given_keys, "temperature", g_str_equal, NULL) &&
         self->given.temperature == 0;
}

void
atl_cli_options_params (const AtlCliOptions *self, AtlModel *model, AtlChatParams *params)
{
  const AtlModelInfo *info = atl_model_get_info (model);

  atl_chat_params_init (params);
  /* A recommendation out of range is as good as none; and who asks for the likeliest words alone
   * gets them, without a penalty that was made for another temperature. */
  if (!is_greedy (self))
    atl_chat_params_apply (params,
                           atl_starter_recommended (atl_model_get_key (model), info->name,
                                                    info->inside, info->recommended, NULL),
                           NULL);
  for (guint i = 0; i < self->given_keys->len; i++)
    {
      const AtlChatParamSpec *spec = atl_chat_param_find (g_ptr_array_index (self->given_keys, i));

      atl_chat_param_set (params, spec, atl_chat_param_get (&self->given, spec), NULL);
    }
  params->stop = g_strdupv (self->given.stop);
  params->grammar = g_strdup (self->given.grammar);
  params->json_schema = g_strdup (self->given.json_schema);
  params->tools = g_strdup (self->given.tools);
  params->tool_choice = g_strdup (self->given.tool_choice);
  params->n_probs = self->given.n_probs;
}
