/* Small real models, each changed a little, through the whole engine: loaded and, where that goes,
 * asked. Every one is refused in words or answers, and the engine's process is the same at the end.
 * $ATELIER_FAULT_ROUNDS mutants (60), numbered from $ATELIER_FAULT_FIRST (0); the number alone
 * makes the mutant, and one that ended the engine is told by it. */
#include <glib/gstdio.h>
#include <string.h>

#include "client/picture-fixture.h"
#include "engine/formats/open.h"
#include "rounds.h"

/* Nothing this small takes so long, on any machine. */
#define LIMIT_MS 240000
#define MOST_CHANGES 4

/* A model is its files, of which one is changed; the folder "" holds the conformance model. */
static const struct
{
  const char *folder, *file;
  gboolean draws;
} subjects[] = {
  { "", "stories260K.gguf", FALSE },
  { "llm-llama2", "model.gguf", FALSE },
  { "llm-qwen3next", "model.gguf", FALSE },
  { "llm-hf-folder/model", "model-00001-of-00002.safetensors", FALSE },
  { "llm-hf-folder/model", "model.safetensors.index.json", FALSE },
  { "llm-hf-folder/model", "config.json", FALSE },
  { "llm-hf-folder/model", "tokenizer.json", FALSE },
  { "sd15/model", "model_index.json", TRUE },
  { "sd15/model", "unet/config.json", TRUE },
  { "sd15/model", "unet/diffusion_pytorch_model.safetensors", TRUE },
  { "sd15/model", "vae/config.json", TRUE },
  { "sd15/model", "text_encoder/model.safetensors", TRUE },
  { "sd15/model", "tokenizer/vocab.json", TRUE },
  { "sd15/model", "scheduler/scheduler_config.json", TRUE },
};

typedef struct
{
  char *original; /* the changed file, as it was */
  gsize size;
  gsize head; /* what is not weights */
  char *path; /* what is changed */
  char *load; /* what is loaded: the file, or its folder */
} Subject;

/* --- Changing --- */

static void
change_number (GRand *dice, guint8 *head, gsize size)
{
  static const guint64 numbers[] = { 0,          1,          2,          3,
                                     7,          32,         255,        256,
                                     4096,       0xffff,     0x10000,    0x7fffffff,
                                     0x80000000, 0xffffffff, G_MAXINT64, (guint64) G_MAXINT64 + 1,
                                     G_MAXUINT64 };
  gsize width = (gsize) 1 << g_rand_int_range (dice, 0, 4);
  guint64 number = GUINT64_TO_LE (numbers[g_rand_int_range (dice, 0, G_N_ELEMENTS (numbers))]);
  gsize at;

  if (size < width)
    return;
  at = (gsize) (g_rand_double (dice) * (double) (size - width));
  memcpy (head + at, &number, width);
}

/* Digits become others, so that a text stays one. */
static void
change_digits (GRand *dice, guint8 *head, gsize size)
{
  gsize at = (gsize) (g_rand_double (dice) * (double) size), end;

  while (at < size && !g_ascii_isdigit (head[at]))
    at++;
  for (end = at; end < size && g_ascii_isdigit (head[end]); end++)
    head[end] = (guint8) g_rand_int_range (dice, '0', '9' + 1);
  if (at < end && g_rand_boolean (dice))
    memset (head + at, g_rand_boolean (dice) ? '9' : '0', end - at);
}

static void
change_letter (GRand *dice, guint8 *head, gsize size)
{
  gsize at = (gsize) (g_rand_double (dice) * (double) size);

  while (at < size && !g_ascii_isalpha (head[at]))
    at++;
  if (at < size)
    head[at] = (guint8) g_rand_int_range (dice, 'a', 'z' + 1);
}

static void
change (GRand *dice, guint8 *bytes, gsize head, gsize *size)
{
  gsize at = (gsize) (g_rand_double (dice) * (double) head);

  switch (g_rand_int_range (dice, 0, 8))
    {
    case 0:
      bytes[at] ^= (guint8) (1u << g_rand_int_range (dice, 0, 8));
      break;
    case 1:
    case 2:
    case 3:
      change_number (dice, bytes, head);
      break;
    case 4:
    case 5:
      change_digits (dice, bytes, head);
      break;
    case 6:
      change_letter (dice, bytes, head);
      break;
    default: /* the end is missing */
      if (g_rand_int_range (dice, 0, 4) == 0)
        *size = (gsize) (g_rand_double (dice) * (double) *size);
      break;
    }
}

/* --- The models --- */

static void
copy_tree (const char *from, const char *to)
{
  g_autoptr (GDir) dir = g_dir_open (from, 0, NULL);
  const char *name;

  g_assert_nonnull (dir);
  g_assert_cmpint (g_mkdir_with_parents (to, 0700), ==, 0);
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *source = g_build_filename (from, name, NULL);
      g_autofree char *target = g_build_filename (to, name, NULL);
      g_autofree char *bytes = NULL;
      gsize size;

      if (g_file_test (source, G_FILE_TEST_IS_DIR))
        copy_tree (source, target);
      else
        {
          g_assert_true (g_file_get_contents (source, &bytes, &size, NULL));
          g_assert_true (g_file_set_contents (target, bytes, (gssize) size, NULL));
        }
    }
}

static gsize
head_size (const char *path, const char *bytes, gsize size)
{
  guint64 header;
  g_autoptr (AtlFileMap) map = NULL;
  g_autoptr (AtlCheckpoint) checkpoint = NULL;

  if (g_str_has_suffix (path, ".json"))
    return size;
  if (g_str_has_suffix (path, ".safetensors"))
    {
      memcpy (&header, bytes, sizeof header);
      return sizeof header + GUINT64_FROM_LE (header);
    }
  map = atl_file_map_new (path, NULL);
  checkpoint = atl_checkpoint_open (&map, NULL, 1, NULL);
  g_assert_nonnull (checkpoint);
  return size - MIN (atl_checkpoint_weight_bytes (checkpoint), (guint64) size - 1);
}

