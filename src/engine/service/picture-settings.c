/* What a person asks of a picture, completed by what its model recommends. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>
#include <json-glib/json-glib.h>
#include <math.h>

#include "engine/diffusion/passes.h"
#include "engine/service/picture.h"
#include "media/sampler-names.h"
#include "protocol/protocol.h"

/* --- Samplers --- */

/* The usual name of the model's own; NULL where it has none. */
static const char *
own_sampler (const AtlTraits *traits)
{
  const char *name = atl_sampler_words (traits->sampler);

  return atl_sampler_find (name, traits->is_flow) != NULL ? name : NULL;
}

GVariant *
atl_picture_samplers (const AtlTraits *traits)
{
  const char *own = own_sampler (traits);
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  guint n;
  const AtlSamplerName *names = atl_sampler_names (&n);

  if (own != NULL)
    g_ptr_array_add (list, (gpointer) own);
  for (guint i = 0; i < n; i++)
    if (names[i].is_flow == traits->is_flow && g_strcmp0 (names[i].name, own) != 0)
      g_ptr_array_add (list, (gpointer) names[i].name);
  return g_variant_new_strv ((const char *const *) list->pdata, list->len);
}

GVariant *
atl_picture_schedules (const AtlTraits *traits)
{
  GVariantBuilder list;
  guint n;
  const AtlScheduleName *names = atl_schedule_names (&n);

  g_variant_builder_init (&list, G_VARIANT_TYPE_STRING_ARRAY);
  for (guint i = 0; !traits->is_flow && i < n; i++)
    g_variant_builder_add (&list, "s", names[i].name);
  return g_variant_builder_end (&list);
}

static void
lay_over (JsonObject *config, const char *json)
{
  g_autoptr (JsonNode) node = json != NULL ? json_from_string (json, NULL) : NULL;
  g_autoptr (GList) members =
      node != NULL ? json_object_get_members (json_node_get_object (node)) : NULL;

  for (GList *l = members; l != NULL; l = l->next)
    json_object_set_member (config, l->data,
                            json_object_dup_member (json_node_get_object (node), l->data));
}

gboolean
atl_picture_choose_sampler (AtlSettings *settings, const AtlTraits *traits, GError **error)
{
  g_autofree char *asked = g_strdup (atl_settings_string (
      settings, ATL_MADE_SAMPLER, atl_settings_string (settings, ATL_MADE_CLASS, "")));
  g_autofree char *wanted = g_strdup (atl_settings_string (settings, ATL_MADE_SCHEDULE, ""));
  const char *name = *asked != '\0' ? asked : own_sampler (traits);
  const AtlSamplerName *sampler = name != NULL ? atl_sampler_find (name, traits->is_flow) : NULL;
  const AtlScheduleName *schedule = NULL;
  g_autoptr (JsonObject) config = json_object_new ();
  g_autoptr (JsonObject) object = json_object_new ();

  if (*asked != '\0' && sampler == NULL && !g_str_has_suffix (asked, "Scheduler"))
    {
      g_autoptr (GVariant) offered = g_variant_ref_sink (atl_picture_samplers (traits));
      g_autofree const char **names = g_variant_get_strv (offered, NULL);
      g_autofree char *list = g_strjoinv (", ", (char **) names);

      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The sampler “%s” is not known for this model. There are: %s"), asked, list);
      return FALSE;
    }
  if (*wanted != '\0' && (schedule = atl_schedule_find (wanted)) == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("The schedule “%s” is not known here"),
                   wanted);
      return FALSE;
    }
  /* One that its sampler does not have is left out, and the facts say so. */
  if (sampler == NULL || (schedule != NULL && !atl_sampler_takes (sampler, schedule)))
    schedule = NULL;
  if (*asked != '\0' && sampler != NULL)
    {
      json_object_set_string_member (object, ATL_MADE_CLASS, sampler->class_name);
      lay_over (config, sampler->config);
    }
  else if (*asked != '\0')
    json_object_set_string_member (object, ATL_MADE_CLASS, asked);
  if (schedule != NULL)
    lay_over (config, schedule->config);
  if (json_object_get_size (config) > 0)
    json_object_set_object_member (object, "scheduler_config", json_object_ref (config));
  atl_settings_add_json (settings, object);
  atl_settings_set_string (settings, ATL_MADE_SAMPLER, sampler != NULL ? sampler->name : asked);
  atl_settings_set_string (settings, ATL_MADE_SCHEDULE, schedule != NULL ? schedule->name : "");
  return TRUE;
}

