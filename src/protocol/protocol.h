/* What both sides of the process boundary must agree on: version, paths, keys, limits.
 *
 * The methods and signals stand in engine.xml; the code generated from it is "protocol/engine1.h".
 * Keys of a dictionary are listed here with their D-Bus type. A reader treats a missing key, or one
 * of another type, as absent: neither side trusts the other (atl_dict_* below do so).
 *
 *   g_auto (GVariantDict) dict;
 *   ...
 *   guint64 bytes = atl_dict_uint64 (info, ATL_INFO_SIZE_BYTES, 0);
 *
 * Threading: any thread.
 */
#pragma once

#include "base/error.h"

G_BEGIN_DECLS

/* Raised when a method or signal changes meaning; keys may be added without. */
#define ATL_PROTOCOL_VERSION 3u

#define ATL_ENGINE_PATH "/io/github/atelier/Engine"
#define ATL_ENGINE_INTERFACE "io.github.atelier.Engine1"
#define ATL_PULSE_INTERFACE "io.github.atelier.Pulse1"

/* Limits that the engine enforces on every message. */
#define ATL_MAX_FILES 250u                 /* descriptors of one model */
#define ATL_MAX_MESSAGES_BYTES (64u << 20) /* a conversation as JSON */
#define ATL_MAX_GRAMMAR_BYTES (1u << 20)
#define ATL_MAX_CONVERSATION_BYTES 256u
#define ATL_MAX_QUEUED_REQUESTS 64u
#define ATL_MAX_KEPT_CONVERSATIONS 64u /* of a model, with files for them */
#define ATL_MAX_PROBS 100u             /* alternatives told with a token */

/* Parameters of Chat and Complete that no person sets; the others are chat-params.h's. */
#define ATL_PARAM_N_PROBS "n-probs" /* u: Tokens signals come, each with so many alternatives */

/* Facts of Hello. */
#define ATL_FACT_VERSION "version"           /* s, of the program */
#define ATL_FACT_SANDBOX "sandbox"           /* s, a sentence: what is locked, what is missing */
#define ATL_FACT_SANDBOX_FULL "sandbox-full" /* b */

/* What DeviceSilent says: the GPU's driver comes back; it takes longer than a device that is well;
 * it will not come back any more. */
#define ATL_DEVICE_GOES_ON 0u
#define ATL_DEVICE_SILENT 1u
#define ATL_DEVICE_HANGS 2u

/* Logical names of KeepConversation's files. */
#define ATL_KEEP_KEPT "kept"
#define ATL_KEEP_ROOM "room"

/* Logical names of files that only lie nearby the model's, and may hold parts of it. */
#define ATL_NEARBY_PREFIX "nearby/"

/* Options of Inspect and LoadModel. The files of a draft model, which guesses ahead, have logical
 * names "draft/…" and come last; one whose vocabulary does not fit is refused (Unsupported). */
#define ATL_LOAD_N_CTX "n-ctx" /* u, tokens; 0 or absent: ATL_DEFAULT_N_CTX shrunk to fit */
#define ATL_DEFAULT_N_CTX 8192u
#define ATL_LOAD_KV_TYPE "kv-type"       /* s: "f16", "q8_0", "q4_0"; absent: f16 */
#define ATL_LOAD_DEVICE "device"         /* s: "auto", "cpu", "gpu" */
#define ATL_LOAD_GPU_LAYERS "gpu-layers" /* i; -1 or absent: as many as fit */
#define ATL_LOAD_CPU_EXPERTS                                                                       \
  "cpu-experts" /* i, layers, from the first, whose experts stay on the CPU; -1 or absent: as many \
                   as must */
#define ATL_LOAD_N_THREADS "n-threads"     /* u; 0 or absent: all cores */
#define ATL_LOAD_COMPILED "compiled"       /* b: what ATL_INFO_COMPILE asked for is done */
#define ATL_LOAD_GPU_PROBLEM "gpu-problem" /* s: why it could not be done; follows "because" */
#define ATL_LOAD_ADAPTERS                                                                          \
  "adapters" /* ad: strengths of the adapters, whose files (logical names "adapter-0/…" and so on) \
                follow the model's */
#define ATL_LOAD_IDLE_MINUTES                                                                      \
  "idle-minutes"             /* u: unloaded when unused for so long; 0 or absent: stays */
#define ATL_LOAD_NAME "name" /* s: what the person calls the files, for models without a name */
#define ATL_LOAD_FROM_DISK                                                                         \
  "from-disk" /* b: what does not fit into memory is read from the disk whenever it is used */

