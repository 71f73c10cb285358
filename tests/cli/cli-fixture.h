/* atelier-cli as a person types it: what it printed, and how it ended.
 *
 *   g_auto (CliResult) result = { 0 };
 *   cli_run (&result, NULL, "run", "--temperature", "hot", NULL);
 *   g_assert_cmpint (result.status, ==, 2);
 *
 * And pictures that it drew: with the models of cli_images_begin().
 *
 * Threading: one thread.
 */
#pragma once

#include <gio/gio.h>

#include "media/picture.h"

G_BEGIN_DECLS

typedef struct
{
  char *out, *err; /* UTF-8; of other bytes the call fails */
  int status;      /* -1: killed */
} CliResult;

void cli_result_clear (CliResult *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CliResult, cli_result_clear)

/* `input` (nullable) is what it reads. */
void cli_run (CliResult *result, const char *input, ...) G_GNUC_NULL_TERMINATED;

/* `atelier-cli image`, with --model unless `model` is NULL. */
void cli_image (CliResult *result, const char *model, ...) G_GNUC_NULL_TERMINATED;

/* A folder with the golden cases of sd15, upscale and wan21; the caller's, removed by _end(). */
char *cli_images_begin (void);
void cli_images_end (char *folder);
/* Of a command that succeeded without a word on the other side: the one path. The caller's. */
char *cli_printed_path (const CliResult *result);
GBytes *cli_file_bytes (const char *path);
AtlPicture *cli_read_picture (const char *path);

G_END_DECLS
