/* Pictures for tests of the gallery. */
#include "gallery-steps.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "app/gallery/gallery.h"
#include "app/gallery/viewer-window.h"
#include "app/images/pictures-session.h"
#include "media/recipe.h"

#define WAIT_S 30

static const struct
{
  const char *prompt;
  guint width, height;
} samples[] = {
  { APP_FIRST_PROMPT, 96, 64 },
  { "a lighthouse at dusk, oil on canvas", 64, 96 },
  { "ein Füchslein im hohen Gras", 64, 64 },
  { "a panda", 160, 64 },
  { "夜の桟橋", 64, 80 },
};

char *
app_write_picture (guint i, const char *folder)
{
  const guint n = i % G_N_ELEMENTS (samples);
  g_autoptr (AtlPicture) picture = atl_picture_new (samples[n].width, samples[n].height);
  g_autoptr (GVariant) settings =
      g_variant_ref_sink (g_variant_new_parsed ("{'prompt': <%s>}", samples[n].prompt));
  g_autoptr (GVariant) facts = g_variant_ref_sink (
      g_variant_new_parsed ("{'seed': <%u>, 'steps': <uint32 4>, 'name': <'Doodle'>}", 100 + i));
  g_autoptr (GVariant) recipe =
      atl_recipe_join (settings, facts, samples[n].width, samples[n].height);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autofree char *stem = g_strdup_printf ("picture %u", i);
  char *path;

  for (gsize p = 0; p < (gsize) picture->width * picture->height; p++)
    {
      picture->rgb[3 * p] = (guint8) (40 * i + 200 * (p % picture->width) / picture->width);
      picture->rgb[3 * p + 1] = (guint8) (90 + 25 * i);
      picture->rgb[3 * p + 2] = (guint8) (255 * (p / picture->width) / picture->height);
    }
  atl_recipe_write (picture, recipe);
  bytes = atl_picture_encode (picture, ATL_PICTURE_PNG, 0, &error);
  g_assert_no_error (error);
  path = atl_picture_save (bytes, folder, stem, "png", &error);
  g_assert_no_error (error);
  return path;
}

void
app_make_old (const char *path, int days)
{
  struct timespec times[2];

  clock_gettime (CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= 60 + days * 24 * 3600;
  times[1] = times[0];
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
}

guint
app_n_pictures (AppFixture *f)
{
  return g_list_model_get_n_items (atl_gallery_get_pictures (atl_gallery_get (f->session)));
}

typedef struct
{
  AppFixture *f;
  guint n;
} Expected;

static gboolean
has_pictures (gpointer data)
{
  Expected *expected = data;

  return app_n_pictures (expected->f) == expected->n;
}

void
app_wait_for_pictures (AppFixture *f, guint n)
{
  Expected expected = { f, n };

  g_assert_true (app_fixture_wait (has_pictures, &expected, WAIT_S));
}

AtlGalleryItem *
app_picture_at (AppFixture *f, guint i)
{
  g_autoptr (AtlGalleryItem) item =
      g_list_model_get_item (atl_gallery_get_pictures (atl_gallery_get (f->session)), i);

  g_assert_nonnull (item);
  return item;
}

void
app_add_page (AppFixture *f, GtkWidget *page, const char *name)
{
  gtk_stack_add_named (GTK_STACK (f->window->title_stack), gtk_label_new (name), name);
  adw_view_stack_add_named (ADW_VIEW_STACK (f->window->pages), page, name);
  adw_view_stack_set_visible_child (ADW_VIEW_STACK (f->window->pages), page);
}

AtlGalleryView *
app_add_gallery (AppFixture *f)
{
  GtkWidget *view = atl_gallery_view_new ();

  atl_gallery_view_set_session (ATL_GALLERY_VIEW (view), f->session);
  app_add_page (f, view, "gallery-test");
  app_fixture_spin (300);
  return ATL_GALLERY_VIEW (view);
}

gboolean
app_is_ready (gpointer item)
{
  return atl_gallery_item_get_state (item) == ATL_GALLERY_READY;
}

void
app_clear_pictures (void)
{
  g_autofree char *folder = atl_pictures_dir ();
  g_autofree char *command = NULL;
  g_autofree char *quoted = g_shell_quote (folder);

  command = g_strconcat ("rm -rf ", quoted, NULL);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
}

GtkWidget *
app_viewer (void)
{
  g_autoptr (GListModel) windows = gtk_window_get_toplevels ();

  g_object_ref (windows);
  for (guint i = 0; i < g_list_model_get_n_items (windows); i++)
    {
      g_autoptr (GtkWidget) window = g_list_model_get_item (windows, i);

      if (ATL_IS_VIEWER_WINDOW (window))
        return window;
    }
  return NULL;
}
