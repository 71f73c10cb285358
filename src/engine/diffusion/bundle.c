/* Sorting a model's files into roles. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/bundle.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/json-bounded.h"
#include "engine/convert/hf.h"
#include "engine/formats/open.h"

#define NEARBY "nearby"

typedef struct
{
  char *role;                /* (owned) "" for files of the top */
  GPtrArray *maps, *names;   /* (owned) */
  AtlCheckpoint *checkpoint; /* (owned) once opened */
  AtlCheckpoint *plain;      /* (owned) the same under the names that stand in the files */
  AtlTokenizer *tokenizer;   /* (owned) once opened */
} Folder;

struct _AtlBundle
{
  GPtrArray *folders; /* (owned) Folder */
  GPtrArray *loose;   /* (owned) AtlCheckpoint of the top's weight files; NULL until asked for */
  GPtrArray *plain;   /* (owned) of the same files, those with other names there; as loose */
  GPtrArray *nearby, *nearby_plain; /* (owned) the same of files that lie nearby */
  GHashTable *given;   /* (owned) role -> AtlCheckpoint of a loose file, borrowed from loose */
  GHashTable *origins; /* (owned) role -> class name of the part, static */
  GHashTable *json;    /* (owned) "role/file" -> JsonNode, or NULL when it is none */
};

static void
folder_free (gpointer data)
{
  Folder *self = data;

  g_free (self->role);
  g_ptr_array_unref (self->maps);
  g_ptr_array_unref (self->names);
  atl_checkpoint_unref (self->checkpoint);
  atl_checkpoint_unref (self->plain);
  atl_tokenizer_unref (self->tokenizer);
  g_free (self);
}

static void
json_free (gpointer data)
{
  if (data != NULL)
    json_node_unref (data);
}

static Folder *
find_folder (const AtlBundle *self, const char *role)
{
  for (guint i = 0; i < self->folders->len; i++)
    {
      Folder *folder = self->folders->pdata[i];
      if (g_str_equal (folder->role, role))
        return folder;
    }
  return NULL;
}

/* Where a file belongs. Without an index only the names of parts count: what else a folder is
 * called says nothing of its files. */
static char *
role_of (const char *name, gboolean has_index)
{
  static const char *const known[] = { "transformer",     "unet",      "text_encoder",
                                       "tokenizer",       "vae",       "scheduler",
                                       "image_encoder",   "processor", "feature_extractor",
                                       "image_processor", "siglip",    "editor",
                                       "refiner",         "tae",       NEARBY };
  const char *slash = strrchr (name, '/');
  g_autofree char *role = slash != NULL ? g_strndup (name, (gsize) (slash - name)) : g_strdup ("");

  if (has_index)
    return g_steal_pointer (&role);
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    if (g_str_has_prefix (role, known[i]))
      return g_steal_pointer (&role);
  return g_strdup ("");
}

AtlBundle *
atl_bundle_new (AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  AtlBundle *self;
  gboolean has_index = FALSE;

  if (n == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, "%s", _ ("There are no files"));
      return NULL;
    }
  self = g_new0 (AtlBundle, 1);
  self->folders = g_ptr_array_new_with_free_func (folder_free);
  self->given = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->origins = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->json = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, json_free);
  for (guint i = 0; i < n; i++)
    has_index |= names != NULL && g_strcmp0 (names[i], "model_index.json") == 0;
  for (guint i = 0; i < n; i++)
    {
      const char *name = names != NULL && names[i] != NULL ? names[i] : atl_file_map_name (maps[i]);
      const char *slash = strrchr (name, '/');
      g_autofree char *role = role_of (name, has_index);
      Folder *folder = find_folder (self, role);

      if (folder == NULL)
        {
          folder = g_new0 (Folder, 1);
          folder->role = g_steal_pointer (&role);
          folder->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
          folder->names = g_ptr_array_new_with_free_func (g_free);
          g_ptr_array_add (self->folders, folder);
        }
      g_ptr_array_add (folder->maps, atl_file_map_ref (maps[i]));
      g_ptr_array_add (folder->names, g_strdup (slash != NULL ? slash + 1 : name));
    }
  return self;
}

AtlBundle *
atl_bundle_copy (const AtlBundle *self)
{
  g_autoptr (GPtrArray) maps = g_ptr_array_new ();
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < self->folders->len; i++)
    {
      const Folder *folder = self->folders->pdata[i];

      for (guint k = 0; k < folder->maps->len; k++)
        {
          g_ptr_array_add (maps, folder->maps->pdata[k]);
          g_ptr_array_add (names,
                           *folder->role != '\0'
                               ? g_strconcat (folder->role, "/", folder->names->pdata[k], NULL)
                               : g_strdup (folder->names->pdata[k]));
        }
    }
  return atl_bundle_new ((AtlFileMap *const *) maps->pdata, (const char *const *) names->pdata,
                         maps->len, NULL);
}