/* --- Sizes --- */

static gint64
rounded (double size, guint multiple)
{
  gint64 n = (gint64) floor (CLAMP (size, 1, ATL_MAX_PICTURE_SIDE) / multiple + 0.5);

  return CLAMP (n, 1, ATL_MAX_PICTURE_SIDE / multiple) * multiple;
}

GVariant *
atl_picture_sizes (const AtlTraits *traits)
{
  static const guint shapes[][2] = { { 1, 1 }, { 5, 4 }, { 4, 3 }, { 3, 2 },  { 16, 9 }, { 21, 9 },
                                     { 4, 5 }, { 3, 4 }, { 2, 3 }, { 9, 16 }, { 9, 21 } };
  /* Steps in which sizes were trained: some 16 a side. */
  guint multiple = MAX (MIN (traits->side / 16, 64u) / traits->multiple, 1u) * traits->multiple;
  gint64 most = traits->max_side > 0 ? traits->max_side / multiple * multiple : G_MAXUINT;
  GVariantBuilder list;

  g_variant_builder_init (&list, G_VARIANT_TYPE ("a(uus)"));
  for (gsize i = 0; i < G_N_ELEMENTS (shapes); i++)
    {
      double stretch = sqrt ((double) shapes[i][0] / shapes[i][1]);
      double side = MIN (traits->side, (double) most / MAX (stretch, 1 / stretch));
      g_autofree char *shape = g_strdup_printf ("%u:%u", shapes[i][0], shapes[i][1]);

      g_variant_builder_add (&list, "(uus)", (guint) MIN (rounded (side * stretch, multiple), most),
                             (guint) MIN (rounded (side / stretch, multiple), most), shape);
    }
  return g_variant_builder_end (&list);
}

void
atl_picture_choose_size (AtlSettings *settings,
                         const AtlTraits *traits,
                         guint shape_width,
                         guint shape_height,
                         gint64 *width,
                         gint64 *height)
{
  double w = traits->side, h = traits->side;

  if (shape_width > 0 && shape_height > 0)
    {
      double pixels = (double) shape_width * shape_height;
      double shrink = MIN (1.0, sqrt ((double) traits->side * traits->side / pixels));

      w = shape_width * shrink;
      h = shape_height * shrink;
    }
  *width = rounded (atl_settings_number (settings, ATL_MADE_WIDTH, w), traits->multiple);
  *height = rounded (atl_settings_number (settings, ATL_MADE_HEIGHT, h), traits->multiple);
  atl_settings_set_number (settings, ATL_MADE_WIDTH, (double) *width);
  atl_settings_set_number (settings, ATL_MADE_HEIGHT, (double) *height);
}

/* --- What else can be set --- */

GVariant *
atl_picture_knobs (const AtlTraits *traits)
{
  static const char *const kinds[] = { "whole", "number", "switch", "choice" };
  GVariantBuilder list;

  g_variant_builder_init (&list, G_VARIANT_TYPE ("aa{sv}"));
  for (const AtlKnob *const *at = traits->knobs; *at != NULL; at++)
    {
      const AtlKnob *knob = *at;
      gboolean is_shift = g_str_equal (knob->name, ATL_KNOB_SHIFT);
      GVariantDict dict;

      g_variant_dict_init (&dict, NULL);
      g_variant_dict_insert (&dict, ATL_KNOB_NAME, "s", knob->name);
      g_variant_dict_insert (&dict, ATL_KNOB_LABEL, "s", _ (knob->label));
      g_variant_dict_insert (&dict, ATL_KNOB_HELP, "s", _ (knob->help));
      g_variant_dict_insert (&dict, ATL_KNOB_KIND, "s", kinds[knob->kind]);
      g_variant_dict_insert (&dict, ATL_KNOB_MIN, "d", knob->min);
      g_variant_dict_insert (&dict, ATL_KNOB_MAX, "d", knob->max);
      g_variant_dict_insert (&dict, ATL_KNOB_STEP, "d", knob->step);
      g_variant_dict_insert (&dict, ATL_KNOB_FALLBACK, "d",
                             is_shift ? traits->shift : knob->fallback);
      if (knob->choices != NULL)
        g_variant_dict_insert_value (&dict, ATL_KNOB_CHOICES,
                                     g_variant_new_strv (knob->choices, -1));
      g_variant_builder_add_value (&list, g_variant_dict_end (&dict));
    }
  return g_variant_builder_end (&list);
}

