/* See oom.h. */
#undef _FILE_OFFSET_BITS
#include "oom.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library's own, under the names that it keeps for such as this. */
extern void *__libc_malloc (size_t size);
extern void *__libc_calloc (size_t n, size_t size);
extern void *__libc_realloc (void *old, size_t size);
extern void *__libc_memalign (size_t alignment, size_t size);
extern void __libc_free (void *block);

typedef struct
{
  uintptr_t begin, end;
} Range;

static OomPlan plan;
static atomic_int is_armed, is_loud;
static atomic_uint n_seen, n_refused, n_too_big;
static atomic_long n_blocks;
static Range harmless[8]; /* of GLib: these hand a refusal on */
static unsigned n_harmless;

enum
{
  GLIB,
  N_LIBRARIES = 5
};
/* The C library with its loader; certificates are read by one that uses what it did not get. */
static const char *const library_names[N_LIBRARIES] = { "/libglib-2.0.", "/libc.so", "/ld-linux",
                                                        "/libtasn1.", "/libgnutls." };
static Range libraries[N_LIBRARIES];

static int
note_library (struct dl_phdr_info *info, size_t size, void *data)
{
  for (int which = 0; which < N_LIBRARIES; which++)
    for (int i = 0; i < info->dlpi_phnum; i++)
      if (strstr (info->dlpi_name, library_names[which]) != NULL &&
          info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0)
        {
          libraries[which].begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
          libraries[which].end = libraries[which].begin + info->dlpi_phdr[i].p_memsz;
        }
  return 0;
}

/* Before the program's main: no thread is there yet. */
__attribute__ ((constructor)) static void
look_around (void)
{
  static const char *const names[] = { "g_try_malloc",       "g_try_malloc0", "g_try_malloc_n",
                                       "g_try_malloc0_n",    "g_try_realloc", "g_try_realloc_n",
                                       "g_file_get_contents" };
  const char *at = getenv ("OOM_AT"), *least = getenv ("OOM_LEAST"), *most = getenv ("OOM_MOST");

  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    {
      void *function = dlsym (RTLD_DEFAULT, names[i]);
      ElfW (Sym) *symbol = NULL;
      Dl_info info;

      if (function == NULL || dladdr1 (function, &info, (void **) &symbol, RTLD_DL_SYMENT) == 0 ||
          symbol == NULL)
        continue;
      harmless[n_harmless].begin = (uintptr_t) function;
      harmless[n_harmless++].end = (uintptr_t) function + symbol->st_size;
    }
  is_loud = getenv ("OOM_LOUD") != NULL;
  /* Loads what it needs now: that allocates. */
  if (is_loud)
    backtrace ((void *[1]){ NULL }, 1);
  if (at != NULL)
    oom_arm (&(OomPlan){ .at = (unsigned) strtoul (at, NULL, 10),
                         .least = least != NULL ? strtoul (least, NULL, 10) : 1,
                         .most = most != NULL ? strtoul (most, NULL, 10) : 0 });
}

void
oom_arm (const OomPlan *wanted)
{
  /* Some are loaded when they are needed first. */
  dl_iterate_phdr (note_library, NULL);
  plan = *wanted;
  n_seen = n_refused = n_too_big = 0;
  is_armed = 1;
}

void
oom_disarm (void)
{
  is_armed = 0;
}

unsigned
oom_n_seen (void)
{
  return n_seen;
}

unsigned
oom_n_refused (void)
{
  return n_refused;
}

unsigned
oom_n_too_big (void)
{
  return n_too_big;
}

long
oom_n_blocks (void)
{
  return n_blocks;
}

static void
say_where (const char *what, size_t size)
{
  void *frames[24];
  char line[96];
  int n;

  if (!is_loud)
    return;
  is_loud = 0;
  n = snprintf (line, sizeof line, "# %s: %zu bytes\n", what, size);
  if (write (2, line, (size_t) n) < 0)
    return;
  n = backtrace (frames, 24);
  backtrace_symbols_fd (frames, n, 2);
  is_loud = 1;
}

static int
is_in (Range range, uintptr_t address)
{
  return address >= range.begin && address < range.end;
}

/* Whether this one is refused; `caller` is the address that the function returns to. */
static int
refuse (size_t size, void *caller)
{
  uintptr_t address = (uintptr_t) caller;
  int is_glib = is_in (libraries[GLIB], address);
  unsigned seen;

  if (!is_armed)
    return 0;
  for (unsigned i = 0; is_glib && i < n_harmless; i++)
    is_glib = !is_in (harmless[i], address);
  if (is_glib)
    {
      if (plan.too_big != 0 && size >= plan.too_big)
        {
          n_too_big++;
          say_where ("GLib's", size);
        }
      return 0;
    }
  for (int i = GLIB + 1; i < N_LIBRARIES; i++)
    if (is_in (libraries[i], address))
      return 0;
  if (size < plan.least || (plan.most != 0 && size > plan.most))
    return 0;
  seen = ++n_seen;
  if (plan.at == 0 || (seen != plan.at && !(plan.goes_on && seen > plan.at)))
    return 0;
  n_refused++;
  say_where ("refused", size);
  errno = ENOMEM;
  return 1;
}

static void *
count (void *block)
{
  if (block != NULL)
    n_blocks++;
  return block;
}

void *
malloc (size_t size)
{
  return refuse (size, __builtin_return_address (0)) ? NULL : count (__libc_malloc (size));
}

void *
calloc (size_t n, size_t size)
{
  size_t all;

  if (!__builtin_mul_overflow (n, size, &all) && refuse (all, __builtin_return_address (0)))
    return NULL;
  return count (__libc_calloc (n, size));
}

void *
realloc (void *old, size_t size)
{
  void *block;

  if (refuse (size, __builtin_return_address (0)))
    return NULL;
  block = __libc_realloc (old, size);
  if (old == NULL)
    count (block);
  else if (size == 0)
    n_blocks--;
  return block;
}

void *memalign (size_t alignment, size_t size);

void *
memalign (size_t alignment, size_t size)
{
  return refuse (size, __builtin_return_address (0)) ? NULL
                                                     : count (__libc_memalign (alignment, size));
}

void *
aligned_alloc (size_t alignment, size_t size)
{
  return refuse (size, __builtin_return_address (0)) ? NULL
                                                     : count (__libc_memalign (alignment, size));
}

int
posix_memalign (void **block, size_t alignment, size_t size)
{
  void *made;

  if (refuse (size, __builtin_return_address (0)))
    return ENOMEM;
  made = count (__libc_memalign (alignment, size));
  if (made == NULL)
    return ENOMEM;
  *block = made;
  return 0;
}

void
free (void *block)
{
  if (block != NULL)
    n_blocks--;
  __libc_free (block);
}

/* Its name in programs that are built for large files. */
void *
mmap64 (void *at, size_t size, int protection, int flags, int fd, off64_t offset)
{
  static void *(*next) (void *, size_t, int, int, int, off64_t);

  if (next == NULL)
    next = (void *(*) (void *, size_t, int, int, int, off64_t)) dlsym (RTLD_NEXT, "mmap64");
  return refuse (size, __builtin_return_address (0))
             ? MAP_FAILED
             : next (at, size, protection, flags, fd, offset);
}