void
atl_bundle_free (AtlBundle *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->given);
  g_hash_table_unref (self->origins);
  g_clear_pointer (&self->loose, g_ptr_array_unref);
  g_clear_pointer (&self->plain, g_ptr_array_unref);
  g_clear_pointer (&self->nearby, g_ptr_array_unref);
  g_clear_pointer (&self->nearby_plain, g_ptr_array_unref);
  g_hash_table_unref (self->json);
  g_ptr_array_unref (self->folders);
  g_free (self);
}

/* --- JSON --- */

static JsonNode *
read_json (const AtlBundle *self, const char *role, const char *file)
{
  const Folder *folder = find_folder (self, role);

  for (guint i = 0; folder != NULL && i < folder->maps->len; i++)
    if (g_str_equal (folder->names->pdata[i], file))
      {
        AtlFileMap *map = folder->maps->pdata[i];
        JsonNode *node = atl_json_parse ((const char *) atl_file_map_data (map),
                                         atl_file_map_size (map), file, NULL);

        if (node != NULL && !JSON_NODE_HOLDS_OBJECT (node))
          g_clear_pointer (&node, json_node_unref);
        return node;
      }
  return NULL;
}

JsonObject *
atl_bundle_json (AtlBundle *self, const char *role, const char *file)
{
  g_autofree char *key = g_build_filename (role != NULL ? role : "", file, NULL);
  gpointer node;

  if (!g_hash_table_lookup_extended (self->json, key, NULL, &node))
    {
      node = read_json (self, role != NULL ? role : "", file);
      g_hash_table_insert (self->json, g_steal_pointer (&key), node);
    }
  return node != NULL ? json_node_get_object (node) : NULL;
}

const char *
atl_bundle_pipeline (AtlBundle *self)
{
  return atl_json_string (atl_bundle_json (self, NULL, "model_index.json"), "_class_name", NULL);
}

const char *
atl_bundle_class (AtlBundle *self, const char *role)
{
  JsonArray *pair = atl_json_array (atl_bundle_json (self, NULL, "model_index.json"), role);
  JsonNode *name =
      pair != NULL && json_array_get_length (pair) == 2 ? json_array_get_element (pair, 1) : NULL;

  return name != NULL && JSON_NODE_HOLDS_VALUE (name) &&
                 json_node_get_value_type (name) == G_TYPE_STRING
             ? json_node_get_string (name)
             : g_hash_table_lookup (self->origins, role);
}

/* --- Weights --- */

static gboolean
is_weights (const char *name)
{
  return g_str_has_suffix (name, ".safetensors") || g_str_has_suffix (name, ".gguf") ||
         g_str_has_suffix (name, ".sft") || g_str_has_suffix (name, ".pth");
}

/* What tells several sets of weights in one folder apart: "fp16" of "model.fp16.safetensors" and of
 * "model.fp16-00001-of-00002.safetensors", "" of "model.safetensors". */
static char *
variant_of (const char *name)
{
  const char *dot = strchr (name, '.'), *end;

  if (dot == NULL || !g_str_has_suffix (name, ".safetensors"))
    return g_strdup ("");
  end = name + strlen (name) - strlen (".safetensors");
  if (end <= dot)
    return g_strdup ("");
  for (const char *p = dot; p < end; p++)
    if (*p == '-' && g_ascii_isdigit (p[1]))
      end = p;
  return g_strndup (dot + 1, (gsize) (end - dot - 1));
}

/* Half precision where both are there, as it takes half the memory. */
static char *
choose_variant (const Folder *folder)
{
  char *chosen = NULL;

  for (guint i = 0; i < folder->names->len; i++)
    if (is_weights (folder->names->pdata[i]))
      {
        char *variant = variant_of (folder->names->pdata[i]);

        if (chosen == NULL || g_str_equal (variant, "fp16") ||
            (*variant == '\0' && !g_str_equal (chosen, "fp16")))
          {
            g_free (chosen);
            chosen = g_steal_pointer (&variant);
          }
        g_free (variant);
      }
  return chosen;
}

/* One part's files; a language model among them gets GGUF's names, and `*plain` (the caller's) has
 * its own. */
static AtlCheckpoint *
open_part (GPtrArray *maps, GPtrArray *names, AtlCheckpoint **plain, GError **error)
{
  *plain = atl_checkpoint_open ((AtlFileMap *const *) maps->pdata,
                                (const char *const *) names->pdata, maps->len, error);
  return *plain != NULL ? atl_hf_adopt_part (*plain, error) : NULL;
}