void
atl_picture_set_defaults (AtlSettings *settings, const AtlTraits *traits)
{
  if (!atl_settings_has (settings, ATL_MADE_SEED))
    atl_settings_set_number (settings, ATL_MADE_SEED, g_random_int ());
  if (!atl_settings_has (settings, ATL_MADE_STEPS))
    atl_settings_set_number (settings, ATL_MADE_STEPS, traits->steps);
  if (!atl_settings_has (settings, ATL_MADE_GUIDANCE))
    atl_settings_set_number (settings, ATL_MADE_GUIDANCE, traits->guidance);
  if ((traits->abilities & ATL_CAN_WEIGHTS) != 0 &&
      !atl_settings_has (settings, ATL_MADE_WEIGHTING))
    atl_settings_set_string (settings, ATL_MADE_WEIGHTING, "a1111");
  atl_settings_set_number (settings, "frames", 1);
}

gboolean
atl_picture_check_method (const AtlSettings *settings, const AtlTraits *traits, GError **error)
{
  const char *asked = atl_settings_string (settings, ATL_MADE_METHOD, "auto");
  const char *const *offered = NULL;
  g_autofree char *list = NULL;

  if (g_strv_contains (atl_passes_methods (), asked))
    return TRUE;
  for (const AtlKnob *const *at = traits->knobs; *at != NULL; at++)
    if (g_str_equal ((*at)->name, ATL_MADE_METHOD))
      offered = (*at)->choices;
  list = g_strjoinv (", ", (char **) (offered != NULL ? offered : atl_passes_methods ()));
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               _ ("“%s” is no way to leave out steps that is known. There are: %s"), asked, list);
  return FALSE;
}

gboolean
atl_picture_left_out_steps (const AtlJob *job)
{
  return atl_diffusion_model_n_computed (job->slot->pictures) < job->draw.n_steps_done;
}

void
atl_picture_add_work (GVariantDict *dict, const AtlDiffusionCost *cost)
{
  g_variant_dict_insert (dict, ATL_WORK_STEP, "d", cost->step);
  g_variant_dict_insert (dict, ATL_WORK_DECODE, "d", cost->decode);
  g_variant_dict_insert (dict, ATL_WORK_TEXT, "d", cost->text);
  g_variant_dict_insert (dict, ATL_WORK_ENCODE, "d", cost->encode);
  g_variant_dict_insert (dict, ATL_WORK_WEIGHTS, "t", cost->weights);
}

void
atl_picture_add_faster (GVariantDict *work, const AtlSettings *settings)
{
  guint faster = (guint) CLAMP (atl_settings_number (settings, ATL_MADE_FASTER, 0), 0, 3);
  g_autofree char *way =
      g_strdup_printf ("%s %u", atl_settings_string (settings, ATL_MADE_METHOD, "auto"), faster);

  if (faster > 0)
    g_variant_dict_insert (work, ATL_WORK_FASTER, "s", way);
}

static GVariant *
make_work (const AtlJob *job, const AtlSettings *settings)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  atl_picture_add_work (&dict, &job->draw.cost);
  atl_picture_add_faster (&dict, settings);
  g_variant_dict_insert (&dict, ATL_WORK_COMPUTED, "u",
                         atl_diffusion_model_n_computed (job->slot->pictures));
  g_variant_dict_insert (&dict, ATL_WORK_STEPS, "u", job->draw.n_steps_done);
  g_variant_dict_insert (&dict, ATL_WORK_STEP_SECONDS, "d",
                         atl_picture_left_out_steps (job) ? 0 : job->draw.step_seconds);
  g_variant_dict_insert (&dict, ATL_WORK_DECODE_SECONDS, "d", job->draw.decode_seconds);
  g_variant_dict_insert (&dict, ATL_WORK_LOAD_SECONDS, "d",
                         atl_diffusion_model_load_seconds (job->slot->pictures));
  return g_variant_dict_end (&dict);
}

/* What a schedule that was asked for, and that the sampler does not have, is said with; NULL
 * without one. The caller's. */
static char *
left_out_schedule (const AtlJob *job, const AtlSettings *settings)
{
  g_autofree char *asked = atl_dict_string (job->draw.settings, ATL_MADE_SCHEDULE, "");

  if (*asked == '\0' || *atl_settings_string (settings, ATL_MADE_SCHEDULE, "") != '\0')
    return NULL;
  /* Translators: the name of a schedule such as "karras". */
  return g_strdup_printf (
      _ ("The schedule “%s” is left out: this model's sampler has no schedules"), asked);
}

