/* Numbers and times as people read them. */
#include "app/words.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

char *
atl_format_bytes (guint64 n_bytes)
{
  if (n_bytes >= 1000ull * 1000 * 1000)
    /* Translators: an amount of memory or disk space in gigabytes */
    return g_strdup_printf (_ ("%.1f GB"), (double) n_bytes / 1e9);
  if (n_bytes >= 1000 * 1000)
    return g_strdup_printf (_ ("%.0f MB"), (double) n_bytes / 1e6);
  if (n_bytes >= 1000 || n_bytes == 0)
    return g_strdup_printf (_ ("%.0f kB"), (double) n_bytes / 1e3);
  return g_strdup_printf (ngettext ("%u byte", "%u bytes", (gulong) n_bytes), (guint) n_bytes);
}

char *
atl_format_seconds (double seconds)
{
  if (seconds < 0.1)
    return g_strdup_printf (_ ("%.0f ms"), MAX (seconds, 0.0) * 1000);
  if (seconds < 10)
    return g_strdup_printf (_ ("%.1f s"), seconds);
  if (seconds < 60)
    return g_strdup_printf (_ ("%.0f s"), seconds);
  if (seconds < 3600)
    return g_strdup_printf (_ ("%d min %d s"), (int) seconds / 60, (int) seconds % 60);
  seconds = MIN (seconds, 1e9);
  return g_strdup_printf (_ ("%d h %d min"), (int) seconds / 3600, (int) seconds / 60 % 60);
}

char *
atl_format_tokens (guint n_tokens)
{
  return g_strdup_printf (ngettext ("%'u token", "%'u tokens", n_tokens), n_tokens);
}

char *
atl_format_time (gint64 time_us)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_unix_local (time_us / G_USEC_PER_SEC);
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();

  if (then == NULL)
    return g_strdup ("");
  if (g_date_time_get_year (then) == g_date_time_get_year (now) &&
      g_date_time_get_day_of_year (then) == g_date_time_get_day_of_year (now))
    return g_date_time_format (then, "%H:%M");
  /* Translators: day and time of a message, see g_date_time_format() */
  return g_date_time_format (then, _ ("%e %B %Y, %H:%M"));
}

void
atl_label_never_hyphenate (GtkLabel *label)
{
  g_autoptr (PangoAttrList) attributes = pango_attr_list_new ();

  pango_attr_list_insert (attributes, pango_attr_insert_hyphens_new (FALSE));
  gtk_label_set_attributes (label, attributes);
}

GtkTextDirection
atl_letter_direction (gunichar letter)
{
  switch (g_unichar_get_script (letter))
    {
    case G_UNICODE_SCRIPT_HEBREW:
    case G_UNICODE_SCRIPT_ARABIC:
    case G_UNICODE_SCRIPT_SYRIAC:
    case G_UNICODE_SCRIPT_THAANA:
    case G_UNICODE_SCRIPT_NKO:
    case G_UNICODE_SCRIPT_SAMARITAN:
    case G_UNICODE_SCRIPT_MANDAIC:
    case G_UNICODE_SCRIPT_ADLAM:
    case G_UNICODE_SCRIPT_HANIFI_ROHINGYA:
      return GTK_TEXT_DIR_RTL;
    default:
      return GTK_TEXT_DIR_LTR;
    }
}

static void
hyphenate_cb (GtkTextBuffer *buffer, GtkTextTag *tag)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (buffer, &start, &end);
  gtk_text_buffer_apply_tag (buffer, tag, &start, &end);
}

void
atl_text_never_hyphenate (GtkTextView *view)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (view);
  GtkTextTag *tag = gtk_text_buffer_create_tag (buffer, NULL, "insert-hyphens", FALSE, NULL);

  g_signal_connect (buffer, "changed", G_CALLBACK (hyphenate_cb), tag);
  hyphenate_cb (buffer, tag);
}

/* What turns the letters after it around: a name with it does not show its ending where it is. */
static gboolean
turns_letters (gunichar c)
{
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f;
}

char *
atl_file_name_from_title (const char *title, const char *extension)
{
  g_autoptr (GString) name = g_string_new (NULL);

  for (const char *p = title; *p != '\0' && name->len < 120; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (turns_letters (c))
        continue;
      if (c == '/' || c == '\\' || c == ':' || g_unichar_iscntrl (c))
        c = ' ';
      if (name->len > 0 || (c != '.' && c != ' ' && c != '-'))
        g_string_append_unichar (name, c);
    }
  /* Of a sentence the full stop, too: that of the extension follows. */
  while (name->len > 0 && strchr (" .", name->str[name->len - 1]) != NULL)
    g_string_truncate (name, name->len - 1);
  return g_strconcat (*name->str ? name->str : _ ("Chat"), extension, NULL);
}
