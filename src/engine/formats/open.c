/* Sorting the files of a model by what they are, and handing them to their reader. */
#define G_LOG_DOMAIN "atl-formats"

#include "engine/formats/open.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/formats/file-kind.h"
#include "engine/formats/format-error.h"
#include "engine/formats/gguf.h"
#include "engine/formats/ncnn.h"
#include "engine/formats/safetensors.h"
#include "engine/formats/torch.h"

/* Settings files, and what their keys begin with. */
static const struct
{
  const char *name;
  const char *prefix;
} configs[] = {
  { "config.json", "" },
  { "quantize_config.json", "quantization_config." }, /* of older GPTQ folders */
  { "adapter_config.json", "adapter_config." },
  { "generation_config.json", "generation_config." },
  { "model_index.json", "model_index." },
};

typedef struct
{
  GPtrArray *gguf;        /* (owned) AtlFileMap, borrowed */
  GPtrArray *safetensors; /* (owned) AtlFileMap, borrowed */
  GPtrArray *torch;       /* (owned) AtlFileMap, borrowed */
  GPtrArray *others;      /* (owned) AtlFileMap of no known kind, borrowed */
  AtlFileMap *ncnn;       /* (nullable) the description */
  AtlFileMap *index;      /* (nullable) */
  AtlFileMap *config[G_N_ELEMENTS (configs)];
  AtlFileMap *json; /* (nullable) any JSON, for messages */
} Files;

static void
files_clear (Files *self)
{
  g_ptr_array_unref (self->gguf);
  g_ptr_array_unref (self->safetensors);
  g_ptr_array_unref (self->torch);
  g_ptr_array_unref (self->others);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Files, files_clear)

static const char *
logical_name (AtlFileMap *map, const char *const *names, guint i)
{
  return names != NULL && names[i] != NULL ? names[i] : atl_file_map_name (map);
}

static const char *
base_name (const char *name)
{
  const char *slash = strrchr (name, '/');

  return slash != NULL ? slash + 1 : name;
}

static void
sort_json (Files *self, AtlFileMap *map, const char *name)
{
  self->json = map;
  if (g_str_has_suffix (name, ".index.json"))
    self->index = map;
  for (guint i = 0; i < G_N_ELEMENTS (configs); i++)
    if (strcmp (base_name (name), configs[i].name) == 0 && self->config[i] == NULL)
      self->config[i] = map;
}

/* Beside a model's weights lie licences, readmes and tokenizers, which are not for this reader; but
 * a file that claims to be weights must be. */
static gboolean
claims_weights (const char *name)
{
  return strstr (name, ".safetensors") != NULL || strstr (name, ".gguf") != NULL;
}

/* "…-00002-of-00003…": 3, or 0 when the name says nothing of parts. */
static guint
parts_in_name (const char *name)
{
  const char *of = strstr (name, "-of-");
  char *end;
  guint64 n;

  if (of == NULL || of == name || !g_ascii_isdigit (of[-1]) || !g_ascii_isdigit (of[4]))
    return 0;
  n = g_ascii_strtoull (of + 4, &end, 10);
  return n <= G_MAXUINT16 ? (guint) n : 0;
}

static AtlCheckpoint *
open_safetensors (Files *files, GError **error)
{
  const char *index = NULL;
  gsize index_size = 0;
  g_autoptr (AtlCheckpoint) cp = NULL;

  if (files->index != NULL)
    {
      index = (const char *) atl_file_map_data (files->index);
      index_size = atl_file_map_size (files->index);
    }
  else
    for (guint i = 0; i < files->safetensors->len; i++)
      {
        const char *name = atl_file_map_name (files->safetensors->pdata[i]);
        guint parts = parts_in_name (base_name (name));

        if (parts > files->safetensors->len)
          {
            atl_format_fail (
                error, ATL_ERROR_NOT_FOUND,
                _ ("%s is one of %u parts; put all parts into one folder and open that"), name,
                parts);
            return NULL;
          }
      }

  cp = atl_safetensors_open ((AtlFileMap *const *) files->safetensors->pdata,
                             files->safetensors->len, index, index_size, error);
  if (cp == NULL)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (configs); i++)
    {
      AtlFileMap *map = files->config[i];

      if (map != NULL &&
          !atl_config_add_json_under (cp, configs[i].prefix, (const char *) atl_file_map_data (map),
                                      atl_file_map_size (map), atl_file_map_name (map), error))
        return NULL;
    }
  return g_steal_pointer (&cp);
}

