/* Models that keep their chats in files, for tests. */
#include "kept-fixture.h"

#include <unistd.h>

#include "model-fixture.h"

const char kept_sentence[] =
    "The quick brown fox jumps over the lazy dog while seventeen grey geese look on and wonder "
    "what all of this is about; in the end nobody can tell them why. ";

int
kept_new_file (void)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("kept-XXXXXX", &path, NULL);

  g_assert_cmpint (fd, >=, 0);
  unlink (path);
  return fd;
}

static int
open_kept_cb (const char *key, gpointer user_data)
{
  KeptFiles *files = user_data;

  return files->kept >= 0 ? dup (files->kept) : -1;
}

static int
begin_keep_cb (const char *key, guint64 *max_bytes, gpointer user_data)
{
  KeptFiles *files = user_data;

  *max_bytes = files->max_bytes;
  return files->room;
}

static void
end_keep_cb (const char *key, guint n_tokens, gboolean is_again, gpointer user_data)
{
  KeptFiles *files = user_data;

  files->n_kept = n_tokens;
  files->n_ends++;
  files->n_agains += is_again;
  if (n_tokens == 0)
    return;
  if (files->kept >= 0)
    close (files->kept);
  files->kept = files->room;
  files->room = kept_new_file ();
}

void
kept_files_init (KeptFiles *files)
{
  *files = (KeptFiles){ .kept = -1, .room = kept_new_file (), .max_bytes = G_MAXUINT64 };
}

void
kept_files_clear (KeptFiles *files)
{
  if (files->kept >= 0)
    close (files->kept);
  if (files->room >= 0)
    close (files->room);
}

AtlDType
kept_kv_dtype (const KeptCase *c)
{
  return g_str_equal (c->kv_type, "f32")    ? ATL_DTYPE_F32
         : g_str_equal (c->kv_type, "f16")  ? ATL_DTYPE_F16
         : g_str_equal (c->kv_type, "q8_0") ? ATL_DTYPE_Q8_0
                                            : ATL_DTYPE_Q4_0;
}

AtlChatModel *
kept_open_model (const KeptCase *c, guint n_ctx, AtlBackend *gpu, KeptFiles *files)
{
  g_autofree char *path = model_fixture_path (c->family, "model.gguf");
  AtlChatModelOptions options = { .n_ctx = n_ctx,
                                  .kv_dtype = kept_kv_dtype (c),
                                  .n_gpu_layers = G_MAXUINT };
  AtlBackend *backends[] = { gpu, model_fixture_cpu (TRUE) };
  const char *names[] = { "model.gguf", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  AtlChatModel *model;

  if (files != NULL)
    options.keep = (AtlChatKeep){ open_kept_cb, begin_keep_cb, end_keep_cb, files };
  g_assert_no_error (error);
  model = atl_chat_model_open (&map, names, 1, &error);
  g_assert_no_error (error);
  atl_chat_model_load (model, gpu != NULL ? backends : backends + 1, gpu != NULL ? 2 : 1, &options,
                       NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  return model;
}

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  g_string_append (user_data, text);
}

/* One greedy answer of some tokens; the caller frees. */
char *
kept_ask (AtlChatModel *model, const char *prompt, AtlTurnStats *stats)
{
  GString *text = g_string_new (NULL);
  AtlTurnOptions options = { .max_tokens = 12, .thinking = -1, .conversation = "chat-1" };
  AtlTurnSink sink = { .text = text_cb, .user_data = text };
  g_autoptr (GError) error = NULL;

  atl_sampling_params_init (&options.sampling);
  options.sampling.temperature = 0.0f;
  atl_chat_turn_run (model, NULL, prompt, &options, &sink, NULL, stats, &error);
  g_assert_no_error (error);
  return g_string_free (text, FALSE);
}

/* The model's turnstile is its own, and nobody else is there. */
void
kept_keep_all (AtlChatModel *model)
{
  atl_chat_model_keep_conversations (model, 0, NULL, NULL);
  g_assert_cmpuint (atl_chat_model_n_unkept (model), ==, 0);
}

char *
kept_make_question (const KeptCase *c)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < c->n_repeats; i++)
    g_string_append (text, kept_sentence);
  return g_string_free (text, FALSE);
}
