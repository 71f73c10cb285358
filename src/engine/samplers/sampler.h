/* Choosing the next token: a chain of filters over the logits, then a draw.
 *
 *   AtlSamplingParams params;
 *   atl_sampling_params_init (&params);
 *   params.temperature = 0.7f;
 *   g_autoptr (AtlSampler) sampler = atl_sampler_new (&params, n_vocab, error);
 *   ...
 *   for (each prompt token) atl_sampler_accept (sampler, id);
 *   gint32 id = atl_sampler_sample (sampler, logits, n_vocab);
 *   atl_sampler_accept (sampler, id);
 *
 * The names, defaults and order are those people know from llama.cpp. Same seed, logits and history
 * give the same tokens on every machine. Nothing is allocated per token once warm.
 *
 * Threading: a sampler belongs to one thread at a time; different samplers are independent.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

#define ATL_SAMPLER_MAX_STAGES 16
#define ATL_TOKEN_NONE (-1)

typedef enum
{
  ATL_STAGE_END = 0, /* ends a list of stages */
  ATL_STAGE_PENALTIES,
  ATL_STAGE_DRY,
  ATL_STAGE_TOP_N_SIGMA,
  ATL_STAGE_TOP_K,
  ATL_STAGE_TYPICAL,
  ATL_STAGE_TOP_P,
  ATL_STAGE_MIN_P,
  ATL_STAGE_XTC,
  ATL_STAGE_TEMPERATURE,
} AtlSamplerStage;

typedef struct
{
  gint32 id;
  float bias; /* added to the logit; -INFINITY forbids the token */
} AtlLogitBias;

typedef struct
{
  guint64 seed;              /* default 0; the same seed gives the same text */
  float temperature;         /* 0 to 10, default 0.8; 0 is greedy */
  float dynatemp_range;      /* 0 to 10, default 0 (off): temperature +- this, by entropy */
  float dynatemp_exponent;   /* 0.01 to 10, default 1 */
  gint32 top_k;              /* 0 (off) to G_MAXINT32, default 40 */
  float top_p;               /* 0 to 1, default 0.95; 1 is off */
  float min_p;               /* 0 to 1, default 0.05; 0 is off */
  float typical_p;           /* 0 to 1, default 1 (off) */
  float top_n_sigma;         /* 0 to 20, default 0 (off) */
  float xtc_probability;     /* 0 to 1, default 0 (off) */
  float xtc_threshold;       /* 0 to 1, default 0.1; above 0.5 is off */
  gint32 repeat_last_n;      /* 0 (off) to 65536, default 64: the tokens that penalties look at */
  float repeat_penalty;      /* 0.01 to 10, default 1 (off) */
  float presence_penalty;    /* -10 to 10, default 0 (off) */
  float frequency_penalty;   /* -10 to 10, default 0 (off) */
  float dry_multiplier;      /* 0 to 100, default 0 (off) */
  float dry_base;            /* 1 to 8, default 1.75 */
  gint32 dry_allowed_length; /* 1 to 65536, default 2 */
  gint32 dry_penalty_last_n; /* 0 (off) to 65536, or -1 for all of them; default -1 */
  gint32 mirostat;           /* 0 (off, default), 1 or 2: replaces all stages after the penalties */
  float mirostat_tau;        /* 0 to 20, default 5 */
  float mirostat_eta;        /* 0 to 1, default 0.1 */
  guint min_keep;            /* at least so many candidates survive each filter; default 1 */
  AtlSamplerStage stages[ATL_SAMPLER_MAX_STAGES]; /* order; default as in the enum */
  const AtlLogitBias *logit_bias;                 /* (nullable), copied by atl_sampler_new() */
  guint n_logit_bias;
  /* Sequences of token ids at which DRY stops looking back, each ended by ATL_TOKEN_NONE, one after
   * the other; (nullable), copied. Usually the ids of "\n", ":", "\"" and "*". */
  const gint32 *dry_breakers;
  guint n_dry_breakers; /* entries of the array, ends included */
} AtlSamplingParams;

/* Writes the defaults. */
void atl_sampling_params_init (AtlSamplingParams *params);

/* ATL_ERROR_INVALID, naming the parameter, its value and its range, if one is outside. */
gboolean atl_sampling_params_check (const AtlSamplingParams *params, GError **error);

/* A constraint on the text, such as a grammar. */
typedef struct
{
  gpointer data;
  /* TRUE if `id` may come next; changes nothing. */
  gboolean (*allows) (gpointer data, gint32 id);
  /* Sets logits[id] of every token that may not come next to -INFINITY. */
  void (*mask) (gpointer data, float *logits, gsize n_vocab);
} AtlSamplerConstraint;

typedef struct _AtlSampler AtlSampler;

/* A sampler for vocabularies of up to `n_vocab` tokens (1 to 2^24). Errors as
 * atl_sampling_params_check(). */
AtlSampler *atl_sampler_new (const AtlSamplingParams *params, gsize n_vocab, GError **error);
void atl_sampler_free (AtlSampler *self);

/* Constrains the choice; `constraint` is copied, NULL removes it. */
void atl_sampler_set_constraint (AtlSampler *self, const AtlSamplerConstraint *constraint);

/* Tells the sampler that `id` is now part of the text (prompt or answer). */
void atl_sampler_accept (AtlSampler *self, gint32 id);

/* Chooses the next token from logits[n_vocab], which is used as scratch. The choice is made without
 * the constraint first; only if the constraint refuses it is the whole vocabulary masked and the
 * choice made again. ATL_TOKEN_NONE if no token is possible: all logits are -INFINITY or NaN, or
 * the constraint allows nothing. */
gint32 atl_sampler_sample (AtlSampler *self, float *logits, gsize n_vocab);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlSampler, atl_sampler_free)

G_END_DECLS
