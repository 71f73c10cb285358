/* JPEG, by libjpeg. */
#define G_LOG_DOMAIN "atl-media"

#include <glib/gi18n.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "media/picture-private.h"

/* A progressive file may hold scans without end. */
#define MAX_SCANS 200

typedef struct
{
  struct jpeg_error_mgr base;
  jmp_buf out;
  char message[JMSG_LENGTH_MAX];
} Errors;

typedef struct
{
  struct jpeg_progress_mgr base;
  struct jpeg_decompress_struct *cinfo;
} Progress;

static void
error_exit_cb (j_common_ptr cinfo)
{
  Errors *errors = (Errors *) cinfo->err;

  errors->base.format_message (cinfo, errors->message);
  longjmp (errors->out, 1);
}

static void
silent_cb (j_common_ptr cinfo)
{
}

/* libjpeg goes on with what is missing of a file that was cut off as grey. Other warnings are about
 * nothing that is seen. */
static void
warning_cb (j_common_ptr cinfo, int level)
{
  if (level < 0 && cinfo->err->msg_code == JWRN_HIT_MARKER)
    cinfo->err->error_exit (cinfo);
}

static void
progress_cb (j_common_ptr cinfo)
{
  Progress *progress = (Progress *) cinfo->progress;
  Errors *errors = (Errors *) cinfo->err;

  if (progress->cinfo->input_scan_number <= MAX_SCANS)
    return;
  g_strlcpy (errors->message, "too many scans", sizeof errors->message);
  longjmp (errors->out, 1);
}

static void
use_errors (Errors *errors, struct jpeg_error_mgr **slot)
{
  *slot = jpeg_std_error (&errors->base);
  errors->base.error_exit = error_exit_cb;
  errors->base.output_message = silent_cb;
  errors->base.emit_message = warning_cb;
}

static gboolean
lacked_memory (const Errors *errors)
{
  return errors->base.msg_code == JERR_OUT_OF_MEMORY;
}

/* A row of four inks, which most programs (Adobe's mark says so) write as what they leave of the
 * paper's light. No profile is looked at. */
static void
ink_to_rgb (guint8 *rgb, const guint8 *cmyk, guint width, gboolean is_light)
{
  for (guint x = 0; x < width; x++)
    {
      guint black = is_light ? cmyk[4 * x + 3] : 255u - cmyk[4 * x + 3];

      for (guint c = 0; c < 3; c++)
        {
          guint light = is_light ? cmyk[4 * x + c] : 255u - cmyk[4 * x + c];

          rgb[3 * x + c] = (guint8) ((light * black + 127) / 255);
        }
    }
}

/* Rows come from a picture that was started. */
static void
read_rows (struct jpeg_decompress_struct *cinfo, AtlPicture *self)
{
  gboolean is_ink = cinfo->out_color_space == JCS_CMYK;
  JSAMPARRAY inks =
      is_ink ? cinfo->mem->alloc_sarray ((j_common_ptr) cinfo, JPOOL_IMAGE, self->width * 4, 1)
             : NULL;

  while (cinfo->output_scanline < cinfo->output_height)
    {
      JSAMPROW row = self->rgb + (gsize) cinfo->output_scanline * self->width * 3;

      jpeg_read_scanlines (cinfo, is_ink ? inks : &row, 1);
      if (is_ink)
        ink_to_rgb (row, inks[0], self->width, cinfo->saw_Adobe_marker);
    }
}

static guint
read_markers (AtlPicture *self, const struct jpeg_decompress_struct *cinfo)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);

  for (jpeg_saved_marker_ptr m = cinfo->marker_list; m != NULL; m = m->next)
    if (m->marker == JPEG_COM)
      {
        g_autofree char *text = g_strndup ((const char *) m->data, m->data_length);
        atl_picture_set_text (self, "comment", text);
      }
    else
      g_ptr_array_add (parts, g_bytes_new (m->data, m->data_length));
  return atl_jpeg_read_texts (self, parts);
}

