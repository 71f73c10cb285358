/* One picture of the gallery. */
#include "app/gallery/gallery-item.h"

#define MAX_ASPECT 3.0

struct _AtlGalleryItem
{
  GObject parent_instance;

  AtlPictureBrief brief;
  char *words;         /* (nullable) */
  GdkTexture *texture; /* (nullable) */
  AtlGalleryState state;
  guint n_held;
};

G_DEFINE_FINAL_TYPE (AtlGalleryItem, atl_gallery_item, G_TYPE_OBJECT)

enum
{
  PROP_TEXTURE = 1,
  PROP_STATE,
  PROP_STARRED,
  N_PROPS
};

static GParamSpec *properties[N_PROPS];

AtlGalleryItem *
atl_gallery_item_new (const AtlPictureBrief *brief)
{
  AtlGalleryItem *self = g_object_new (ATL_TYPE_GALLERY_ITEM, NULL);

  self->brief = *brief;
  return self;
}

void
atl_gallery_item_update (AtlGalleryItem *self, const AtlPictureBrief *brief)
{
  gboolean was_starred = self->brief.starred;

  self->brief = *brief;
  g_clear_pointer (&self->words, g_free);
  if (was_starred != brief->starred)
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STARRED]);
}

gint64
atl_gallery_item_get_id (AtlGalleryItem *self)
{
  return self->brief.id;
}

gint64
atl_gallery_item_get_created_us (AtlGalleryItem *self)
{
  return self->brief.created_us;
}

double
atl_gallery_item_get_aspect (AtlGalleryItem *self)
{
  if (self->brief.width == 0 || self->brief.height == 0)
    return 1;
  return CLAMP ((double) self->brief.width / self->brief.height, 1 / MAX_ASPECT, MAX_ASPECT);
}

gboolean
atl_gallery_item_get_starred (AtlGalleryItem *self)
{
  return self->brief.starred;
}

void
atl_gallery_item_set_starred (AtlGalleryItem *self, gboolean starred)
{
  if (self->brief.starred == starred)
    return;
  self->brief.starred = starred;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STARRED]);
}

const char *
atl_gallery_item_get_words (AtlGalleryItem *self)
{
  return self->words;
}

void
atl_gallery_item_set_words (AtlGalleryItem *self, const char *words)
{
  g_free (self->words);
  self->words = g_strdup (words);
}

GdkTexture *
atl_gallery_item_get_texture (AtlGalleryItem *self)
{
  return self->texture;
}

AtlGalleryState
atl_gallery_item_get_state (AtlGalleryItem *self)
{
  return self->state;
}

void
atl_gallery_item_set_state (AtlGalleryItem *self, AtlGalleryState state, GdkTexture *texture)
{
  if (g_set_object (&self->texture, texture))
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_TEXTURE]);
  if (self->state != state)
    {
      self->state = state;
      g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_STATE]);
    }
}

void
atl_gallery_item_hold (AtlGalleryItem *self)
{
  self->n_held++;
}

void
atl_gallery_item_release (AtlGalleryItem *self)
{
  g_return_if_fail (self->n_held > 0);
  self->n_held--;
}

gboolean
atl_gallery_item_is_held (AtlGalleryItem *self)
{
  return self->n_held > 0;
}

static void
atl_gallery_item_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AtlGalleryItem *self = ATL_GALLERY_ITEM (object);

  switch (id)
    {
    case PROP_TEXTURE:
      g_value_set_object (value, self->texture);
      break;
    case PROP_STATE:
      g_value_set_uint (value, self->state);
      break;
    case PROP_STARRED:
      g_value_set_boolean (value, self->brief.starred);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
atl_gallery_item_finalize (GObject *object)
{
  AtlGalleryItem *self = ATL_GALLERY_ITEM (object);

  g_clear_object (&self->texture);
  g_free (self->words);
  G_OBJECT_CLASS (atl_gallery_item_parent_class)->finalize (object);
}

static void
atl_gallery_item_class_init (AtlGalleryItemClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  object_class->get_property = atl_gallery_item_get_property;
  object_class->finalize = atl_gallery_item_finalize;
  properties[PROP_TEXTURE] = g_param_spec_object ("texture", NULL, NULL, GDK_TYPE_TEXTURE, flags);
  properties[PROP_STATE] =
      g_param_spec_uint ("state", NULL, NULL, 0, ATL_GALLERY_BROKEN, ATL_GALLERY_FRESH, flags);
  properties[PROP_STARRED] = g_param_spec_boolean ("starred", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
atl_gallery_item_init (AtlGalleryItem *self)
{
}
