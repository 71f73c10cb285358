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

/* The pages, and what is read in other windows, carry the class "zoomed"; header and sidebar keep
 * the size of the desktop. */
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

/* Desktops that ask for high contrast want lines that can be seen and no pale letters, which
 * libadwaita's own widgets then have. */
static void
contrast_cb (AdwStyleManager *manager, GParamSpec *spec, GtkCssProvider *provider)
{
  static const char css[] =
      ".composer:not(:focus-within), .code-frame, .table, .table .cell { border-color: "
      "alpha(currentColor, 0.5); }"
      ".md-quote, .thinking-text { border-color: alpha(currentColor, 0.6); opacity: 1; }"
      "chatrow.heading-row .title, chatrow.heading-row image, chatrow .caption { opacity: 0.9; }"
      ".thinking-toggle, .md-block .marker, .message-footer button { opacity: 1; }"
      "message .message-footer > label.dim-label { filter: none; }"
      ".bubble { box-shadow: inset 0 0 0 1px alpha(currentColor, 0.5); }"
      ".badge, .chip { box-shadow: inset 0 0 0 1px alpha(currentColor, 0.5); }";

  gtk_css_provider_load_from_data (provider,
                                   adw_style_manager_get_high_contrast (manager) ? css : "", -1);
}

void
atl_style_follow (GSettings *settings)
{
  GtkCssProvider *provider = gtk_css_provider_new ();
  GtkCssProvider *contrast = gtk_css_provider_new ();
  AdwStyleManager *manager = adw_style_manager_get_default ();

  gtk_style_context_add_provider_for_display (gdk_display_get_default (),
                                              GTK_STYLE_PROVIDER (provider),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION + 1);
  gtk_style_context_add_provider_for_display (gdk_display_get_default (),
                                              GTK_STYLE_PROVIDER (contrast),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION + 1);
  g_signal_connect_object (manager, "notify::high-contrast", G_CALLBACK (contrast_cb), contrast, 0);
  contrast_cb (manager, NULL, contrast);
  g_signal_connect (settings, "changed::color-scheme", G_CALLBACK (scheme_cb), NULL);
  g_signal_connect_object (settings, "changed::zoom", G_CALLBACK (apply_zoom), provider, 0);
  /* Walking through a chat by keyboard must not mark whole messages. */
  g_object_set (gtk_settings_get_default (), "gtk-label-select-on-focus", FALSE, NULL);
  apply_scheme (settings);
  apply_zoom (settings, NULL, provider);
}
