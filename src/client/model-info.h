/* What is known about a model and about the engine, as plain data for the window and the terminal.
 *
 * Everything was read from an untrusted engine: strings are valid UTF-8 and never NULL, numbers are
 * finite; nothing else is promised.
 *
 * Threading: immutable; reference counting is atomic.
 */
#pragma once

#include "protocol/chat-params.h"
#include "protocol/protocol.h"

G_BEGIN_DECLS

#define ATL_TYPE_MODEL_INFO (atl_model_info_get_type ())
#define ATL_TYPE_ENGINE_STATUS (atl_engine_status_get_type ())
#define ATL_TYPE_CHAT_STATS (atl_chat_stats_get_type ())

typedef struct
{
  guint width, height; /* px */
  char *shape;         /* "3:2" */
} AtlPictureSize;

typedef enum
{
  ATL_KNOB_WHOLE,
  ATL_KNOB_NUMBER,
  ATL_KNOB_SWITCH,
  ATL_KNOB_CHOICE
} AtlPictureKnobKind;

/* A setting of one family of models for pictures. */
typedef struct
{
  char *name;         /* its key in the settings: a "d", and an "s" of a choice */
  char *label, *help; /* for the person, translated */
  AtlPictureKnobKind kind;
  double min, max, step;
  double fallback; /* of a choice, its number in choices */
  char **choices;  /* NULL-terminated, never NULL */
} AtlPictureKnob;

/* A published file that a model lacks. */
typedef struct
{
  char *words;             /* "the text encoder T5" */
  char *repository, *file; /* at Hugging Face; empty: none is known that fits */
  char *name;              /* where it belongs among the model's files */
  guint64 size_bytes;      /* 0: not known */
  gboolean is_optional;    /* it runs without it, too */
  char *misfit;            /* why a file that was given is not it; empty where none was */
} AtlMissingFile;

typedef struct
{
  char *name;         /* "Qwen2.5 1.5B Instruct", never empty */
  char *inside;       /* what the file calls itself, may be empty */
  char *architecture; /* "qwen2" */
  char *quant;        /* "Q4_K_M" */
  char *license;      /* may be empty */
  guint64 n_params;
  guint64 size_bytes;    /* on disk */
  guint64 weight_bytes;  /* in memory: */
  guint64 kv_bytes;      /* of n_ctx tokens */
  guint64 scratch_bytes; /* working memory */
  guint64 needed_bytes;  /* the sum of the three */
  guint64 free_bytes;    /* when asked */
  gboolean can_run;      /* FALSE: nothing here can run it, fit_words says why */
  gboolean fits;
  char *fit_words; /* "Needs 1.4 GB, 6.2 GB are free." */
  guint n_ctx;
  guint n_ctx_train;
  guint n_layers; /* 0: not known */
  char *notice;   /* what was changed to make it fit; empty: nothing */
  char *draft;    /* the model that guesses ahead for it; empty: none */
  char *runs_on;  /* "CPU, 2 threads, because no GPU was found" */
  gboolean has_template, has_system, has_tools, has_thinking, has_vision, has_experts;
  /* Of a model that makes pictures and does not chat: */
  gboolean is_picture;
  char *family;         /* "Stable Diffusion XL" */
  char **lora_families; /* whose LoRAs it takes; NULL-terminated, never NULL */
  guint abilities;      /* ATL_PICTURE_* */
  guint steps;          /* recommended */
  double guidance;
  double no_guidance;   /* up to it a negative prompt has no effect */
  guint side, multiple; /* px */
  guint max_side;       /* px, of the longer side; 0: any */
  guint max_references;
  char **samplers;       /* usual names, its own first; NULL-terminated, never NULL */
  char **schedules;      /* likewise */
  AtlPictureSize *sizes; /* of its native area, the square first */
  guint n_sizes;
  AtlPictureKnob *knobs; /* what else can be set */
  guint n_knobs;
  AtlMissingFile *missing; /* of one that is not whole; can_run is FALSE then */
  guint n_missing;
  guint n_extra; /* behind them, also of a whole one: what it draws without, and takes when a person
                    brings it */
  gboolean is_adapter; /* a LoRA of a language model, which is no model */
  /* Of a LoRA for pictures, which is none either: `family` it was made for, empty where that is not
   * known; and, of one that makes few steps enough, `steps`, `guidance` (else 0 and -1), and: */
  gboolean is_lora;
  char **triggers; /* words that call what it was taught; NULL-terminated, never NULL */
  char *sampler, *schedule;
  double strength; /* that it was made for */
  /* (nullable) Of few steps and no known family: by that of a model, a{sv} with ATL_INFO_GUIDANCE,
   * _STRENGTH, _SAMPLER, _SCHEDULE, in whose place they count. */
  GVariant *few_steps;
  char *part; /* ATL_PART_*: no model, but a part of some; else empty */
  /* Of a model that enlarges pictures: */
  gboolean is_upscaler;
  guint scale;           /* its own factor */
  gboolean is_toy;       /* label it as such */
  GVariant *recommended; /* a{sv} for atl_chat_params_apply(): only what the author set */
} AtlModelInfo;

