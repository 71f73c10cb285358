/* The error domain and its D-Bus names. */
#define G_LOG_DOMAIN "atl-base"

#include "base/error.h"

static const GDBusErrorEntry entries[] = {
  { ATL_ERROR_BAD_FILE, "io.github.atelier.Error.BadFile" },
  { ATL_ERROR_UNSUPPORTED, "io.github.atelier.Error.Unsupported" },
  { ATL_ERROR_NO_MEMORY, "io.github.atelier.Error.NoMemory" },
  { ATL_ERROR_DEVICE, "io.github.atelier.Error.Device" },
  { ATL_ERROR_FULL, "io.github.atelier.Error.Full" },
  { ATL_ERROR_BUSY, "io.github.atelier.Error.Busy" },
  { ATL_ERROR_NOT_FOUND, "io.github.atelier.Error.NotFound" },
  { ATL_ERROR_INVALID, "io.github.atelier.Error.Invalid" },
  { ATL_ERROR_ENGINE_GONE, "io.github.atelier.Error.EngineGone" },
  { ATL_ERROR_NETWORK, "io.github.atelier.Error.Network" },
  { ATL_ERROR_TOO_COMPLEX, "io.github.atelier.Error.TooComplex" },
  { ATL_ERROR_TOO_LONG, "io.github.atelier.Error.TooLong" },
  { ATL_ERROR_LORA, "io.github.atelier.Error.Lora1" },
  { ATL_ERROR_LORA + 1, "io.github.atelier.Error.Lora2" },
  { ATL_ERROR_LORA + 2, "io.github.atelier.Error.Lora3" },
  { ATL_ERROR_LORA + 3, "io.github.atelier.Error.Lora4" },
  { ATL_ERROR_LORA + 4, "io.github.atelier.Error.Lora5" },
  { ATL_ERROR_LORA + 5, "io.github.atelier.Error.Lora6" },
  { ATL_ERROR_LORA + 6, "io.github.atelier.Error.Lora7" },
  { ATL_ERROR_LORA + 7, "io.github.atelier.Error.Lora8" },
  { ATL_ERROR_LORA + 8, "io.github.atelier.Error.Lora9" },
  { ATL_ERROR_LORA + 9, "io.github.atelier.Error.Lora10" },
  { ATL_ERROR_LORA + 10, "io.github.atelier.Error.Lora11" },
  { ATL_ERROR_LORA + 11, "io.github.atelier.Error.Lora12" },
  { ATL_ERROR_LORA + 12, "io.github.atelier.Error.Lora13" },
  { ATL_ERROR_LORA + 13, "io.github.atelier.Error.Lora14" },
  { ATL_ERROR_LORA + 14, "io.github.atelier.Error.Lora15" },
  { ATL_ERROR_LORA + 15, "io.github.atelier.Error.Lora16" },
};

GQuark
atl_error_quark (void)
{
  static gsize quark = 0;

  g_dbus_error_register_error_domain ("atl-error-quark", &quark, entries, G_N_ELEMENTS (entries));
  return (GQuark) quark;
}

const char *
atl_error_dbus_name (AtlError code)
{
  for (gsize i = 0; i < G_N_ELEMENTS (entries); i++)
    if (entries[i].error_code == (gint) code)
      return entries[i].dbus_error_name;
  return "io.github.atelier.Error.Invalid";
}

void
atl_error_blame_lora (GError *error, guint at)
{
  if (error->domain == ATL_ERROR && at < ATL_ERROR_N_LORAS)
    error->code = ATL_ERROR_LORA + (gint) at;
}

gint
atl_error_lora (const GError *error)
{
  gint at = error->code - ATL_ERROR_LORA;

  return error->domain == ATL_ERROR && at >= 0 && at < ATL_ERROR_N_LORAS ? at : -1;
}

void
atl_error_register_dbus (void)
{
  (void) atl_error_quark ();
}
