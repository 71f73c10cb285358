/* A tokenizer from a SentencePiece model file: a small bounded reader of protocol buffers.
 *
 * ModelProto: 1 pieces {1 text, 2 score, 3 type}, 2 trainer_spec {3 model_type, 35 byte_fallback,
 * 24 treat_whitespace_as_suffix, 40 unk_id, 41 bos_id, 42 eos_id, 43 pad_id}, 3 normalizer_spec
 * {2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces}.
 */
#define G_LOG_DOMAIN "atl-tokenizers"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/tokenizers/tokenizer-private.h"

typedef struct
{
  const guint8 *p, *end;
} Cursor;

/* One field of a message: a number (varint or 32/64 bits as they are) or a stretch of bytes. */
typedef struct
{
  guint64 number; /* field number */
  guint wire;     /* 0 varint, 1 64 bit, 2 bytes, 5 32 bit */
  guint64 value;
  Cursor bytes;
} Field;

typedef struct
{
  guint64 model_type; /* 1 unigram, 2 BPE */
  gboolean byte_fallback, suffix;
  gint32 unk, bos, eos, pad;
  Cursor charsmap;
  gboolean prefix, merge, escape;
} Spec;

static gboolean
read_varint (Cursor *c, guint64 *value)
{
  *value = 0;
  for (guint shift = 0; shift < 64 && c->p < c->end; shift += 7)
    {
      guint8 byte = *c->p++;

      *value |= (guint64) (byte & 0x7f) << shift;
      if ((byte & 0x80) == 0)
        return TRUE;
    }
  return FALSE;
}

static gboolean
read_fixed (Cursor *c, guint n, guint64 *value)
{
  if ((gsize) (c->end - c->p) < n)
    return FALSE;
  *value = 0;
  for (guint i = 0; i < n; i++)
    *value |= (guint64) c->p[i] << (8 * i);
  c->p += n;
  return TRUE;
}

/* The next field; FALSE at the end and, with `*broken`, where the bytes make no field. */
static gboolean
next_field (Cursor *c, Field *field, gboolean *broken)
{
  guint64 tag, length;

  if (c->p >= c->end)
    return FALSE;
  *broken = TRUE;
  if (!read_varint (c, &tag))
    return FALSE;
  field->number = tag >> 3;
  field->wire = tag & 7;
  field->value = 0;
  field->bytes = (Cursor){ NULL, NULL };
  switch (field->wire)
    {
    case 0:
      if (!read_varint (c, &field->value))
        return FALSE;
      break;
    case 1:
    case 5:
      if (!read_fixed (c, field->wire == 1 ? 8 : 4, &field->value))
        return FALSE;
      break;
    case 2:
      if (!read_varint (c, &length) || length > (guint64) (c->end - c->p))
        return FALSE;
      field->bytes = (Cursor){ c->p, c->p + length };
      c->p += length;
      break;
    default:
      return FALSE;
    }
  *broken = FALSE;
  return TRUE;
}

static gboolean
set_broken (GError **error)
{
  g_set_error_literal (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                       _ ("The SentencePiece model is damaged: its bytes do not add up"));
  return FALSE;
}

static gint32
id_value (guint64 value)
{
  gint64 id = (gint64) value; /* −1 is written as a 64-bit varint */

  return id < 0 || id > G_MAXINT32 ? -1 : (gint32) id;
}

static gboolean
read_trainer (Cursor c, Spec *spec)
{
  gboolean broken = FALSE;
  Field f;

  while (next_field (&c, &f, &broken))
    if (f.wire == 0)
      switch (f.number)
        {
        case 3:
          spec->model_type = f.value;
          break;
        case 24:
          spec->suffix = f.value != 0;
          break;
        case 35:
          spec->byte_fallback = f.value != 0;
          break;
        case 40:
          spec->unk = id_value (f.value);
          break;
        case 41:
          spec->bos = id_value (f.value);
          break;
        case 42:
          spec->eos = id_value (f.value);
          break;
        case 43:
          spec->pad = id_value (f.value);
          break;
        default:
          break;
        }
  return !broken;
}

static gboolean
read_normalizer (Cursor c, Spec *spec)
{
  gboolean broken = FALSE;
  Field f;

  while (next_field (&c, &f, &broken))
    if (f.number == 2 && f.wire == 2)
      spec->charsmap = f.bytes;
    else if (f.number == 3 && f.wire == 0)
      spec->prefix = f.value != 0;
    else if (f.number == 4 && f.wire == 0)
      spec->merge = f.value != 0;
    else if (f.number == 5 && f.wire == 0)
      spec->escape = f.value != 0;
  return !broken;
}

static gboolean
read_piece (Cursor c, AtlVocabulary *v, guint id, GError **error)
{
  Cursor text = { NULL, NULL };
  AtlTokenType type = ATL_TOKEN_NORMAL;
  gboolean broken = FALSE;
  float score = 0.0f;
  Field f;

  while (next_field (&c, &f, &broken))
    if (f.number == 1 && f.wire == 2)
      text = f.bytes;
    else if (f.number == 2 && f.wire == 5)
      {
        guint32 bits = (guint32) f.value;

        memcpy (&score, &bits, sizeof score);
      }
    else if (f.number == 3 && f.wire == 0)
      type = f.value >= ATL_TOKEN_NORMAL && f.value <= ATL_TOKEN_BYTE ? (AtlTokenType) f.value
                                                                      : ATL_TOKEN_UNUSED;
  if (broken)
    return set_broken (error);
  if (!isfinite (score))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   _ ("The score of piece %u of the SentencePiece model is no number"), id);
      return FALSE;
    }
  if (!atl_vocabulary_set (v, id, text.p != NULL ? (const char *) text.p : "",
                           (gsize) (text.end - text.p), type, score, error))
    return FALSE;
  if (type == ATL_TOKEN_BYTE &&
      (v->text[id] == NULL || atl_vocabulary_byte_value (v->text[id]) < 0))
    {
      g_set_error (
          error, ATL_ERROR, ATL_ERROR_BAD_FILE,
          _ ("Piece %u of the SentencePiece model stands for a byte but does not name one"), id);
      return FALSE;
    }
  return TRUE;
}