static AtlCheckpoint *
open_folder (Folder *folder, GError **error)
{
  g_autofree char *variant = choose_variant (folder);
  g_autoptr (GPtrArray) maps = g_ptr_array_new ();
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  if (folder->checkpoint != NULL)
    return folder->checkpoint;
  for (guint i = 0; i < folder->maps->len; i++)
    {
      const char *name = folder->names->pdata[i];
      g_autofree char *own = is_weights (name) ? variant_of (name) : NULL;

      if (own != NULL ? g_str_equal (own, variant) : g_str_equal (name, "config.json"))
        {
          g_ptr_array_add (maps, folder->maps->pdata[i]);
          g_ptr_array_add (names, (gpointer) name);
        }
    }
  g_clear_pointer (&folder->plain, atl_checkpoint_unref);
  folder->checkpoint = open_part (maps, names, &folder->plain, error);
  return folder->checkpoint;
}

static gboolean
has_weights (const Folder *folder)
{
  for (guint i = 0; folder != NULL && i < folder->names->len; i++)
    if (is_weights (folder->names->pdata[i]))
      return TRUE;
  return FALSE;
}

/* Shards of one model are opened together: those that differ in their numbers only. */
static gboolean
are_shards (const char *a, const char *b)
{
  const char *of = strstr (a, "-of-");

  if (of == NULL || of - a < 6 || strlen (a) != strlen (b))
    return FALSE;
  return strncmp (a, b, (gsize) (of - a - 5)) == 0 && g_str_equal (of, b + (of - a));
}

/* Every model among a folder's weight files, and in `plain` those whose names became others. With
 * `tolerant` broken ones are passed over; else FALSE with the first error. */
static gboolean
open_all (Folder *folder, gboolean tolerant, GPtrArray *all, GPtrArray *plains, GError **error)
{
  g_autofree gboolean *taken = folder != NULL ? g_new0 (gboolean, folder->maps->len) : NULL;

  for (guint i = 0; folder != NULL && i < folder->maps->len; i++)
    {
      g_autoptr (GPtrArray) maps = g_ptr_array_new ();
      g_autoptr (GPtrArray) names = g_ptr_array_new ();
      g_autoptr (AtlCheckpoint) plain = NULL;
      AtlCheckpoint *cp;

      if (taken[i] || !is_weights (folder->names->pdata[i]))
        continue;
      for (guint k = i; k < folder->maps->len; k++)
        if (k == i || (!taken[k] && are_shards (folder->names->pdata[i], folder->names->pdata[k])))
          {
            taken[k] = TRUE;
            g_ptr_array_add (maps, folder->maps->pdata[k]);
            g_ptr_array_add (names, folder->names->pdata[k]);
          }
      cp = open_part (maps, names, &plain, tolerant ? NULL : error);
      if (cp == NULL && !tolerant)
        return FALSE;
      if (cp == NULL)
        continue;
      g_ptr_array_add (all, cp);
      if (plain != cp)
        g_ptr_array_add (plains, g_steal_pointer (&plain));
    }
  return TRUE;
}

static GPtrArray *
new_checkpoints (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) atl_checkpoint_unref);
}

static gboolean
open_loose (AtlBundle *self, GError **error)
{
  if (self->loose != NULL)
    return TRUE;
  self->loose = new_checkpoints ();
  self->plain = new_checkpoints ();
  if (open_all (find_folder (self, ""), FALSE, self->loose, self->plain, error))
    return TRUE;
  g_clear_pointer (&self->loose, g_ptr_array_unref);
  g_clear_pointer (&self->plain, g_ptr_array_unref);
  return FALSE;
}

static void
open_nearby (AtlBundle *self)
{
  if (self->nearby != NULL)
    return;
  self->nearby = new_checkpoints ();
  self->nearby_plain = new_checkpoints ();
  open_all (find_folder (self, NEARBY), TRUE, self->nearby, self->nearby_plain, NULL);
}

AtlCheckpoint *
atl_bundle_loose (AtlBundle *self, const char *class_name, GError **error)
{
  if (!open_loose (self, error))
    return NULL;
  for (guint i = 0; i < self->loose->len; i++)
    for (const AtlComponentClass *const *c = atl_component_classes (); *c != NULL; c++)
      if (g_str_equal ((*c)->name, class_name) &&
          atl_component_class_claims (*c, self->loose->pdata[i]))
        return self->loose->pdata[i];
  return NULL;
}

static gboolean
can_play (AtlBundle *self, AtlCheckpoint *cp, const AtlPart *part)
{
  const AtlComponentClass *klass = atl_component_class_for (cp, part->origin, part->function, NULL);

  return klass != NULL && atl_component_class_claims (klass, cp) &&
         (part->accepts == NULL || part->accepts (cp)) &&
         (part->fits == NULL || part->fits (self, cp));
}