/* What is known about a model (Inspect, LoadModel). */
#define ATL_INFO_NAME "name"                   /* s */
#define ATL_INFO_INSIDE "name-inside"          /* s: what the file calls itself, may be empty */
#define ATL_INFO_ARCHITECTURE "architecture"   /* s: "llama" */
#define ATL_INFO_QUANT "quant"                 /* s: "Q4_K_M" */
#define ATL_INFO_LICENSE "licence"             /* s */
#define ATL_INFO_N_PARAMS "n-params"           /* t */
#define ATL_INFO_SIZE_BYTES "size-bytes"       /* t, of all files */
#define ATL_INFO_WEIGHT_BYTES "weight-bytes"   /* t, in memory */
#define ATL_INFO_KV_BYTES "kv-bytes"           /* t, at n-ctx */
#define ATL_INFO_SCRATCH_BYTES "scratch-bytes" /* t */
#define ATL_INFO_NEEDED_BYTES "needed-bytes"   /* t, the sum */
#define ATL_INFO_FREE_BYTES "free-bytes"       /* t, when asked */
#define ATL_INFO_FITS "fits"                   /* b */
#define ATL_INFO_FIT_WORDS "fit-words"         /* s */
#define ATL_INFO_CAN_RUN "can-run"             /* b; FALSE: unknown architecture or quant */
#define ATL_INFO_N_CTX "n-ctx"                 /* u, chosen */
#define ATL_INFO_N_CTX_TRAIN "n-ctx-train"     /* u */
#define ATL_INFO_N_LAYERS "n-layers"           /* u */
#define ATL_INFO_HAS_EXPERTS "has-experts"     /* b: a mixture of experts */
#define ATL_INFO_NOTICE                                                                            \
  "notice" /* s: "Context reduced to 4096 tokens so that ..."; also among a picture's facts */
#define ATL_INFO_RUNS_ON "runs-on"             /* s: "CPU, 2 threads, because no GPU was found" */
#define ATL_INFO_DRAFT "draft"                 /* s: the draft model's name; empty: there is none */
#define ATL_INFO_HAS_TEMPLATE "has-template"   /* b */
#define ATL_INFO_HAS_SYSTEM "has-system"       /* b */
#define ATL_INFO_HAS_TOOLS "has-tools"         /* b */
#define ATL_INFO_HAS_THINKING "has-thinking"   /* b */
#define ATL_INFO_HAS_VISION "has-vision"       /* b */
#define ATL_INFO_IS_TOY "is-toy"               /* b: too small to be of use, only for trying out */
#define ATL_INFO_COMPILE "compile"             /* t, 1 << AtlDType of matrices: see LoadModel */
#define ATL_INFO_COMPILE_CONVS "compile-convs" /* t, the same of convolutions */
#define ATL_INFO_RECOMMENDED "recommended" /* a{sv} of chat-params.h: the author's values only */

/* Of a model for pictures only; ATL_INFO_ARCHITECTURE is its family ("sdxl"). */
#define ATL_INFO_KIND "kind"                   /* s: ATL_KIND_PICTURE; absent: a chat model */
#define ATL_INFO_FAMILY "family"               /* s: "Stable Diffusion XL" */
#define ATL_INFO_LORA_FAMILIES "lora-families" /* as: the families whose LoRAs it takes */
#define ATL_INFO_ABILITIES "abilities"         /* u, ATL_PICTURE_* */
#define ATL_INFO_STEPS "steps"                 /* u, recommended */
#define ATL_INFO_GUIDANCE "guidance"           /* d, recommended */
#define ATL_INFO_NO_GUIDANCE "no-guidance"     /* d: up to it a negative prompt has no effect */
#define ATL_INFO_STRENGTH "strength"           /* d, of a LoRA: that it was made for */
#define ATL_INFO_SIDE "side"                   /* u, px of the square it was trained for */
#define ATL_INFO_MAX_SIDE "max-side"           /* u, px of the longer side; 0: any */
#define ATL_INFO_MULTIPLE "multiple"           /* u, of width and height */

#define ATL_INFO_MAX_REFERENCES "max-references" /* u */
#define ATL_INFO_SAMPLERS "samplers"             /* as: usual names, the model's own first */
#define ATL_INFO_SCHEDULES "schedules"           /* as */
#define ATL_INFO_SIZES "sizes"                   /* a(uus): width, height, shape ("3:2") */
#define ATL_INFO_KNOBS "knobs"                   /* aa{sv}, ATL_KNOB_*: more that can be set */