GVariant *
atl_picture_make_facts (const AtlJob *job, const AtlSettings *settings)
{
  const char *sampler = atl_diffusion_model_sampler (job->slot->pictures), *name;
  g_autoptr (GVariant) loras = atl_dict_lookup (job->draw.settings, ATL_MADE_LORAS, "aa{sv}");
  g_autofree char *of_model = atl_diffusion_model_notice (job->slot->pictures);
  g_autofree char *of_schedule = left_out_schedule (job, settings);
  g_autofree char *of_words =
      atl_picture_words_notice (settings, atl_diffusion_model_traits (job->slot->pictures));
  gboolean can_weigh =
      (atl_diffusion_model_traits (job->slot->pictures)->abilities & ATL_CAN_WEIGHTS) != 0;
  guint faster = (guint) CLAMP (atl_settings_number (settings, ATL_MADE_FASTER, 0), 0, 3);
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (
      &dict, ATL_MADE_SEED, "u",
      (guint) CLAMP (atl_settings_number (settings, ATL_MADE_SEED, 0), 0, (double) G_MAXUINT32));
  g_variant_dict_insert (
      &dict, ATL_MADE_STEPS, "u",
      (guint) CLAMP (atl_settings_number (settings, ATL_MADE_STEPS, 1), 1, 1000));
  g_variant_dict_insert (&dict, ATL_MADE_GUIDANCE, "d",
                         atl_settings_number (settings, ATL_MADE_GUIDANCE, 0));
  g_variant_dict_insert (&dict, ATL_MADE_CLASS, "s", sampler != NULL ? sampler : "");
  name = atl_settings_string (settings, ATL_MADE_SAMPLER, "");
  if (*name == '\0' && sampler != NULL)
    name = atl_sampler_words (sampler);
  g_variant_dict_insert (&dict, ATL_MADE_SAMPLER, "s", name);
  /* None takes the place of the one that was asked for. */
  if (of_schedule != NULL || *atl_settings_string (settings, ATL_MADE_SCHEDULE, "") != '\0')
    g_variant_dict_insert (&dict, ATL_MADE_SCHEDULE, "s",
                           atl_settings_string (settings, ATL_MADE_SCHEDULE, ""));
  /* Nothing, where one was asked for that the model left out. */
  if (atl_settings_has (settings, ATL_MADE_WEIGHTING))
    g_variant_dict_insert (&dict, ATL_MADE_WEIGHTING, "s",
                           can_weigh ? atl_settings_string (settings, ATL_MADE_WEIGHTING, "") : "");
  if (faster > 0)
    {
      const char *method = atl_diffusion_model_method (job->slot->pictures);

      g_variant_dict_insert (&dict, ATL_MADE_FASTER, "u", faster);
      if (method == NULL)
        method = atl_settings_string (settings, ATL_MADE_METHOD, "auto");
      g_variant_dict_insert (&dict, ATL_MADE_METHOD, "s", method);
    }
  if (atl_picture_left_out_steps (job))
    g_variant_dict_insert (&dict, ATL_MADE_STEPS_COMPUTED, "u",
                           atl_diffusion_model_n_computed (job->slot->pictures));
  if (loras != NULL)
    g_variant_dict_insert_value (&dict, ATL_MADE_LORAS, loras);
  atl_picture_add_words (&dict, job->draw.settings, settings);
  if (of_model != NULL || of_schedule != NULL || of_words != NULL)
    {
      const char *const said[] = { of_model, of_schedule, of_words };
      g_autoptr (GString) notice = g_string_new (NULL);

      for (gsize i = 0; i < G_N_ELEMENTS (said); i++)
        if (said[i] != NULL)
          g_string_append_printf (notice, "%s%s", notice->len > 0 ? "\n" : "", said[i]);
      g_variant_dict_insert (&dict, ATL_INFO_NOTICE, "s", notice->str);
    }
  if (job->draw.n_steps_done < job->draw.n_steps)
    g_variant_dict_insert (&dict, ATL_MADE_STEPS_DONE, "u", job->draw.n_steps_done);
  g_variant_dict_insert_value (&dict, ATL_MADE_WORK, make_work (job, settings));
  g_variant_dict_insert (
      &dict, ATL_MADE_SECONDS, "d",
      (double) (g_get_monotonic_time () - job->accepted_at - job->draw.rested_us) / G_USEC_PER_SEC);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", job->slot->name);
  g_variant_dict_insert (&dict, ATL_INFO_FAMILY, "s",
                         atl_diffusion_model_family (job->slot->pictures)->words);
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", job->draw.runs_on);
  return g_variant_dict_end (&dict);
}
