/* Settings and inputs of a picture, and their way into descriptors. */
#define G_LOG_DOMAIN "atl-client"

#include "client/picture-request.h"

#include <math.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/write-all.h"
#include "client/open-files.h"

typedef struct
{
  char *role;          /* (owned) */
  char *path;          /* (owned) (nullable) */
  GBytes *bytes;       /* (owned) (nullable) */
  guint width, height; /* of raw pixels, else 0 */
} Input;

typedef struct
{
  char *path; /* (owned) */
  double strength;
} Lora;

struct _AtlPictureRequest
{
  GVariant *settings; /* (owned) */
  GPtrArray *inputs;  /* (owned) Input */
  GPtrArray *loras;   /* (owned) Lora */
};

static void
input_free (gpointer data)
{
  Input *input = data;

  g_free (input->role);
  g_free (input->path);
  g_clear_pointer (&input->bytes, g_bytes_unref);
  g_free (input);
}

static void
lora_free (gpointer data)
{
  Lora *lora = data;

  g_free (lora->path);
  g_free (lora);
}

AtlPictureRequest *
atl_picture_request_new (GVariant *settings)
{
  AtlPictureRequest *self = g_atomic_rc_box_new0 (AtlPictureRequest);

  self->settings = g_variant_ref_sink (settings);
  g_assert (g_variant_is_of_type (self->settings, G_VARIANT_TYPE_VARDICT));
  self->inputs = g_ptr_array_new_with_free_func (input_free);
  self->loras = g_ptr_array_new_with_free_func (lora_free);
  return self;
}

AtlPictureRequest *
atl_picture_request_ref (AtlPictureRequest *self)
{
  return g_atomic_rc_box_acquire (self);
}

static void
request_clear (gpointer data)
{
  AtlPictureRequest *self = data;

  g_variant_unref (self->settings);
  g_ptr_array_unref (self->inputs);
  g_ptr_array_unref (self->loras);
}

void
atl_picture_request_unref (AtlPictureRequest *self)
{
  if (self != NULL)
    g_atomic_rc_box_release_full (self, request_clear);
}

/* --- Filling --- */

static Input *
add_input (AtlPictureRequest *self, const char *role)
{
  Input *input = g_new0 (Input, 1);

  input->role = g_strdup (role);
  g_ptr_array_add (self->inputs, input);
  return input;
}

void
atl_picture_request_add_file (AtlPictureRequest *self, const char *role, const char *path)
{
  add_input (self, role)->path = g_strdup (path);
}

void
atl_picture_request_add_bytes (AtlPictureRequest *self, const char *role, GBytes *bytes)
{
  add_input (self, role)->bytes = g_bytes_ref (bytes);
}

void
atl_picture_request_add_pixels (
    AtlPictureRequest *self, const char *role, GBytes *rgb, guint width, guint height)
{
  Input *input = add_input (self, role);

  g_assert (g_bytes_get_size (rgb) == (gsize) width * height * 3);
  input->bytes = g_bytes_ref (rgb);
  input->width = width;
  input->height = height;
}

static void
add_lora (AtlPictureRequest *self, const char *path, double strength)
{
  Lora *lora = g_new0 (Lora, 1);

  lora->path = g_strdup (path);
  lora->strength = strength;
  g_ptr_array_add (self->loras, lora);
}

void
atl_picture_request_add_lora (AtlPictureRequest *self, const char *path, double strength)
{
  add_lora (self, path, strength);
}

/* --- Reading --- */

GVariant *
atl_picture_request_get_settings (AtlPictureRequest *self)
{
  return self->settings;
}

GVariant *
atl_picture_request_make_settings (AtlPictureRequest *self, GHashTable *sizes)
{
  GVariantBuilder loras, inputs, known;
  guint64 lora_bytes = 0;
  GVariantDict dict;

  g_variant_dict_init (&dict, self->settings);
  g_variant_dict_remove (&dict, ATL_MADE_LORAS);
  g_variant_builder_init (&loras, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < self->loras->len; i++)
    {
      const Lora *lora = self->loras->pdata[i];
      g_autofree char *name = g_filename_display_basename (lora->path);
      char *dot = strrchr (name, '.');
      GStatBuf st;

      if (dot != NULL && dot != name)
        *dot = '\0';
      g_variant_builder_open (&loras, G_VARIANT_TYPE_VARDICT);
      g_variant_builder_add (&loras, "{sv}", "name", g_variant_new_string (name));
      if (!isnan (lora->strength))
        g_variant_builder_add (&loras, "{sv}", "weight", g_variant_new_double (lora->strength));
      if (g_stat (lora->path, &st) == 0 && S_ISREG (st.st_mode))
        lora_bytes += (guint64) st.st_size;
      g_variant_builder_close (&loras);
    }
  g_variant_builder_init (&inputs, G_VARIANT_TYPE_STRING_ARRAY);
  g_variant_builder_init (&known, G_VARIANT_TYPE ("a(uu)"));
  for (guint i = 0; i < self->inputs->len; i++)
    {
      const Input *input = self->inputs->pdata[i];
      const guint *size =
          sizes != NULL && input->path != NULL ? g_hash_table_lookup (sizes, input->path) : NULL;

      g_variant_builder_add (&inputs, "s", input->role);
      g_variant_builder_add (&known, "(uu)", size != NULL ? size[0] : input->width,
                             size != NULL ? size[1] : input->height);
    }
  g_variant_dict_insert_value (&dict, ATL_PRICE_INPUTS, g_variant_builder_end (&inputs));
  g_variant_dict_insert_value (&dict, ATL_PRICE_SIZES, g_variant_builder_end (&known));
  g_variant_dict_insert (&dict, ATL_PRICE_LORA_BYTES, "t", lora_bytes);
  if (self->loras->len > 0)
    g_variant_dict_insert_value (&dict, ATL_MADE_LORAS, g_variant_builder_end (&loras));
  else
    g_variant_builder_clear (&loras);
  return g_variant_dict_end (&dict);
}

/* --- Descriptors --- */

/* The engine gets bytes as a file of its own. */
static gboolean
append_bytes (GBytes *bytes, GUnixFDList *fds, GError **error)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  int fd = memfd_create ("atelier-input", MFD_CLOEXEC);
  gboolean ok;

  if (fd < 0 || !atl_write_all (fd, data, size))
    {
      if (fd >= 0)
        close (fd);
      g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "%s",
                   _ ("There is no memory left for the picture to begin with"));
      return FALSE;
    }
  ok = g_unix_fd_list_append (fds, fd, error) >= 0;
  close (fd);
  return ok;
}

gboolean
atl_picture_request_open (AtlPictureRequest *self,
                          GUnixFDList *fds,
                          GPtrArray *names,
                          GError **error)
{
  for (guint i = 0; i < self->inputs->len; i++)
    {
      const Input *input = self->inputs->pdata[i];

      if (input->path != NULL ? !atl_open_picture_file (input->path, fds, error)
                              : !append_bytes (input->bytes, fds, error))
        return FALSE;
      g_ptr_array_add (names, input->width == 0 ? g_strdup (input->role)
                                                : g_strdup_printf ("%s.%ux%u.rgb", input->role,
                                                                   input->width, input->height));
    }
  for (guint i = 0; i < self->loras->len; i++)
    if (!atl_open_adapter_files (((Lora *) self->loras->pdata[i])->path, i, fds, names, error))
      {
        if (error != NULL)
          atl_error_blame_lora (*error, i);
        return FALSE;
      }
  return TRUE;
}
