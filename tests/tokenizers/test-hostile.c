/* Damaged and hostile vocabularies: each is refused in words or works within bounds, and never
 * hands out an id outside itself. The lists are fixed; the mutations are random but from a fixed
 * seed. */
#include <glib.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "engine/tokenizers/charsmap.h"
#include "engine/tokenizers/detokenizer.h"
#include "tiny-tokenizers.h"

static const char *const texts[] = {
  "", "ab abc zz", "a b c\n\nab", "<|im_end|> <s> [CLS]", "\xe4\xb8\x80 e\xcc\x81 x 12", "\xff\xfe"
};

/* What every caller relies on, whatever the file was. */
static void
use (AtlTokenizer *tokenizer)
{
  const gint32 n = (gint32) atl_tokenizer_n_vocab (tokenizer);

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    for (guint flags = 0; flags < 4; flags++)
      {
        g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
        g_autoptr (GError) error = NULL;
        g_autofree char *back = NULL;

        if (!atl_tokenizer_encode (tokenizer, texts[i], -1, (AtlTokenizeFlags) flags, ids, &error))
          {
            g_assert_error (error, ATL_ERROR, ATL_ERROR_TOO_COMPLEX);
            continue;
          }
        g_assert_cmpuint (ids->len, <, 1000);
        for (guint k = 0; k < ids->len; k++)
          {
            gint32 id = g_array_index (ids, gint32, k);

            g_assert_cmpint (id, >=, 0);
            g_assert_cmpint (id, <, n);
          }
        back = atl_tokenizer_decode (tokenizer, (gint32 *) (gpointer) ids->data, ids->len,
                                     flags & 1, flags & 2);
        g_assert_true (g_utf8_validate (back, -1, NULL));
      }
  for (gint32 id = -2; id < MIN (n, 64) + 2; id++)
    {
      gsize len;

      atl_tokenizer_token_bytes (tokenizer, id, TRUE, &len);
      atl_tokenizer_is_eog (tokenizer, id);
    }
  for (guint i = 0; i < ATL_N_SPECIAL; i++)
    g_assert_cmpint (atl_tokenizer_special (tokenizer, (AtlSpecialToken) i), <, n);
}

/* Uses what was made, or checks that the refusal has words. */
static void
settle (AtlTokenizer *made, GError **where)
{
  g_autoptr (AtlTokenizer) tokenizer = made;
  g_autoptr (GError) error = g_steal_pointer (where);

  if (tokenizer != NULL)
    {
      g_assert_no_error (error);
      use (tokenizer);
      return;
    }
  g_assert_nonnull (error);
  g_assert_true (error->domain == ATL_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_cmpuint (strlen (error->message), >, 10);
}

static void
try_json (const char *text, gsize size)
{
  GError *error = NULL;

  settle (atl_tokenizer_new_from_json (text, size, tiny_config, strlen (tiny_config), &error),
          &error);
}

/* --- tokenizer.json --- */

static void
test_json_refused (void)
{
  static const char *const bad[] = {
    "",
    "[]",
    "{}",
    "{\"model\":[]}",
    "{\"model\":{\"type\":\"BPE\"}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0.5},\"merges\":[]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"ab\"]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[[\"a\"]]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[[1,2]]}}",
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[null]}}",
    "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}",
    "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}",
    "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}",
    "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[1,2]]}}",
    "{\"model\":{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",1]]}}",
    "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e999]]}}",
    "{\"added_tokens\":[{\"content\":\"a\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"
    "\"merges\":[]}}",
    "{\"added_tokens\":[7],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
    "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////w==\"},\"model\":{"
    "\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
    "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"x\"},"
    "\"model\":{"
    "\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
    "{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",9],\"sep\":[\"a\",0]},"
    "\"model\":{"
    "\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlTokenizer) tokenizer =
          atl_tokenizer_new_from_json (bad[i], strlen (bad[i]), NULL, 0, &error);

      if (tokenizer != NULL)
        g_test_message ("taken: %s", bad[i]);
      g_assert_null (tokenizer);
      g_assert_true (error->domain == ATL_ERROR);
    }
}