AtlPicture *
atl_jpeg_decode (const guint8 *data, gsize size, guint64 max_pixels, GError **error)
{
  struct jpeg_decompress_struct cinfo = { 0 };
  Errors errors = { 0 };
  Progress progress = { .base = { .progress_monitor = progress_cb }, .cinfo = &cinfo };
  AtlPicture *volatile self = NULL;
  volatile guint orientation;

  use_errors (&errors, &cinfo.err);
  if (setjmp (errors.out))
    {
      if (lacked_memory (&errors))
        atl_picture_set_no_memory (error);
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, _ ("This JPEG file is damaged: %s"),
                     errors.message);
      jpeg_destroy_decompress (&cinfo);
      atl_picture_free (self);
      return NULL;
    }
  jpeg_create_decompress (&cinfo);
  cinfo.progress = &progress.base;
  jpeg_mem_src (&cinfo, data, size);
  jpeg_save_markers (&cinfo, JPEG_COM, ATL_JPEG_MAX_MARKER);
  jpeg_save_markers (&cinfo, JPEG_APP0 + 1, ATL_JPEG_MAX_MARKER);
  jpeg_read_header (&cinfo, TRUE);
  if (!atl_picture_check_size (cinfo.image_width, cinfo.image_height, max_pixels, error))
    {
      jpeg_destroy_decompress (&cinfo);
      return NULL;
    }
  cinfo.out_color_space =
      cinfo.jpeg_color_space == JCS_CMYK || cinfo.jpeg_color_space == JCS_YCCK ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress (&cinfo);
  self = atl_picture_try_new (cinfo.output_width, cinfo.output_height, error);
  if (self == NULL)
    {
      jpeg_destroy_decompress (&cinfo);
      return NULL;
    }
  read_rows (&cinfo, self);
  orientation = read_markers (self, &cinfo);
  jpeg_finish_decompress (&cinfo);
  jpeg_destroy_decompress (&cinfo);
  return atl_picture_take_upright (self, orientation, error);
}

/* --- Writing --- */

/* libjpeg's own target in memory leaves the caller with a pointer to what it has freed when it
 * fails while it grows. */
typedef struct
{
  struct jpeg_destination_mgr base;
  guint8 *data; /* (owned) */
  gsize size;   /* of what data has room for */
} Target;

/* Twice the room; what is there is full. */
static boolean
grow_cb (j_compress_ptr cinfo)
{
  Target *target = (Target *) cinfo->dest;
  gsize used = target->size, size = MAX (2 * used, 64u << 10);
  guint8 *data = g_try_realloc (target->data, size);

  if (data == NULL)
    ERREXIT1 (cinfo, JERR_OUT_OF_MEMORY, 10);
  target->data = data;
  target->size = size;
  target->base.next_output_byte = data + used;
  target->base.free_in_buffer = size - used;
  return TRUE;
}

static void
begin_cb (j_compress_ptr cinfo)
{
  grow_cb (cinfo);
}

static void
end_cb (j_compress_ptr cinfo)
{
}

GBytes *
atl_jpeg_encode (const AtlPicture *self, guint quality, GError **error)
{
  struct jpeg_compress_struct cinfo = { 0 };
  Errors errors = { 0 };
  Target target = { .base = { .init_destination = begin_cb,
                              .empty_output_buffer = grow_cb,
                              .term_destination = end_cb } };
  g_autoptr (GPtrArray) texts = atl_jpeg_texts (self);

  use_errors (&errors, &cinfo.err);
  if (setjmp (errors.out))
    {
      if (lacked_memory (&errors))
        atl_picture_set_no_memory (error);
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                     _ ("This picture cannot be a JPEG file: %s"), errors.message);
      jpeg_destroy_compress (&cinfo);
      g_free (target.data);
      return NULL;
    }
  jpeg_create_compress (&cinfo);
  cinfo.dest = &target.base;
  cinfo.image_width = self->width;
  cinfo.image_height = self->height;
  cinfo.input_components = 3;
  cinfo.in_color_space = JCS_RGB;
  jpeg_set_defaults (&cinfo);
  jpeg_set_quality (&cinfo, (int) quality, TRUE);
  /* From 90 on, colours keep their full resolution. */
  if (quality >= 90)
    cinfo.comp_info[0].h_samp_factor = cinfo.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress (&cinfo, TRUE);
  for (guint i = 0; i < texts->len; i++)
    {
      gsize n;
      const JOCTET *text = g_bytes_get_data (texts->pdata[i], &n);

      jpeg_write_marker (&cinfo, JPEG_APP0 + 1, text, (unsigned) n);
    }
  while (cinfo.next_scanline < cinfo.image_height)
    {
      JSAMPROW row = self->rgb + (gsize) cinfo.next_scanline * self->width * 3;
      jpeg_write_scanlines (&cinfo, &row, 1);
    }
  jpeg_finish_compress (&cinfo);
  jpeg_destroy_compress (&cinfo);
  return g_bytes_new_take (target.data, target.size - target.base.free_in_buffer);
}
