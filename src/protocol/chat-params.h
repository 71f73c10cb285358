/* Everything a person can set for one answer: declared once, with range and words.
 *
 * The window draws its controls from atl_chat_param_specs(), the command line its options, and the
 * engine refuses values outside the ranges. The model's own recommendation comes as a dictionary
 * with the same keys (AtlModelInfo.recommended).
 *
 *   AtlChatParams params;
 *   atl_chat_params_init (&params);                           // the defaults
 *   atl_chat_params_apply (&params, info->recommended, NULL); // the author's values
 *   params.temperature = 0.2;
 *   g_autoptr (GVariant) dict = g_variant_ref_sink (atl_chat_params_to_variant (&params));
 *   atl_chat_params_clear (&params);
 *
 * Threading: plain data; the caller synchronises.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

typedef struct
{
  /* Sampling */
  double temperature;
  double top_p;
  gint top_k;
  double min_p;
  double typical_p;
  double top_n_sigma;    /* 0 or less: off */
  double dynatemp_range; /* 0: off */
  double dynatemp_exponent;
  double xtc_probability;
  double xtc_threshold;
  double repeat_penalty; /* 1: off */
  gint repeat_last_n;    /* tokens; 0: off, -1: the context */
  double frequency_penalty;
  double presence_penalty;
  double dry_multiplier; /* 0: off */
  double dry_base;
  gint dry_allowed_length;
  gint dry_penalty_last_n; /* -1: the context */
  gint mirostat;           /* 0 off, 1, 2 */
  double mirostat_tau;
  double mirostat_eta;
  gint64 seed; /* -1: another one each time */

  /* Length */
  gint max_tokens; /* -1: until the model ends or the context is full */
  char **stop;     /* (owned) (nullable) */

  /* Behaviour */
  char *grammar;          /* GBNF (owned) (nullable) */
  char *json_schema;      /* (owned) (nullable); excludes grammar */
  char *tools;            /* JSON array of tools that may be called (owned) (nullable) */
  char *tool_choice;      /* "auto", "none", "required" or a tool's name (owned) (nullable: auto) */
  gboolean continue_last; /* go on with the last assistant message */
  gint thinking;          /* -1 as the model likes, 0 off, 1 on */
  gboolean speculate;     /* check guessed tokens several at a time: faster, the same text */
  gboolean shift_context; /* when full drop the oldest tokens instead of stopping */

  /* No setting, and in no preset: which chat this is, at most ATL_MAX_CONVERSATION_BYTES. The
   * engine remembers what it computed for it. (owned) (nullable) */
  char *conversation;
  /* Of a single request, in no preset: tell each token with so many of the likeliest, 0: none */
  guint n_probs;
} AtlChatParams;

typedef enum
{
  ATL_PARAM_DOUBLE,
  ATL_PARAM_INT,
  ATL_PARAM_INT64,
  ATL_PARAM_BOOL
} AtlParamKind;

typedef struct
{
  const char *key; /* in dictionaries and, with "--" before it, on the command line */
  AtlParamKind kind;
  double min, max, fallback;
  double step;         /* of a slider or spin button */
  gboolean is_simple;  /* on the simple face */
  const char *label;   /* plain words, marked for translation */
  const char *term;    /* the term of the field: "top-p" */
  const char *tooltip; /* one sentence, marked for translation */
  gsize offset;        /* of the field in AtlChatParams */
} AtlChatParamSpec;

/* The numeric parameters in the order of the panel; static. */
const AtlChatParamSpec *atl_chat_param_specs (guint *n_specs);
/* (nullable) the one with `key`. */
const AtlChatParamSpec *atl_chat_param_find (const char *key);
double atl_chat_param_get (const AtlChatParams *self, const AtlChatParamSpec *spec);
/* FALSE with ATL_ERROR_INVALID, naming parameter and range, when out of range or not finite. */
gboolean atl_chat_param_set (AtlChatParams *self,
                             const AtlChatParamSpec *spec,
                             double value,
                             GError **error);

/* All at what they are by themselves. A zeroed one may be cleared. `dest` of a copy is written
 * over, not cleared. */
void atl_chat_params_init (AtlChatParams *self);
void atl_chat_params_clear (AtlChatParams *self);
void atl_chat_params_copy (AtlChatParams *dest, const AtlChatParams *src);

/* Sets the fields whose keys are in `dict` (a{sv}, nullable), leaving the others. ATL_ERROR_INVALID
 * names the first key with a wrong type or a value out of range; unknown keys are ignored. */
gboolean atl_chat_params_apply (AtlChatParams *self, GVariant *dict, GError **error);
/* "temperature 0.7, top-p 0.8": the terms and values of the numbers in `dict` (nullable), in the
 * numbers of the person's language; the caller's, "" where there are none. */
char *atl_chat_params_to_words (GVariant *dict);
/* A floating a{sv} of all fields. */
GVariant *atl_chat_params_to_variant (const AtlChatParams *self);

/* The same from a JSON object with these keys, as presets in the store are. */
gboolean atl_chat_params_apply_json (AtlChatParams *self, const char *json, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlChatParams, atl_chat_params_clear)

G_END_DECLS
