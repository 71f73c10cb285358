/* The engine locks itself in: what it may still do once a model file is in its hands.
 *
 *   AtlSandbox box = ATL_SANDBOX_INIT;
 *   atl_sandbox_restrict_files (&box, cache_dir, with_gpu);   single-threaded, first thing in main
 *   ... open devices, compile kernels ...
 *   atl_sandbox_restrict_calls (&box);                        covers every thread
 *
 * Landlock takes away the file system (but the kernel cache, devices and what their drivers read),
 * TCP, signals to and abstract sockets of other programs. seccomp takes away sockets, starting
 * programs, tracing, mounting, keys, modules, changing owners and modes. Neither can be undone.
 * A kernel that lacks one of them gets the rest, and the sentence says so.
 *
 * Threading: as above; Landlock binds the calling thread and those it starts later.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct
{
  gint landlock_abi; /* 0: the kernel has none, or it is switched off */
  gboolean has_files;
  gboolean has_calls;
} AtlSandbox;

#define ATL_SANDBOX_INIT                                                                           \
  {                                                                                                \
    0, FALSE, FALSE                                                                                \
  }

/* Ends with the parent, no core files, few descriptors, first to go when memory runs out, and none
 * of the parent's descriptors but 0, 1, 2 and `keep_fd` (-1: none). FALSE when the parent is gone.
 */
gboolean atl_sandbox_prepare_process (int keep_fd);

/* `cache_dir` (nullable) stays readable and writable; `with_gpu` leaves device nodes and the
 * system's libraries readable, which drivers load late. */
void atl_sandbox_restrict_files (AtlSandbox *self, const char *cache_dir, gboolean with_gpu);
/* What is not needed to compute and to answer becomes EPERM, on every thread. */
void atl_sandbox_restrict_calls (AtlSandbox *self);

/* Whether the kernel had everything that was asked of it. */
gboolean atl_sandbox_is_full (const AtlSandbox *self);
/* A sentence for the person; owned. */
char *atl_sandbox_sentence (const AtlSandbox *self);

/* `atelier-engine --probe-sandbox`: locks itself in and tries each forbidden act. Prints one line
 * an act, "denied" or "ALLOWED", and returns 0 when all were denied. */
int atl_sandbox_probe (void);

G_END_DECLS
