/* What the files of LoRAs share. Not for anybody else. */
#pragma once

#include "engine/models/blocks/lora-change.h"
#include "engine/models/blocks/lora.h"

/* A delta of a weight, to set its strength. */
typedef struct
{
  AtlWeight *weight;
  guint delta;
  guint lora;
  float factor; /* what the strength is multiplied by */
} LoraDelta;

/* One file's part of a weight that is made again: rows [first, first + its own) of `total`. */
typedef struct
{
  AtlLoraGroup *group;
  guint lora;
  gboolean is_bias;
  gint64 first, total, turn;
} LoraPart;

/* A weight that is made again, and what it was. */
typedef struct
{
  AtlWeight *weight;
  AtlWeight *stack;   /* (nullable) that is put together of it and others, and used in its place */
  AtlWeight original; /* its bytes: a reference */
  GArray *parts;      /* (owned) LoraPart */
} LoraMade;

struct _AtlLoras
{
  guint n;
  AtlLoraIndex **indices; /* (owned) [n] */
  float *scales;          /* (owned) [n] */
  GArray *deltas;         /* (owned) LoraDelta */
  GPtrArray *made;        /* (owned) LoraMade */
  guint n_changed;
  GString *notice; /* (owned) */
};

/* lora-made.c */
void lora_made_free (gpointer data);
/* Notes that `part` changes `weight`. */
void lora_made_add (AtlLoras *self, AtlWeight *weight, const LoraPart *part);
/* The weight's numbers with the strengths as they are; its bytes as the file has them where all are
 * 0. Not uploaded. FALSE without memory, or with what could not be read as the table's mistake. */
gboolean lora_made_make (const AtlLoras *self, LoraMade *made, GError **error);
/* The same while the model is in use: in place of what is uploaded. */
gboolean lora_made_remake (const AtlLoras *self, LoraMade *made);
/* Whether the tensor is `n` numbers of a plain type. */
gboolean lora_is_vector (const AtlTensorInfo *info, gint64 n);
