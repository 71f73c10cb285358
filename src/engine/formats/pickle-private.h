/* Between the files of the pickle machine: its values, its stack and the bytes that it reads.
 *
 * Functions that return a gboolean return FALSE when the pickle is damaged there.
 * Threading: one thread a machine.
 */
#pragma once

#include "engine/formats/pickle.h"

G_BEGIN_DECLS

#define PICKLE_MARK G_MAXUINT /* on the stack */

typedef struct
{
  AtlPickleKind kind;
  guint global;   /* NAME: its row in globals */
  AtlDType dtype; /* STORAGE */
  gint64 number;  /* INT; STORAGE: elements */
  char *text;     /* (owned, nullable) TEXT; STORAGE: key */
  GArray *items;  /* (owned, nullable) AtlPickleValue */
} PickleValue;

struct _AtlPickle
{
  GArray *values; /* (owned) PickleValue */
  AtlPickleValue root;
};

typedef struct
{
  const guint8 *p, *end;
  const char *name;
  AtlPickle *pickle;
  GArray *stack;    /* (owned) AtlPickleValue or PICKLE_MARK */
  GHashTable *memo; /* (owned) number -> AtlPickleValue */
} PickleMachine;

/* Borrowed until the next value is made. */
PickleValue *pickle_value_at (const AtlPickle *self, AtlPickleValue value);
/* An array of values without any. */
GArray *pickle_values_new (void);
/* What a list of values needs to be freed with. */
void pickle_value_clear (gpointer value);

void pickle_push (PickleMachine *self, AtlPickleValue value);
void pickle_push_new (PickleMachine *self, PickleValue value);
void pickle_push_int (PickleMachine *self, gint64 number);
/* Takes `items` (nullable: FALSE). A table needs an even number of them. */
gboolean pickle_push_list (PickleMachine *self, AtlPickleKind kind, GArray *items);
/* The last `n` values as a tuple. */
gboolean pickle_push_tuple (PickleMachine *self, guint n);
/* FALSE also where a mark is. */
gboolean pickle_pop (PickleMachine *self, AtlPickleValue *out);
/* Everything above the last mark, in its order, the caller's; the mark goes too. NULL without one.
 */
GArray *pickle_pop_to_mark (PickleMachine *self);
/* Takes `items` (nullable: FALSE) into the list or table on top; where nothing is kept of that,
 * they are dropped. */
gboolean pickle_append (PickleMachine *self, AtlPickleKind kind, GArray *items);
/* The same with the last `n` values. */
gboolean pickle_append_last (PickleMachine *self, AtlPickleKind kind, guint n);

/* A number of `n` bytes, at most 8, little endian. */
gboolean pickle_take_uint (PickleMachine *self, guint n, guint64 *out);
/* Texts, bytes and whole numbers that stand behind their length, a number of `n` bytes. */
gboolean pickle_push_text (PickleMachine *self, guint n);
gboolean pickle_push_bytes (PickleMachine *self, guint n);
gboolean pickle_push_long (PickleMachine *self, guint n);

G_END_DECLS
