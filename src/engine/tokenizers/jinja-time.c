/* Dates: strftime with the clock that the caller gives. */
#define G_LOG_DOMAIN "atl-jinja"

#include "engine/tokenizers/jinja-run.h"

#include <glib/gi18n.h>
#include <string.h>

/* English names in every locale: a prompt does not change with the user's language. */
static const char *const months[] = { "January",   "February", "March",    "April",
                                      "May",       "June",     "July",     "August",
                                      "September", "October",  "November", "December" };
static const char *const days[] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                    "Friday", "Saturday", "Sunday" };

static void
append_number (JHeap *heap, JBuf *buf, int value, int width, char flag)
{
  if (flag == '-')
    j_buf_printf (heap, buf, "%d", value);
  else if (flag == '_')
    j_buf_printf (heap, buf, "%*d", width, value);
  else
    j_buf_printf (heap, buf, "%0*d", width, value);
}

static void
append_time_field (JRun *run, JBuf *buf, GDateTime *time, char c, char flag)
{
  JHeap *heap = &run->heap;
  int weekday = g_date_time_get_day_of_week (time);
  int hour = g_date_time_get_hour (time);
  int yearday = g_date_time_get_day_of_year (time);
  gint64 offset = g_date_time_get_utc_offset (time) / G_TIME_SPAN_MINUTE;
  const char *name;

  switch (c)
    {
    case 'd':
    case 'e':
      append_number (heap, buf, g_date_time_get_day_of_month (time), 2, c == 'e' ? '_' : flag);
      return;
    case 'm':
      append_number (heap, buf, g_date_time_get_month (time), 2, flag);
      return;
    case 'Y':
    case 'G':
      append_number (heap, buf,
                     c == 'Y' ? g_date_time_get_year (time)
                              : g_date_time_get_week_numbering_year (time),
                     4, flag);
      return;
    case 'y':
      append_number (heap, buf, g_date_time_get_year (time) % 100, 2, flag);
      return;
    case 'C':
      append_number (heap, buf, g_date_time_get_year (time) / 100, 2, flag);
      return;
    case 'H':
      append_number (heap, buf, hour, 2, flag);
      return;
    case 'I':
      append_number (heap, buf, (hour + 11) % 12 + 1, 2, flag);
      return;
    case 'M':
      append_number (heap, buf, g_date_time_get_minute (time), 2, flag);
      return;
    case 'S':
      append_number (heap, buf, g_date_time_get_second (time), 2, flag);
      return;
    case 'f':
      append_number (heap, buf, g_date_time_get_microsecond (time), 6, 0);
      return;
    case 'j':
      append_number (heap, buf, yearday, 3, flag);
      return;
    case 'u':
      append_number (heap, buf, weekday, 1, 0);
      return;
    case 'w':
      append_number (heap, buf, weekday % 7, 1, 0);
      return;
    case 'U':
      append_number (heap, buf, (yearday + 6 - weekday % 7) / 7, 2, flag);
      return;
    case 'W':
      append_number (heap, buf, (yearday + 6 - (weekday + 6) % 7) / 7, 2, flag);
      return;
    case 'V':
      append_number (heap, buf, g_date_time_get_week_of_year (time), 2, flag);
      return;
    case 'B':
    case 'b':
    case 'h':
      name = months[g_date_time_get_month (time) - 1];
      j_buf_append (heap, buf, name, c == 'B' ? strlen (name) : 3);
      return;
    case 'A':
    case 'a':
      name = days[weekday - 1];
      j_buf_append (heap, buf, name, c == 'A' ? strlen (name) : 3);
      return;
    case 'p':
      j_buf_append_literal (heap, buf, hour < 12 ? "AM" : "PM");
      return;
    case 'Z':
      j_buf_append_literal (heap, buf, g_date_time_get_timezone_abbreviation (time));
      return;
    case 'z':
      j_buf_printf (heap, buf, "%c%02d%02d", offset < 0 ? '-' : '+', (int) (ABS (offset) / 60),
                    (int) (ABS (offset) % 60));
      return;
    case 's':
      j_buf_printf (heap, buf, "%" G_GINT64_FORMAT, g_date_time_to_unix (time));
      return;
    case 'n':
    case 't':
    case '%':
      j_buf_append (heap, buf, c == 'n' ? "\n" : c == 't' ? "\t" : "%", 1);
      return;
    default:
      j_throw (heap, _ ("strftime: '%%%c' is not supported"), c);
    }
}

const JStr *
j_format_time (JRun *run, const JStr *format, GDateTime *time)
{
  static const struct
  {
    char c;
    const char *means;
  } composed[] = {
    { 'F', "%Y-%m-%d" },
    { 'T', "%H:%M:%S" },
    { 'D', "%m/%d/%y" },
    { 'x', "%m/%d/%y" },
    { 'X', "%H:%M:%S" },
    { 'R', "%H:%M" },
    { 'c', "%a %b %e %H:%M:%S %Y" },
    { 'r', "%I:%M:%S %p" },
  };
  JHeap *heap = &run->heap;
  JBuf buf = { 0 };

  for (gsize i = 0; i < format->n_bytes; i++)
    {
      char c = format->bytes[i];
      char flag = 0;
      const char *means = NULL;

      if (c != '%' || i + 1 == format->n_bytes)
        {
          j_buf_append (heap, &buf, &c, 1);
          continue;
        }
      c = format->bytes[++i];
      if ((c == '-' || c == '_' || c == '0') && i + 1 < format->n_bytes)
        {
          flag = c;
          c = format->bytes[++i];
        }
      for (gsize k = 0; k < G_N_ELEMENTS (composed); k++)
        if (composed[k].c == c)
          means = composed[k].means;
      if (means != NULL)
        j_buf_append_str (heap, &buf, j_format_time (run, j_str_literal (heap, means), time));
      else
        append_time_field (run, &buf, time, c, flag);
      j_work (heap, 1);
    }
  return j_buf_str (heap, &buf);
}