/* A file of kilobytes must not have each text gone over a thousand times. */
static void
test_json_steps (void)
{
  static const struct
  {
    const char *where, *step;
    guint most; /* beside the list itself */
  } lists[] = {
    { "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[", "{\"type\":\"Lowercase\"}", 63 },
    { "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[", "{\"type\":\"Digits\"}", 63 },
    { "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[",
      "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"b+\"},\"behavior\":\"Isolated\"}", 8 },
    { "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[",
      "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"b+\"},\"content\":\"b\"}", 8 },
    { "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[",
      "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"NFD\"}]}", 21 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    for (guint n = lists[i].most; n <= lists[i].most + 1; n++)
      {
        g_autoptr (GString) text = g_string_new ("{");
        g_autoptr (GError) error = NULL;
        g_autoptr (AtlTokenizer) tokenizer = NULL;

        g_string_append (text, lists[i].where);
        for (guint k = 0; k < n; k++)
          g_string_append_printf (text, "%s%s", k > 0 ? "," : "", lists[i].step);
        g_string_append (text,
                         "]},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}");
        tokenizer = atl_tokenizer_new_from_json (text->str, text->len, NULL, 0, &error);
        g_assert_true ((tokenizer != NULL) == (n == lists[i].most));
        settle (g_steal_pointer (&tokenizer), &error);
      }
}

/* A tokenizer_config.json with as many templates as it has room for, whose names collide under
 * g_str_hash ("Ez" and "FY" hash alike). */
static void
test_json_templates (void)
{
  const guint n = 1u << 17;
  g_autoptr (GString) config = g_string_new ("{\"chat_template\":[");
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) tokenizer = NULL;
  clock_t start;

  for (guint i = 0; i < n; i++)
    {
      g_string_append (config, i > 0 ? ",{\"name\":\"" : "{\"name\":\"");
      for (guint bit = 0; bit < 19; bit++)
        g_string_append (config, (i >> bit & 1) != 0 ? "Ez" : "FY");
      g_string_append (config, "\",\"template\":\"x\"}");
    }
  g_string_append (config, "]}");
  start = clock ();
  tokenizer = atl_tokenizer_new_from_json (tiny_json[0], strlen (tiny_json[0]), config->str,
                                           config->len, &error);
  g_assert_no_error (error);
  /* Of the processor: names that collide would take minutes. */
  g_assert_cmpfloat ((double) (clock () - start) / CLOCKS_PER_SEC, <, 20);
}

static void
mutate (GRand *rand, GString *text)
{
  static const char *const words[] = { "null",  "-1",   "4294967296",  "\"\"", "{}",      "[]",
                                       "1e400", "true", "\"\\u0000\"", ",",    "\"(((\"", "\xff" };

  for (int n = g_rand_int_range (rand, 1, 4); n > 0 && text->len > 4; n--)
    {
      gsize at = (gsize) g_rand_int_range (rand, 0, (gint32) text->len);
      gsize len = (gsize) g_rand_int_range (rand, 1, 9);

      switch (g_rand_int_range (rand, 0, 5))
        {
        case 0:
          text->str[at] ^= (char) (1 << g_rand_int_range (rand, 0, 8));
          break;
        case 1:
          g_string_erase (text, (gssize) at, (gssize) MIN (len, text->len - at));
          break;
        case 2:
          g_string_insert (text, (gssize) at,
                           words[g_rand_int_range (rand, 0, G_N_ELEMENTS (words))]);
          break;
        case 3:
          text->str[at] = (char) g_rand_int_range (rand, '0', '9' + 1);
          break;
        default:
          {
            g_autofree char *copy = g_strndup (text->str + at, MIN (len * 4, text->len - at));

            g_string_insert (text, g_rand_int_range (rand, 0, (gint32) text->len), copy);
          }
        }
    }
}

static void
test_json_mutations (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  for (guint i = 0; tiny_json[i] != NULL; i++)
    {
      try_json (tiny_json[i], strlen (tiny_json[i]));
      for (guint k = 0; k < 1500; k++)
        {
          g_autoptr (GString) text = g_string_new (tiny_json[i]);

          mutate (rand, text);
          try_json (text->str, text->len);
        }
    }
}

static void
test_clip_mutations (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);

  for (guint k = 0; k < 1000; k++)
    {
      g_autoptr (GString) vocab = g_string_new (tiny_clip_vocab);
      g_autoptr (GString) merges = g_string_new (tiny_clip_merges);
      GError *error = NULL;

      mutate (rand, k % 2 == 0 ? vocab : merges);
      settle (atl_tokenizer_new_clip (k % 5 == 4 ? NULL : vocab->str, vocab->len, merges->str,
                                      merges->len, &error),
              &error);
    }
}

