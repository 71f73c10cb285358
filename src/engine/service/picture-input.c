/* Pictures that a picture begins with: decoded behind the sandbox, and brought to a size. */
#define G_LOG_DOMAIN "atl-service"

#include <gio/gunixfdlist.h>
#include <glib/gi18n.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/language.h"
#include "engine/service/fit.h"
#include "engine/service/ledger.h"
#include "engine/service/picture.h"
#include "engine/service/service-private.h"
#include "protocol/protocol.h"

AtlPicture *
atl_picture_input_decode (AtlFileMap *map, guint width, guint height, GError **error)
{
  gsize size = (gsize) width * height * 3;
  AtlPicture *picture;

  if (size == 0)
    return atl_picture_decode (atl_file_map_data (map), atl_file_map_size (map),
                               ATL_MAX_INPUT_PIXELS, error);
  if (atl_file_map_size (map) != size)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the pixels are not %u × %u"), width,
                   height);
      return NULL;
    }
  picture = atl_picture_try_new (width, height, error);
  if (picture == NULL)
    return NULL;
  memcpy (picture->rgb, atl_file_map_data (map), size);
  return picture;
}

/* One line of `n` samples, `stride` apart, to `m`: a triangle as wide as the larger of both
 * distances, so that shrinking averages and growing interpolates. */
static void
filter_line (const float *from, gint64 n, gint64 stride, float *to, gint64 m, gint64 to_stride)
{
  double scale = (double) n / (double) m;
  double width = MAX (scale, 1.0);

  for (gint64 i = 0; i < m; i++)
    {
      double middle = ((double) i + 0.5) * scale - 0.5, sum = 0, weights = 0;
      gint64 first = MAX ((gint64) ceil (middle - width), 0);
      gint64 last = MIN ((gint64) floor (middle + width), n - 1);

      for (gint64 k = first; k <= last; k++)
        {
          double weight = 1 - fabs ((double) k - middle) / width;

          sum += weight * from[k * stride];
          weights += weight;
        }
      to[i * to_stride] = (float) (sum / weights);
    }
}

AtlArray *
atl_picture_input_array (const AtlPicture *picture,
                         const char *name,
                         guint n_channels,
                         gint64 width,
                         gint64 height,
                         GError **error)
{
  gint64 w = picture->width, h = picture->height;
  g_autofree float *line = g_new (float, w);
  g_autoptr (AtlArray) array =
      atl_array_try_new (name, ATL_DTYPE_F32, 4, (gint64[]){ 1, n_channels, height, width }, error);
  g_autoptr (AtlArray) work =
      array != NULL ? atl_array_try_new (name, ATL_DTYPE_F32, 2, (gint64[]){ h, width }, error)
                    : NULL;
  float *narrow;

  if (work == NULL)
    return NULL;
  narrow = atl_array_f32 (work);
  for (guint c = 0; c < n_channels; c++)
    {
      float *plane = atl_array_f32 (array) + (gint64) c * height * width;

      for (gint64 y = 0; y < h; y++)
        {
          for (gint64 x = 0; x < w; x++)
            line[x] = (float) picture->rgb[(y * w + x) * 3 + c] / 255.0f;
          filter_line (line, w, 1, narrow + y * width, width, 1);
        }
      for (gint64 x = 0; x < width; x++)
        filter_line (narrow + x, h, width, plane + x, height, width);
    }
  return g_steal_pointer (&array);
}

/* --- Files of a call --- */

/* "mask.512x384.rgb": "mask" and the size. */
static gboolean
parse_name (const char *name, char **role, guint size[2])
{
  const char *dot = strchr (name, '.');
  guint64 width, height;
  char *end;

  size[0] = size[1] = 0;
  *role = dot != NULL ? g_strndup (name, (gsize) (dot - name)) : g_strdup (name);
  if (dot == NULL)
    return TRUE;
  width = g_ascii_strtoull (dot + 1, &end, 10);
  if (!g_ascii_isdigit (dot[1]) || *end != 'x' || !g_ascii_isdigit (end[1]))
    return FALSE;
  height = g_ascii_strtoull (end + 1, &end, 10);
  if (!g_str_equal (end, ".rgb") || width == 0 || height == 0 || width > ATL_MAX_PICTURE_SIDE ||
      height > ATL_MAX_PICTURE_SIDE || width * height > ATL_MAX_INPUT_PIXELS)
    return FALSE;
  size[0] = (guint) width;
  size[1] = (guint) height;
  return TRUE;
}

