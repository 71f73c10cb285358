/* What the readers of recipes share: collecting members that are bounded and of the right type. */
#pragma once

#include "base/json-bounded.h"
#include "media/picture-private.h"
#include "media/recipe.h"

G_BEGIN_DECLS

/* Of one member; a prompt of 10,000 characters in any script fits. */
#define ATL_RECIPE_MAX_TEXT 60000u
/* The member that says that JSON is a recipe of ours. */
#define ATL_RECIPE_MARK "recipe"
#define ATL_RECIPE_MAX_OTHER 64u
#define ATL_RECIPE_MAX_LORAS 64u
#define ATL_RECIPE_MAX_SIDE 65535

typedef struct
{
  GVariantDict dict;
  GHashTable *other; /* (owned) char * -> char * */
  GPtrArray *loras;  /* (owned) of GVariant a{sv} (owned) */
} AtlRecipeDraft;

void atl_recipe_draft_init (AtlRecipeDraft *self);
void atl_recipe_draft_clear (AtlRecipeDraft *self);
/* What was collected; NULL when neither a prompt nor steps nor a seed are in it. */
GVariant *atl_recipe_draft_end (AtlRecipeDraft *self, const char *source);

/* Each passes over what is out of range; `text` and `key` need not be valid UTF-8 and are cut. */
void atl_recipe_draft_text (AtlRecipeDraft *self, const char *key, const char *text);
void atl_recipe_draft_uint (AtlRecipeDraft *self, const char *key, gint64 value, gint64 max);
void atl_recipe_draft_double (AtlRecipeDraft *self, const char *key, double value, double max);
/* A seed of more than 32 bits is kept among the others. */
void atl_recipe_draft_seed (AtlRecipeDraft *self, gint64 seed);
void atl_recipe_draft_size (AtlRecipeDraft *self, gint64 width, gint64 height);
void
atl_recipe_draft_lora (AtlRecipeDraft *self, const char *name, double weight, const char *hash);
void atl_recipe_draft_other (AtlRecipeDraft *self, const char *key, const char *value);
/* As ATL_RECIPE_MODEL: "SDXL/juggernaut.safetensors" is "juggernaut". */
void atl_recipe_draft_model (AtlRecipeDraft *self, const char *file);
/* "dpmpp_2m" with "karras", "DPM++ 2M Karras" or "k_euler_a": as people call them. Either may be
 * NULL. */
void atl_recipe_draft_sampler (AtlRecipeDraft *self, const char *sampler, const char *schedule);
/* A prompt whose <lora:name:weight> are taken out of it into the list. */
void atl_recipe_draft_prompt (AtlRecipeDraft *self, const char *prompt);
/* A number that may stand as a text; FALSE when it is none. */
gboolean atl_recipe_number (JsonObject *object, const char *member, double *value);
/* All scalars of `object` but those named (NULL-terminated), as others. */
void atl_recipe_draft_rest (AtlRecipeDraft *self, JsonObject *object, const char *const *known);

/* JSON as Python writes it, NaN and Infinity included; NULL when it is no object. */
JsonNode *atl_recipe_parse (const char *text);

/* The programs; NULL when the text is not theirs. */
GVariant *atl_recipe_a1111 (const char *text);
GVariant *atl_recipe_comfy_graph (JsonObject *graph);
GVariant *atl_recipe_comfy_drawing (JsonObject *workflow);
GVariant *atl_recipe_swarm (JsonObject *root);
GVariant *atl_recipe_fooocus (JsonObject *root);
GVariant *atl_recipe_invoke (JsonObject *root);
GVariant *atl_recipe_draw_things (JsonObject *root);
/* `description` (nullable): where its first versions put the prompt. */
GVariant *atl_recipe_novelai (JsonObject *root, const char *description);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (AtlRecipeDraft, atl_recipe_draft_clear)

G_END_DECLS