/* FALSE when its files are not here. */
static gboolean
subject_init (Subject *self, guint index, const char *scratch)
{
  const char *folder = subjects[index].folder, *file = subjects[index].file;
  g_autofree char *source = NULL, *copy = NULL;

  memset (self, 0, sizeof *self);
  if (*folder == '\0')
    {
      g_autofree char *path = fixture_model_path (file);

      if (path == NULL)
        return FALSE;
      source = g_path_get_dirname (path);
    }
  else
    source = picture_fixture_path (folder);
  copy = g_strdup_printf ("%s/%u", scratch, index);
  self->path = g_build_filename (copy, file, NULL);
  if (*folder == '\0')
    {
      g_autofree char *path = g_build_filename (source, file, NULL);

      g_assert_cmpint (g_mkdir_with_parents (copy, 0700), ==, 0);
      g_assert_true (g_file_get_contents (path, &self->original, &self->size, NULL));
      g_assert_true (g_file_set_contents (self->path, self->original, (gssize) self->size, NULL));
    }
  else
    {
      copy_tree (source, copy);
      g_assert_true (g_file_get_contents (self->path, &self->original, &self->size, NULL));
    }
  self->load = g_strdup (g_str_has_suffix (file, ".gguf") ? self->path : copy);
  self->head = head_size (self->path, self->original, self->size);
  return TRUE;
}

static void
subject_clear (Subject *self)
{
  g_free (self->original);
  g_free (self->path);
  g_free (self->load);
}

/* --- Asking --- */

static void
assert_words (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_cmpstr (error->message, !=, "");
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
ask (Fixture *f, AtlModel *model, gboolean draws)
{
  if (draws)
    {
      g_auto (Drawing) drawing = { 0 };

      drawing_start (&drawing, f->client, model, 1, NULL);
      g_assert_true (fixture_wait (&drawing.is_over, LIMIT_MS));
      if (drawing.error != NULL)
        assert_words (drawing.error);
    }
  else
    {
      g_auto (AtlChatParams) params = { 0 };
      g_autoptr (Answer) answer = NULL;

      params_greedy (&params, 3);
      answer = answer_new (atl_client_complete (f->client, model, "Once upon a time", &params));
      g_assert_true (fixture_wait (&answer->is_over, LIMIT_MS));
      if (answer->error != NULL)
        assert_words (answer->error);
    }
}

static void
test_mutants (Fixture *f, gconstpointer data)
{
  g_autofree char *scratch = g_dir_make_tmp ("atelier-mutants-XXXXXX", NULL);
  g_autofree char *remove = g_strdup_printf ("rm -r '%s'", scratch);
  const char *said = g_getenv ("ATELIER_FAULT_FIRST");
  guint first = said != NULL ? (guint) g_ascii_strtoull (said, NULL, 10) : 0, n = rounds (60);
  guint n_refused = 0, n_here = 0, n_ended = 0;
  Subject subject[G_N_ELEMENTS (subjects)];
  GPid pid = 0;

  for (guint i = 0; i < G_N_ELEMENTS (subjects); i++)
    if (subject_init (&subject[n_here], i, scratch))
      n_here++;
    else
      g_assert_cmpuint (i, ==, 0);
  for (guint i = first; i < first + n; i++)
    {
      g_autoptr (GRand) dice = g_rand_new_with_seed (i);
      guint which = i % n_here;
      const Subject *s = &subject[which];
      g_autofree guint8 *bytes = g_memdup2 (s->original, s->size);
      gsize size = s->size;
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlModel) model = NULL;
      AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;

      for (gint k = g_rand_int_range (dice, 1, MOST_CHANGES + 1); k > 0; k--)
        change (dice, bytes, s->head, &size);
      g_assert_true (g_file_set_contents (s->path, (char *) bytes, (gssize) size, NULL));
      /* The same path would not be loaded again after it ended the engine three times. */
      options.insist = TRUE;
      model = fixture_load (f->client, s->load, &options, NULL, &error);
      if (pid == 0)
        pid = atl_client_get_pid (f->client);
      if (model == NULL)
        {
          assert_words (error);
          n_refused++;
        }
      else
        {
          ask (f, model, subjects[which + G_N_ELEMENTS (subjects) - n_here].draws);
          fixture_unload (f->client, model, NULL);
        }
      g_assert_true (g_file_set_contents (s->path, s->original, (gssize) s->size, NULL));
      if (atl_client_get_pid (f->client) != pid ||
          atl_client_get_state (f->client) != ATL_ENGINE_READY)
        {
          g_test_message ("mutant %u, of %s, ended the engine", i, s->path);
          n_ended++;
          pid = 0;
        }
    }
  g_test_message ("%u mutants, %u refused in words, the others asked; %u ended the engine", n,
                  n_refused, n_ended);
  g_assert_cmpuint (n_ended, ==, 0);
  for (guint i = 0; i < n_here; i++)
    subject_clear (&subject[i]);
  g_spawn_command_line_sync (remove, NULL, NULL, NULL, NULL);
}

int
main (int argc, char **argv)
{
  static const char *const families[] = { "llm-llama2", "llm-qwen3next", "llm-hf-folder", "sd15",
                                          NULL };

  g_test_init (&argc, &argv, NULL);
  g_test_add ("/mutants/whole-engine", Fixture, NULL, fixture_set_up, test_mutants,
              fixture_tear_down);
  return picture_fixture_run (families);
}