AtlFileMap *
atl_picture_find_file (const AtlJob *job, const char *name, guint n, guint *width, guint *height)
{
  for (guint i = 0; i < job->maps->len; i++)
    if (g_str_equal (job->names->pdata[i], name) && n-- == 0)
      {
        if (width != NULL)
          {
            *width = g_array_index (job->draw.sizes, guint, 2 * i);
            *height = g_array_index (job->draw.sizes, guint, 2 * i + 1);
          }
        return job->maps->pdata[i];
      }
  return NULL;
}

static gboolean
is_expected (const AtlJob *job, const char *role)
{
  if (g_str_equal (role, ATL_CREATE_PICTURE))
    return job->draw.room == 0;
  if (g_str_equal (role, ATL_CREATE_PREVIEW))
    return job->draw.preview == 0;
  if (g_str_equal (role, ATL_CREATE_REFERENCE))
    return atl_picture_find_file (job, role, ATL_MAX_REFERENCES - 1, NULL, NULL) == NULL;
  return (g_str_equal (role, ATL_CREATE_IMAGE) || g_str_equal (role, ATL_CREATE_MASK)) &&
         atl_picture_find_file (job, role, 0, NULL, NULL) == NULL;
}

static gboolean
take_file (AtlJob *job, GUnixFDList *fds, const char *name, gint32 handle, GError **error)
{
  int n_fds = fds != NULL ? g_unix_fd_list_get_length (fds) : 0;
  g_autofree char *role = NULL;
  AtlFileMap *map;
  struct stat st;
  guint size[2];
  gboolean ok;
  int fd;

  if (g_str_has_prefix (name, ATL_CHAT_ADAPTER_PREFIX) && handle >= 0 && handle < n_fds)
    {
      fd = g_unix_fd_list_get (fds, handle, error);
      ok = fd >= 0 && atl_picture_take_lora (job, fd, name, error);
      if (fd >= 0)
        close (fd);
      return ok;
    }
  if (!parse_name (name, &role, size) || handle < 0 || handle >= n_fds || !is_expected (job, role))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the file “%s” is not expected"), name);
      return FALSE;
    }
  fd = g_unix_fd_list_get (fds, handle, error);
  if (fd < 0)
    return FALSE;
  if (g_str_equal (role, ATL_CREATE_PICTURE) || g_str_equal (role, ATL_CREATE_PREVIEW))
    {
      if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode))
        {
          close (fd);
          g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the file “%s” is not expected"),
                       name);
          return FALSE;
        }
      *(g_str_equal (role, ATL_CREATE_PICTURE) ? &job->draw.room : &job->draw.preview) = fd;
      return TRUE;
    }
  map = atl_file_map_new_from_fd (fd, role, error);
  close (fd);
  if (map == NULL)
    return FALSE;
  g_ptr_array_add (job->maps, map);
  g_ptr_array_add (job->names, g_steal_pointer (&role));
  g_array_append_vals (job->draw.sizes, size, 2);
  return TRUE;
}

gboolean
atl_picture_take_files (AtlJob *job, GUnixFDList *fds, GVariant *files, GError **error)
{
  gsize n = g_variant_n_children (files);

  job->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  job->names = g_ptr_array_new_with_free_func (g_free);
  job->draw.sizes = g_array_new (FALSE, TRUE, sizeof (guint));
  if (n > ATL_MAX_FILES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("too many files: %u"), (guint) n);
      return FALSE;
    }
  for (gsize i = 0; i < n; i++)
    {
      const char *name;
      gint32 handle;

      g_variant_get_child (files, i, "(&sh)", &name, &handle);
      if (!take_file (job, fds, name, handle, error))
        return FALSE;
    }
  return TRUE;
}

/* --- What a picture begins with --- */

/* The n-th file of a role; NULL without an error when there is none. */
static gboolean
decode (AtlJob *job, const char *role, guint n, AtlPicture **picture, GError **error)
{
  guint width = 0, height = 0;
  AtlFileMap *map = atl_picture_find_file (job, role, n, &width, &height);

  *picture = map != NULL ? atl_picture_input_decode (map, width, height, error) : NULL;
  return map == NULL || *picture != NULL;
}

gboolean
atl_picture_check_fills (const AtlTraits *traits,
                         const char *family,
                         gboolean has_image,
                         gboolean has_mask,
                         GError **error)
{
  if ((traits->abilities & (ATL_CAN_IMAGE | ATL_CAN_MASK)) != ATL_CAN_MASK ||
      (has_image && has_mask))
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
               /* Translators: a family of models. */
               _ ("This model of %s draws inside a picture. Begin with one, and paint what may "
                  "change or extend it"),
               family);
  return FALSE;
}

