/* They are known by their names in their folder. */
#include "app/images/tiny-decoders.h"

#include <glib/gi18n.h>
#include <string.h>

#include "client/nearby-files.h"
#include "hub/given-part.h"

typedef struct
{
  AtlPicturesSession *pictures; /* (owned) */
  char *path;
} Taking;

static void
given_cb (GObject *source, GAsyncResult *result, gpointer data)
{
  Taking *taking = data;
  g_autoptr (AtlPicturesSession) pictures = taking->pictures;
  g_autofree char *given = taking->path;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = atl_given_part_take_finish (result, &error);
  g_autofree char *name = g_filename_display_basename (given);
  g_autofree char *words = NULL;

  g_free (taking);
  if (path != NULL)
    words = g_strdup_printf (
        _ ("“%s” was copied: models that it fits show pictures through it while they are drawn."),
        name);
  atl_session_emit_notice (atl_pictures_session_get_session (pictures),
                           path != NULL ? words : error->message);
  /* Its files are looked for when a model is loaded. */
  if (path != NULL)
    atl_pictures_session_reload_model (pictures);
}

/* The folder says more than "diffusion_pytorch_model". */
static char *
tiny_name (const char *path)
{
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *above = g_path_get_dirname (path);
  g_autofree char *folder = g_path_get_basename (above);
  const char *dot = strrchr (base, '.');

  if (atl_nearby_is_tiny_name (base))
    return g_steal_pointer (&base);
  return atl_nearby_is_tiny_name (folder)
             ? g_strconcat (folder, dot != NULL ? dot : ".safetensors", NULL)
             : g_strconcat ("tae-", base, NULL);
}

void
atl_tiny_decoders_take (AtlPicturesSession *pictures, const char *path)
{
  g_autofree char *folder = atl_nearby_tiny_dir ();
  g_autofree char *name = tiny_name (path);
  Taking *taking = g_new0 (Taking, 1);

  taking->pictures = g_object_ref (pictures);
  taking->path = g_strdup (path);
  atl_given_part_take_async (path, folder, name, ATL_GIVEN_COPY, NULL, given_cb, taking);
}
