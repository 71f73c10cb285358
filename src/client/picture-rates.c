/* Seconds for a unit of work, by model and place. */
#define G_LOG_DOMAIN "atl-client"

#include "client/picture-rates.h"

#include <math.h>
#include <string.h>

#include "protocol/protocol.h"

/* More are forgotten, at random. */
#define MAX_GROUPS 200u
#define MAX_FILE_BYTES (1u << 20)
#define ANY_MODEL "*"

static const char key_step[] = "step", key_decode[] = "decode", key_rest[] = "rest";
static const char key_reading[] = "reading", key_load[] = "load-byte";
static const char key_pixel[] = "pixel";

struct _AtlPictureRates
{
  char *path;     /* (owned) (nullable) */
  GKeyFile *file; /* (owned) */
};

AtlPictureRates *
atl_picture_rates_new (void)
{
  AtlPictureRates *self = g_new0 (AtlPictureRates, 1);

  self->file = g_key_file_new ();
  return self;
}

void
atl_picture_rates_free (AtlPictureRates *self)
{
  if (self == NULL)
    return;
  g_key_file_unref (self->file);
  g_free (self->path);
  g_free (self);
}

void
atl_picture_rates_set_file (AtlPictureRates *self, const char *path)
{
  g_autofree char *text = NULL;
  gsize size;

  g_free (self->path);
  self->path = g_strdup (path);
  /* A file that is not there or broken is begun anew. */
  if (path != NULL && g_file_get_contents (path, &text, &size, NULL) && size <= MAX_FILE_BYTES)
    {
      g_autoptr (GKeyFile) file = g_key_file_new ();

      if (g_key_file_load_from_data (file, text, size, G_KEY_FILE_NONE, NULL))
        {
          g_key_file_unref (self->file);
          self->file = g_steal_pointer (&file);
        }
    }
}

/* What does not change with the language: "CPU, 2 threads, because …" is "CPU 2", and a graphics
 * card has its name. */
static char *
key_of (const char *place)
{
  if (g_str_has_prefix (place, "CPU"))
    {
      const char *number = strpbrk (place, "0123456789");

      return g_strdup_printf ("CPU %u",
                              number != NULL ? (guint) g_ascii_strtoull (number, NULL, 10) : 0);
    }
  return g_strndup (place, strcspn (place, ";"));
}

/* Names of groups must not hold brackets. */
static char *
group_of (const char *model, const char *place)
{
  g_autofree char *key = key_of (place);
  g_autofree char *both = g_strconcat (model, "\n", key, NULL);

  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, both, -1);
}

static void
save_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  char **parts = data;
  g_autofree char *folder = g_path_get_dirname (parts[0]);

  /* What cannot be kept is measured again. */
  if (g_mkdir_with_parents (folder, 0700) == 0)
    g_file_set_contents (parts[0], parts[1], -1, NULL);
  g_task_return_boolean (task, TRUE);
}

static void
save (AtlPictureRates *self)
{
  g_autoptr (GTask) task = NULL;
  char **parts;

  if (self->path == NULL)
    return;
  task = g_task_new (NULL, NULL, NULL, NULL);
  parts = g_new0 (char *, 3);
  parts[0] = g_strdup (self->path);
  parts[1] = g_key_file_to_data (self->file, NULL, NULL);
  g_task_set_task_data (task, parts, (GDestroyNotify) g_strfreev);
  g_task_run_in_thread (task, save_thread);
}

static void
set_rate (AtlPictureRates *self, const char *group, const char *key, double value)
{
  if (isfinite (value) && value > 0)
    g_key_file_set_double (self->file, group, key, value);
}

static void
make_room (AtlPictureRates *self)
{
  g_auto (GStrv) groups = g_key_file_get_groups (self->file, NULL);

  for (guint i = MAX_GROUPS; i < g_strv_length (groups); i++)
    g_key_file_remove_group (self->file, groups[i], NULL);
}

/* Where the share of steps is kept that leaving out in the way of `work` computed; NULL: it leaves
 * out none. The caller's. */
static char *
share_key (GVariant *work)
{
  g_autofree char *way = atl_dict_string (work, ATL_WORK_FASTER, "");

  /* Names of keys. */
  return *way != '\0'
             ? g_strcanon (g_strconcat ("share-", way, NULL), G_CSET_a_2_z G_CSET_DIGITS, '-')
             : NULL;
}

static void
note_share (AtlPictureRates *self, const char *model, const char *place, GVariant *work)
{
  g_autofree char *key = share_key (work);
  g_autofree char *group = group_of (model, place);
  guint steps = atl_dict_uint (work, ATL_WORK_STEPS, 0);
  guint computed = atl_dict_uint (work, ATL_WORK_COMPUTED, 0);

  /* Not of a model whose pace is not known yet. */
  if (key != NULL && steps > 0 && computed > 0 && g_key_file_has_group (self->file, group))
    set_rate (self, group, key, MIN (1, (double) computed / steps));
}