static gboolean
check_roles (const AtlJob *job, const AtlTraits *traits, const char *family, GError **error)
{
  const char *word = atl_diffusion_model_family (job->slot->pictures)->editing_word;
  gboolean has_image = atl_picture_find_file (job, ATL_CREATE_IMAGE, 0, NULL, NULL) != NULL;
  gboolean has_mask = atl_picture_find_file (job, ATL_CREATE_MASK, 0, NULL, NULL) != NULL;
  gboolean has_reference = atl_picture_find_file (job, ATL_CREATE_REFERENCE, 0, NULL, NULL) != NULL;
  guint n = MIN (traits->max_references, ATL_MAX_REFERENCES);

  if (!atl_picture_check_fills (traits, family, has_image, has_mask, error))
    return FALSE;
  if (has_mask && !has_image)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s",
                 _ ("A mask needs a picture that it belongs to"));
  else if (has_mask && (traits->abilities & ATL_CAN_MASK) == 0)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s cannot paint inside a mask"), family);
  /* A model that edits takes the picture as what it follows. */
  else if (has_image && !has_mask && (traits->abilities & (ATL_CAN_IMAGE | ATL_CAN_REFERENCE)) == 0)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s cannot begin with a picture"), family);
  else if (has_reference && (traits->abilities & ATL_CAN_REFERENCE) == 0 && word != NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 /* Translators: a family of models, and a word such as kontext */
                 _ ("This %s follows no other pictures. A single file of a model that does is told "
                    "by its name, which must have “%s” in it"),
                 family, word);
  else if (has_reference && (traits->abilities & ATL_CAN_REFERENCE) == 0)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("%s follows no other pictures"), family);
  else if (has_reference &&
           atl_picture_find_file (job, ATL_CREATE_REFERENCE, n, NULL, NULL) != NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                 /* Translators: a family of models, and a number. */
                 _ ("%s follows other pictures, but no more than %u at a time"), family, n);
  else
    return TRUE;
  return FALSE;
}

/* Pictures are read before it is known what drawing will take, and the system promises memory that
 * it does not have. */
static gboolean
check_room (AtlService *service, const char *name, guint64 n_numbers, GError **error)
{
  guint64 bytes = n_numbers * sizeof (float), idle, available;
  g_autofree char *size = NULL;
  AtlMemory memory;

  atl_ledger_read (service, &memory, &idle);
  available = memory.free_bytes + idle;
  available -= MIN (available, atl_fit_reserve (memory.total_bytes));
  if (bytes <= available)
    return TRUE;
  size = atl_language_size (bytes);
  g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY,
               _ ("The computer has no %s of free memory left for “%s”."), size, name);
  return FALSE;
}

static gboolean
add_input (AtlJob *job,
           GPtrArray *inputs,
           const AtlPicture *picture,
           const char *name,
           guint n_channels,
           gint64 width,
           gint64 height,
           GError **error)
{
  AtlArray *array;

  /* And one plane of its rows that are as wide, while it is read. */
  if (!check_room (job->service, name,
                   (guint64) (n_channels * width * height + picture->height * width), error))
    return FALSE;
  array = atl_picture_input_array (picture, name, n_channels, width, height, error);
  if (array != NULL)
    g_ptr_array_add (inputs, array);
  return array != NULL;
}

void
atl_picture_reference_size (
    AtlDiffusionModel *model, guint own_width, guint own_height, gint64 *width, gint64 *height)
{
  const AtlTraits *traits = atl_diffusion_model_traits (model);
  const AtlDiffusionFamily *family = atl_diffusion_model_family (model);
  g_autoptr (AtlSettings) none = atl_settings_new ();

  if (family->reference_size != NULL)
    family->reference_size (traits, own_width, own_height, width, height);
  else
    atl_picture_choose_size (none, traits, own_width, own_height, width, height);
}

/* The first one's size becomes that of `settings` (nullable), where none is asked for. */
static gboolean
add_reference (AtlJob *job,
               GPtrArray *inputs,
               const AtlPicture *picture,
               guint number,
               AtlSettings *settings,
               GError **error)
{
  g_autofree char *name = g_strdup_printf ("image_%u", number);
  gint64 width, height;

  atl_picture_reference_size (job->slot->pictures, picture->width, picture->height, &width,
                              &height);
  if (number == 1 && settings != NULL && !atl_settings_has (settings, ATL_MADE_WIDTH) &&
      !atl_settings_has (settings, ATL_MADE_HEIGHT))
    {
      atl_settings_set_number (settings, ATL_MADE_WIDTH, (double) width);
      atl_settings_set_number (settings, ATL_MADE_HEIGHT, (double) height);
    }
  return add_input (job, inputs, picture, name, 3, width, height, error);
}