static AtlCheckpoint *
find_player (AtlBundle *self, GPtrArray *candidates, const AtlPart *part)
{
  for (guint i = 0; i < candidates->len; i++)
    if (can_play (self, candidates->pdata[i], part))
      return candidates->pdata[i];
  return NULL;
}

/* The part in the files of another, or in loose ones, under the names that stand there. */
static AtlCheckpoint *
find_beside (AtlBundle *self, const AtlPart *part)
{
  Folder *folder = find_folder (self, part->beside);
  AtlCheckpoint *found;

  if (has_weights (folder) && open_folder (folder, NULL) != NULL &&
      can_play (self, folder->plain, part))
    return folder->plain;
  found = find_player (self, self->plain, part);
  return found != NULL ? found : find_player (self, self->nearby_plain, part);
}

gboolean
atl_bundle_assign (AtlBundle *self, const AtlPart *parts, guint n_parts, GError **error)
{
  if (!open_loose (self, error))
    return FALSE;
  open_nearby (self);
  for (guint p = 0; p < n_parts; p++)
    {
      const AtlPart *part = &parts[p];
      AtlCheckpoint *found = NULL;

      g_hash_table_insert (self->origins, g_strdup (part->role), (gpointer) part->origin);
      if (atl_bundle_has (self, part->role))
        continue;
      found = find_player (self, self->loose, part);
      if (found == NULL && part->beside != NULL)
        found = find_beside (self, part);
      if (found == NULL)
        found = find_player (self, self->nearby, part);
      if (found != NULL)
        g_hash_table_insert (self->given, g_strdup (part->role), found);
    }
  return TRUE;
}

gboolean
atl_bundle_has (AtlBundle *self, const char *role)
{
  return has_weights (find_folder (self, role)) || g_hash_table_contains (self->given, role);
}

gboolean
atl_bundle_has_folder (const AtlBundle *self, const char *role)
{
  return find_folder (self, role) != NULL;
}

gboolean
atl_bundle_has_file (const AtlBundle *self, const char *role, const char *name)
{
  const Folder *folder = find_folder (self, role);

  return folder != NULL &&
         g_ptr_array_find_with_equal_func (folder->names, name, g_str_equal, NULL);
}

AtlCheckpoint *
atl_bundle_checkpoint (AtlBundle *self, const char *role, GError **error)
{
  Folder *folder = find_folder (self, role);
  AtlCheckpoint *cp = NULL;

  if (has_weights (folder))
    return open_folder (folder, error);
  cp = g_hash_table_lookup (self->given, role);
  if (cp == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This model's part “%s” is missing"),
                 role);
  return cp;
}

/* --- Vocabularies --- */

static AtlTokenizer *
tokenizer_in_weights (AtlBundle *self, const char *role, GError **error)
{
  g_autofree char *encoder = NULL;
  const AtlTensorInfo *info;
  AtlCheckpoint *cp;

  if (!g_str_has_prefix (role, "tokenizer"))
    return NULL;
  encoder = g_strconcat ("text_encoder", role + strlen ("tokenizer"), NULL);
  cp = atl_bundle_has (self, encoder) ? atl_bundle_checkpoint (self, encoder, error) : NULL;
  /* A GGUF file brings the vocabulary of its language model. */
  if (cp != NULL && atl_checkpoint_meta (cp, "tokenizer.ggml.model") != NULL)
    return atl_tokenizer_new_from_checkpoint (cp, error);
  info = cp != NULL ? atl_checkpoint_find (cp, "spiece_model") : NULL;
  return info != NULL && info->data != NULL
             ? atl_tokenizer_new_sentencepiece (info->data, info->size_bytes, error)
             : NULL;
}

AtlTokenizer *
atl_bundle_tokenizer (AtlBundle *self, const char *role, GError **error)
{
  Folder *folder = find_folder (self, role);

  if (folder == NULL)
    {
      GError *local = NULL;
      AtlTokenizer *tokenizer = tokenizer_in_weights (self, role, &local);

      if (tokenizer == NULL)
        {
          if (local != NULL)
            g_propagate_error (error, local);
          else
            g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                         _ ("This model's vocabulary “%s” is missing"), role);
          return NULL;
        }
      folder = g_new0 (Folder, 1);
      folder->role = g_strdup (role);
      folder->maps = g_ptr_array_new ();
      folder->names = g_ptr_array_new ();
      folder->tokenizer = tokenizer;
      g_ptr_array_add (self->folders, folder);
    }
  if (folder->tokenizer == NULL)
    folder->tokenizer = atl_tokenizer_new_from_part ((AtlFileMap *const *) folder->maps->pdata,
                                                     (const char *const *) folder->names->pdata,
                                                     folder->maps->len, error);
  return folder->tokenizer;
}
