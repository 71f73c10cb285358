/* From an untrusted engine's dictionaries to plain data. */
#define G_LOG_DOMAIN "atl-client"

#include "client/model-info.h"

#include "protocol/protocol.h"

/* More parts or devices than this are not shown. */
#define MAX_ROWS 64u

G_DEFINE_BOXED_TYPE (AtlModelInfo, atl_model_info, atl_model_info_ref, atl_model_info_unref)
G_DEFINE_BOXED_TYPE (AtlEngineStatus,
                     atl_engine_status,
                     atl_engine_status_ref,
                     atl_engine_status_unref)
G_DEFINE_BOXED_TYPE (AtlChatStats, atl_chat_stats, atl_chat_stats_ref, atl_chat_stats_unref)

static guint
count_rows (GVariant *rows)
{
  return rows != NULL ? (guint) MIN (g_variant_n_children (rows), MAX_ROWS) : 0;
}

/* --- Models --- */

/* Never NULL; at most so many. */
static char **
read_strings (GVariant *dict, const char *key)
{
  g_autoptr (GVariant) rows = atl_dict_lookup (dict, key, "as");
  guint n = count_rows (rows);
  char **list = g_new0 (char *, n + 1);

  for (guint i = 0; i < n; i++)
    g_variant_get_child (rows, i, "s", &list[i]);
  return list;
}

static void
read_sizes (AtlModelInfo *self, GVariant *dict)
{
  g_autoptr (GVariant) rows = atl_dict_lookup (dict, ATL_INFO_SIZES, "a(uus)");

  self->n_sizes = count_rows (rows);
  self->sizes = g_new0 (AtlPictureSize, self->n_sizes);
  for (guint i = 0; i < self->n_sizes; i++)
    g_variant_get_child (rows, i, "(uus)", &self->sizes[i].width, &self->sizes[i].height,
                         &self->sizes[i].shape);
}

static AtlPictureKnobKind
knob_kind (GVariant *row)
{
  static const char *const kinds[] = { "whole", "number", "switch", "choice" };
  g_autofree char *kind = atl_dict_string (row, ATL_KNOB_KIND, "");

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kind, kinds[i]))
      return (AtlPictureKnobKind) i;
  return ATL_KNOB_NUMBER;
}

static void
read_knobs (AtlModelInfo *self, GVariant *dict)
{
  g_autoptr (GVariant) rows = atl_dict_lookup (dict, ATL_INFO_KNOBS, "aa{sv}");

  self->n_knobs = count_rows (rows);
  self->knobs = g_new0 (AtlPictureKnob, self->n_knobs);
  for (guint i = 0; i < self->n_knobs; i++)
    {
      g_autoptr (GVariant) row = g_variant_get_child_value (rows, i);
      AtlPictureKnob *knob = &self->knobs[i];

      knob->name = atl_dict_string (row, ATL_KNOB_NAME, "");
      knob->label = atl_dict_string (row, ATL_KNOB_LABEL, "");
      knob->help = atl_dict_string (row, ATL_KNOB_HELP, "");
      knob->kind = knob_kind (row);
      knob->min = atl_dict_double (row, ATL_KNOB_MIN, 0);
      knob->max = MAX (atl_dict_double (row, ATL_KNOB_MAX, 1), knob->min);
      knob->step = MAX (atl_dict_double (row, ATL_KNOB_STEP, 1), 1e-6);
      knob->fallback = CLAMP (atl_dict_double (row, ATL_KNOB_FALLBACK, 0), knob->min, knob->max);
      knob->choices = read_strings (row, ATL_KNOB_CHOICES);
    }
}

static void
read_missing (AtlModelInfo *self, GVariant *dict)
{
  g_autoptr (GVariant) rows = atl_dict_lookup (dict, ATL_INFO_MISSING, "aa{sv}");
  guint n = count_rows (rows);

  self->missing = g_new0 (AtlMissingFile, n);
  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GVariant) row = g_variant_get_child_value (rows, i);
      g_autofree char *repository = atl_dict_string (row, ATL_MISSING_REPOSITORY, "");
      gboolean is_extra = *repository == '\0' && atl_dict_bool (row, ATL_MISSING_OPTIONAL, FALSE);
      AtlMissingFile *file = &self->missing[is_extra ? n - ++self->n_extra : self->n_missing++];

      file->words = atl_dict_string (row, ATL_MISSING_WORDS, "");
      file->repository = g_steal_pointer (&repository);
      file->file = atl_dict_string (row, ATL_MISSING_FILE, "");
      file->name = atl_dict_string (row, ATL_MISSING_NAME, "");
      file->size_bytes = atl_dict_uint64 (row, ATL_MISSING_BYTES, 0);
      file->is_optional = atl_dict_bool (row, ATL_MISSING_OPTIONAL, FALSE);
      file->misfit = atl_dict_string (row, ATL_MISSING_MISFIT, "");
    }
}

