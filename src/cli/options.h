/* The command line of chat and run: model, loading and every parameter of an answer.
 *
 *   g_auto (AtlCliOptions) options = { 0 };
 *   if (!atl_cli_options_parse (&options, &argc, &argv, arguments, summary, entries, error)) ...
 *
 * Threading: the main thread.
 */
#pragma once

#include "client/client.h"

G_BEGIN_DECLS

#define ATL_CLI_MAX_THREADS 1024

typedef struct
{
  char *model; /* (nullable) a path or a name in the library */
  char *system;
  AtlLoadOptions load;
  char *kv_type, *device;
  char **adapters;       /* (nullable) "PATH[:STRENGTH]" */
  char *draft;           /* (nullable) a path or a name in the library */
  AtlChatParams given;   /* what was set on the command line, over the model's recommendation */
  GPtrArray *given_keys; /* static strings */
  gboolean show_thinking;
} AtlCliOptions;

/* Parses and removes the options from argv; what is left are words. `more` (nullable) are the
 * command's own, ended by an empty one. Errors: G_OPTION_ERROR, ATL_ERROR_INVALID. */
gboolean atl_cli_options_parse (AtlCliOptions *self,
                                int *argc,
                                char ***argv,
                                const char *arguments,
                                const char *summary,
                                const GOptionEntry *more,
                                GError **error);
void atl_cli_options_clear (AtlCliOptions *self);

/* The defaults, what the authors of the model recommend, then what was given. */
void atl_cli_options_params (const AtlCliOptions *self, AtlModel *model, AtlChatParams *params);

/* "/set KEY VALUE": another given value. */
gboolean
atl_cli_options_set (AtlCliOptions *self, const char *key, const char *value, GError **error);

/* Whether a whole number is in its range; ATL_ERROR_INVALID that names `option` and the range. */
gboolean atl_cli_options_check (const char *option, int value, int low, int high, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlCliOptions, atl_cli_options_clear)

G_END_DECLS
