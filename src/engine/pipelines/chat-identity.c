/* Telling which model computed what was kept of a chat.
 *
 * To read all of a model's bytes would take as long as to load it. A file that is another one
 * differs in length, in when it was written, or in one of a few hundred places all over it:
 * whoever trains or quantises a model anew changes nearly every weight. */
#define G_LOG_DOMAIN "atl-pipelines"

#include <string.h>

#include "atelier-config.h"
#include "engine/pipelines/chat-file.h"
#include "engine/pipelines/chat-model-private.h"

#define N_SAMPLES 64u
#define SAMPLE_BYTES 1024u

static void
add_number (GChecksum *sum, gint64 number)
{
  g_checksum_update (sum, (const guchar *) &number, sizeof number);
}

static void
add_file (GChecksum *sum, const AtlFileMap *map)
{
  gsize size = atl_file_map_size (map), n = MIN (size, SAMPLE_BYTES);

  add_number (sum, (gint64) size);
  add_number (sum, atl_file_map_mtime (map));
  for (guint i = 0; i < N_SAMPLES; i++)
    g_checksum_update (sum, atl_file_map_data (map) + (size - n) / (N_SAMPLES - 1) * i, (gssize) n);
}

static const char *
files_sum (AtlChatModel *self)
{
  g_autoptr (GChecksum) sum = NULL;

  if (self->files_sum != NULL)
    return self->files_sum;
  sum = g_checksum_new (G_CHECKSUM_SHA256);
  for (guint i = 0; i < self->maps->len; i++)
    add_file (sum, self->maps->pdata[i]);
  self->files_sum = g_strdup (g_checksum_get_string (sum));
  return self->files_sum;
}

void
atl_chat_identity (AtlChatModel *self, const AtlLlmCache *cache, guint8 *identity)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize n = ATL_CHAT_IDENTITY_BYTES;

  g_checksum_update (sum, (const guchar *) ATL_VERSION, -1);
  g_checksum_update (sum, (const guchar *) files_sum (self), -1);
  add_number (sum, self->adapters->len);
  g_checksum_update (sum, (const guchar *) self->strengths,
                     (gssize) (self->adapters->len * sizeof *self->strengths));
  atl_llm_cache_identify (cache, sum);
  g_checksum_get_digest (sum, identity, &n);
  g_assert (n == ATL_CHAT_IDENTITY_BYTES);
}
