/* ReadPicture: pictures of others, decoded behind the sandbox. */
#define G_LOG_DOMAIN "atl-service"

#include <glib/gi18n.h>

#include "engine/service/handlers.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "media/recipe.h"
#include "protocol/protocol.h"

/* Bytes of all texts that are passed on. */
#define MAX_TEXTS_BYTES (4u << 20)

/* Takes the picture, gives one without texts where it is larger; NULL where memory is out. */
static AtlPicture *
shrink (AtlPicture *whole, guint max_side, GError **error)
{
  g_autoptr (AtlPicture) picture = whole;
  g_autoptr (AtlArray) array = NULL;
  guint side = MAX (picture->width, picture->height);
  gint64 width, height;
  AtlPicture *small;

  if (max_side == 0 || side <= max_side)
    return g_steal_pointer (&picture);
  width = MAX ((gint64) picture->width * max_side / side, 1);
  height = MAX ((gint64) picture->height * max_side / side, 1);
  array = atl_picture_input_array (picture, ATL_CREATE_IMAGE, 3, width, height, error);
  small = array != NULL ? atl_picture_try_new ((guint) width, (guint) height, error) : NULL;
  for (gint64 i = 0; small != NULL && i < width * height; i++)
    for (guint c = 0; c < 3; c++)
      small->rgb[i * 3 + c] =
          (guint8) (atl_array_f32 (array)[c * width * height + i] * 255.0f + 0.5f);
  return small;
}

static GVariant *
make_texts (const AtlPicture *picture)
{
  GVariantBuilder texts;
  GHashTableIter iter;
  gpointer key, text;
  gsize size = 0;

  g_variant_builder_init (&texts, G_VARIANT_TYPE ("a{ss}"));
  g_hash_table_iter_init (&iter, picture->texts);
  while (g_hash_table_iter_next (&iter, &key, &text))
    {
      size += strlen (key) + strlen (text);
      if (size <= MAX_TEXTS_BYTES)
        g_variant_builder_add (&texts, "{ss}", key, text);
    }
  return g_variant_builder_end (&texts);
}

static gboolean
read_run (AtlJob *job, GError **error)
{
  AtlFileMap *map = atl_picture_find_file (job, ATL_CREATE_IMAGE, 0, NULL, NULL);
  g_autoptr (AtlPicture) picture = NULL;
  g_autoptr (GVariant) recipe = NULL;
  GVariantDict facts;

  picture = atl_picture_input_decode (map, 0, 0, error);
  if (picture == NULL)
    return FALSE;
  g_variant_dict_init (&facts, NULL);
  g_variant_dict_insert (&facts, ATL_READ_FULL_WIDTH, "u", picture->width);
  g_variant_dict_insert (&facts, ATL_READ_FULL_HEIGHT, "u", picture->height);
  g_variant_dict_insert_value (&facts, ATL_READ_TEXTS, make_texts (picture));
  recipe = atl_recipe_read (picture);
  if (recipe != NULL)
    g_variant_dict_insert_value (&facts, ATL_READ_RECIPE, recipe);
  job->info = g_variant_ref_sink (g_variant_dict_end (&facts));
  picture = shrink (g_steal_pointer (&picture), job->draw.max_side, error);
  if (picture == NULL)
    return FALSE;
  job->draw.width = picture->width;
  job->draw.height = picture->height;
  return atl_picture_write (job->draw.room, picture->rgb,
                            (gsize) picture->width * picture->height * 3, error);
}

static void
read_done (AtlJob *job, const GError *error)
{
  if (error != NULL)
    g_dbus_method_invocation_return_gerror (g_steal_pointer (&job->invocation), error);
  else
    atl_ipc_engine1_complete_read_picture (job->service->skeleton,
                                           g_steal_pointer (&job->invocation), NULL,
                                           job->draw.width, job->draw.height, job->info);
}

gboolean
atl_handle_read_picture (AtlIpcEngine1 *skeleton,
                         GDBusMethodInvocation *invocation,
                         GUnixFDList *fds,
                         guint request,
                         GVariant *files,
                         GVariant *options,
                         AtlService *self)
{
  AtlJob *job = atl_job_new (self, request, FALSE, invocation);
  GError *error = NULL;

  if (job == NULL)
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  job->run = read_run;
  job->done = read_done;
  job->draw.max_side = atl_dict_uint (options, ATL_READ_MAX_SIDE, 0);
  if (atl_picture_take_files (job, fds, files, &error) &&
      (job->draw.room == 0 || atl_picture_find_file (job, ATL_CREATE_IMAGE, 0, NULL, NULL) == NULL))
    g_set_error (&error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("there is no file for the picture"));
  if (error != NULL)
    atl_job_refuse (job, error);
  else
    atl_job_start (job, self->reading);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}