/* Two passes: the pieces are counted before anything is allocated for them. */
static AtlVocabulary *
read_model (const guint8 *data, gsize size, Spec *spec, GError **error)
{
  const Cursor whole = { data, data + size };
  g_autoptr (AtlVocabulary) v = NULL;
  gboolean broken = FALSE;
  guint64 n = 0;
  guint id = 0;
  Cursor c = whole;
  Field f;

  while (next_field (&c, &f, &broken))
    if (f.number == 1 && f.wire == 2)
      n++;
    else if ((f.number == 2 && f.wire == 2 && !read_trainer (f.bytes, spec)) ||
             (f.number == 3 && f.wire == 2 && !read_normalizer (f.bytes, spec)))
      broken = TRUE;
  if (broken)
    {
      set_broken (error);
      return NULL;
    }
  v = atl_vocabulary_new (n, error);
  for (c = whole; v != NULL && next_field (&c, &f, &broken);)
    if (f.number == 1 && f.wire == 2 && !read_piece (f.bytes, v, id++, error))
      return NULL;
  return g_steal_pointer (&v);
}

static void
set_special (AtlTokenizer *t, AtlSpecialToken which, gint32 id)
{
  if (id >= 0 && id < (gint32) t->vocabulary->n && t->vocabulary->text[id] != NULL)
    t->special[which] = id;
}

static gboolean
add_algorithm (AtlTokenizer *t, const Spec *spec, GError **error)
{
  gint32 unk = t->special[ATL_SPECIAL_UNK];
  AtlBpeConfig config = {
    .kind = ATL_BPE_SCORES,
    .byte_fallback = spec->byte_fallback,
    .fuse_unknown = TRUE,
    .unknown_id = unk,
  };

  switch (spec->model_type)
    {
    case 1:
      t->unigram = atl_unigram_new (t->vocabulary, unk, spec->byte_fallback, error);
      t->kind = g_strdup ("unigram");
      if (t->special[ATL_SPECIAL_EOS] >= 0)
        g_array_append_val (t->suffix, t->special[ATL_SPECIAL_EOS]);
      return t->unigram != NULL;
    case 2:
      t->bpe = atl_bpe_new (t->vocabulary, &config, error);
      t->kind = g_strdup ("SentencePiece BPE");
      if (t->special[ATL_SPECIAL_BOS] >= 0)
        g_array_append_val (t->prefix, t->special[ATL_SPECIAL_BOS]);
      return t->bpe != NULL;
    default:
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The SentencePiece model is of kind %" PRIu64
                      "; known here are unigram (1) and BPE (2)"),
                   spec->model_type);
      return FALSE;
    }
}

AtlTokenizer *
atl_tokenizer_new_sentencepiece (const guint8 *data, gsize size, GError **error)
{
  g_autoptr (AtlTokenizer) t = atl_tokenizer_alloc ();
  g_autoptr (AtlVocabulary) v = NULL;
  /* The defaults of sentencepiece_model.proto. */
  Spec spec = { .model_type = 1,
                .unk = 0,
                .bos = 1,
                .eos = 2,
                .pad = -1,
                .prefix = TRUE,
                .merge = TRUE,
                .escape = TRUE };

  v = read_model (data, size, &spec, error);
  if (v == NULL || !atl_vocabulary_index (v, error))
    return NULL;
  atl_tokenizer_take_vocabulary (t, g_steal_pointer (&v));
  set_special (t, ATL_SPECIAL_UNK, spec.unk);
  set_special (t, ATL_SPECIAL_BOS, spec.bos);
  set_special (t, ATL_SPECIAL_EOS, spec.eos);
  set_special (t, ATL_SPECIAL_PAD, spec.pad);
  if (!add_algorithm (t, &spec, error))
    return NULL;

  t->normalizer = atl_normalizer_new ();
  if (spec.charsmap.end > spec.charsmap.p)
    {
      AtlCharsmap *map =
          atl_charsmap_new (spec.charsmap.p, (gsize) (spec.charsmap.end - spec.charsmap.p), error);

      if (map == NULL)
        return NULL;
      atl_normalizer_add_charsmap (t->normalizer, map);
    }
  atl_normalizer_add_sentencepiece_spaces (t->normalizer, spec.merge, spec.prefix, spec.suffix,
                                           spec.escape);
  for (guint id = 0; id < t->vocabulary->n; id++)
    {
      AtlAddedToken token = { .id = (gint32) id };

      if (t->vocabulary->type[id] == ATL_TOKEN_CONTROL ||
          t->vocabulary->type[id] == ATL_TOKEN_USER_DEFINED)
        g_array_append_val (t->added, token);
    }
  t->space_prefix = spec.prefix;
  t->spelling.marks = TRUE;
  atl_tokenizer_find_specials (t, FALSE);
  atl_tokenizer_finish (t);
  return g_steal_pointer (&t);
}