/* Of one that is not whole (ATL_INFO_CAN_RUN is FALSE): published files that would make it so. Of
 * any: what it draws without and takes where it is given. */
#define ATL_INFO_MISSING "missing" /* aa{sv}, ATL_MISSING_* */

#define ATL_MISSING_WORDS "words" /* s: "the text encoder T5" */
#define ATL_MISSING_REPOSITORY                                                                     \
  "repository"                          /* s, at Hugging Face; empty: none is known that fits      \
                                         */
#define ATL_MISSING_FILE "file"         /* s, there */
#define ATL_MISSING_NAME "name"         /* s: "text_encoder/t5.safetensors", among its files */
#define ATL_MISSING_BYTES "bytes"       /* t; 0: not known */
#define ATL_MISSING_OPTIONAL "optional" /* b: it runs without it, too */
#define ATL_MISSING_MISFIT                                                                         \
  "misfit" /* s, in words: why a file that was given is not it; absent where none was */

#define ATL_KNOB_NAME "name"         /* s, of the setting */
#define ATL_KNOB_LABEL "label"       /* s, for the person */
#define ATL_KNOB_HELP "help"         /* s */
#define ATL_KNOB_KIND "kind"         /* s: "whole", "number", "switch", "choice" */
#define ATL_KNOB_MIN "min"           /* d */
#define ATL_KNOB_MAX "max"           /* d */
#define ATL_KNOB_STEP "step"         /* d */
#define ATL_KNOB_FALLBACK "fallback" /* d; of a choice, its number */
#define ATL_KNOB_CHOICES "choices"   /* as */

#define ATL_KIND_PICTURE "picture"
#define ATL_KIND_LORA                                                                              \
  "lora" /* ATL_INFO_FAMILY it was made for, empty where that is not known; and                    \
            _STRENGTH; of few-step ones _STEPS, _GUIDANCE, _SAMPLER, _SCHEDULE */
/* a{sv} of a{sv}, of a few-step LoRA whose family is not known, by the ATL_INFO_FAMILY of the model
 * that it is used with: what these four and the strength are there. */
#define ATL_INFO_FEW_STEPS "few-steps"
#define ATL_KIND_ADAPTER "adapter" /* a LoRA of a language model */
#define ATL_KIND_UPSCALER "upscaler"
/* No model, but a part of some: ATL_INFO_PART says of which kind. */
#define ATL_KIND_PART "part"
#define ATL_INFO_PART "part" /* s: ATL_PART_* */
#define ATL_PART_TINY_DECODER "tiny-decoder"
#define ATL_PART_AUTOENCODER "autoencoder"
#define ATL_PART_TEXT_ENCODER "text-encoder"
#define ATL_PART_IMAGE_ENCODER "image-encoder"
#define ATL_INFO_SCALE "scale"       /* u: an upscaler's own factor */
#define ATL_INFO_TRIGGERS "triggers" /* as: words that call what a LoRA was taught */
#define ATL_INFO_SAMPLER "sampler"   /* s: a usual name, recommended */
#define ATL_INFO_SCHEDULE "schedule" /* s */

#define ATL_PICTURE_NEGATIVE (1u << 0)  /* a negative prompt has an effect */
#define ATL_PICTURE_IMAGE (1u << 1)     /* begins with a picture */
#define ATL_PICTURE_MASK (1u << 2)      /* paints inside a mask */
#define ATL_PICTURE_REFERENCE (1u << 3) /* edits or follows pictures */
#define ATL_PICTURE_WEIGHTS (1u << 4)   /* (word:1.3) in prompts */
#define ATL_PICTURE_CLIP (1u << 5)      /* makes clips */
#define ATL_PICTURE_STILL (1u << 6)     /* makes single pictures */
#define ATL_PICTURE_GUIDANCE (1u << 7)  /* the guidance has an effect */
#define ATL_PICTURE_LORA (1u << 8)      /* takes LoRAs */

/* Logical names of Create's files. */
#define ATL_CREATE_PICTURE "picture"
#define ATL_CREATE_PREVIEW "preview"
#define ATL_CREATE_IMAGE "image"
#define ATL_CREATE_MASK "mask"
#define ATL_CREATE_REFERENCE "reference"
#define ATL_MAX_PICTURE_SIDE 16384u
#define ATL_MAX_INPUT_SIDE 65535u
#define ATL_MAX_UPSCALED_SIDE 32768u
#define ATL_MAX_PREVIEW_SIDE 512u
#define ATL_MAX_REFERENCES 16u
#define ATL_MAX_LORAS 16u
#define ATL_MAX_INPUT_PIXELS (64u << 20)