/* Reading prompts is counted at the pace of the steps, pictures at that of the autoencoder; what
 * was measured says whether it is less (key_reading: a share) or what else is done once (key_rest).
 */
static double
reading_seconds (GVariant *work, double step_rate, double decode_rate)
{
  return atl_dict_double (work, ATL_WORK_TEXT, 0) * step_rate +
         atl_dict_double (work, ATL_WORK_ENCODE, 0) * (decode_rate > 0 ? decode_rate : step_rate);
}

void
atl_picture_rates_note (
    AtlPictureRates *self, const char *model, const char *place, GVariant *work, double seconds)
{
  const char *const models[] = { model, ANY_MODEL };
  double step = atl_dict_double (work, ATL_WORK_STEP, 0);
  double decode = atl_dict_double (work, ATL_WORK_DECODE, 0);
  double step_seconds = atl_dict_double (work, ATL_WORK_STEP_SECONDS, 0);
  double decode_seconds = atl_dict_double (work, ATL_WORK_DECODE_SECONDS, 0);
  double load_seconds = atl_dict_double (work, ATL_WORK_LOAD_SECONDS, 0);
  guint64 weights = atl_dict_uint64 (work, ATL_WORK_WEIGHTS, 0);
  guint steps = atl_dict_uint (work, ATL_WORK_STEPS, 0);
  double rest = MAX (seconds - steps * step_seconds - decode_seconds - load_seconds, 1e-3);
  double reading;

  if (step <= 0 || step_seconds <= 0)
    {
      note_share (self, model, place, work);
      save (self);
      return;
    }
  reading = reading_seconds (work, step_seconds / step, decode > 0 ? decode_seconds / decode : 0);
  make_room (self);
  for (gsize i = 0; i < G_N_ELEMENTS (models); i++)
    {
      g_autofree char *group = group_of (models[i], place);

      set_rate (self, group, key_step, step_seconds / step);
      if (decode > 0)
        set_rate (self, group, key_decode, decode_seconds / decode);
      /* Of a model whose parts were there, what loading takes stays as it was. */
      if (weights > 0)
        set_rate (self, group, key_load, load_seconds / (double) weights);
      set_rate (self, group, key_reading, reading > rest ? rest / reading : 1);
      set_rate (self, group, key_rest, MAX (rest - reading, 1e-3));
    }
  note_share (self, model, place, work);
  save (self);
}

double
atl_picture_rates_seconds (
    AtlPictureRates *self, const char *model, const char *place, GVariant *work, gboolean *is_own)
{
  g_autofree char *own = group_of (model, place);
  g_autofree char *any = group_of (ANY_MODEL, place);
  const char *group = own;
  g_autofree char *way = share_key (work);
  double step, decode, rest, reading, load, share, seconds;

  *is_own = g_key_file_has_group (self->file, own);
  if (!*is_own)
    group = any;
  step = g_key_file_get_double (self->file, group, key_step, NULL);
  decode = g_key_file_get_double (self->file, group, key_decode, NULL);
  rest = g_key_file_get_double (self->file, group, key_rest, NULL);
  reading = g_key_file_get_double (self->file, group, key_reading, NULL);
  load = atl_dict_bool (work, ATL_WORK_IS_COLD, FALSE)
             ? g_key_file_get_double (self->file, group, key_load, NULL) *
                   (double) atl_dict_uint64 (work, ATL_WORK_WEIGHTS, 0)
             : 0;
  if (!(step > 0))
    return -1;
  /* Before one was made so, all of them count. */
  share = way != NULL ? g_key_file_get_double (self->file, group, way, NULL) : 0;
  seconds = (share > 0 ? share : 1) * atl_dict_uint (work, ATL_WORK_STEPS, 0) * step *
                atl_dict_double (work, ATL_WORK_STEP, 0) +
            (decode > 0 ? decode : step) * atl_dict_double (work, ATL_WORK_DECODE, 0) +
            reading * reading_seconds (work, step, decode) + rest + load;
  return isfinite (seconds) && seconds > 0 ? seconds : -1;
}

/* --- Enlarging: it takes as long as there are pixels --- */

void
atl_picture_rates_note_larger (AtlPictureRates *self,
                               const char *model,
                               guint64 pixels,
                               double seconds)
{
  g_autofree char *group = group_of (model, "");

  if (pixels == 0)
    return;
  make_room (self);
  set_rate (self, group, key_pixel, seconds / (double) pixels);
  save (self);
}

double
atl_picture_rates_larger_seconds (AtlPictureRates *self, const char *model, guint64 pixels)
{
  g_autofree char *group = group_of (model, "");
  double rate = g_key_file_get_double (self->file, group, key_pixel, NULL);

  return isfinite (rate) && rate > 0 ? rate * (double) pixels : -1;
}
