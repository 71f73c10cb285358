/* The one error domain of the project.
 *
 * Three kinds of failure are never mixed: a programmer's mistake asserts; a bad file, user input or
 * device sets a GError of this domain; a cancelled job sets G_IO_ERROR_CANCELLED. A message names
 * the thing, what was found and what was expected, in words a person can act on: the window shows
 * it as it is, and adds a headline by code. It is in the person's language: gettext's _() stands
 * around every message (base/language.h), and whole sentences are translated, never pieces.
 *
 * Threading: everything here may be called from any thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum
{
  ATL_ERROR_BAD_FILE,    /* the bytes are broken, hostile or not what they claim */
  ATL_ERROR_UNSUPPORTED, /* well formed, but nothing here can run it */
  ATL_ERROR_NO_MEMORY,   /* would not fit; nothing was allocated */
  ATL_ERROR_DEVICE,      /* a GPU or its driver failed; the CPU may go on */
  ATL_ERROR_FULL,        /* a queue or disk has no room left */
  ATL_ERROR_BUSY,        /* somebody else holds it */
  ATL_ERROR_NOT_FOUND,
  ATL_ERROR_INVALID,     /* a parameter outside its declared range */
  ATL_ERROR_ENGINE_GONE, /* the engine process ended or does not answer */
  ATL_ERROR_NETWORK,
  ATL_ERROR_TOO_COMPLEX, /* a template or grammar exceeded its budget of time, memory or depth */
  ATL_ERROR_TOO_LONG,    /* a conversation does not fit into the model's context */
  /* One of the LoRAs that were asked for cannot be used: this code the first, the next one the
   * second, up to ATL_ERROR_N_LORAS of them. See atl_error_blame_lora(). */
  ATL_ERROR_LORA,
} AtlError;

#define ATL_ERROR_N_LORAS 16

/* The domain itself, for g_set_error() and g_error_matches(). */
#define ATL_ERROR (atl_error_quark ())
GQuark atl_error_quark (void);

/* Says with the code that the error is about the LoRA `at`, counted from 0 in the order in which
 * they were asked for; of one beyond ATL_ERROR_N_LORAS, or of a cancelled job, nothing is said. */
void atl_error_blame_lora (GError *error, guint at);
/* Which LoRA that is; -1: the error is about something else. */
gint atl_error_lora (const GError *error);

/* The D-Bus name of a code, such as "io.github.atelier.Error.BadFile"; static. It never changes:
 * stores keep it. */
const char *atl_error_dbus_name (AtlError code);

/* Registers all codes with GDBus so that a GError of this domain survives the process boundary.
 * Idempotent; called by both sides of the protocol. */
void atl_error_register_dbus (void);

G_END_DECLS
