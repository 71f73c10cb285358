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
atl_error_register_dbus (void)
{
  (void) atl_error_quark ();
}
