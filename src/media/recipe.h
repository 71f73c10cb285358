/* What a picture was made with, as a dictionary; as texts inside its file; and as other programs
 * wrote it into theirs.
 *
 *   g_autoptr (GVariant) recipe = atl_recipe_join (settings, facts, width, height);
 *   atl_recipe_write (picture, recipe);            // before atl_picture_encode()
 *   g_autoptr (GVariant) read = atl_recipe_read (picture);    // after atl_picture_decode()
 *
 * A recipe is an a{sv}. What the engine takes keeps the engine's names and types (ATL_MADE_* of
 * protocol.h: "prompt" s, "negative_prompt" s, "width", "height", "steps", "seed" u, "guidance",
 * "strength" d, "sampler", "schedule" s as people call them, "scheduler" s a class; "loras" aa{sv}
 * of "name" s and "weight" d); the names below come on top. Members that nobody knows stay in it.
 *
 * Files hold two texts: "parameters", in the form of A1111's web interface, which most programs
 * read, and "atelier", JSON with all of it. Read is what A1111 and Forge, ComfyUI (the graph it
 * ran, or the drawn one), SwarmUI, Fooocus and InvokeAI leave in PNG texts, in JPEG's and WebP's
 * EXIF, and in comments.
 *
 * Untrusted input: texts are at most ATL_PICTURE_MAX_TEXT bytes, graphs are walked a bounded number
 * of steps, and what does not make sense is left out. Nothing fails.
 *
 * Threading: pure functions.
 */
#pragma once

#include "media/picture.h"

G_BEGIN_DECLS

#define ATL_RECIPE_MODEL "model"           /* s, its name */
#define ATL_RECIPE_MODEL_HASH "model-hash" /* s, as the other program shortens it */
#define ATL_RECIPE_SOURCE "source"         /* s: "A1111", "Forge", "ComfyUI", "Atelier"… */
#define ATL_RECIPE_CLIP_SKIP "clip_skip"   /* u */
#define ATL_RECIPE_OTHER "other"           /* a{ss}: what else the other program said */
#define ATL_RECIPE_LORAS "loras"           /* aa{sv}: "name" s, "weight" d, "hash" s */

/* The recipe of a finished picture of `width` × `height` px: the settings it was asked for with,
 * and over them the facts it was made with; without what differs from run to run (how long it took,
 * what it ran on). `settings` is nullable. Owned by the caller. */
GVariant *atl_recipe_join (GVariant *settings, GVariant *facts, guint width, guint height);

/* The recipe of that picture after it was enlarged to `width` × `height` px: `facts` are those of
 * Upscale. Owned by the caller. */
GVariant *atl_recipe_enlarged (GVariant *recipe, GVariant *facts, guint width, guint height);

/* The size that was drawn, before it was enlarged; 0 × 0 where the recipe says none. */
void atl_recipe_drawn_size (GVariant *recipe, guint *width, guint *height);

/* Sets the texts of `picture`. */
void atl_recipe_write (AtlPicture *picture, GVariant *recipe);
/* NULL when its texts say nothing about how it was made. Owned by the caller. */
GVariant *atl_recipe_read (const AtlPicture *picture);

/* On one line. Owned by the caller. */
char *atl_recipe_to_json (GVariant *recipe);
/* NULL when `json` is no object. Owned by the caller. */
GVariant *atl_recipe_from_json (const char *json);

/* A1111's form; reading also takes any of the other programs' JSON. Owned by the caller; NULL when
 * the text is no recipe. */
char *atl_recipe_to_text (GVariant *recipe);
GVariant *atl_recipe_from_text (const char *text);

G_END_DECLS
