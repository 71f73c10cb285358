/* The networks in a bundle's files: which file plays which part. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/convert/hf.h"
#include "engine/diffusion/bundle-private.h"
#include "engine/diffusion/part-checks.h"
#include "engine/formats/open.h"

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
choose_variant (const AtlBundleFolder *folder)
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
open_folder (AtlBundleFolder *folder, GError **error)
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
has_weights (const AtlBundleFolder *folder)
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

/* The language model inside a file with several networks; TRUE where there is none. */
static gboolean
open_inner (AtlCheckpoint *file, GPtrArray *all, GPtrArray *plains, GError **error)
{
  GError *local = NULL;
  g_autoptr (AtlCheckpoint) inner = atl_hf_inner_part (file, &local);
  AtlCheckpoint *cp = inner != NULL ? atl_hf_adopt_part (inner, &local) : NULL;

  if (local != NULL)
    {
      g_propagate_error (error, local);
      return FALSE;
    }
  if (cp != NULL)
    {
      g_ptr_array_add (all, cp);
      g_ptr_array_add (plains, g_steal_pointer (&inner));
    }
  return TRUE;
}

/* Every model among a folder's weight files, and in `plain` those whose names became others. With
 * `tolerant` broken ones are passed over; else FALSE with the first error. */
static gboolean
open_all (
    AtlBundleFolder *folder, gboolean tolerant, GPtrArray *all, GPtrArray *plains, GError **error)
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
      if (!open_inner (plain, all, plains, tolerant ? NULL : error) && !tolerant)
        return FALSE;
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
  if (open_all (atl_bundle_find_folder (self, ""), FALSE, self->loose, self->plain, error))
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
  open_all (atl_bundle_find_folder (self, ATL_BUNDLE_NEARBY), TRUE, self->nearby,
            self->nearby_plain, NULL);
}

static gboolean
is_of_class (const AtlCheckpoint *cp, const char *class_name)
{
  for (const AtlComponentClass *const *c = atl_component_classes (); *c != NULL; c++)
    if (g_str_equal ((*c)->name, class_name) && atl_component_class_claims (*c, cp))
      return TRUE;
  return FALSE;
}

/* Folders of denoisers, also of others' programs. */
static const char *const of_denoisers[] = { "transformer", "unet" };

AtlCheckpoint *
atl_bundle_loose (AtlBundle *self, const char *class_name, GError **error)
{
  if (!open_loose (self, error))
    return NULL;
  for (guint i = 0; i < self->loose->len; i++)
    if (is_of_class (self->loose->pdata[i], class_name))
      return self->loose->pdata[i];
  /* A folder of diffusers that has lost its index. */
  for (gsize i = 0; i < G_N_ELEMENTS (of_denoisers); i++)
    {
      AtlBundleFolder *folder = atl_bundle_find_folder (self, of_denoisers[i]);
      AtlCheckpoint *cp;

      if (!has_weights (folder))
        continue;
      cp = open_folder (folder, error);
      if (cp == NULL || is_of_class (cp, class_name))
        return cp;
    }
  return NULL;
}

static gboolean
can_play (AtlBundle *self, AtlCheckpoint *cp, const AtlPart *part)
{
  const AtlComponentClass *klass = atl_component_class_for (cp, part->origin, part->function, NULL);

  return klass != NULL && atl_component_class_claims (klass, cp) &&
         (part->accepts == NULL || part->accepts (cp)) &&
         (part->fits == NULL || part->fits (self, cp)) &&
         (part->reader == NULL || atl_text_fits (self, cp, part->role, part->reader));
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
  AtlBundleFolder *folder = atl_bundle_find_folder (self, part->beside);
  AtlCheckpoint *found;

  if (has_weights (folder) && open_folder (folder, NULL) != NULL &&
      can_play (self, folder->plain, part))
    return folder->plain;
  found = find_player (self, self->plain, part);
  return found != NULL ? found : find_player (self, self->nearby_plain, part);
}

/* A denoiser in a folder of another name than its family's: "unet/flux1-dev.gguf". */
static AtlCheckpoint *
find_misplaced (AtlBundle *self, const AtlPart *part)
{
  for (gsize i = 0; i < G_N_ELEMENTS (of_denoisers); i++)
    {
      AtlBundleFolder *folder = atl_bundle_find_folder (self, of_denoisers[i]);
      AtlCheckpoint *cp = has_weights (folder) ? open_folder (folder, NULL) : NULL;

      if (cp != NULL && can_play (self, cp, part))
        return cp;
    }
  return NULL;
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
      self->misfit = (AtlMisfit){ 0 };
      found = find_player (self, self->loose, part);
      if (found == NULL && self->misfit.takes > 0)
        g_hash_table_insert (self->misfits, g_strdup (part->role),
                             g_memdup2 (&self->misfit, sizeof self->misfit));
      if (found == NULL && g_str_equal (part->function, "forward") && !part->is_optional)
        found = find_misplaced (self, part);
      if (found == NULL && part->beside != NULL)
        found = find_beside (self, part);
      if (found == NULL)
        found = find_player (self, self->nearby, part);
      if (found != NULL)
        g_hash_table_insert (self->given, g_strdup (part->role), found);
    }
  return TRUE;
}

void
atl_bundle_note_misfit (AtlBundle *self, const AtlCheckpoint *cp, gint64 gives, gint64 takes)
{
  self->misfit = (AtlMisfit){ atl_checkpoint_name (cp), gives, takes };
}

const AtlMisfit *
atl_bundle_misfit (const AtlBundle *self, const char *role)
{
  return g_hash_table_lookup (self->misfits, role);
}

const AtlMisfit *
atl_bundle_text_misfit (AtlBundle *self, const AtlPart *part)
{
  const AtlCheckpoint *cp = part->reader != NULL && atl_bundle_has (self, part->role)
                                ? atl_bundle_checkpoint (self, part->role, NULL)
                                : NULL;

  self->misfit = (AtlMisfit){ 0 };
  return cp == NULL || atl_text_fits (self, cp, part->role, part->reader) ? NULL : &self->misfit;
}

gboolean
atl_bundle_has (AtlBundle *self, const char *role)
{
  return has_weights (atl_bundle_find_folder (self, role)) ||
         g_hash_table_contains (self->given, role);
}

gboolean
atl_bundle_needs (AtlBundle *self, const AtlPart *part)
{
  return !part->is_optional || (part->needs != NULL && part->needs (self));
}

gboolean
atl_bundle_has_folder (const AtlBundle *self, const char *role)
{
  return atl_bundle_find_folder (self, role) != NULL;
}

gboolean
atl_bundle_has_file (const AtlBundle *self, const char *role, const char *name)
{
  const AtlBundleFolder *folder = atl_bundle_find_folder (self, role);

  return folder != NULL &&
         g_ptr_array_find_with_equal_func (folder->names, name, g_str_equal, NULL);
}

AtlCheckpoint *
atl_bundle_checkpoint (AtlBundle *self, const char *role, GError **error)
{
  AtlBundleFolder *folder = atl_bundle_find_folder (self, role);
  AtlCheckpoint *cp = NULL;

  if (has_weights (folder))
    return open_folder (folder, error);
  cp = g_hash_table_lookup (self->given, role);
  if (cp == NULL)
    g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("This model's part “%s” is missing"),
                 role);
  return cp;
}
