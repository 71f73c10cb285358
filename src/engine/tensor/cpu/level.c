/* What the processor can do, asked once: cpuid, the register state that the system saves (XCR0),
 * and the permission for AMX tiles.
 */
#include "engine/tensor/cpu/cpu-private.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

/* Of leaf 7's edx; compilers do not agree on their names. */
#define HAS_AMX_BF16 (1u << 22)
#define HAS_AMX_TILE (1u << 24)
#define HAS_AMX_INT8 (1u << 25)

/* Of the second part's eax. */
#define HAS_AVX_VNNI (1u << 4)

#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u
#define XCR0_TILES 0x60000u

static guint64
read_xcr0 (void)
{
  guint32 eax;
  guint32 edx;

  __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (guint64) edx << 32 | eax;
}

static gboolean
is_amd (void)
{
  guint a, b, c, d;

  return __get_cpuid (0, &a, &b, &c, &d) && b == signature_AMD_ebx && c == signature_AMD_ecx &&
         d == signature_AMD_edx;
}

static void
detect (AtlCpuFeatures *f)
{
  guint a, b, c, d;
  guint c1;
  guint more, b1, c2, d1; /* of the second part of leaf 7 */
  guint64 xcr0;

  if (!__get_cpuid (1, &a, &b, &c1, &d) || !(c1 & bit_OSXSAVE))
    return;
  xcr0 = read_xcr0 ();
  if (!__get_cpuid_count (7, 0, &a, &b, &c, &d))
    return;
  if (!__get_cpuid_count (7, 1, &more, &b1, &c2, &d1))
    more = 0;

  if ((xcr0 & XCR0_AVX) != XCR0_AVX || !(b & bit_AVX2) || !(c1 & bit_FMA) || !(c1 & bit_F16C))
    return;
  f->best = ATL_CPU_AVX2;
  f->avx_vnni = (more & HAS_AVX_VNNI) != 0;

  if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || !(b & bit_AVX512F) || !(b & bit_AVX512BW) ||
      !(b & bit_AVX512VL) || !(b & bit_AVX512DQ))
    return;
  f->best = ATL_CPU_AVX512;
  f->vnni = (c & bit_AVX512VNNI) != 0;
  f->adds_faster = is_amd ();

  if ((xcr0 & XCR0_TILES) != XCR0_TILES || !(d & HAS_AMX_TILE) || !(d & HAS_AMX_BF16) || !f->vnni)
    return;
  f->amx_int8 = (d & HAS_AMX_INT8) != 0;
  if (!(more & bit_AVX512BF16))
    return;
  /* The kernel hands out tile registers on request, to the whole process. */
  if (syscall (SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0)
    return;
  f->best = ATL_CPU_AMX;
}

#elif defined(__aarch64__)

static void
detect (AtlCpuFeatures *f)
{
  f->best = ATL_CPU_NEON; /* part of the architecture's baseline */
}

#else

static void
detect (AtlCpuFeatures *f)
{
}

#endif

const AtlCpuFeatures *
atl_cpu_features (void)
{
  static AtlCpuFeatures features;
  static gsize once;

  if (g_once_init_enter (&once))
    {
      detect (&features);
#ifdef ATL_TEST_LEVELS
      /* What processors before VNNI run is tested on later ones, too, and what others' makers run
       * on both. */
      if (g_getenv ("ATELIER_TEST_WITHOUT_VNNI") != NULL)
        {
          features.avx_vnni = features.vnni = features.amx_int8 = FALSE;
          features.best = MIN (features.best, ATL_CPU_AVX512);
        }
      if (g_getenv ("ATELIER_TEST_OTHER_MAKER") != NULL)
        features.adds_faster = !features.adds_faster;
#endif
      g_once_init_leave (&once, 1);
    }
  return &features;
}

AtlCpuLevel
atl_cpu_best_level (void)
{
  return atl_cpu_features ()->best;
}

gboolean
atl_cpu_has_level (AtlCpuLevel level)
{
  const AtlCpuFeatures *f = atl_cpu_features ();

  if (level == ATL_CPU_REFERENCE || level == f->best)
    return TRUE;
#ifdef ATL_TEST_LEVELS
  if (level == ATL_CPU_AMX)
    return f->best == ATL_CPU_AVX512 && f->vnni;
#endif
  return level != ATL_CPU_NEON && f->best != ATL_CPU_NEON && level < f->best;
}