/* What training leaves beside the weights. */
static gboolean
is_of_training (const char *name)
{
  static const char *const heads[] = { "training_args", "optimizer", "scheduler", "rng_state" };

  for (gsize i = 0; i < G_N_ELEMENTS (heads); i++)
    if (g_str_has_prefix (base_name (name), heads[i]))
      return TRUE;
  return FALSE;
}

/* With the weights of the same name, or the only file there is. */
static AtlCheckpoint *
open_ncnn (Files *files, GError **error)
{
  const char *name = base_name (atl_file_map_name (files->ncnn)), *dot = strrchr (name, '.');
  g_autofree char *wanted =
      g_strdup_printf ("%.*s.bin", (int) (dot != NULL ? dot - name : (gssize) strlen (name)), name);
  AtlFileMap *bin = files->others->len == 1 ? files->others->pdata[0] : NULL;

  for (guint i = 0; i < files->others->len; i++)
    if (strcmp (base_name (atl_file_map_name (files->others->pdata[i])), wanted) == 0)
      bin = files->others->pdata[i];
  if (bin != NULL)
    return atl_ncnn_open (files->ncnn, bin, error);
  atl_format_fail (error, ATL_ERROR_NOT_FOUND,
                   _ ("%s describes a network whose weights are in %s; put it beside it"), name,
                   wanted);
  return NULL;
}

static gboolean
refuse (AtlFileMap *map, GError **error)
{
  return atl_file_refuse (atl_file_map_data (map), atl_file_map_size (map), atl_file_map_name (map),
                          error);
}

AtlCheckpoint *
atl_checkpoint_open (AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  g_auto (Files) files = { .gguf = g_ptr_array_new (),
                           .safetensors = g_ptr_array_new (),
                           .torch = g_ptr_array_new (),
                           .others = g_ptr_array_new () };

  g_return_val_if_fail (n >= 1, NULL);
  for (guint i = 0; i < n; i++)
    {
      const char *name = logical_name (maps[i], names, i);

      switch (atl_file_kind (atl_file_map_data (maps[i]), atl_file_map_size (maps[i])))
        {
        case ATL_FILE_GGUF:
          g_ptr_array_add (files.gguf, maps[i]);
          break;
        case ATL_FILE_SAFETENSORS:
          g_ptr_array_add (files.safetensors, maps[i]);
          break;
        case ATL_FILE_JSON:
          sort_json (&files, maps[i], name);
          break;
        case ATL_FILE_OTHER:
          if (claims_weights (name))
            {
              refuse (maps[i], error);
              return NULL;
            }
          g_ptr_array_add (files.others, maps[i]);
          break;
        case ATL_FILE_TORCH:
          if (n == 1 || !is_of_training (name))
            g_ptr_array_add (files.torch, maps[i]);
          break;
        case ATL_FILE_NCNN:
          files.ncnn = maps[i];
          break;
        }
    }

  if (files.gguf->len > 0 && files.safetensors->len > 0)
    {
      atl_format_fail (error, ATL_ERROR_INVALID,
                       _ ("%s and %s are two different models; open one of them"),
                       atl_file_map_name (files.gguf->pdata[0]),
                       atl_file_map_name (files.safetensors->pdata[0]));
      return NULL;
    }
  if (files.gguf->len > 0)
    return atl_gguf_open ((AtlFileMap *const *) files.gguf->pdata, files.gguf->len, error);
  if (files.safetensors->len > 0)
    return open_safetensors (&files, error);
  if (files.torch->len > 0)
    return atl_torch_open ((AtlFileMap *const *) files.torch->pdata, files.torch->len, error);
  if (files.ncnn != NULL)
    return open_ncnn (&files, error);
  if (files.others->len > 0)
    refuse (files.others->pdata[0], error);
  else
    atl_format_fail (
        error, ATL_ERROR_BAD_FILE,
        _ ("%s holds settings or text in JSON, but no weights; open the .safetensors or "
           ".gguf file beside it"),
        atl_file_map_name (files.json != NULL ? files.json : maps[0]));
  return NULL;
}