AtlModelInfo *
atl_model_info_new_from_variant (GVariant *dict)
{
  AtlModelInfo *self = g_atomic_rc_box_new0 (AtlModelInfo);
  g_autofree char *kind = NULL;

  self->name = atl_dict_string (dict, ATL_INFO_NAME, "");
  if (*self->name == '\0')
    {
      g_free (self->name);
      self->name = g_strdup ("model");
    }
  self->inside = atl_dict_string (dict, ATL_INFO_INSIDE, "");
  self->architecture = atl_dict_string (dict, ATL_INFO_ARCHITECTURE, "");
  self->quant = atl_dict_string (dict, ATL_INFO_QUANT, "");
  self->license = atl_dict_string (dict, ATL_INFO_LICENSE, "");
  self->n_params = atl_dict_uint64 (dict, ATL_INFO_N_PARAMS, 0);
  self->size_bytes = atl_dict_uint64 (dict, ATL_INFO_SIZE_BYTES, 0);
  self->weight_bytes = atl_dict_uint64 (dict, ATL_INFO_WEIGHT_BYTES, 0);
  self->kv_bytes = atl_dict_uint64 (dict, ATL_INFO_KV_BYTES, 0);
  self->scratch_bytes = atl_dict_uint64 (dict, ATL_INFO_SCRATCH_BYTES, 0);
  self->needed_bytes = atl_dict_uint64 (dict, ATL_INFO_NEEDED_BYTES, 0);
  self->free_bytes = atl_dict_uint64 (dict, ATL_INFO_FREE_BYTES, 0);
  self->can_run = atl_dict_bool (dict, ATL_INFO_CAN_RUN, FALSE);
  self->fits = atl_dict_bool (dict, ATL_INFO_FITS, FALSE);
  self->fit_words = atl_dict_string (dict, ATL_INFO_FIT_WORDS, "");
  self->n_ctx = atl_dict_uint (dict, ATL_INFO_N_CTX, 0);
  self->n_layers = atl_dict_uint (dict, ATL_INFO_N_LAYERS, 0);
  self->n_ctx_train = atl_dict_uint (dict, ATL_INFO_N_CTX_TRAIN, 0);
  self->notice = atl_dict_string (dict, ATL_INFO_NOTICE, "");
  self->draft = atl_dict_string (dict, ATL_INFO_DRAFT, "");
  self->runs_on = atl_dict_string (dict, ATL_INFO_RUNS_ON, "");
  self->has_template = atl_dict_bool (dict, ATL_INFO_HAS_TEMPLATE, FALSE);
  self->has_system = atl_dict_bool (dict, ATL_INFO_HAS_SYSTEM, FALSE);
  self->has_tools = atl_dict_bool (dict, ATL_INFO_HAS_TOOLS, FALSE);
  self->has_thinking = atl_dict_bool (dict, ATL_INFO_HAS_THINKING, FALSE);
  self->has_experts = atl_dict_bool (dict, ATL_INFO_HAS_EXPERTS, FALSE);
  self->has_vision = atl_dict_bool (dict, ATL_INFO_HAS_VISION, FALSE);
  kind = atl_dict_string (dict, ATL_INFO_KIND, "");
  self->is_picture = g_str_equal (kind, ATL_KIND_PICTURE);
  self->family = atl_dict_string (dict, ATL_INFO_FAMILY, "");
  self->lora_families = read_strings (dict, ATL_INFO_LORA_FAMILIES);
  self->abilities = atl_dict_uint (dict, ATL_INFO_ABILITIES, 0);
  self->steps = atl_dict_uint (dict, ATL_INFO_STEPS, 0);
  self->guidance = atl_dict_double (dict, ATL_INFO_GUIDANCE, 0);
  self->no_guidance = atl_dict_double (dict, ATL_INFO_NO_GUIDANCE, 1);
  self->side = atl_dict_uint (dict, ATL_INFO_SIDE, 0);
  self->max_side = atl_dict_uint (dict, ATL_INFO_MAX_SIDE, 0);
  self->multiple = atl_dict_uint (dict, ATL_INFO_MULTIPLE, 1);
  self->max_references = atl_dict_uint (dict, ATL_INFO_MAX_REFERENCES, 0);
  self->samplers = read_strings (dict, ATL_INFO_SAMPLERS);
  self->schedules = read_strings (dict, ATL_INFO_SCHEDULES);
  read_sizes (self, dict);
  read_knobs (self, dict);
  read_missing (self, dict);
  self->is_upscaler = g_str_equal (kind, ATL_KIND_UPSCALER);
  self->scale = atl_dict_uint (dict, ATL_INFO_SCALE, 1);
  self->is_adapter = g_str_equal (kind, ATL_KIND_ADAPTER);
  self->is_lora = g_str_equal (kind, ATL_KIND_LORA);
  self->part = atl_dict_string (dict, ATL_INFO_PART, "");
  self->triggers = read_strings (dict, ATL_INFO_TRIGGERS);
  self->sampler = atl_dict_string (dict, ATL_INFO_SAMPLER, "");
  self->schedule = atl_dict_string (dict, ATL_INFO_SCHEDULE, "");
  self->strength = atl_dict_double (dict, ATL_INFO_STRENGTH, 1);
  self->few_steps = atl_dict_lookup (dict, ATL_INFO_FEW_STEPS, "a{sv}");
  self->is_toy = atl_dict_bool (dict, ATL_INFO_IS_TOY, FALSE);
  self->recommended = atl_dict_lookup (dict, ATL_INFO_RECOMMENDED, "a{sv}");
  if (self->recommended == NULL)
    self->recommended = g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));
  return self;
}

