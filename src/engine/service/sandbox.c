/* Landlock, seccomp and limits. Structures of newer kernels are declared here, as the build
 * machine's headers may be older than the kernel it runs on. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/sandbox.h"

#include <glib/gi18n.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_OPEN_FILES 4096
#define OOM_SCORE "500"

/* linux/landlock.h of 6.12 (ABI 6): earlier kernels take the beginning of it. */
struct ruleset_attr
{
  guint64 handled_access_fs;
  guint64 handled_access_net;
  guint64 scoped;
};
#define FS_ALL_ABI1 ((1ull << 13) - 1)
#define FS_REFER (1ull << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_ALL 3ull              /* ABI 4: bind and connect TCP */
#define SCOPE_ALL 3ull            /* ABI 6: abstract sockets, signals */

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_CACHE                                                                                   \
  (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                         \
   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |  \
   FS_REFER | FS_TRUNCATE)
#define FS_DEVICE                                                                                  \
  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR |    \
   FS_IOCTL_DEV)

typedef struct
{
  const char *path;
  guint64 access;
  gboolean only_gpu;
} Rule;

static const Rule rules[] = {
  { "/proc/self", FS_READ, FALSE }, /* this process's own number */
  { "/proc/meminfo", FS_READ, FALSE },
  { "/proc/cpuinfo", FS_READ, FALSE },
  { "/proc/stat", FS_READ, FALSE },
  { "/sys/fs/cgroup", FS_READ, FALSE }, /* memory limits */
  { "/sys/devices/system", FS_READ, FALSE },
  { "/dev/null", FS_DEVICE, FALSE },
  { "/dev/zero", FS_DEVICE, FALSE },
  { "/dev/urandom", FS_READ, FALSE },
  { "/dev/dri", FS_DEVICE, TRUE },
  { "/dev/kfd", FS_DEVICE, TRUE },
  { "/dev/nvidiactl", FS_DEVICE, TRUE },
  { "/dev/nvidia-uvm", FS_DEVICE, TRUE },
  { "/dev/nvidia-uvm-tools", FS_DEVICE, TRUE },
  { "/dev/nvidia-modeset", FS_DEVICE, TRUE },
  { "/dev/nvidia-caps", FS_DEVICE, TRUE },
  { "/dev/nvidia0", FS_DEVICE, TRUE },
  { "/dev/nvidia1", FS_DEVICE, TRUE },
  { "/dev/nvidia2", FS_DEVICE, TRUE },
  { "/dev/nvidia3", FS_DEVICE, TRUE },
  { "/proc/driver/nvidia", FS_READ, TRUE },
  { "/proc/sys/vm", FS_READ, TRUE },
  { "/sys", FS_READ, TRUE },
  { "/usr", FS_READ, TRUE },
  { "/lib", FS_READ, TRUE },
  { "/lib64", FS_READ, TRUE },
  { "/opt/rocm", FS_READ, TRUE },
  { "/opt/intel", FS_READ, TRUE },
  { "/etc/OpenCL", FS_READ, TRUE },
  { "/etc/ld.so.cache", FS_READ, TRUE },
};

gboolean
atl_sandbox_prepare_process (int keep_fd)
{
  const struct rlimit no_core = { 0, 0 };
  struct rlimit files;
  pid_t parent = getppid ();
  int fd;

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  /* The parent may have ended before the line above took hold. */
  if (getppid () != parent || parent == 1)
    return FALSE;
  setrlimit (RLIMIT_CORE, &no_core);
  if (getrlimit (RLIMIT_NOFILE, &files) == 0)
    {
      files.rlim_cur = MIN (files.rlim_max, MAX_OPEN_FILES);
      setrlimit (RLIMIT_NOFILE, &files);
    }
  if (keep_fd > 3)
    syscall (SYS_close_range, 3u, (guint) keep_fd - 1, 0u);
  syscall (SYS_close_range, (guint) MAX (keep_fd + 1, 3), ~0u, 0u);
  fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0)
    {
      if (write (fd, OOM_SCORE, sizeof OOM_SCORE - 1) < 0)
        g_debug ("oom_score_adj: %s", g_strerror (errno));
      close (fd);
    }
  return TRUE;
}

