/* The native CPU backend: always there, supports every op and dtype.
 *
 * Every op has a plain C reference; fast variants (AVX2+FMA+F16C, AVX-512, VNNI, AMX, NEON) are
 * chosen at run time from what the processor has. Threading: see backend.h.
 */
#pragma once

#include "engine/tensor/backend.h"

G_BEGIN_DECLS

typedef enum
{
  ATL_CPU_REFERENCE, /* plain C, one definition of every op */
  ATL_CPU_AVX2,      /* AVX2 + FMA + F16C */
  ATL_CPU_AVX512,    /* F, BW, VL, DQ; + VNNI and BF16 where there */
  ATL_CPU_AMX,       /* AVX-512 + AMX tiles */
  ATL_CPU_NEON,
} AtlCpuLevel;

typedef struct
{
  guint n_threads;   /* 0: as many as the process may use */
  AtlCpuLevel level; /* as atl_cpu_has_level() says; another one, and `best_level`, are the
                        machine's best */
  gboolean best_level;
  gboolean exact; /* TRUE: float32 activations and products throughout (golden runs); FALSE: the
                     fastest path whose error is far below that of 8-bit activations */
} AtlCpuOptions;

/* options NULL: all threads, best level, fast. */
AtlBackend *atl_cpu_backend_new (const AtlCpuOptions *options, GError **error);
/* The level in use, "AVX-512 + AMX"; static. */
const char *atl_cpu_backend_level_name (AtlBackend *self);
AtlCpuLevel atl_cpu_best_level (void);
/* Whether `level` can be asked for by name. In builds with tests that is so for AMX on processors
 * without it, too, where plain C stands for its tiles: slow, and never the best level. */
gboolean atl_cpu_has_level (AtlCpuLevel level);

/* What the nodes of one kind of op have cost. */
typedef struct
{
  guint64 n;
  double seconds, products; /* multiplications with an addition, of products and convolutions */
} AtlCpuCost;

/* From now on every node is added to costs[op], ATL_N_OPS of them, which stay the caller's; NULL
 * ends it. Not while a plan runs. */
void atl_cpu_backend_count (AtlBackend *self, AtlCpuCost *costs);
/* Multiplications with an addition a second that the level's tiles reach on all threads while
 * everything stays in the first cache: the roof of products of many rows. 0 for plain C. Takes some
 * tenths of a second; not while a plan runs. */
double atl_cpu_backend_peak (AtlBackend *self);

G_END_DECLS
