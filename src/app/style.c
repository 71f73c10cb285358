/* Two settings that concern every widget. */
#include "app/style.h"

#include <adwaita.h>

static void
apply_scheme (GSettings *settings)
{
  static const AdwColorScheme schemes[] = { ADW_COLOR_SCHEME_DEFAULT, ADW_COLOR_SCHEME_FORCE_LIGHT,
                                            ADW_COLOR_SCHEME_FORCE_DARK };
  int choice = g_settings_get_enum (settings, "color-scheme");

  adw_style_manager_set_color_scheme (adw_style_manager_get_default (),
                                      schemes[CLAMP (choice, 0, 2)]);
}

/* The pages carry the class "zoomed"; header and sidebar keep the size of the desktop. */
static void
apply_zoom (GSettings *settings, const char *key, GtkCssProvider *provider)
{
  char number[G_ASCII_DTOSTR_BUF_SIZE];
  g_autofree char *css = NULL;

  g_ascii_formatd (number, sizeof number, "%.3f", 100 * g_settings_get_double (settings, "zoom"));
  css = g_strdup_printf (".zoomed { font-size: %s%%; }", number);
  gtk_css_provider_load_from_data (provider, css, -1);
}

static void
scheme_cb (GSettings *settings, const char *key, gpointer data)
{
  apply_scheme (settings);
}

void
atl_style_follow (GSettings *settings)
{
  GtkCssProvider *provider = gtk_css_provider_new ();

  gtk_style_context_add_provider_for_display (gdk_display_get_default (),
                                              GTK_STYLE_PROVIDER (provider),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION + 1);
  g_signal_connect (settings, "changed::color-scheme", G_CALLBACK (scheme_cb), NULL);
  g_signal_connect_object (settings, "changed::zoom", G_CALLBACK (apply_zoom), provider, 0);
  /* Walking through a chat by keyboard must not mark whole messages. */
  g_object_set (gtk_settings_get_default (), "gtk-label-select-on-focus", FALSE, NULL);
  apply_scheme (settings);
  apply_zoom (settings, NULL, provider);
}
