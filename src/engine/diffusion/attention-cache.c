/* Keeping what attention gave. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/attention-cache.h"

#include <glib/gi18n.h>

/* As blocks/stages.h names them. */
#define FUNCTION "forward_attention"
#define CROSS "reuse.cross."

struct _AtlAttentionCache
{
  GHashTable *kept; /* (owned) char* -> AtlSeries*, by the names of the results */
};

static void
free_series (gpointer data)
{
  atl_series_clear (data);
  g_free (data);
}

AtlAttentionCache *
atl_attention_cache_new (void)
{
  AtlAttentionCache *self = g_new0 (AtlAttentionCache, 1);

  self->kept = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_series);
  return self;
}

void
atl_attention_cache_free (AtlAttentionCache *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->kept);
  g_free (self);
}

gboolean
atl_attention_cache_is_filled (const AtlAttentionCache *self)
{
  return g_hash_table_size (self->kept) > 0;
}

guint64
atl_attention_cache_bytes (const AtlAttentionCache *self)
{
  GHashTableIter iter;
  gpointer value;
  guint64 bytes = 0;

  g_hash_table_iter_init (&iter, self->kept);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    for (guint i = 0; i < ((AtlSeries *) value)->n; i++)
      bytes += atl_array_size (((AtlSeries *) value)->factors[i]);
  return bytes;
}

static void
learn (AtlAttentionCache *self, const AtlArray *result, guint order, guint step)
{
  AtlSeries *series = g_hash_table_lookup (self->kept, result->name);

  if (series == NULL)
    {
      series = g_new0 (AtlSeries, 1);
      g_hash_table_insert (self->kept, g_strdup (result->name), series);
    }
  atl_series_learn (series, result, order, step);
}

/* What need not be computed, into the request. */
static void
foretell (AtlAttentionCache *self,
          AtlRequest *request,
          guint step,
          gboolean compute_self,
          gboolean compute_cross)
{
  GHashTableIter iter;
  gpointer name, series;

  g_hash_table_iter_init (&iter, self->kept);
  while (g_hash_table_iter_next (&iter, &name, &series))
    if (g_str_has_prefix (name, CROSS) ? !compute_cross : !compute_self)
      atl_request_add (request, atl_series_foretell (series, name, step));
}

/* The request as it was. */
static void
take_back (AtlAttentionCache *self, AtlRequest *request)
{
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, self->kept);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    atl_array_free (atl_request_take (request, name));
}

AtlArray *
atl_attention_cache_run (AtlAttentionCache *self,
                         AtlRequest *request,
                         guint step,
                         gboolean compute_self,
                         gboolean compute_cross,
                         guint order,
                         AtlPassFunc run,
                         gpointer user_data,
                         GError **error)
{
  g_autoptr (GPtrArray) results = NULL;
  AtlArray *output = NULL;

  atl_request_set_function (request, FUNCTION);
  foretell (self, request, step, compute_self, compute_cross);
  results = run (request, user_data, error);
  take_back (self, request);
  if (results == NULL)
    return NULL;
  for (guint i = results->len; i-- > 0;)
    {
      AtlArray *result = results->pdata[i];

      if (g_str_equal (result->name, "output"))
        output = g_ptr_array_steal_index (results, i);
      else
        {
          learn (self, result, order, step);
          g_ptr_array_remove_index (results, i);
        }
    }
  if (output == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the part “%s” gives no “%s”"), FUNCTION,
                 "output");
  return output;
}
