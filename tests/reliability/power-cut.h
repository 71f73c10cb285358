/* A power cut for tests: at the chosen moment this process ends and the files of a folder are set
 * back to what a disk may still have of them.
 *
 *   pid_t child = fork ();
 *   if (child == 0)
 *     {
 *       power_cut_arm (dir, 37, POWER_CUT_SOME, seed);
 *       ... write, and say over a pipe what is certain ...
 *     }
 *   waitpid (child, ...); then look at what is there
 *
 * Linked into a test, it stands before the C library's write, fsync and their like, of the program
 * and of every library in it. Bytes count as on the disk once fsync or fdatasync of their file came
 * back, names (of files that were made, renamed or removed) once fsync of their folder did: no more
 * than POSIX promises. Not seen: what is written through mmap, and that folders are made, moved or
 * removed: these count as on the disk, only what they hold does not.
 */
#pragma once

#include <glib.h>

typedef enum
{
  POWER_CUT_NOTHING, /* nothing survives but what was flushed */
  POWER_CUT_SOME,    /* of the rest, some sectors do, in any order, and maybe the names */
  POWER_CUT_ALL,     /* everything does: the process was only killed */
  POWER_CUT_N_KINDS
} PowerCutKind;

/* The `at`th call (from 1) that changes or flushes something under `dir` is the last one; 0: never.
 * What is there now counts as on the disk. One folder a process. Beside it, a folder `dir`.disk is
 * made, the caller's to remove. */
void power_cut_arm (const char *dir, guint at, PowerCutKind kind, guint seed);

/* Cuts now. */
G_NORETURN void power_cut_now (void);

/* The calls that counted so far. */
guint power_cut_n_calls (void);
