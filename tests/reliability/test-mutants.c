/* Small real models, each changed a little, through the whole engine: loaded and, where that goes,
 * asked. Every one is refused in words or answers, and the engine's process is the same at the end.
 * $ATELIER_FAULT_ROUNDS mutants (66), numbered from $ATELIER_FAULT_FIRST (0); the number alone
 * makes the mutant, and one that ended the engine is told by it. Of the families that come with the
 * source, or of all that lie unpacked in the folder $ATELIER_GOLDEN, which has other numbers. */
#include <glib/gstdio.h>
#include <string.h>

#include "client/picture-fixture.h"
#include "mutant-subjects.h"
#include "rounds.h"

/* Nothing this small takes so long, on any machine. */
#define LIMIT_MS 240000
#define MOST_CHANGES 4

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

/* --- Asking --- */

static void
assert_words (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_cmpstr (error->message, !=, "");
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
draw (Drawing *drawing, Fixture *f, AtlModel *model, const char *lora)
{
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (g_variant_new_parsed (
      "{'prompt': <'a fox'>, 'seed': <uint32 5>, 'width': <uint32 64>, 'height': <uint32 64>, "
      "'steps': <uint32 1>}"));

  if (lora != NULL)
    atl_picture_request_add_lora (request, lora, 1);
  drawing_begin (drawing, f->client, model, request);
}

static void
ask (Fixture *f, AtlModel *model, const MutantSubject *subject)
{
  if (subject->draws)
    {
      g_auto (Drawing) drawing = { 0 };

      draw (&drawing, f, model, subject->is_lora ? subject->path : NULL);
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

/* A change of the numbered mutant. */
static void
write_mutant (const MutantSubject *s, guint number)
{
  g_autoptr (GRand) dice = g_rand_new_with_seed (number);
  g_autofree guint8 *bytes = g_memdup2 (s->original, s->size);
  gsize size = s->size;

  for (gint k = g_rand_int_range (dice, 1, MOST_CHANGES + 1); k > 0; k--)
    change (dice, bytes, s->head, &size);
  g_assert_true (g_file_set_contents (s->path, (char *) bytes, (gssize) size, NULL));
}

/* FALSE when it was refused. */
static gboolean
try_mutant (Fixture *f, const MutantSubject *s, GPid *pid)
{
  AtlLoadOptions options = ATL_LOAD_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModel) model = NULL;

  /* The same path would not be loaded again after it ended the engine three times. */
  options.insist = TRUE;
  model = fixture_load (f->client, s->load, &options, NULL, &error);
  if (*pid == 0)
    *pid = atl_client_get_pid (f->client);
  if (model == NULL)
    {
      assert_words (error);
      return FALSE;
    }
  ask (f, model, s);
  fixture_unload (f->client, model, NULL);
  return TRUE;
}

static void
test_mutants (Fixture *f, gconstpointer data)
{
  g_autofree char *scratch = g_dir_make_tmp ("atelier-mutants-XXXXXX", NULL);
  g_autofree char *remove = g_strdup_printf ("rm -r '%s'", scratch);
  g_autoptr (GPtrArray) subjects = mutant_subjects_find (scratch);
  const char *said = g_getenv ("ATELIER_FAULT_FIRST");
  guint first = said != NULL ? (guint) g_ascii_strtoull (said, NULL, 10) : 0, n = rounds (66);
  guint n_refused = 0, n_ended = 0;
  GPid pid = 0;

  for (guint i = first; i < first + n; i++)
    {
      const MutantSubject *s = subjects->pdata[i % subjects->len];

      write_mutant (s, i);
      if (!try_mutant (f, s, &pid))
        n_refused++;
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
  g_spawn_command_line_sync (remove, NULL, NULL, NULL, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/mutants/whole-engine", Fixture, NULL, fixture_set_up, test_mutants,
              fixture_tear_down);
  return mutant_subjects_run ();
}