gboolean
atl_picture_take_inputs (AtlJob *job, AtlSettings *settings, GPtrArray *inputs, GError **error)
{
  const AtlTraits *traits = atl_diffusion_model_traits (job->slot->pictures);
  const char *family = atl_diffusion_model_family (job->slot->pictures)->words;
  g_autoptr (AtlPicture) image = NULL;
  g_autoptr (AtlPicture) mask = NULL;
  gint64 width, height;
  guint n_references = 0;

  if (!check_roles (job, traits, family, error) ||
      !decode (job, ATL_CREATE_IMAGE, 0, &image, error) ||
      !decode (job, ATL_CREATE_MASK, 0, &mask, error))
    return FALSE;
  if (image != NULL && mask == NULL && (traits->abilities & ATL_CAN_IMAGE) == 0)
    {
      if (!add_reference (job, inputs, image, ++n_references, settings, error))
        return FALSE;
      g_clear_pointer (&image, atl_picture_free);
    }
  for (guint i = 0; i < ATL_MAX_REFERENCES; i++)
    {
      g_autoptr (AtlPicture) picture = NULL;

      if (!decode (job, ATL_CREATE_REFERENCE, i, &picture, error))
        return FALSE;
      if (picture == NULL)
        break;
      if (!add_reference (job, inputs, picture, ++n_references, image == NULL ? settings : NULL,
                          error))
        return FALSE;
    }
  atl_picture_choose_size (settings, traits, image != NULL ? image->width : 0,
                           image != NULL ? image->height : 0, &width, &height);
  return (image == NULL ||
          add_input (job, inputs, image, ATL_CREATE_IMAGE, 3, width, height, error)) &&
         (mask == NULL || add_input (job, inputs, mask, ATL_CREATE_MASK, 1, width, height, error));
}

/* --- What a mask leaves as it is --- */

/* Of a side: how far the edge of what was painted reaches outwards. */
#define SOFT_PART 96

/* Each sample becomes the mean of those up to `radius` away, of `n` that are `stride` apart. */
static void
blur_line (float *x, gint64 n, gint64 stride, gint64 radius, float *line)
{
  double sum = 0;
  gint64 n_in = 0;

  for (gint64 i = 0; i < n; i++)
    line[i] = x[i * stride];
  for (gint64 i = 0; i < MIN (radius, n); i++, n_in++)
    sum += line[i];
  for (gint64 i = 0; i < n; i++)
    {
      if (i + radius < n)
        {
          sum += line[i + radius];
          n_in++;
        }
      if (i > radius)
        {
          sum -= line[i - radius - 1];
          n_in--;
        }
      x[i * stride] = (float) (sum / (double) n_in);
    }
}

gboolean
atl_picture_keep_rest (GPtrArray *inputs, guint8 *rgb, gint64 width, gint64 height, GError **error)
{
  const AtlArray *image = atl_arrays_find (inputs, ATL_CREATE_IMAGE);
  const AtlArray *mask = atl_arrays_find (inputs, ATL_CREATE_MASK);
  gint64 n = width * height, radius = MAX (MIN (width, height) / SOFT_PART, 1);
  g_autoptr (AtlArray) blurred = NULL;
  g_autofree float *line = NULL;
  float *soft;

  if (image == NULL || mask == NULL || image->dim[1] != 3 || image->dim[2] != height ||
      image->dim[3] != width || mask->dim[2] != height || mask->dim[3] != width)
    return TRUE;
  blurred = atl_array_try_new (ATL_CREATE_MASK, ATL_DTYPE_F32, mask->n_dims, mask->dim, error);
  if (blurred == NULL)
    return FALSE;
  soft = atl_array_f32 (blurred);
  memcpy (soft, atl_array_f32 (mask), (gsize) n * sizeof *soft);
  line = g_new (float, MAX (width, height));
  for (gint64 y = 0; y < height; y++)
    blur_line (soft + y * width, width, 1, radius, line);
  for (gint64 x = 0; x < width; x++)
    blur_line (soft + x, height, width, radius, line);
  for (gint64 i = 0; i < n; i++)
    {
      float painted = atl_array_f32 (mask)[i] >= 0.5f ? 1.0f : CLAMP (2 * soft[i], 0.0f, 1.0f);

      for (guint c = 0; c < 3; c++)
        {
          float before = CLAMP (atl_array_f32 (image)[c * n + i], 0.0f, 1.0f) * 255.0f;

          rgb[i * 3 + c] = (guint8) (before + painted * ((float) rgb[i * 3 + c] - before) + 0.5f);
        }
    }
  return TRUE;
}