AtlModelInfo *
atl_model_info_ref (AtlModelInfo *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
model_info_clear (gpointer data)
{
  AtlModelInfo *self = data;

  g_free (self->name);
  g_free (self->inside);
  g_free (self->architecture);
  g_free (self->quant);
  g_free (self->license);
  g_free (self->fit_words);
  g_free (self->notice);
  g_free (self->draft);
  g_free (self->runs_on);
  g_free (self->family);
  g_strfreev (self->samplers);
  g_strfreev (self->schedules);
  g_strfreev (self->lora_families);
  g_strfreev (self->triggers);
  g_clear_pointer (&self->few_steps, g_variant_unref);
  g_free (self->part);
  g_free (self->sampler);
  g_free (self->schedule);
  for (guint i = 0; i < self->n_sizes; i++)
    g_free (self->sizes[i].shape);
  g_free (self->sizes);
  for (guint i = 0; i < self->n_knobs; i++)
    {
      g_free (self->knobs[i].name);
      g_free (self->knobs[i].label);
      g_free (self->knobs[i].help);
      g_strfreev (self->knobs[i].choices);
    }
  g_free (self->knobs);
  for (guint i = 0; i < self->n_missing + self->n_extra; i++)
    {
      g_free (self->missing[i].words);
      g_free (self->missing[i].repository);
      g_free (self->missing[i].file);
      g_free (self->missing[i].name);
      g_free (self->missing[i].misfit);
    }
  g_free (self->missing);
  g_variant_unref (self->recommended);
}

void
atl_model_info_unref (AtlModelInfo *self)
{
  if (self != NULL)
    g_atomic_rc_box_release_full (self, model_info_clear);
}

char *
atl_model_info_missing_words (const AtlModelInfo *self)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  for (guint i = 0; i < self->n_missing; i++)
    if (!self->missing[i].is_optional &&
        !g_ptr_array_find_with_equal_func (words, self->missing[i].words, g_str_equal, NULL))
      g_ptr_array_add (words, self->missing[i].words);
  g_ptr_array_add (words, NULL);
  return g_strjoinv (", ", (char **) words->pdata);
}

gboolean
atl_model_info_has_sampler (const AtlModelInfo *self, const char *sampler)
{
  for (guint i = 0; self->samplers[i] != NULL; i++)
    if (g_ascii_strcasecmp (self->samplers[i], sampler) == 0)
      return TRUE;
  return *sampler == '\0' || g_str_has_suffix (sampler, "Scheduler");
}

gboolean
atl_model_info_can_be_completed (const AtlModelInfo *self)
{
  for (guint i = 0; i < self->n_missing; i++)
    if (*self->missing[i].repository == '\0')
      return FALSE;
  return self->n_missing > 0;
}

guint64
atl_engine_status_memory (const AtlEngineStatus *self)
{
  return self->ram_total + (self->vram_is_shared ? 0 : self->vram_total);
}