static void
test_sentencepiece_mutations (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (guint k = 0; k < 3000; k++)
    {
      g_autoptr (GByteArray) bytes = tiny_sentencepiece (1 + k % 2);
      GError *error = NULL;

      for (int n = g_rand_int_range (rand, 1, 4); n > 0; n--)
        bytes->data[g_rand_int_range (rand, 0, (gint32) bytes->len)] =
            (guint8) g_rand_int_range (rand, 0, 256);
      if (k % 4 == 0)
        g_byte_array_set_size (bytes, (guint) g_rand_int_range (rand, 1, (gint32) bytes->len));
      settle (atl_tokenizer_new_sentencepiece (bytes->data, bytes->len, &error), &error);
    }
}

/* Every double array is followed with care: random trees over random texts. */
static void
test_charsmap_mutations (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);

  for (guint k = 0; k < 3000; k++)
    {
      guint8 blob[4 + 64 * 4 + 32];
      g_autoptr (AtlCharsmap) map = NULL;
      g_autoptr (GString) out = g_string_new (NULL);

      for (guint i = 0; i < sizeof blob; i++)
        blob[i] = (guint8) (g_rand_boolean (rand) ? 0 : g_rand_int_range (rand, 0, 256));
      blob[0] = (guint8) (k % 3 == 0 ? g_rand_int_range (rand, 0, 256) : 0);
      blob[1] = k % 3 == 0 ? 0 : 1;
      blob[2] = blob[3] = 0;
      map = atl_charsmap_new (blob, sizeof blob, NULL);
      if (map == NULL)
        continue;
      for (guint i = 0; i < G_N_ELEMENTS (texts) - 1; i++)
        atl_charsmap_apply (map, texts[i], strlen (texts[i]), out);
      g_assert_true (g_utf8_validate_len (out->str, out->len, NULL));
    }
}

/* --- GGUF metadata --- */

typedef struct
{
  const char *key;
  AtlMetaValue value;
  gboolean drop;
} Change;

static gboolean
apply_change (const char *key, AtlMetaValue *value, gpointer data)
{
  const Change *change = data;

  if (strcmp (key, change->key) != 0)
    return TRUE;
  *value = change->value;
  return !change->drop;
}

static AtlMetaValue
list_value (AtlMetaType type, gsize n, gpointer elems)
{
  AtlMetaValue value = { .type = ATL_META_ARRAY };

  value.v_array.elem_type = type;
  value.v_array.n = n;
  value.v_array.elems = elems;
  return value;
}

#define KEY(name) "tokenizer.ggml." name

