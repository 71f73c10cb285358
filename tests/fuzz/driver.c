/* Runs a fuzz target on mutated seeds: ATELIER_FUZZ_RUNS times (20000), beginning with the random
 * number ATELIER_FUZZ_SEED (1). Each run depends on its own number only, so that a run that
 * crashed, whose number is printed, is repeated alone by ATELIER_FUZZ_ONLY=number; that also writes
 * its bytes to fuzz-input.bin. */
#include "fuzz.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "seeds.h"

#define DEFAULT_RUNS 20000
#define MAX_INPUT_BYTES (256 * 1024)
#define MAX_MUTATIONS 8

static volatile guint64 current_run;

/* Set by the sanitizers' run time where it is linked. */
extern void __sanitizer_set_death_callback (void (*callback) (void)) __attribute__ ((weak));

static void
tell_run (void)
{
  char text[64], *end = text + sizeof text, *p = end;
  guint64 run = current_run;

  *--p = '\n';
  do
    *--p = (char) ('0' + run % 10);
  while ((run /= 10) > 0);
  if (write (STDERR_FILENO, "# fuzzing stopped in run ", 25) < 0 ||
      write (STDERR_FILENO, p, (size_t) (end - p)) < 0)
    return;
}

static void
died_cb (int signal_number)
{
  tell_run ();
  signal (signal_number, SIG_DFL);
  raise (signal_number);
}

static guint64
next_random (guint64 *state)
{
  /* splitmix64, which is fine with neighbouring start values */
  guint64 z = *state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);

  z = (z ^ z >> 30) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ z >> 31;
}

static guint
below (guint64 *state, guint n)
{
  return n > 0 ? (guint) (next_random (state) % n) : 0;
}

static const AtlFuzzBytes *
pick (guint64 *state, const AtlFuzzBytes *list)
{
  guint n = 0;

  while (list[n].bytes != NULL)
    n++;
  return n > 0 ? &list[below (state, n)] : NULL;
}

static void
insert (GByteArray *input, guint at, const void *bytes, guint size)
{
  guint old = input->len;

  if (size == 0 || old + size > MAX_INPUT_BYTES)
    return;
  g_byte_array_set_size (input, old + size);
  memmove (input->data + at + size, input->data + at, old - at);
  memcpy (input->data + at, bytes, size);
}

/* Writes a number that programs get wrong over 1, 2, 4 or 8 bytes. */
static void
put_number (guint64 *state, GByteArray *input)
{
  static const guint64 numbers[] = {
    0,
    1,
    2,
    3,
    5,
    8,
    31,
    32,
    33,
    127,
    128,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0xfffffffe,
    0xffffffff,
    G_MAXINT64,
    (guint64) G_MAXINT64 + 1,
    G_MAXUINT64 - 31,
    G_MAXUINT64 - 1,
    G_MAXUINT64,
  };
  guint64 number = numbers[below (state, G_N_ELEMENTS (numbers))];
  guint width = 1u << below (state, 4);
  guint at = below (state, input->len + 1);

  if (below (state, 4) == 0)
    number += below (state, 16) - 8;
  number = GUINT64_TO_LE (number);
  if (at + width <= input->len)
    memcpy (input->data + at, &number, width);
}

static void
mutate (guint64 *state, GByteArray *input, const AtlFuzzTarget *target, GPtrArray *seeds)
{
  guint at = below (state, input->len + 1), left = input->len - at;

  switch (below (state, 9))
    {
    case 0:
      if (left > 0)
        input->data[at] ^= (guint8) (1u << below (state, 8));
      break;
    case 1:
      if (left > 0)
        input->data[at] = (guint8) next_random (state);
      break;
    case 2:
    case 3:
      put_number (state, input);
      break;
    case 4: /* cut a piece out */
      if (left > 0)
        g_byte_array_remove_range (input, at, 1 + below (state, MIN (left, 64)));
      break;
    case 5: /* double a piece */
      {
        guint size = below (state, MIN (left, 256) + 1);
        g_autofree guint8 *copy = g_memdup2 (input->data + at, size);

        if (size > 0)
          insert (input, below (state, input->len + 1), copy, size);
        break;
      }
    case 6:
      {
        const AtlFuzzBytes *word = pick (state, target->words);

        if (word != NULL)
          insert (input, at, word->bytes, (guint) word->size);
        break;
      }
    case 7: /* end early */
      g_byte_array_set_size (input, at);
      break;
    default: /* go on as another seed does */
      {
        GBytes *other = seeds->pdata[below (state, seeds->len)];
        gsize size;
        const guint8 *bytes = g_bytes_get_data (other, &size);
        guint from = below (state, (guint) size + 1);

        g_byte_array_set_size (input, at);
        insert (input, at, bytes + from, (guint) size - from);
        break;
      }
    }
}

static guint64
number_from_env (const char *name, guint64 fallback)
{
  const char *text = g_getenv (name);

  return text != NULL ? g_ascii_strtoull (text, NULL, 10) : fallback;
}

static void
run_one (guint64 run, guint64 seed, GPtrArray *seeds, gboolean save)
{
  guint64 state = seed * G_GUINT64_CONSTANT (0x100000001b3) + run;
  g_autoptr (GByteArray) input = g_byte_array_new ();
  g_autofree guint8 *exact = NULL;
  gsize size;
  const guint8 *bytes = g_bytes_get_data (seeds->pdata[run % seeds->len], &size);

  g_byte_array_append (input, bytes, (guint) size);
  /* The first round takes every seed as it is. */
  if (run >= seeds->len)
    for (guint n = 1 + below (&state, MAX_MUTATIONS); n > 0; n--)
      mutate (&state, input, &atl_fuzz_target, seeds);
  if (save)
    g_file_set_contents ("fuzz-input.bin", (const char *) input->data, input->len, NULL);
  /* A copy of the exact size, so that a sanitizer sees the first byte past the end. */
  exact = g_memdup2 (input->data, input->len);
  current_run = run;
  g_assert_cmpint (LLVMFuzzerTestOneInput (exact, input->len), ==, 0);
}

static void
test_runs (void)
{
  g_autoptr (GPtrArray) seeds = atl_fuzz_seeds (&atl_fuzz_target);
  guint64 runs =
      number_from_env ("ATELIER_FUZZ_RUNS", DEFAULT_RUNS / MAX (atl_fuzz_target.slowness, 1));
  guint64 seed = number_from_env ("ATELIER_FUZZ_SEED", 1);

  g_assert_cmpuint (seeds->len, >, 0);
  if (g_getenv ("ATELIER_FUZZ_ONLY") != NULL)
    {
      run_one (number_from_env ("ATELIER_FUZZ_ONLY", 0), seed, seeds, TRUE);
      return;
    }
  for (guint64 run = 0; run < runs; run++)
    run_one (run, seed, seeds, FALSE);
  g_test_message ("%s: %" G_GUINT64_FORMAT " runs from %u seeds", atl_fuzz_target.name, runs,
                  seeds->len);
}

int
main (int argc, char **argv)
{
  const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
  g_autofree char *path = g_strdup_printf ("/fuzz/%s", atl_fuzz_target.name);

  g_test_init (&argc, &argv, NULL);
  if (__sanitizer_set_death_callback != NULL)
    __sanitizer_set_death_callback (tell_run);
  else
    for (guint i = 0; i < G_N_ELEMENTS (signals); i++)
      signal (signals[i], died_cb);
  g_test_add_func (path, test_runs);
  return g_test_run ();
}