/* Options and facts of ReadPicture. */
#define ATL_READ_MAX_SIDE "max-side"       /* u: made smaller; 0 or absent: as it is */
#define ATL_READ_FULL_WIDTH "full-width"   /* u, of the file */
#define ATL_READ_FULL_HEIGHT "full-height" /* u */
#define ATL_READ_TEXTS "texts"             /* a{ss}: what the file says, by keyword */
#define ATL_READ_RECIPE "recipe"           /* a{sv}, ATL_MADE_*; absent: it says nothing */

/* What a picture was made with, of settings and facts. */
#define ATL_MADE_PROMPT "prompt"            /* s */
#define ATL_MADE_NEGATIVE "negative_prompt" /* s */
#define ATL_MADE_WIDTH "width"              /* u, px */
#define ATL_MADE_HEIGHT "height"            /* u */
#define ATL_MADE_STEPS "steps"              /* u */
#define ATL_MADE_GUIDANCE "guidance"        /* d */
#define ATL_MADE_SEED "seed"                /* u; absent: any */
#define ATL_MADE_SAMPLER "sampler"     /* s, a usual name or a class; absent: the model's own */
#define ATL_MADE_SCHEDULE "schedule"   /* s, a usual name; absent: the sampler's own */
#define ATL_MADE_CLASS "scheduler"     /* s, the sampler's class */
#define ATL_MADE_STRENGTH "strength"   /* d, 0 to 1: how much of the picture may change */
#define ATL_MADE_WEIGHTING "weighting" /* s: "a1111", "comfyui", "plain" */
#define ATL_MADE_FASTER "faster"       /* u, 1 to 3: steps may be left out; 0, absent: none */
#define ATL_MADE_METHOD                                                                            \
  "faster_method"                    /* s, how: one of a model's choices; facts: what was taken */
#define ATL_MADE_LORAS "loras"       /* aa{sv}: "name" s, "weight" d (absent: as it was made for) */
#define ATL_MADE_FACTOR "factor"     /* d, of Upscale; absent or 0: the model\'s own */
#define ATL_MADE_UPSCALER "upscaler" /* s: what enlarged the picture afterwards, by its factor */
#define ATL_MADE_STEPS_DONE "steps-done"         /* u, facts only: when it was ended early */
#define ATL_MADE_STEPS_COMPUTED "steps-computed" /* u, facts only: when some were left out */
#define ATL_MADE_SECONDS "seconds"               /* d, facts only */
#define ATL_MADE_WORK "work"                     /* a{sv}, facts only: ATL_WORK_* */

/* Work that a picture takes, in multiplications with an addition (price, facts), and how long it
 * took (facts). */
#define ATL_WORK_STEP "step"                     /* d: one step */
#define ATL_WORK_STEPS "steps"                   /* u: how many, in passes of the schedule */
#define ATL_WORK_DECODE "decode"                 /* d: all behind the steps */
#define ATL_WORK_TEXT "text"                     /* d: reading the prompts */
#define ATL_WORK_ENCODE "encode"                 /* d: reading pictures to begin with */
#define ATL_WORK_WEIGHTS "weights"               /* t: bytes of all parts, which are loaded */
#define ATL_WORK_STEP_SECONDS "step-seconds"     /* d, 0: not measured */
#define ATL_WORK_DECODE_SECONDS "decode-seconds" /* d */
#define ATL_WORK_LOAD_SECONDS "load-seconds"     /* d: of parts that were not in memory */
#define ATL_WORK_FASTER "faster"                 /* s: how steps are left out; absent: none are */
#define ATL_WORK_COMPUTED "computed"             /* u, facts only: steps that were not left out */
#define ATL_WORK_IS_COLD "is-cold"               /* b, price only: its parts are to be loaded */

/* PricePicture: an option, and results beside ATL_MADE_WIDTH, _HEIGHT, _STEPS, _WORK and
 * ATL_INFO_NEEDED_BYTES, _FREE_BYTES, _FITS, _FIT_WORDS, _RUNS_ON. */