static void
test_gguf_refused (void)
{
  static gint64 ints[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
  static gint64 byte_type[8] = { 6, 1, 1, 1, 1, 1, 1, 1 };
  static double nans[8];
  static const char *too_few[] = { "a", "b" };
  static const char *bad_merge[] = { "a q" };
  static const char *no_space[] = { "ab" };
  static const char *minus[] = { "<0x-1>", "b", "c", "d", "e", "f", "g", "h" };
  const AtlMetaValue text = { .type = ATL_META_STRING, .v_string = { "x", 1 } };
  const AtlMetaValue number = { .type = ATL_META_UINT, .v_uint = 7 };
  const AtlMetaValue huge = { .type = ATL_META_UINT, .v_uint = 8 };
  const AtlMetaValue negative = { .type = ATL_META_INT, .v_int = -7 };
  const Change changes[] = {
    { KEY ("model"), number, FALSE },
    { KEY ("model"), text, FALSE },
    { KEY ("model"), text, TRUE },
    { KEY ("tokens"), text, FALSE },
    { KEY ("tokens"), text, TRUE },
    { KEY ("tokens"), list_value (ATL_META_INT, 8, ints), FALSE },
    { KEY ("tokens"), list_value (ATL_META_STRING, 0, NULL), FALSE },
    { KEY ("tokens"), list_value (ATL_META_STRING, 2, too_few), FALSE },
    { KEY ("scores"), number, FALSE },
    { KEY ("scores"), list_value (ATL_META_STRING, 2, too_few), FALSE },
    { KEY ("scores"), list_value (ATL_META_FLOAT, 7, nans), FALSE },
    { KEY ("scores"), list_value (ATL_META_FLOAT, 8, nans), FALSE },
    { KEY ("token_type"), text, FALSE },
    { KEY ("token_type"), list_value (ATL_META_INT, 7, ints), FALSE },
    { KEY ("token_type"), list_value (ATL_META_FLOAT, 8, nans), FALSE },
    { KEY ("token_type"), list_value (ATL_META_INT, 8, byte_type), FALSE },
    { KEY ("bos_token_id"), huge, FALSE },
    { KEY ("bos_token_id"), negative, FALSE },
    { KEY ("eos_token_id"), text, FALSE },
    { KEY ("add_bos_token"), text, FALSE },
    { KEY ("merges"), text, FALSE },
    { KEY ("merges"), text, TRUE },
    { KEY ("merges"), list_value (ATL_META_INT, 8, ints), FALSE },
    { KEY ("merges"), list_value (ATL_META_STRING, 1, bad_merge), FALSE },
    { KEY ("merges"), list_value (ATL_META_STRING, 1, no_space), FALSE },
  };

  for (guint i = 0; i < 8; i++)
    nans[i] = NAN;
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    {
      g_autoptr (AtlCheckpoint) cp =
          tiny_checkpoint (TINY_GPT2, apply_change, (gpointer) &changes[i]);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlTokenizer) tokenizer = atl_tokenizer_new_from_checkpoint (cp, &error);

      if (tokenizer != NULL)
        g_test_message ("change %u of %s was taken", i, changes[i].key);
      g_assert_null (tokenizer);
      g_assert_true (error->domain == ATL_ERROR);
      g_assert_nonnull (strstr (error->message, "tiny.gguf"));
    }

  /* A byte piece that names no byte: "<0x-1>" was an index before an array elsewhere. */
  {
    const Change spelled = { KEY ("tokens"), list_value (ATL_META_STRING, 8, minus), FALSE };
    g_autoptr (AtlCheckpoint) cp = tiny_checkpoint (TINY_LLAMA, apply_change, (gpointer) &spelled);
    g_autoptr (GError) error = NULL;

    g_assert_null (atl_tokenizer_new_from_checkpoint (cp, &error));
    g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
  }
}

/* What some converters write, and what must go on working: −1 for "none", repeated and empty
 * pieces, wild types, a pre-tokeniser nobody knows. */
