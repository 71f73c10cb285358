/* Tries each act that the engine must not be able to do, from inside its own lock. */
#define G_LOG_DOMAIN "atl-service"

#include "engine/service/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct
{
  char *secret;  /* a file in the home folder, made before the lock */
  int secret_fd; /* open for reading, as a model file is */
} Probe;

/* Each returns TRUE when the act was possible. */
typedef gboolean (*Act) (Probe *probe);

static gboolean
opens (const char *path, int flags)
{
  int fd = open (path, flags | O_CLOEXEC, 0600);

  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

static gboolean
act_read_home (Probe *probe)
{
  return opens (probe->secret, O_RDONLY);
}

static gboolean
act_list_home (Probe *probe)
{
  return opens (g_get_home_dir (), O_RDONLY | O_DIRECTORY);
}

static gboolean
act_read_passwd (Probe *probe)
{
  return opens ("/etc/passwd", O_RDONLY);
}

static gboolean
act_read_parent (Probe *probe)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/environ", (int) getppid ());

  return opens (path, O_RDONLY);
}

static gboolean
act_write_model (Probe *probe)
{
  return write (probe->secret_fd, "x", 1) == 1;
}

/* The descriptor of a model, opened again for writing through /proc. */
static gboolean
act_reopen_model (Probe *probe)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", probe->secret_fd);

  return opens (path, O_RDWR);
}

static gboolean
act_truncate_model (Probe *probe)
{
  return truncate (probe->secret, 0) == 0 || ftruncate (probe->secret_fd, 0) == 0;
}

static gboolean
act_delete_model (Probe *probe)
{
  return unlink (probe->secret) == 0;
}

static gboolean
act_rename_model (Probe *probe)
{
  g_autofree char *other = g_strconcat (probe->secret, ".moved", NULL);

  return rename (probe->secret, other) == 0;
}

static gboolean
act_change_mode (Probe *probe)
{
  return chmod (probe->secret, 0666) == 0 || fchmod (probe->secret_fd, 0666) == 0;
}

static gboolean
act_create_temporary (Probe *probe)
{
  return opens ("/tmp/atelier-probe-file", O_WRONLY | O_CREAT) ||
         opens ("/dev/shm/atelier-probe-file", O_WRONLY | O_CREAT);
}

static gboolean
act_symlink (Probe *probe)
{
  return symlink ("/etc/passwd", "/tmp/atelier-probe-link") == 0;
}

