/* The parts of the converter from JSON schemas: its state, the rules it writes, its halves' entry
 * points.
 *
 * Every function returns an expression of GBNF that the caller frees, or NULL with c->error set.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "engine/samplers/grammar-private.h"

G_BEGIN_DECLS

/* Bytes of GBNF that a schema may make. */
#define ATL_SCHEMA_MAX_OUTPUT (1 << 20)

/* Known outside as AtlSchemaRules. */
struct _AtlSchemaRules
{
  JsonNode *root;
  GString *rules;
  GHashTable *names;    /* (owned) of rules, taken -> the next number after such a name */
  GHashTable *refs;     /* (owned) path -> name of its rule */
  GHashTable *literals; /* (owned) of the built-in rules that are written */
  guint depth;
  GError *error; /* (nullable) */
};
typedef struct _AtlSchemaRules AtlSchemaConverter;

/* --- grammar-schema-rules.c --- */

/* Writes the built-in rule `name` and those it needs, once; returns `name`. */
const char *atl_schema_need (AtlSchemaConverter *c, const char *name);
/* Writes a rule with the given body (NULL: the caller writes it) under a name like `wanted` that is
 * free, and returns the name. */
char *atl_schema_add_rule (AtlSchemaConverter *c, const char *wanted, const char *body);
/* Keeps the first error. */
void atl_schema_fail (AtlSchemaConverter *c, AtlError code, const char *message);
/* A value of the schema as the JSON text that stands for it. */
char *atl_schema_json_text (JsonNode *node);

/* --- grammar-schema-object.c --- */

/* An object with the schema's "properties" and "additionalProperties". `name` is for rules. */
char *atl_schema_convert_object (AtlSchemaConverter *c, JsonObject *schema, const char *name);
/* The words of a schema that say how many properties or which names an object has. */
extern const char *const atl_schema_object_words[];
/* What all parts of a schema's allOf, and what stands beside them, say together. */
char *atl_schema_convert_all_of (AtlSchemaConverter *c,
                                 JsonObject *schema,
                                 JsonArray *parts,
                                 const char *name);

/* --- grammar-schema-multiple.c --- */

/* Bounds of numbers; infinite: none. */
typedef struct
{
  double min, max;
  gboolean min_excluded, max_excluded;
} AtlSchemaRange;

/* The multiples of `step` in the range, of at most 16 digits. ATL_ERROR_UNSUPPORTED for a step of
 * more than nine decimals, or one whose remainders are too many. */
char *atl_schema_convert_multiples (AtlSchemaConverter *c,
                                    double step,
                                    const AtlSchemaRange *range,
                                    gboolean integer);

/* --- grammar-schema-count.c --- */

/* What is written with commas between: each of `rules` at most once, then `repeated` as often as
 * one likes. */
typedef struct
{
  GPtrArray *rules;     /* (element-type utf8) borrowed */
  const char *repeated; /* (nullable) */
  gboolean begins;      /* nothing stands before it, so that the first has no comma */
  gint64 min, max;      /* how many in all; -1: no most */
} AtlSchemaChoices;

/* The choices in their order. */
char *atl_schema_convert_choices (AtlSchemaConverter *c,
                                  const AtlSchemaChoices *choices,
                                  const char *name);
/* An array of different items where the schema of an item lists its values, in any order where they
 * are few, else in the list's; NULL without an error if it lists none. */
char *atl_schema_convert_unique (
    AtlSchemaConverter *c, JsonNode *item, gint64 min, gint64 max, const char *name);

/* --- grammar-schema-merge.c --- */

/* Whether the schema has one of the words, a list ended by NULL. */
gboolean atl_schema_has_any (JsonObject *schema, const char *const *names);
/* The caller's. */
JsonObject *atl_schema_copy (JsonObject *schema);
/* Adds what `more` says to `schema`: both lists of required names, all properties, else the last
 * word is `more`'s. */
void atl_schema_merge (JsonObject *schema, JsonObject *more);
/* The object that a part of allOf is, its references followed; NULL with c->error. Borrowed. */
JsonObject *atl_schema_part (AtlSchemaConverter *c, JsonNode *node);
/* Adds to `parts` (borrowed) what `node` is and what its own allOf puts together, one after the
 * other; nobody looks at an allOf of them again. */
void atl_schema_flatten (AtlSchemaConverter *c, JsonNode *node, guint depth, GPtrArray *parts);
/* One of the alternatives of `schema` together with what stands beside the list of them, the
 * caller's; NULL if it stands for itself. */
JsonNode *
atl_schema_with_siblings (AtlSchemaConverter *c, JsonObject *schema, JsonNode *alternative);

/* --- grammar-schema.c --- */

/* The expression for any schema. */
char *atl_schema_convert (AtlSchemaConverter *c, JsonNode *schema, const char *name);
/* A count such as minLength, or `fallback`. */
gint64 atl_schema_count (JsonObject *schema, const char *name, gint64 fallback);
/* The node that "#/a/b/0" points to; NULL if there is none. */
JsonNode *atl_schema_resolve (AtlSchemaConverter *c, const char *path);

G_END_DECLS