#define ATL_PRICE_LORA_BYTES "lora-bytes" /* t: of the files of ATL_MADE_LORAS */
#define ATL_PRICE_INPUTS "inputs"         /* as: ATL_CREATE_IMAGE, _MASK, _REFERENCE */
#define ATL_PRICE_SIZES "input-sizes"     /* a(uu): width and height of each; 0, 0: not known */
#define ATL_PRICE_IS_FRUGAL "is-frugal"   /* b: its parts are loaded one after the other */
#define ATL_PRICE_FIT_WIDTH "fit-width"   /* u: the largest that would fit; 0: none, or it fits */
#define ATL_PRICE_FIT_HEIGHT "fit-height" /* u */

/* Numbers of a finished request. */
#define ATL_STAT_N_PROMPT "n-prompt"             /* u, cached ones included */
#define ATL_STAT_N_CACHED "n-cached"             /* u */
#define ATL_STAT_N_GENERATED "n-generated"       /* u */
#define ATL_STAT_TOKENS_PER_S "tokens-per-s"     /* d, while generating */
#define ATL_STAT_PREFILL_PER_S "prefill-per-s"   /* d */
#define ATL_STAT_FIRST_TOKEN_MS "first-token-ms" /* d, from acceptance */
#define ATL_STAT_THINKING_MS "thinking-ms"       /* d */
#define ATL_STAT_N_CTX_USED "n-ctx-used"         /* u */
#define ATL_STAT_N_CTX "n-ctx"                   /* u */
#define ATL_STAT_N_SHIFTED "n-shifted"           /* u, oldest tokens dropped to make room */
#define ATL_STAT_N_DRAFTED "n-drafted"           /* u, tokens guessed ahead of the model */
#define ATL_STAT_N_ACCEPTED "n-accepted"         /* u, of these, confirmed by it */
#define ATL_STAT_STOP_REASON "stop-reason"       /* s, one of ATL_STOP_* */
#define ATL_STAT_RAN_ON "ran-on"                 /* s */
#define ATL_STAT_N_CALLS "n-calls"               /* u, of tools */
#define ATL_STAT_SEED "seed"                     /* t, the one that was used */

#define ATL_STOP_EOS "eos"                   /* the model ended its answer */
#define ATL_STOP_STRING "stop-string"        /* one of the stop strings came up */
#define ATL_STOP_LENGTH "length"             /* max-tokens reached */
#define ATL_STOP_STOPPED "stopped"           /* the person asked */
#define ATL_STOP_CONTEXT_FULL "context-full" /* no room left */

/* The ledger (GetStatus, StatusChanged). */
#define ATL_STATUS_RAM_TOTAL "ram-total"     /* t, bytes this process may use at most */
#define ATL_STATUS_RAM_FREE "ram-free"       /* t, now */
#define ATL_STATUS_VRAM_TOTAL "vram-total"   /* t, of the device in use; 0: none */
#define ATL_STATUS_VRAM_FREE "vram-free"     /* t */
#define ATL_STATUS_VRAM_SHARED "vram-shared" /* b, it is a part of the computer's memory */
#define ATL_STATUS_PARTS "parts"             /* aa{sv}, one a loaded model */
#define ATL_STATUS_DEVICES "devices"         /* aa{sv} */
#define ATL_PART_MODEL "model"               /* u */
#define ATL_PART_NAME "name"                 /* s */
#define ATL_PART_RAM "ram"                   /* t */
#define ATL_PART_VRAM "vram"                 /* t */
#define ATL_PART_BUSY "busy"                 /* b */
#define ATL_DEVICE_TYPE "type"               /* s: "cpu", "gpu", "accelerator" */
#define ATL_DEVICE_NAME "name"               /* s */
#define ATL_DEVICE_MEMORY "memory"           /* t, bytes */
#define ATL_DEVICE_USED "used"               /* b */
#define ATL_DEVICE_WHY_NOT "why-not"         /* s, empty when used */

/* --- Reading a dictionary (a{sv}) that the other side wrote --- */

guint64 atl_dict_uint64 (GVariant *dict, const char *key, guint64 fallback);
guint atl_dict_uint (GVariant *dict, const char *key, guint fallback);
gint atl_dict_int (GVariant *dict, const char *key, gint fallback);
/* A finite number; anything else is the fallback. */
double atl_dict_double (GVariant *dict, const char *key, double fallback);
gboolean atl_dict_bool (GVariant *dict, const char *key, gboolean fallback);
/* Valid UTF-8 of at most 64 KiB, else a copy of `fallback` (nullable). Owned by the caller. */
char *atl_dict_string (GVariant *dict, const char *key, const char *fallback);
/* The value when it has exactly `type` (a GVariant type string); (nullable), owned. */
GVariant *atl_dict_lookup (GVariant *dict, const char *key, const char *type);

G_END_DECLS