/* Rules on a plain file may not name rights of folders. A rule holds for an inode, and /proc makes
 * a new one when the system, short of memory, forgot the name: there the descriptor stays open,
 * which keeps the name. */
static void
add_rule (int ruleset, const char *path, guint64 access, guint64 handled)
{
  static const guint64 file_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                     LANDLOCK_ACCESS_FS_EXECUTE | FS_TRUNCATE | FS_IOCTL_DEV;
  struct landlock_path_beneath_attr rule = { 0 };
  struct stat st;
  int fd = open (path, O_PATH | O_CLOEXEC);

  if (fd < 0)
    return;
  rule.parent_fd = fd;
  rule.allowed_access = access & handled;
  if (fstat (fd, &st) == 0 && !S_ISDIR (st.st_mode))
    rule.allowed_access &= file_rights;
  if (syscall (SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    g_debug ("Landlock rule for %s: %s", path, g_strerror (errno));
  if (!g_str_has_prefix (path, "/proc/"))
    close (fd);
}

void
atl_sandbox_restrict_files (AtlSandbox *self, const char *cache_dir, gboolean with_gpu)
{
  struct ruleset_attr attr = { .handled_access_fs = FS_ALL_ABI1 };
  long abi = syscall (SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  gsize attr_size = sizeof attr;
  int ruleset;

  if (abi < 1 || prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return;
  self->landlock_abi = (gint) abi;
  if (abi >= 2)
    attr.handled_access_fs |= FS_REFER;
  if (abi >= 3)
    attr.handled_access_fs |= FS_TRUNCATE;
  if (abi >= 4)
    attr.handled_access_net = NET_ALL;
  if (abi >= 5)
    attr.handled_access_fs |= FS_IOCTL_DEV;
  if (abi >= 6)
    attr.scoped = SCOPE_ALL;
  if (abi < 4)
    attr_size = sizeof attr.handled_access_fs;
  else if (abi < 6)
    attr_size = G_STRUCT_OFFSET (struct ruleset_attr, scoped);

  ruleset = (int) syscall (SYS_landlock_create_ruleset, &attr, attr_size, 0);
  if (ruleset < 0)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    if (with_gpu || !rules[i].only_gpu)
      add_rule (ruleset, rules[i].path, rules[i].access, attr.handled_access_fs);
  if (cache_dir != NULL)
    add_rule (ruleset, cache_dir, FS_CACHE, attr.handled_access_fs);
  self->has_files = syscall (SYS_landlock_restrict_self, ruleset, 0) == 0;
  close (ruleset);
}

/* Denied with EPERM: a driver that tries one goes on without. */
static const int denied_calls[] = {
  /* Talking to anyone else */
  SCMP_SYS (socket),
  SCMP_SYS (connect),
  SCMP_SYS (bind),
  SCMP_SYS (listen),
  SCMP_SYS (accept),
  SCMP_SYS (accept4),
  /* Programs and processes */
  SCMP_SYS (execve),
  SCMP_SYS (execveat),
  SCMP_SYS (fork),
  SCMP_SYS (vfork),
  SCMP_SYS (ptrace),
  SCMP_SYS (process_vm_readv),
  SCMP_SYS (process_vm_writev),
  SCMP_SYS (process_madvise),
  SCMP_SYS (pidfd_open),
  SCMP_SYS (pidfd_getfd),
  SCMP_SYS (pidfd_send_signal),
  SCMP_SYS (kill),
  SCMP_SYS (tkill),
  SCMP_SYS (rt_sigqueueinfo),
  SCMP_SYS (rt_tgsigqueueinfo),
  SCMP_SYS (kcmp),
  SCMP_SYS (personality),
  /* The file system as a whole */
  SCMP_SYS (mount),
  SCMP_SYS (umount2),
  SCMP_SYS (pivot_root),
  SCMP_SYS (chroot),
  SCMP_SYS (move_mount),
  SCMP_SYS (open_tree),
  SCMP_SYS (fsopen),
  SCMP_SYS (fsconfig),
  SCMP_SYS (fsmount),
  SCMP_SYS (fspick),
  SCMP_SYS (mount_setattr),
  SCMP_SYS (name_to_handle_at),
  SCMP_SYS (open_by_handle_at),
  SCMP_SYS (quotactl),
  SCMP_SYS (acct),
  SCMP_SYS (swapon),
  SCMP_SYS (swapoff),
  SCMP_SYS (setns),
  SCMP_SYS (unshare),
  /* Owners, modes, times, and before its ABI 3 lengths, which Landlock does not cover */
  SCMP_SYS (truncate),
  SCMP_SYS (chmod),
  SCMP_SYS (fchmod),
  SCMP_SYS (fchmodat),
  SCMP_SYS (chown),
  SCMP_SYS (fchown),
  SCMP_SYS (lchown),
  SCMP_SYS (fchownat),
  SCMP_SYS (setxattr),
  SCMP_SYS (lsetxattr),
  SCMP_SYS (fsetxattr),
  SCMP_SYS (utimensat),
  /* Becoming someone else */
  SCMP_SYS (setuid),
  SCMP_SYS (setgid),
  SCMP_SYS (setreuid),
  SCMP_SYS (setregid),
  SCMP_SYS (setresuid),
  SCMP_SYS (setresgid),
  SCMP_SYS (setgroups),
  SCMP_SYS (capset),
  /* The kernel itself */
  SCMP_SYS (keyctl),
  SCMP_SYS (add_key),
  SCMP_SYS (request_key),
  SCMP_SYS (bpf),
  SCMP_SYS (perf_event_open),
  SCMP_SYS (userfaultfd),
  SCMP_SYS (io_uring_setup),
  SCMP_SYS (io_uring_enter),
  SCMP_SYS (io_uring_register),
  SCMP_SYS (init_module),
  SCMP_SYS (finit_module),
  SCMP_SYS (delete_module),
  SCMP_SYS (kexec_load),
  SCMP_SYS (kexec_file_load),
  SCMP_SYS (reboot),
  SCMP_SYS (settimeofday),
  SCMP_SYS (clock_settime),
  SCMP_SYS (clock_adjtime),
  SCMP_SYS (adjtimex),
  SCMP_SYS (sethostname),
  SCMP_SYS (setdomainname),
  SCMP_SYS (syslog),
  SCMP_SYS (vhangup),
  SCMP_SYS (ioperm),
  SCMP_SYS (iopl),
};

void
atl_sandbox_restrict_calls (AtlSandbox *self)
{
  scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);
  int failed = 0;

  if (filter == NULL)
    return;
  failed |= seccomp_attr_set (filter, SCMP_FLTATR_CTL_TSYNC, 1);
  failed |= seccomp_attr_set (filter, SCMP_FLTATR_CTL_NNP, 1);
  /* A call that this architecture does not have is no failure. */
  for (gsize i = 0; i < G_N_ELEMENTS (denied_calls); i++)
    seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), denied_calls[i], 0);
  /* Threads, but no processes. clone3 hides its flags from the filter; glibc then takes clone. */
  failed |= seccomp_rule_add (filter, SCMP_ACT_ERRNO (ENOSYS), SCMP_SYS (clone3), 0);
  failed |= seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (clone), 1,
                              SCMP_A0 (SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  /* Signals to threads of this process only: an abort needs that. */
  failed |= seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (tgkill), 1,
                              SCMP_A0 (SCMP_CMP_NE, (scmp_datum_t) getpid ()));
  /* No writing into the terminal's input. */
  failed |= seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (ioctl), 1,
                              SCMP_A1 (SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
  failed |= seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (ioctl), 1,
                              SCMP_A1 (SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCLINUX));
  self->has_calls = failed == 0 && seccomp_load (filter) == 0;
  seccomp_release (filter);
}

gboolean
atl_sandbox_is_full (const AtlSandbox *self)
{
  return self->has_files && self->has_calls;
}

char *
atl_sandbox_sentence (const AtlSandbox *self)
{
  if (atl_sandbox_is_full (self))
    return g_strdup (_ ("Locked in: no files of yours, no network, no programs."));
  if (self->has_calls)
    return g_strdup (
        _ ("Partly locked in: no network, no programs. This system's kernel cannot keep "
           "the engine from files (Landlock is missing or switched off)."));
  if (self->has_files)
    return g_strdup (
        _ ("Partly locked in: no files of yours. This system's kernel refused to block "
           "network and programs (seccomp is missing)."));
  return g_strdup (_ ("Not locked in: this system's kernel offers neither Landlock nor seccomp."));
}
