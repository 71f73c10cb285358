/* Create: from a call to a run of the pipeline, and its pixels into the caller's file. */
#define G_LOG_DOMAIN "atl-service"

#include <errno.h>
#include <glib/gi18n.h>
#include <gio/gunixfdlist.h>
#include <malloc.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/service/service-private.h"

/* --- On the worker that draws --- */

static void
send_progress (AtlJob *job, guint step, guint n_steps)
{
  double left = -1;

  if (step > 0 && n_steps > 0)
    left = (double) (g_get_monotonic_time () - job->step_began_at) / G_USEC_PER_SEC / step *
           (n_steps - step);
  atl_service_emit (job->service, "PictureProgress",
                    g_variant_new ("(usuud)", job->request, job->phase != NULL ? job->phase : "",
                                   step, n_steps, left));
}

/* Between steps others compute. */
static void
progress_cb (const char *phase, guint step, guint n_steps, gpointer user_data)
{
  AtlJob *job = user_data;

  atl_turnstile_yield (job->service->turnstile);
  if (n_steps > 0 && step > 0)
    return;
  job->step_began_at = g_get_monotonic_time ();
  g_free (job->phase);
  job->phase = g_strdup (phase);
  send_progress (job, 0, n_steps);
}

static void
step_cb (const AtlArray *latent, guint step, guint n_steps, gpointer user_data)
{
  AtlJob *job = user_data;

  send_progress (job, step, n_steps);
}

static AtlFileMap *
find_file (const AtlJob *job, const char *name)
{
  for (guint i = 0; i < job->maps->len; i++)
    if (g_str_equal (job->names->pdata[i], name))
      return job->maps->pdata[i];
  return NULL;
}

static gint64
rounded (double size, guint multiple)
{
  gint64 n = (gint64) floor (CLAMP (size, 1, ATL_MAX_PICTURE_SIDE) / multiple + 0.5);

  return CLAMP (n, 1, ATL_MAX_PICTURE_SIDE / multiple) * multiple;
}

/* As asked for; else of the picture's shape, never larger than what the model was trained for. */
static void
choose_size (AtlSettings *settings,
             const AtlTraits *traits,
             const AtlPicture *picture,
             gint64 *width,
             gint64 *height)
{
  double w = traits->side, h = traits->side;

  if (picture != NULL)
    {
      double pixels = (double) picture->width * picture->height;
      double shrink = MIN (1.0, sqrt ((double) traits->side * traits->side / pixels));

      w = picture->width * shrink;
      h = picture->height * shrink;
    }
  *width = rounded (atl_settings_number (settings, ATL_MADE_WIDTH, w), traits->multiple);
  *height = rounded (atl_settings_number (settings, ATL_MADE_HEIGHT, h), traits->multiple);
  atl_settings_set_number (settings, ATL_MADE_WIDTH, (double) *width);
  atl_settings_set_number (settings, ATL_MADE_HEIGHT, (double) *height);
}

static void
set_defaults (AtlSettings *settings, const AtlTraits *traits)
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

/* [1, 3, H, W], or the first frame of [F, 3, H, W], in 0…1 to bytes. */
static guint8 *
to_bytes (const AtlArray *array, gint64 *width, gint64 *height, GError **error)
{
  gint64 h = array->dim[2], w = array->dim[3], n = h * w;
  const float *x = atl_array_f32 (array);
  g_autofree guint8 *rgb = g_try_malloc ((gsize) n * 3);
  gboolean is_black = TRUE;

  if (rgb == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is no memory left for the finished picture"));
      return NULL;
    }
  for (gint64 i = 0; i < n; i++)
    for (guint c = 0; c < 3; c++)
      {
        float value = x[c * n + i];

        if (!isfinite (value))
          {
            g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                         _ ("The autoencoder's numbers overflowed, so there is no picture. Another "
                            "copy of the VAE may help"));
            return NULL;
          }
        rgb[i * 3 + c] = (guint8) (CLAMP (value, 0.0f, 1.0f) * 255.0f + 0.5f);
        is_black = is_black && rgb[i * 3 + c] == 0;
      }
  if (is_black)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                   _ ("The picture came out all black, which means that the model's numbers "
                      "overflowed. Another size or another copy of the model may help"));
      return NULL;
    }
  *width = w;
  *height = h;
  return g_steal_pointer (&rgb);
}

static gboolean
write_room (int fd, const guint8 *bytes, gsize size, GError **error)
{
  for (gsize done = 0; done < size;)
    {
      gssize n = pwrite (fd, bytes + done, size - done, (off_t) done);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_FULL,
                       _ ("The picture cannot be handed over: %s"), g_strerror (errno));
          return FALSE;
        }
      done += (gsize) n;
    }
  return TRUE;
}