AtlEngineStatus *
atl_engine_status_new_from_variant (GVariant *dict, GVariant *facts)
{
  AtlEngineStatus *self = g_atomic_rc_box_new0 (AtlEngineStatus);
  g_autoptr (GVariant) parts = atl_dict_lookup (dict, ATL_STATUS_PARTS, "aa{sv}");
  g_autoptr (GVariant) devices = atl_dict_lookup (dict, ATL_STATUS_DEVICES, "aa{sv}");

  self->ram_total = atl_dict_uint64 (dict, ATL_STATUS_RAM_TOTAL, 0);
  self->ram_free = atl_dict_uint64 (dict, ATL_STATUS_RAM_FREE, 0);
  self->vram_total = atl_dict_uint64 (dict, ATL_STATUS_VRAM_TOTAL, 0);
  self->vram_free = atl_dict_uint64 (dict, ATL_STATUS_VRAM_FREE, 0);
  self->vram_is_shared = atl_dict_bool (dict, ATL_STATUS_VRAM_SHARED, FALSE);
  self->sandbox = atl_dict_string (facts, ATL_FACT_SANDBOX, "");
  self->sandbox_is_full = atl_dict_bool (facts, ATL_FACT_SANDBOX_FULL, FALSE);

  self->n_parts = count_rows (parts);
  self->parts = g_new0 (AtlLedgerPart, self->n_parts);
  for (guint i = 0; i < self->n_parts; i++)
    {
      g_autoptr (GVariant) row = g_variant_get_child_value (parts, i);

      self->parts[i].name = atl_dict_string (row, ATL_PART_NAME, "");
      self->parts[i].ram_bytes = atl_dict_uint64 (row, ATL_PART_RAM, 0);
      self->parts[i].vram_bytes = atl_dict_uint64 (row, ATL_PART_VRAM, 0);
      self->parts[i].is_busy = atl_dict_bool (row, ATL_PART_BUSY, FALSE);
    }
  self->n_devices = count_rows (devices);
  self->devices = g_new0 (AtlDeviceInfo, self->n_devices);
  for (guint i = 0; i < self->n_devices; i++)
    {
      g_autoptr (GVariant) row = g_variant_get_child_value (devices, i);

      self->devices[i].type = atl_dict_string (row, ATL_DEVICE_TYPE, "");
      self->devices[i].name = atl_dict_string (row, ATL_DEVICE_NAME, "");
      self->devices[i].memory_bytes = atl_dict_uint64 (row, ATL_DEVICE_MEMORY, 0);
      self->devices[i].is_used = atl_dict_bool (row, ATL_DEVICE_USED, FALSE);
      self->devices[i].why_not = atl_dict_string (row, ATL_DEVICE_WHY_NOT, "");
    }
  return self;
}

AtlEngineStatus *
atl_engine_status_ref (AtlEngineStatus *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
engine_status_clear (gpointer data)
{
  AtlEngineStatus *self = data;

  for (guint i = 0; i < self->n_parts; i++)
    g_free (self->parts[i].name);
  g_free (self->parts);
  for (guint i = 0; i < self->n_devices; i++)
    {
      g_free (self->devices[i].type);
      g_free (self->devices[i].name);
      g_free (self->devices[i].why_not);
    }
  g_free (self->devices);
  g_free (self->sandbox);
}

void
atl_engine_status_unref (AtlEngineStatus *self)
{
  if (self != NULL)
    g_atomic_rc_box_release_full (self, engine_status_clear);
}

AtlChatStats *
atl_chat_stats_new_from_variant (GVariant *dict)
{
  AtlChatStats *self = g_atomic_rc_box_new0 (AtlChatStats);

  self->n_prompt = atl_dict_uint (dict, ATL_STAT_N_PROMPT, 0);
  self->n_cached = atl_dict_uint (dict, ATL_STAT_N_CACHED, 0);
  self->n_generated = atl_dict_uint (dict, ATL_STAT_N_GENERATED, 0);
  self->tokens_per_s = atl_dict_double (dict, ATL_STAT_TOKENS_PER_S, 0);
  self->prefill_per_s = atl_dict_double (dict, ATL_STAT_PREFILL_PER_S, 0);
  self->first_token_ms = atl_dict_double (dict, ATL_STAT_FIRST_TOKEN_MS, 0);
  self->thinking_ms = atl_dict_double (dict, ATL_STAT_THINKING_MS, 0);
  self->n_ctx_used = atl_dict_uint (dict, ATL_STAT_N_CTX_USED, 0);
  self->n_ctx = atl_dict_uint (dict, ATL_STAT_N_CTX, 0);
  self->n_drafted = atl_dict_uint (dict, ATL_STAT_N_DRAFTED, 0);
  self->n_accepted = atl_dict_uint (dict, ATL_STAT_N_ACCEPTED, 0);
  self->n_shifted = atl_dict_uint (dict, ATL_STAT_N_SHIFTED, 0);
  self->n_calls = atl_dict_uint (dict, ATL_STAT_N_CALLS, 0);
  self->stop_reason = atl_dict_string (dict, ATL_STAT_STOP_REASON, ATL_STOP_EOS);
  self->ran_on = atl_dict_string (dict, ATL_STAT_RAN_ON, "");
  self->seed = atl_dict_uint64 (dict, ATL_STAT_SEED, 0);
  return self;
}

AtlChatStats *
atl_chat_stats_ref (AtlChatStats *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
chat_stats_clear (gpointer data)
{
  AtlChatStats *self = data;

  g_free (self->stop_reason);
  g_free (self->ran_on);
}

void
atl_chat_stats_unref (AtlChatStats *self)
{
  if (self != NULL)
    g_atomic_rc_box_release_full (self, chat_stats_clear);
}
