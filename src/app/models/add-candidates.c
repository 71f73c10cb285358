/* A list, and two tables by path. */
#include "app/models/add-candidates.h"

void
atl_add_candidates_init (AtlAddCandidates *self)
{
  self->models = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_model_file_free);
  self->reasons = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->infos = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                       (GDestroyNotify) atl_model_info_unref);
}

void
atl_add_candidates_clear (AtlAddCandidates *self)
{
  g_clear_pointer (&self->models, g_ptr_array_unref);
  g_clear_pointer (&self->reasons, g_hash_table_unref);
  g_clear_pointer (&self->infos, g_hash_table_unref);
}

/* A whole model of a kind that nobody runs here; it may be a part of another one. */
static gboolean
is_of_no_use_alone (const AtlModelInfo *info)
{
  return info != NULL && !info->can_run && !info->is_picture && !info->is_lora &&
         !info->is_adapter && !info->is_upscaler && info->fit_words[0] != '\0';
}

void
atl_add_candidates_add (AtlAddCandidates *self,
                        AtlModelFile *file,
                        AtlModelInfo *info,
                        gboolean is_for_pictures)
{
  if (is_of_no_use_alone (info))
    g_hash_table_insert (self->reasons, g_strdup (file->path), g_strdup (info->fit_words));
  if (info != NULL && is_for_pictures)
    g_hash_table_insert (self->infos, g_strdup (file->path), atl_model_info_ref (info));
  g_ptr_array_add (self->models, file);
}

gboolean
atl_add_candidates_has (const AtlAddCandidates *self, const char *path)
{
  for (guint i = 0; i < self->models->len; i++)
    if (g_str_equal (((AtlModelFile *) self->models->pdata[i])->path, path))
      return TRUE;
  return FALSE;
}

void
atl_add_candidates_take_encoders (AtlAddCandidates *self, gboolean lacks, AtlDroppedParts *parts)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->infos);
  while (!lacks && g_hash_table_iter_next (&iter, NULL, &value))
    lacks = ((AtlModelInfo *) value)->n_missing > 0;
  for (guint i = self->models->len; i-- > 0 && lacks;)
    {
      g_autofree char *path = g_strdup (((AtlModelFile *) self->models->pdata[i])->path);
      const AtlModelInfo *info = g_hash_table_lookup (self->infos, path);

      if (info == NULL || info->is_picture || info->is_upscaler)
        continue;
      atl_dropped_parts_add (parts, path, info);
      g_hash_table_remove (self->reasons, path);
      g_hash_table_remove (self->infos, path);
      g_ptr_array_remove_index (self->models, i);
    }
}

void
atl_add_candidates_forget (AtlAddCandidates *self)
{
  g_ptr_array_set_size (self->models, 0);
  g_hash_table_remove_all (self->reasons);
  g_hash_table_remove_all (self->infos);
}