static GVariant *
make_facts (AtlJob *job, const AtlSettings *settings)
{
  const char *sampler = atl_diffusion_model_sampler (job->slot->pictures);
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
  g_variant_dict_insert (&dict, ATL_MADE_SAMPLER, "s", sampler != NULL ? sampler : "");
  if (atl_settings_has (settings, ATL_MADE_WEIGHTING))
    g_variant_dict_insert (&dict, ATL_MADE_WEIGHTING, "s",
                           atl_settings_string (settings, ATL_MADE_WEIGHTING, ""));
  g_variant_dict_insert (&dict, ATL_MADE_SECONDS, "d",
                         (double) (g_get_monotonic_time () - job->accepted_at) / G_USEC_PER_SEC);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", job->slot->name);
  g_variant_dict_insert (&dict, ATL_INFO_FAMILY, "s",
                         atl_diffusion_model_family (job->slot->pictures)->words);
  g_variant_dict_insert (&dict, ATL_INFO_RUNS_ON, "s", job->slot->runs_on);
  return g_variant_dict_end (&dict);
}

/* Pictures to begin with, into `inputs`, and the size of the result into the settings. */
static gboolean
take_inputs (AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GError **error)
{
  const AtlDiffusionFamily *family = atl_diffusion_model_family (job->slot->pictures);
  const AtlTraits *traits = atl_diffusion_model_traits (job->slot->pictures);
  AtlFileMap *image_file = find_file (job, ATL_CREATE_IMAGE);
  AtlFileMap *mask_file = find_file (job, ATL_CREATE_MASK);
  g_autoptr (AtlPicture) image = NULL;
  g_autoptr (AtlPicture) mask = NULL;
  gint64 width, height;

  if ((mask_file != NULL && (traits->abilities & ATL_CAN_MASK) == 0) ||
      (mask_file == NULL && image_file != NULL && (traits->abilities & ATL_CAN_IMAGE) == 0))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   mask_file == NULL ? _ ("%s cannot begin with a picture")
                                     : _ ("%s cannot paint inside a mask"),
                   family->words);
      return FALSE;
    }
  if (mask_file != NULL && image_file == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                   _ ("A mask needs a picture that it belongs to"));
      return FALSE;
    }
  if ((image_file != NULL && (image = atl_picture_input_decode (image_file, error)) == NULL) ||
      (mask_file != NULL && (mask = atl_picture_input_decode (mask_file, error)) == NULL))
    return FALSE;
  choose_size (settings, traits, image, &width, &height);
  if (image != NULL)
    g_ptr_array_add (inputs, atl_picture_input_array (image, ATL_CREATE_IMAGE, 3, width, height));
  if (mask != NULL)
    g_ptr_array_add (inputs, atl_picture_input_array (mask, ATL_CREATE_MASK, 1, width, height));
  return TRUE;
}

/* Inside the turnstile. */
static GPtrArray *
draw (AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GError **error)
{
  AtlSlot *slot = job->slot;
  const AtlRunHooks hooks = { .progress = progress_cb, .step = step_cb, .user_data = job };
  g_auto (AtlPictureFit) fit = { 0 };
  GPtrArray *outputs;

  if (!atl_picture_judge (job->service, slot->pictures,
                          (gint64) atl_settings_number (settings, ATL_MADE_WIDTH, 0),
                          (gint64) atl_settings_number (settings, ATL_MADE_HEIGHT, 0),
                          slot->ram_bytes, &fit, error))
    return NULL;
  if (fit.fits && fit.is_frugal)
    {
      atl_diffusion_model_drop (slot->pictures);
      malloc_trim (0);
    }
  if (!fit.fits || !atl_ledger_make_room (job->service, fit.needed_bytes, slot, NULL))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, _ ("Not enough memory. %s"), fit.words);
      return NULL;
    }
  atl_diffusion_model_set_frugal (slot->pictures, fit.is_frugal);
  outputs =
      atl_diffusion_model_run (slot->pictures, settings, inputs, &hooks, job->cancellable, error);
  if (fit.is_frugal)
    atl_diffusion_model_drop (slot->pictures);
  __atomic_store_n (&slot->ram_bytes, fit.is_frugal ? 0 : fit.memory.weights, __ATOMIC_RELAXED);
  malloc_trim (0);
  return outputs;
}

