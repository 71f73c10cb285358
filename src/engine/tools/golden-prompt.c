/* Golden cases of whole prompts: read, cut into chunks and weighted here, then encoded by one or
 * two text encoders; or with pictures in them. The ids, weights and positions that a case gives are
 * compared too. */
#define G_LOG_DOMAIN "atl-tools"

#include <math.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/diffusion/clip-encode.h"
#include "engine/diffusion/qwen-prompt.h"
#include "engine/tools/golden-case.h"

#define MAX_DEPTH 3

/* --- Files --- */

void
golden_files_clear (GoldenFiles *self)
{
  g_clear_pointer (&self->maps, g_ptr_array_unref);
  g_clear_pointer (&self->names, g_ptr_array_unref);
}

static gboolean
add (GoldenFiles *self, const char *path, const char *name, guint depth, GError **error)
{
  g_autoptr (GDir) dir = NULL;
  const char *member;
  AtlFileMap *map;

  if (!g_file_test (path, G_FILE_TEST_IS_DIR))
    {
      map = atl_file_map_new (path, error);
      if (map == NULL)
        return FALSE;
      g_ptr_array_add (self->maps, map);
      g_ptr_array_add (self->names, g_strdup (name));
      return TRUE;
    }
  if (depth == 0)
    return TRUE;
  dir = g_dir_open (path, 0, error);
  if (dir == NULL)
    return FALSE;
  while ((member = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *full = g_build_filename (path, member, NULL);
      g_autofree char *logical =
          *name != '\0' ? g_build_filename (name, member, NULL) : g_strdup (member);

      if (!add (self, full, logical, depth - 1, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
golden_files_add (GoldenFiles *self, const char *path, const char *name, GError **error)
{
  if (self->maps == NULL)
    {
      self->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
      self->names = g_ptr_array_new_with_free_func (g_free);
    }
  return add (self, path, name, MAX_DEPTH, error);
}

/* --- Prompts --- */

/* Pictures to stand in the text, not what was made of them. */
static gboolean
has_pictures (const GoldenCase *c)
{
  return atl_json_string (c->params, "template", NULL) != NULL &&
         atl_json_array (c->params, "image_grid_thw") != NULL;
}

gboolean
golden_is_prompt (const GoldenCase *c)
{
  return g_str_equal (c->kind, "encode_text") &&
         (has_pictures (c) || atl_json_string (c->params, "rule", NULL) != NULL ||
          (c->architecture != NULL && strchr (c->architecture, '+') != NULL));
}

static gboolean
is_same (const GoldenCase *c, const char *member, const AtlClipPrompt *prompt)
{
  JsonArray *list = atl_json_array (c->params, member);
  gboolean is_ids = g_str_has_prefix (member, "token_ids");
  guint n = prompt->n_chunks * ATL_CLIP_CHUNK;

  if (list == NULL)
    return TRUE;
  if (json_array_get_length (list) != n)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (is_ids ? json_array_get_int_element (list, i) != prompt->ids[i]
               : fabs (json_array_get_double_element (list, i) - prompt->weights[i]) > 1e-5)
      return FALSE;
  return TRUE;
}

static gboolean
encode (AtlRun *run,
        const GoldenCase *c,
        const AtlClipEncoder *encoder,
        const char *ids,
        AtlClipText *out,
        GError **error)
{
  g_autoptr (AtlClipPrompt) prompt =
      atl_clip_read (run, encoder, atl_json_string (c->params, "text", ""), error);

  if (prompt == NULL)
    return FALSE;
  if (!is_same (c, ids, prompt) || !is_same (c, "weights", prompt))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s: the prompt was read differently",
                   c->name);
      return FALSE;
    }
  return atl_clip_encode (run, encoder, prompt, out, error);
}

/* The model, and the vocabularies that the case finds elsewhere. */
static gboolean
add_files (GoldenFiles *files, const GoldenCase *c, GError **error)
{
  g_autofree char *path = g_build_filename (c->family_folder, c->model, NULL);
  g_autofree char *base = g_path_get_basename (path);
  JsonArray *list = atl_json_array (c->params, "tokenizers");

  if (!golden_files_add (files, path, g_file_test (path, G_FILE_TEST_IS_DIR) ? "" : base, error))
    return FALSE;
  for (guint i = 0; list != NULL && i < json_array_get_length (list); i++)
    {
      g_autofree char *folder =
          g_build_filename (c->family_folder, json_array_get_string_element (list, i), NULL);

      if (!golden_files_add (files, folder, i == 0 ? "tokenizer" : "tokenizer_2", error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
run_prompt (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend, GError **error)
{
  static const AtlPart parts[] = {
    { "text_encoder", "", "encode_text", "CLIPTextModel", atl_is_clip_l, FALSE },
    { "text_encoder_2", "", "encode_text", "CLIPTextModelWithProjection", atl_is_clip_g, FALSE },
  };
  gboolean is_pair = strchr (c->architecture, '+') != NULL;
  AtlClipEncoder encoders[] = { { "text_encoder", "tokenizer", 0, FALSE },
                                { "text_encoder_2", "tokenizer_2", 0, FALSE } };
  g_auto (GoldenFiles) files = { NULL, NULL };
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (AtlBundle) bundle = NULL;
  g_autoptr (AtlParts) loaded = NULL;
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  g_auto (AtlClipText) first = { 0 };
  g_auto (AtlClipText) second = { 0 };
  AtlClipText *text[] = { &first, &second };
  AtlRun run = { .settings = settings, .outputs = outputs };

  if (!add_files (&files, c, error))
    return FALSE;
  atl_settings_set_string (settings, "weighting", atl_json_string (c->params, "rule", ""));
  run.bundle = bundle =
      atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                      (const char *const *) files.names->pdata, files.maps->len, error);
  if (bundle == NULL || !atl_bundle_assign (bundle, parts, G_N_ELEMENTS (parts), error))
    return FALSE;
  run.parts = loaded = atl_parts_new (bundle, backend->list, backend->n);
  for (guint i = 0; i < (is_pair ? 2 : 1); i++)
    {
      encoders[i].layer = (int) atl_json_int (c->params, "layer", -1);
      encoders[i].final_norm = atl_json_bool (c->params, "final_layer_norm", TRUE);
      if (!encode (&run, c, &encoders[i], i == 0 ? "token_ids" : "token_ids_2", text[i], error))
        return FALSE;
    }
  if (is_pair && first.hidden->dim[1] == second.hidden->dim[1])
    g_ptr_array_add (
        outputs,
        atl_array_join ("hidden", 2, 2, (const AtlArray *const[]){ first.hidden, second.hidden }));
  else
    g_ptr_array_add (outputs, g_steal_pointer (&first.hidden));
  if (text[is_pair]->pooled != NULL)
    g_ptr_array_add (outputs, g_steal_pointer (&text[is_pair]->pooled));
  golden_report_outputs (report, c, backend, outputs);
  return TRUE;
}

/* --- Prompts with pictures --- */

/* The case's template with its text and places for the pictures in it. The caller's. */
static char *
fill_template (const GoldenCase *c)
{
  const char *prefix = atl_json_string (c->params, "picture_prefix", "");
  guint n = json_array_get_length (atl_json_array (c->params, "image_grid_thw"));
  g_auto (GStrv) around = g_strsplit (atl_json_string (c->params, "template", ""), "{}", 2);
  GString *text = g_string_new (around[0]);

  for (guint i = 0; i < n && *prefix != '\0'; i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i + 1);
      g_auto (GStrv) pieces = g_strsplit (prefix, "{n}", -1);
      g_autofree char *place = g_strjoinv (number, pieces);

      g_string_append (text, place);
    }
  g_string_append (text, atl_json_string (c->params, "text", ""));
  if (around[0] != NULL && around[1] != NULL)
    g_string_append (text, around[1]);
  return g_string_free (text, FALSE);
}

static gboolean
is_list (JsonArray *list, const gint32 *numbers, gint64 n)
{
  if (list == NULL)
    return TRUE;
  if ((gint64) json_array_get_length (list) != n)
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    if (json_array_get_int_element (list, (guint) i) != numbers[i])
      return FALSE;
  return TRUE;
}

static gboolean
is_read_alike (const GoldenCase *c, const AtlQwenPrompt *prompt)
{
  JsonArray *axes = atl_json_array (c->params, "position_ids");
  gint64 T = prompt->token_ids->dim[1];
  guint n = axes != NULL ? json_array_get_length (axes) : 0;

  for (guint i = 0; i < MIN (n, prompt->positions->dim[0]); i++)
    if (!is_list (json_array_get_array_element (axes, i), atl_array_i32 (prompt->positions) + i * T,
                  T))
      return FALSE;
  return is_list (atl_json_array (c->params, "token_ids"), atl_array_i32 (prompt->token_ids), T);
}

static gboolean
run_pictures (GoldenReport *report,
              const GoldenCase *c,
              const GoldenBackend *backend,
              GError **error)
{
  static const AtlPart parts[] = {
    { "text_encoder", "", "encode_text", "Qwen2_5_VLForConditionalGeneration", NULL, FALSE },
    { "vision_tower", "", "encode_image", "Qwen2_5_VisionTransformerPretrainedModel", NULL, FALSE,
      .beside = "text_encoder" },
  };
  g_auto (GoldenFiles) files = { NULL, NULL };
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (AtlBundle) bundle = NULL;
  g_autoptr (AtlParts) loaded = NULL;
  g_autoptr (GPtrArray) outputs = atl_arrays_new ();
  g_autofree char *text = fill_template (c);
  g_auto (AtlQwenPictures) seen = { 0 };
  g_auto (AtlQwenPrompt) prompt = { 0 };
  AtlRun run = { .settings = settings, .inputs = c->inputs };
  AtlArray *hidden;

  if (!add_files (&files, c, error))
    return FALSE;
  run.bundle = bundle =
      atl_bundle_new ((AtlFileMap *const *) files.maps->pdata,
                      (const char *const *) files.names->pdata, files.maps->len, error);
  if (bundle == NULL || !atl_bundle_assign (bundle, parts, G_N_ELEMENTS (parts), error))
    return FALSE;
  run.parts = loaded = atl_parts_new (bundle, backend->list, backend->n);
  for (guint i = 0; i < ATL_QWEN_MAX_PICTURES; i++)
    {
      g_autofree char *name = g_strdup_printf ("image_%u", i + 1);
      const AtlArray *picture = atl_arrays_find (c->inputs, name);

      if (picture != NULL && !atl_qwen_look (&run, picture, &seen, error))
        return FALSE;
    }
  if (!atl_qwen_read (&run, text, G_MAXINT32, &seen, &prompt, error))
    return FALSE;
  if (!is_read_alike (c, &prompt))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s: the prompt was read differently",
                   c->name);
      return FALSE;
    }
  hidden =
      atl_qwen_encode (&run, text, G_MAXINT32, atl_json_int (c->params, "drop", 0), &seen, error);
  if (hidden == NULL)
    return FALSE;
  g_ptr_array_add (outputs, hidden);
  golden_report_outputs (report, c, backend, outputs);
  return TRUE;
}

void
golden_run_prompt (GoldenReport *report, const GoldenCase *c, const GoldenBackend *backend)
{
  g_autoptr (GError) error = NULL;

  if (!(has_pictures (c) ? run_pictures : run_prompt) (report, c, backend, &error))
    golden_report_error (report, c, backend, error);
}