static void
test_gguf_tolerated (void)
{
  static gint64 wild[8] = { 0, -5, 77, 1, 1, 1, G_MAXINT64, G_MININT64 };
  static const char *same[] = { "a", "a", "b", "a", "ab", "", "a b", "ab" };
  const AtlMetaValue none = { .type = ATL_META_UINT, .v_uint = G_MAXUINT32 };
  const AtlMetaValue minus = { .type = ATL_META_INT, .v_int = -1 };
  const AtlMetaValue name = { .type = ATL_META_STRING, .v_string = { "moonshine", 9 } };
  const Change changes[] = {
    { KEY ("bos_token_id"), none, FALSE },
    { KEY ("bos_token_id"), minus, FALSE },
    { KEY ("padding_token_id"), { .type = ATL_META_UINT, .v_uint = 12345 }, FALSE },
    { KEY ("token_type"), list_value (ATL_META_INT, 8, wild), FALSE },
    { KEY ("token_type"), none, TRUE },
    { KEY ("scores"), none, TRUE },
    { KEY ("pre"), name, FALSE },
    { KEY ("pre"), name, TRUE },
    { KEY ("tokens"), list_value (ATL_META_STRING, 8, same), FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    for (guint kind = 0; kind < N_TINY; kind++)
      {
        g_autoptr (AtlCheckpoint) cp = NULL;
        g_autoptr (GError) error = NULL;
        g_autoptr (AtlTokenizer) tokenizer = NULL;
        gboolean merges = kind == TINY_GPT2 || kind == TINY_GEMMA4;

        /* Merges need their pieces, byte pieces their names. */
        if (strcmp (changes[i].key, KEY ("tokens")) == 0 && (merges || kind == TINY_LLAMA))
          continue;
        cp = tiny_checkpoint ((TinyKind) kind, apply_change, (gpointer) &changes[i]);
        tokenizer = atl_tokenizer_new_from_checkpoint (cp, &error);
        g_assert_no_error (error);
        use (tokenizer);
        if (kind == TINY_GPT2)
          g_assert_cmpint (atl_tokenizer_warning (tokenizer) != NULL, ==,
                           strcmp (changes[i].key, KEY ("pre")) == 0);
      }
}

typedef struct
{
  GRand *rand;
  guint at; /* which key is hit */
  GPtrArray *garbage;
} Mutation;

static gboolean
mutate_value (const char *key, AtlMetaValue *value, gpointer data)
{
  Mutation *m = data;
  GRand *rand = m->rand;

  if (m->at-- != 0)
    return TRUE;
  switch (g_rand_int_range (rand, 0, 6))
    {
    case 0:
      return FALSE;
    case 1:
      *value = (AtlMetaValue){ .type = ATL_META_INT, .v_int = g_rand_int_range (rand, -3, 12) };
      return TRUE;
    case 2:
      *value = (AtlMetaValue){ .type = ATL_META_FLOAT, .v_float = NAN };
      return TRUE;
    case 3:
      *value = (AtlMetaValue){ .type = ATL_META_BOOL, .v_bool = TRUE };
      return TRUE;
    default:
      break;
    }
  if (value->type == ATL_META_ARRAY && value->v_array.elem_type == ATL_META_STRING)
    {
      char **copy = g_new0 (char *, value->v_array.n + 1);

      memcpy (copy, value->v_array.elems, value->v_array.n * sizeof *copy);
      g_ptr_array_add (m->garbage, copy);
      for (int n = g_rand_int_range (rand, 1, 4); n > 0; n--)
        {
          GString *text = g_string_new (copy[0] != NULL ? copy[0] : "");
          gsize at = (gsize) g_rand_int_range (rand, 0, (gint32) value->v_array.n);

          g_string_assign (text, copy[at]);
          mutate (rand, text);
          copy[at] = g_string_free (text, FALSE);
          g_ptr_array_add (m->garbage, copy[at]);
        }
      value->v_array.elems = copy;
    }
  else if (value->type == ATL_META_ARRAY)
    value->v_array.n = (gsize) g_rand_int_range (rand, 0, (gint32) value->v_array.n + 1);
  else if (value->type == ATL_META_UINT)
    value->v_uint = (guint64) g_rand_int (rand) << g_rand_int_range (rand, 0, 33);
  return TRUE;
}

static void
test_gguf_mutations (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);

  for (guint k = 0; k < 4000; k++)
    {
      g_autoptr (GPtrArray) garbage = g_ptr_array_new_with_free_func (g_free);
      Mutation m = { rand, (guint) g_rand_int_range (rand, 0, 14), garbage };
      g_autoptr (AtlCheckpoint) cp = tiny_checkpoint ((TinyKind) (k % N_TINY), mutate_value, &m);
      GError *error = NULL;

      settle (atl_tokenizer_new_from_checkpoint (cp, &error), &error);
    }
}

/* --- Resources --- */

/* One id far out must not cost memory for all the ids before it many times over, and a piece as
 * long as a book is refused. */
static void
test_sizes (void)
{
  g_autoptr (GString) book = g_string_new (NULL);
  g_autofree char *json = NULL;
  const char *far_out = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4194303},\"merges\":[]}}";
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlTokenizer) tokenizer =
      atl_tokenizer_new_from_json (far_out, strlen (far_out), NULL, 0, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (atl_tokenizer_n_vocab (tokenizer), ==, 4194304);
  use (tokenizer);

  while (book->len < 20000)
    g_string_append (book, "chapter ");
  json = g_strdup_printf ("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"%s\":0},\"merges\":[]}}",
                          book->str);
  g_assert_null (atl_tokenizer_new_from_json (json, strlen (json), NULL, 0, &error));
  g_assert_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizers/hostile/json-refused", test_json_refused);
  g_test_add_func ("/tokenizers/hostile/json-steps", test_json_steps);
  g_test_add_func ("/tokenizers/hostile/json-templates", test_json_templates);
  g_test_add_func ("/tokenizers/hostile/json-mutations", test_json_mutations);
  g_test_add_func ("/tokenizers/hostile/clip-mutations", test_clip_mutations);
  g_test_add_func ("/tokenizers/hostile/sentencepiece-mutations", test_sentencepiece_mutations);
  g_test_add_func ("/tokenizers/hostile/charsmap-mutations", test_charsmap_mutations);
  g_test_add_func ("/tokenizers/hostile/gguf-refused", test_gguf_refused);
  g_test_add_func ("/tokenizers/hostile/gguf-tolerated", test_gguf_tolerated);
  g_test_add_func ("/tokenizers/hostile/gguf-mutations", test_gguf_mutations);
  g_test_add_func ("/tokenizers/hostile/sizes", test_sizes);
  return g_test_run ();
}