static gboolean
act_tcp (Probe *probe)
{
  int fd = socket (AF_INET, SOCK_STREAM, 0);

  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

static gboolean
act_udp (Probe *probe)
{
  int fd = socket (AF_INET6, SOCK_DGRAM, 0);

  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

static gboolean
act_netlink (Probe *probe)
{
  int fd = socket (AF_NETLINK, SOCK_RAW, 0);

  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

/* The session's D-Bus, a desktop's display, another program's abstract socket. */
static gboolean
act_unix_socket (Probe *probe)
{
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

static gboolean
act_connect_pair (Probe *probe)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket" };
  int fds[2];
  gboolean possible = FALSE;

  if (socketpair (AF_UNIX, SOCK_DGRAM, 0, fds) != 0)
    return FALSE;
  possible = connect (fds[0], (struct sockaddr *) &address, sizeof address) == 0 || errno != EPERM;
  close (fds[0]);
  close (fds[1]);
  return possible;
}

static gboolean
act_exec (Probe *probe)
{
  char *const argv[] = { (char *) "/bin/true", NULL };

  execve (argv[0], argv, NULL);
  return errno != EPERM && errno != EACCES;
}

static gboolean
act_exec_descriptor (Probe *probe)
{
  char *const argv[] = { (char *) "true", NULL };

  syscall (SYS_execveat, probe->secret_fd, "", argv, NULL, 0x1000 /* AT_EMPTY_PATH */);
  return errno != EPERM;
}

static gboolean
act_fork (Probe *probe)
{
  pid_t pid = fork ();

  if (pid == 0)
    _exit (0);
  if (pid > 0)
    waitpid (pid, NULL, 0);
  return pid >= 0;
}

static gboolean
act_ptrace (Probe *probe)
{
  return ptrace (PTRACE_ATTACH, getppid (), NULL, NULL) == 0 || errno != EPERM;
}

static gboolean
act_signal_parent (Probe *probe)
{
  return kill (getppid (), 0) == 0;
}

static gboolean
act_signal_parent_thread (Probe *probe)
{
  return syscall (SYS_tgkill, getppid (), getppid (), 0) == 0 ||
         syscall (SYS_tkill, getppid (), 0) == 0;
}

static gboolean
act_read_parent_memory (Probe *probe)
{
  char byte;
  struct iovec local = { &byte, 1 }, remote = { &byte, 1 };

  syscall (SYS_process_vm_readv, getppid (), &local, 1ul, &remote, 1ul, 0ul);
  return errno != EPERM;
}

static gboolean
act_mount (Probe *probe)
{
  return mount ("none", "/mnt", "tmpfs", 0, NULL) == 0;
}

static gboolean
act_user_namespace (Probe *probe)
{
  return syscall (SYS_unshare, 0x10000000 /* CLONE_NEWUSER */) == 0;
}

static gboolean
act_keyring (Probe *probe)
{
  return syscall (SYS_keyctl, 0, -3, 0) >= 0;
}

static gboolean
act_bpf (Probe *probe)
{
  syscall (SYS_bpf, 0, NULL, 0);
  return errno != EPERM;
}

static gboolean
act_io_uring (Probe *probe)
{
  syscall (SYS_io_uring_setup, 1, NULL);
  return errno != EPERM;
}

static gboolean
act_perf (Probe *probe)
{
  syscall (SYS_perf_event_open, NULL, 0, -1, -1, 0ul);
  return errno != EPERM;
}

static gboolean
act_handle (Probe *probe)
{
  syscall (SYS_open_by_handle_at, -1, NULL, 0);
  return errno != EPERM;
}

static const struct
{
  const char *name;
  Act act;
  gboolean needs_files; /* Landlock's part */
} acts[] = {
  { "read a file in the home folder", act_read_home, TRUE },
  { "list the home folder", act_list_home, TRUE },
  { "read /etc/passwd", act_read_passwd, TRUE },
  { "read the window's environment", act_read_parent, TRUE },
  { "write to a model", act_write_model, FALSE },
  { "open a model again for writing", act_reopen_model, TRUE },
  { "truncate a model", act_truncate_model, FALSE },
  { "delete a model", act_delete_model, TRUE },
  { "rename a model", act_rename_model, TRUE },
  { "change a model's mode", act_change_mode, FALSE },
  { "create a temporary file", act_create_temporary, TRUE },
  { "make a symbolic link", act_symlink, TRUE },
  { "open a TCP socket", act_tcp, FALSE },
  { "open a UDP socket", act_udp, FALSE },
  { "open a netlink socket", act_netlink, FALSE },
  { "open a Unix socket (session D-Bus)", act_unix_socket, FALSE },
  { "connect a socket pair elsewhere", act_connect_pair, FALSE },
  { "start a program", act_exec, FALSE },
  { "start a program by descriptor", act_exec_descriptor, FALSE },
  { "fork", act_fork, FALSE },
  { "trace the window", act_ptrace, FALSE },
  { "signal the window", act_signal_parent, FALSE },
  { "signal a thread of the window", act_signal_parent_thread, FALSE },
  { "read the window's memory", act_read_parent_memory, FALSE },
  { "mount", act_mount, FALSE },
  { "enter a user namespace", act_user_namespace, FALSE },
  { "read the keyring", act_keyring, FALSE },
  { "load a BPF program", act_bpf, FALSE },
  { "use io_uring", act_io_uring, FALSE },
  { "use perf events", act_perf, FALSE },
  { "open by file handle", act_handle, FALSE },
};

/* What must go on working: how much memory is free, also when the system forgot the names of files
 * in between, as it does when memory gets short. Only root can ask for that, before the lock. */
static gboolean
probe_memory (int drop_fd)
{
  int fd, limits;

  if (drop_fd < 0)
    printf ("not tried: forgetting the names of files (only root can)\n");
  else if (write (drop_fd, "2", 1) != 1)
    printf ("not tried: forgetting the names of files (%s)\n", g_strerror (errno));
  fd = open ("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  limits = open ("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
  printf ("%s: read how much memory is free\n", fd >= 0 && limits >= 0 ? "works" : "BROKEN");
  return fd >= 0 && limits >= 0;
}

int
atl_sandbox_probe (void)
{
  AtlSandbox box = ATL_SANDBOX_INIT;
  g_autofree char *folder = g_build_filename (g_get_home_dir (), ".atelier-probe-XXXXXX", NULL);
  g_autofree char *sentence = NULL;
  Probe probe = { 0 };
  guint n_allowed = 0, n_denied = 0, n_skipped = 0;

  if (g_mkdtemp (folder) == NULL)
    {
      printf ("cannot make a folder to probe with in %s\n", g_get_home_dir ());
      return 1;
    }
  probe.secret = g_build_filename (folder, "model.gguf", NULL);
  if (!g_file_set_contents (probe.secret, "GGUF", 4, NULL))
    return 1;
  probe.secret_fd = open (probe.secret, O_RDONLY | O_CLOEXEC);

  /* A child locks itself in, so that this process can clean up afterwards. */
  fflush (stdout);
  pid_t pid = fork ();
  if (pid == 0)
    {
      int drop_fd = open ("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
      gboolean works;

      atl_sandbox_restrict_files (&box, NULL, TRUE);
      atl_sandbox_restrict_calls (&box);
      sentence = atl_sandbox_sentence (&box);
      printf ("%s\n", sentence);
      for (gsize i = 0; i < G_N_ELEMENTS (acts); i++)
        {
          gboolean possible;

          if (acts[i].needs_files && !box.has_files)
            {
              printf ("not lockable here: %s\n", acts[i].name);
              n_skipped++;
              continue;
            }
          errno = 0;
          possible = acts[i].act (&probe);
          printf ("%s: %s\n", possible ? "ALLOWED" : "denied", acts[i].name);
          if (possible)
            n_allowed++;
          else
            n_denied++;
        }
      works = probe_memory (drop_fd);
      printf ("%u denied, %u allowed, %u not lockable\n", n_denied, n_allowed, n_skipped);
      fflush (stdout);
      _exit (n_allowed == 0 && n_denied > 0 && works ? 0 : 1);
    }

  int status = 0;
  waitpid (pid, &status, 0);
  close (probe.secret_fd);
  unlink (probe.secret);
  rmdir (folder);
  g_free (probe.secret);
  unlink ("/tmp/atelier-probe-file");
  unlink ("/dev/shm/atelier-probe-file");
  unlink ("/tmp/atelier-probe-link");
  return WIFEXITED (status) ? WEXITSTATUS (status) : 1;
}
