/* Random weights in a memory file. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/bench-noise.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/tensor/quants/quantize.h"

#define POOL_ELEMS (256 * 1024)

struct _BenchNoise
{
  AtlCheckpoint *cp; /* NULL while sizes are counted */
  GRand *rand;
  GBytes *pools[ATL_N_DTYPES]; /* quantised noise, POOL_ELEMS elements each */
  guint8 *data;                /* writable mapping */
  const guint8 *readable;      /* the checkpoint's own */
  gsize used, size;
};

static const guint8 *
pool (BenchNoise *self, AtlDType dtype, gsize *size)
{
  if (self->pools[dtype] == NULL)
    {
      g_autofree float *noise = g_new (float, POOL_ELEMS);
      gsize bytes =
          POOL_ELEMS / atl_dtype_info (dtype)->block_elems * atl_dtype_info (dtype)->block_bytes;
      guint8 *out = g_malloc (bytes);

      for (guint i = 0; i < POOL_ELEMS; i++)
        noise[i] = (float) (g_rand_double (self->rand) - 0.5) * 0.05f;
      gboolean ok = atl_quantize (dtype, noise, out, POOL_ELEMS);
      g_assert (ok);
      self->pools[dtype] = g_bytes_new_take (out, bytes);
    }
  return g_bytes_get_data (self->pools[dtype], size);
}

void
bench_noise_tensor (
    BenchNoise *self, AtlDType dtype, guint n_dims, const gint64 *dim, const char *format, ...)
{
  AtlTensorInfo info = { .dtype = n_dims == 1 ? ATL_DTYPE_F32 : dtype, .n_dims = n_dims };
  const AtlDTypeInfo *type = atl_dtype_info (info.dtype);
  g_autofree char *name = NULL;
  va_list args;
  gsize n = 1, pool_size, at = 0;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  for (guint i = 0; i < n_dims; i++)
    n *= (gsize) (info.dim[i] = dim[i]);
  info.name = name;
  info.size_bytes = n / type->block_elems * type->block_bytes;
  if (self->cp == NULL)
    {
      self->size += (info.size_bytes + 63) & ~(gsize) 63;
      return;
    }
  info.data = self->readable + self->used;
  g_assert (self->used + info.size_bytes <= self->size);

  if (n_dims == 1)
    for (gsize i = 0; i < n; i++)
      ((float *) (self->data + self->used))[i] = strstr (name, "norm") != NULL ? 1.0f : 0.0f;
  else
    {
      const guint8 *source = pool (self, info.dtype, &pool_size);

      while (at < info.size_bytes)
        {
          gsize chunk = MIN (info.size_bytes - at, pool_size);
          memcpy (self->data + self->used + at, source, chunk);
          at += chunk;
        }
    }
  self->used += (info.size_bytes + 63) & ~(gsize) 63;
  atl_checkpoint_add_tensor (self->cp, &info, NULL);
}

/* The weights live in a memory file that the checkpoint maps like any other; `data` is a second,
 * writable mapping for filling it. */
static gboolean
reserve (BenchNoise *self, const char *name, GError **error)
{
  int fd = memfd_create (name, MFD_CLOEXEC);
  AtlFileMap *map = NULL;

  self->data = MAP_FAILED;
  if (fd >= 0 && ftruncate (fd, (off_t) self->size) == 0)
    self->data = mmap (NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (self->data != MAP_FAILED)
    map = atl_file_map_new_from_fd (fd, name, error);
  else
    g_set_error (error, ATL_ERROR, ATL_ERROR_NO_MEMORY, "There is no memory for %s", name);
  if (fd >= 0)
    close (fd);
  if (map == NULL)
    return FALSE;
  self->readable = atl_file_map_data (map);
  atl_checkpoint_add_map (self->cp, map);
  atl_file_map_unref (map);
  return TRUE;
}

AtlCheckpoint *
bench_noise_build (const char *name, BenchDescribe describe, gconstpointer shape, GError **error)
{
  BenchNoise self = { .data = MAP_FAILED };

  describe (&self, shape);
  self.cp = atl_checkpoint_new (name);
  self.rand = g_rand_new_with_seed (1);
  if (reserve (&self, name, error))
    describe (&self, shape);
  else
    g_clear_pointer (&self.cp, atl_checkpoint_unref);
  for (guint i = 0; i < ATL_N_DTYPES; i++)
    g_clear_pointer (&self.pools[i], g_bytes_unref);
  g_rand_free (self.rand);
  if (self.data != MAP_FAILED)
    munmap (self.data, self.size);
  return self.cp;
}
