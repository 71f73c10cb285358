/* "….safetensors.index.json": which file of a model holds which tensor. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/safetensors-private.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/formats/format-error.h"
#include "engine/formats/st-scanner.h"

static gboolean
is_inside (const AtlFileMap *map, const guint8 *data)
{
  const guint8 *start = atl_file_map_data (map);

  return data >= start && data <= start + atl_file_map_size (map);
}

static const char *
base_name (const char *path)
{
  const char *slash = strrchr (path, '/');

  return slash != NULL ? slash + 1 : path;
}

/* One entry of an index: the tensor `name` must be in the file that it names. */
static gboolean
check_place (AtlCheckpoint *cp,
             GPtrArray *maps,
             const char *index_name,
             const char *name,
             const char *where,
             GError **error)
{
  const AtlTensorInfo *info = atl_checkpoint_find (cp, name);
  g_autofree char *shown = NULL;

  for (guint i = 0; i < maps->len; i++)
    if (strcmp (base_name (atl_file_map_name (maps->pdata[i])), base_name (where)) == 0)
      {
        if (info != NULL && is_inside (maps->pdata[i], info->data))
          return TRUE;
        shown = atl_format_excerpt (name, strlen (name));
        return atl_format_fail (error, ATL_ERROR_BAD_FILE,
                                _ ("%s says that %s holds the tensor “%s”, but it does not"),
                                index_name, atl_file_map_name (maps->pdata[i]), shown);
      }
  shown = atl_format_excerpt (where, strlen (where));
  return atl_format_fail (error, ATL_ERROR_NOT_FOUND,
                          _ ("%s needs the file “%s”, which is missing; put all parts of the model "
                             "into one folder and open that"),
                          index_name, shown);
}

static gboolean
check_weight_map (AtlCheckpoint *cp,
                  GPtrArray *maps,
                  AtlStScanner *scanner,
                  const char *index_name,
                  GError **error)
{
  gboolean first = TRUE, more;

  if (!atl_st_expect (scanner, '{', N_ ("a weight_map"), error))
    return FALSE;
  while (TRUE)
    {
      g_autofree char *name = NULL, *where = NULL;

      if (!atl_st_next (scanner, '}', &first, &more, N_ ("a weight_map"), error))
        return FALSE;
      if (!more)
        return TRUE;
      if (!atl_st_text (scanner, N_ ("the name of a tensor"), &name, error) ||
          !atl_st_expect (scanner, ':', N_ ("a weight_map"), error) ||
          !atl_st_text (scanner, N_ ("the name of a file"), &where, error) ||
          !check_place (cp, maps, index_name, name, where, error))
        return FALSE;
    }
}

gboolean
atl_safetensors_check_index (
    AtlCheckpoint *cp, GPtrArray *maps, const char *json, gsize size, GError **error)
{
  g_autofree char *index_name = g_strdup_printf (_ ("The index of %s"), atl_checkpoint_name (cp));
  gboolean first = TRUE, more, found = FALSE;
  AtlStScanner scanner;

  atl_st_scanner_init (&scanner, json, size, index_name);
  if (!atl_st_expect (&scanner, '{', N_ ("an index"), error))
    return FALSE;
  while (TRUE)
    {
      g_autofree char *member = NULL;

      if (!atl_st_next (&scanner, '}', &first, &more, N_ ("an index"), error))
        return FALSE;
      if (!more)
        break;
      if (!atl_st_text (&scanner, N_ ("the name of a member"), &member, error) ||
          !atl_st_expect (&scanner, ':', N_ ("an index"), error))
        return FALSE;
      if (strcmp (member, "weight_map") == 0)
        {
          found = TRUE;
          if (!check_weight_map (cp, maps, &scanner, index_name, error))
            return FALSE;
        }
      else if (!atl_st_skip (&scanner, N_ ("an index"), error))
        return FALSE;
    }
  if (!found)
    return atl_format_fail (error, ATL_ERROR_BAD_FILE, _ ("%s has no “weight_map”"), index_name);
  return TRUE;
}
