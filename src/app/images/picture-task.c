/* One picture of the queue. */
#include "app/images/picture-task.h"

#include <glib/gi18n.h>

#include "app/words.h"

/* Time left that is told anew is longer only by more than this: a quarter and some seconds. */
#define LONGER 1.25
#define LONGER_S 3

struct _AtlPictureTask
{
  GObject parent_instance;

  AtlModel *model;  /* (nullable) */
  char *model_path; /* (nullable) while there is no model */
  AtlPictureSettings *settings;
  guint32 seed;
  char *source;     /* (nullable) */
  GVariant *recipe; /* (nullable) of the source */
  double from, to;  /* of the fraction: this stage */
  AtlPictureTaskState state;
  char *phase;
  guint step, n_steps;
  gboolean is_ending; /* it is finished with the steps that were made */
  gboolean is_stopping;
  double fraction, seconds_left;
  GdkTexture *preview; /* (nullable) */
  GError *error;       /* (nullable) */
};

G_DEFINE_FINAL_TYPE (AtlPictureTask, atl_picture_task, G_TYPE_OBJECT)

enum
{
  PROP_STATE = 1,
  PROP_PROGRESS,
  PROP_PREVIEW,
  N_PROPS
};
static GParamSpec *props[N_PROPS];

static void
get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlPictureTask *self = ATL_PICTURE_TASK (object);

  switch (id)
    {
    case PROP_STATE:
      g_value_set_uint (value, self->state);
      break;
    case PROP_PROGRESS:
      g_value_set_double (value, self->fraction);
      break;
    case PROP_PREVIEW:
      g_value_set_object (value, self->preview);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
atl_picture_task_finalize (GObject *object)
{
  AtlPictureTask *self = ATL_PICTURE_TASK (object);

  g_clear_object (&self->model);
  g_clear_object (&self->preview);
  atl_picture_settings_free (self->settings);
  g_clear_error (&self->error);
  g_clear_pointer (&self->recipe, g_variant_unref);
  g_free (self->model_path);
  g_free (self->source);
  g_free (self->phase);
  G_OBJECT_CLASS (atl_picture_task_parent_class)->finalize (object);
}

static void
atl_picture_task_class_init (AtlPictureTaskClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = get_property;
  object_class->finalize = atl_picture_task_finalize;
  props[PROP_STATE] =
      g_param_spec_uint ("state", NULL, NULL, 0, ATL_TASK_FAILED, ATL_TASK_WAITING, flags);
  props[PROP_PROGRESS] = g_param_spec_double ("progress", NULL, NULL, 0, 1, 0, flags);
  props[PROP_PREVIEW] = g_param_spec_object ("preview", NULL, NULL, GDK_TYPE_TEXTURE, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
atl_picture_task_init (AtlPictureTask *self)
{
  self->phase = g_strdup ("");
  self->to = 1;
  self->seconds_left = -1;
}

AtlPictureTask *
atl_picture_task_new (AtlModel *model, const AtlPictureSettings *settings, guint32 seed)
{
  AtlPictureTask *self = g_object_new (ATL_TYPE_PICTURE_TASK, NULL);

  self->model = model != NULL ? g_object_ref (model) : NULL;
  self->settings = atl_picture_settings_copy (settings);
  self->seed = seed;
  return self;
}

AtlPictureTask *
atl_picture_task_new_kept (const char *model_path, const AtlPictureSettings *settings, guint32 seed)
{
  AtlPictureTask *self = atl_picture_task_new (NULL, settings, seed);

  self->model_path = g_strdup (model_path);
  return self;
}

AtlPictureTask *
atl_picture_task_new_enlarging (const char *source, guint factor, GVariant *recipe)
{
  AtlPictureTask *self = g_object_new (ATL_TYPE_PICTURE_TASK, NULL);

  self->settings = atl_picture_settings_new ();
  self->settings->enlarge = factor;
  /* What a person knows it by. */
  g_free (self->settings->prompt);
  self->settings->prompt = g_path_get_basename (source);
  self->source = g_strdup (source);
  self->recipe = recipe != NULL ? g_variant_ref (recipe) : NULL;
  return self;
}

const char *
atl_picture_task_get_source (AtlPictureTask *self)
{
  return self->source;
}

GVariant *
atl_picture_task_get_recipe (AtlPictureTask *self)
{
  return self->recipe;
}

AtlModel *
atl_picture_task_get_model (AtlPictureTask *self)
{
  return self->model;
}

void
atl_picture_task_set_model (AtlPictureTask *self, AtlModel *model)
{
  g_set_object (&self->model, model);
}

const char *
atl_picture_task_get_model_path (AtlPictureTask *self)
{
  return self->model != NULL ? atl_model_get_key (self->model) : self->model_path;
}

const AtlPictureSettings *
atl_picture_task_get_settings (AtlPictureTask *self)
{
  return self->settings;
}

guint32
atl_picture_task_get_seed (AtlPictureTask *self)
{
  return self->seed;
}

AtlPictureTaskState
atl_picture_task_get_state (AtlPictureTask *self)
{
  return self->state;
}

void
atl_picture_task_set_state (AtlPictureTask *self, AtlPictureTaskState state)
{
  if (self->state == state)
    return;
  self->state = state;
  if (state == ATL_TASK_WAITING)
    {
      /* Tried again: from the beginning. */
      g_clear_error (&self->error);
      self->fraction = self->from = 0;
      self->to = 1;
      self->step = self->n_steps = 0;
      self->seconds_left = -1;
      self->is_ending = self->is_stopping = FALSE;
    }
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
}

void
atl_picture_task_begin_stage (AtlPictureTask *self, double from, double to)
{
  self->from = from;
  self->to = to;
}

double
atl_picture_task_get_fraction (AtlPictureTask *self)
{
  return self->fraction;
}

const char *
atl_picture_task_get_phase (AtlPictureTask *self)
{
  return self->phase;
}

gboolean
atl_picture_task_pauses_after (AtlPictureTask *self)
{
  return self->n_steps == 0 && self->fraction > 0 && !self->is_ending && !self->is_stopping &&
         self->source == NULL && !g_str_equal (self->phase, _ ("Paused"));
}

double
atl_picture_task_get_seconds_left (AtlPictureTask *self)
{
  return self->seconds_left;
}

guint
atl_picture_task_get_step (AtlPictureTask *self, guint *n_steps)
{
  *n_steps = self->n_steps;
  return self->step;
}

void
atl_picture_task_set_progress (
    AtlPictureTask *self, const char *phase, guint step, guint n_steps, double seconds_left)
{
  /* Those steps that are left are not coming any more. */
  if (self->is_ending && n_steps > 0)
    {
      phase = _ ("Finishing after this step");
      seconds_left = -1;
    }
  if (self->is_stopping)
    {
      phase = _ ("Stopping…");
      n_steps = 0;
      seconds_left = -1;
    }
  atl_set_string (&self->phase, phase);
  self->step = self->is_ending ? 0 : step;
  self->n_steps = self->is_ending ? 0 : n_steps;
  /* What differs by little is the unevenness of the steps, and time left that grows is no use to
   * anybody; what is truly longer is said. */
  if (seconds_left <= self->seconds_left || seconds_left > LONGER * self->seconds_left + LONGER_S)
    self->seconds_left = seconds_left;
  /* The autoencoder after the last step counts as one more, and nothing takes the bar back. */
  if (n_steps > 0)
    self->fraction = MAX (self->fraction, self->from + (self->to - self->from) *
                                                           CLAMP (step / (n_steps + 1.0), 0, 1));
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PROGRESS]);
}

void
atl_picture_task_end_early (AtlPictureTask *self)
{
  self->is_ending = TRUE;
  self->seconds_left = -1;
  atl_picture_task_set_progress (self, self->phase, self->step, self->n_steps, -1);
}

void
atl_picture_task_stop (AtlPictureTask *self)
{
  self->is_stopping = TRUE;
  self->seconds_left = -1;
  atl_picture_task_set_progress (self, self->phase, 0, 0, -1);
}

gboolean
atl_picture_task_get_is_stopping (AtlPictureTask *self)
{
  return self->is_stopping;
}

void
atl_picture_task_pass_second (AtlPictureTask *self)
{
  if (self->seconds_left < 1)
    return;
  self->seconds_left--;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PROGRESS]);
}

GdkTexture *
atl_picture_task_get_preview (AtlPictureTask *self)
{
  return self->preview;
}

void
atl_picture_task_set_preview (AtlPictureTask *self, GdkTexture *preview)
{
  if (g_set_object (&self->preview, preview))
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_PREVIEW]);
}

const GError *
atl_picture_task_get_error (AtlPictureTask *self)
{
  return self->error;
}

void
atl_picture_task_fail (AtlPictureTask *self, const GError *error)
{
  g_clear_error (&self->error);
  self->error = g_error_copy (error);
  atl_picture_task_set_state (self, ATL_TASK_FAILED);
}