/* With the slot's lock. */
static gboolean
create (AtlJob *job, GError **error)
{
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  g_autoptr (GPtrArray) outputs = NULL;
  g_autofree guint8 *rgb = NULL;
  const AtlArray *picture;
  gint64 width, height;

  if (job->slot->pictures == NULL)
    {
      if (job->slot->model != NULL)
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s chats and makes no pictures"),
                     atl_slot_name (job->slot));
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ (ATL_NOT_LOADED_WORDS));
      return FALSE;
    }
  atl_settings_add_dict (settings, job->settings);
  set_defaults (settings, atl_diffusion_model_traits (job->slot->pictures));
  if (!take_inputs (job, settings, inputs, error))
    return FALSE;
  atl_turnstile_enter (job->service->turnstile);
  outputs = draw (job, settings, inputs, error);
  atl_turnstile_leave (job->service->turnstile);
  if (outputs == NULL)
    return FALSE;
  picture = atl_arrays_find (outputs, "image");
  if (picture == NULL)
    picture = atl_arrays_find (outputs, "video");
  g_assert (picture != NULL && picture->n_dims == 4);
  rgb = to_bytes (picture, &width, &height, error);
  if (rgb == NULL || !write_room (job->room, rgb, (gsize) (width * height * 3), error))
    return FALSE;
  job->stats = g_variant_ref_sink (g_variant_new ("(uuu@a{sv})", job->request, (guint) width,
                                                  (guint) height, make_facts (job, settings)));
  return TRUE;
}

static gboolean
create_run (AtlJob *job, GError **error)
{
  gboolean ok;

  g_rw_lock_reader_lock (&job->slot->lock);
  ok = create (job, error);
  g_rw_lock_reader_unlock (&job->slot->lock);
  __atomic_store_n (&job->slot->used_at, g_get_monotonic_time (), __ATOMIC_RELAXED);
  return ok;
}

/* --- On the main thread --- */

static void
create_done (AtlJob *job, const GError *error)
{
  if (job->invocation != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else if (error != NULL)
    {
      g_autofree char *name = g_dbus_error_encode_gerror (error);

      atl_service_emit (job->service, "Failed",
                        g_variant_new ("(uss)", job->request, name, error->message));
    }
  else
    atl_service_emit (job->service, "PictureDone", job->stats);
}

static gboolean
take_file (AtlJob *job, GUnixFDList *fds, const char *name, gint32 handle, GError **error)
{
  int n_fds = fds != NULL ? g_unix_fd_list_get_length (fds) : 0;
  AtlFileMap *map;
  struct stat st;
  int fd;

  if (handle < 0 || handle >= n_fds || find_file (job, name) != NULL ||
      (!g_str_equal (name, ATL_CREATE_PICTURE) && !g_str_equal (name, ATL_CREATE_IMAGE) &&
       !g_str_equal (name, ATL_CREATE_MASK)))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the file “%s” is not expected"), name);
      return FALSE;
    }
  fd = g_unix_fd_list_get (fds, handle, error);
  if (fd < 0)
    return FALSE;
  if (g_str_equal (name, ATL_CREATE_PICTURE) && job->room == 0 && fstat (fd, &st) == 0 &&
      S_ISREG (st.st_mode))
    {
      job->room = fd;
      return TRUE;
    }
  map = atl_file_map_new_from_fd (fd, name, error);
  close (fd);
  if (map == NULL)
    return FALSE;
  g_ptr_array_add (job->maps, map);
  g_ptr_array_add (job->names, g_strdup (name));
  return TRUE;
}

gboolean
atl_handle_create (AtlIpcEngine1 *skeleton,
                   GDBusMethodInvocation *invocation,
                   GUnixFDList *fds,
                   guint request,
                   guint model,
                   GVariant *settings,
                   GVariant *files,
                   AtlService *self)
{
  AtlJob *job = atl_job_new (self, request, FALSE, invocation);
  gsize n = g_variant_n_children (files);
  GError *error = NULL;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = create_run;
  job->done = create_done;
  job->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  job->names = g_ptr_array_new_with_free_func (g_free);
  job->settings = g_variant_ref (settings);
  for (gsize i = 0; error == NULL && i < MIN (n, 8); i++)
    {
      const char *name;
      gint32 handle;

      g_variant_get_child (files, i, "(&sh)", &name, &handle);
      take_file (job, fds, name, handle, &error);
    }
  if (error == NULL && request == 0)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, _ ("request 0 cannot be told apart"));
  else if (error == NULL && job->room == 0)
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("there is no file for the picture"));
  else if (error == NULL)
    atl_job_set_slot (job, model, &error);
  if (error != NULL)
    {
      atl_job_refuse (job, error);
      return G_DBUS_METHOD_INVOCATION_HANDLED;
    }
  g_dbus_method_invocation_return_value (g_steal_pointer (&job->invocation), NULL);
  atl_job_start (job, self->drawing);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