typedef struct
{
  char *name;
  guint64 ram_bytes, vram_bytes;
  gboolean is_busy;
} AtlLedgerPart;

typedef struct
{
  char *type; /* "cpu", "gpu", "accelerator" */
  char *name;
  guint64 memory_bytes;
  gboolean is_used;
  char *why_not; /* empty when used */
} AtlDeviceInfo;

typedef struct
{
  guint64 ram_total, ram_free;   /* what the engine may use, and now */
  guint64 vram_total, vram_free; /* 0: no GPU in use */
  gboolean vram_is_shared;       /* a part of the computer's memory */
  AtlLedgerPart *parts;
  guint n_parts;
  AtlDeviceInfo *devices;
  guint n_devices;
  char *sandbox; /* a sentence: "Locked: no files, no network, no programs" */
  gboolean sandbox_is_full;
} AtlEngineStatus;

typedef struct
{
  guint n_prompt, n_cached, n_generated;
  double tokens_per_s, prefill_per_s;
  double first_token_ms, thinking_ms;
  guint n_ctx_used, n_ctx;
  guint n_drafted;   /* tokens guessed ahead of the model, */
  guint n_accepted;  /* and of these, right */
  guint n_shifted;   /* oldest tokens dropped */
  guint n_calls;     /* of tools */
  char *stop_reason; /* ATL_STOP_* of protocol.h */
  char *ran_on;      /* "CPU, 2 threads, because no GPU was found" */
  guint64 seed;
} AtlChatStats;

/* `dict`: ATL_INFO_* of protocol.h, from the engine. What is absent or of another type gets a
 * default: strings are never NULL. The caller's; immutable, its references are counted atomically,
 * NULL is fine for unref. */
GType atl_model_info_get_type (void);
AtlModelInfo *atl_model_info_new_from_variant (GVariant *dict);
AtlModelInfo *atl_model_info_ref (AtlModelInfo *self);
void atl_model_info_unref (AtlModelInfo *self);

/* Whether all that it lacks is published, so that it could be fetched. */
gboolean atl_model_info_can_be_completed (const AtlModelInfo *self);
/* What it cannot do without: "the text encoder T5, the autoencoder (VAE)". The caller's. */
char *atl_model_info_missing_words (const AtlModelInfo *self);
/* Whether the `sampler` of a recipe can be followed: one of the model's names in any case, a class
 * of diffusers ("EulerDiscreteScheduler"), which the engine reads, or "", its own. */
gboolean atl_model_info_has_sampler (const AtlModelInfo *self, const char *sampler);

GType atl_engine_status_get_type (void);
AtlEngineStatus *atl_engine_status_new_from_variant (GVariant *dict, GVariant *facts);
/* What there is for models in all, in bytes: shared memory counts once. */
guint64 atl_engine_status_memory (const AtlEngineStatus *self);
AtlEngineStatus *atl_engine_status_ref (AtlEngineStatus *self);
void atl_engine_status_unref (AtlEngineStatus *self);

/* `dict`: ATL_STAT_* of protocol.h; else as AtlModelInfo. */
GType atl_chat_stats_get_type (void);
AtlChatStats *atl_chat_stats_new_from_variant (GVariant *dict);
AtlChatStats *atl_chat_stats_ref (AtlChatStats *self);
void atl_chat_stats_unref (AtlChatStats *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlModelInfo, atl_model_info_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlEngineStatus, atl_engine_status_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AtlChatStats, atl_chat_stats_unref)

G_END_DECLS
