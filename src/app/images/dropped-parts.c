/* A list of each kind. */
#include "app/images/dropped-parts.h"

#include "app/images/brought-names.h"
#include "app/images/brought-parts.h"

typedef struct
{
  char *path;
  AtlModelInfo *info; /* (owned) */
} Part;

struct _AtlDroppedParts
{
  GPtrArray *parts;  /* (element-type Part) */
  GPtrArray *words;  /* (element-type filename) files of vocabularies */
  GPtrArray *origin; /* (element-type filename) what they were dropped as: they, or their folders */
};

static void
part_free (gpointer data)
{
  Part *part = data;

  g_free (part->path);
  atl_model_info_unref (part->info);
  g_free (part);
}

AtlDroppedParts *
atl_dropped_parts_new (void)
{
  AtlDroppedParts *self = g_new0 (AtlDroppedParts, 1);

  self->parts = g_ptr_array_new_with_free_func (part_free);
  self->words = g_ptr_array_new_with_free_func (g_free);
  self->origin = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
atl_dropped_parts_free (AtlDroppedParts *self)
{
  if (self == NULL)
    return;
  g_ptr_array_unref (self->parts);
  g_ptr_array_unref (self->words);
  g_ptr_array_unref (self->origin);
  g_free (self);
}

void
atl_dropped_parts_add (AtlDroppedParts *self, const char *path, const AtlModelInfo *info)
{
  Part *part = g_new0 (Part, 1);

  part->path = g_strdup (path);
  part->info = atl_model_info_ref ((AtlModelInfo *) info);
  g_ptr_array_add (self->parts, part);
}

void
atl_dropped_parts_add_words (AtlDroppedParts *self, const char *path)
{
  g_ptr_array_add (self->words, g_strdup (path));
  g_ptr_array_add (self->origin, g_strdup (path));
}

gboolean
atl_dropped_parts_add_folder (AtlDroppedParts *self, const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  guint n_before = self->words->len;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (atl_brought_names_is_words (name))
      g_ptr_array_add (self->words, g_build_filename (path, name, NULL));
  if (self->words->len == n_before)
    return FALSE;
  g_ptr_array_add (self->origin, g_strdup (path));
  return TRUE;
}

GPtrArray *
atl_dropped_parts_hand_on (AtlDroppedParts *self, AtlPicturesSession *pictures)
{
  GPtrArray *refused = g_ptr_array_new_with_free_func (g_free);

  /* First, so that they are there when the model is looked at with the first of the parts. */
  if (!atl_brought_parts_take_words (pictures, self->words, self->parts->len > 0))
    g_ptr_array_extend_and_steal (refused, g_steal_pointer (&self->origin));
  for (guint i = 0; i < self->parts->len; i++)
    {
      const Part *part = self->parts->pdata[i];

      if (!atl_brought_parts_take (pictures, part->path, part->info))
        g_ptr_array_add (refused, g_strdup (part->path));
    }
  if (self->origin == NULL)
    self->origin = g_ptr_array_new_with_free_func (g_free);
  atl_dropped_parts_forget (self);
  return refused;
}

void
atl_dropped_parts_forget (AtlDroppedParts *self)
{
  g_ptr_array_set_size (self->parts, 0);
  g_ptr_array_set_size (self->words, 0);
  g_ptr_array_set_size (self->origin, 0);
}
