/* Opening a model's files for the engine, which has no file system of its own. */
#define G_LOG_DOMAIN "atl-client"

#include "client/client.h"
#include "client/nearby-files.h"
#include "client/open-files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/picture-folder.h"

/* Everything of a Hugging Face folder that an engine reads. */
static const char *const folder_suffixes[] = { ".safetensors", ".json", ".jinja", ".model", NULL };

/* Opens one regular file; a pipe or device must not hang or be read. */
static gboolean
open_regular (const char *path, gboolean is_model, GUnixFDList *fds, GError **error)
{
  struct stat st;
  gboolean ok;
  int fd;

  fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0)
    {
      g_autofree char *shown = g_filename_display_name (path);
      int code = errno;

      if (code == ENOENT)
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                     _ ("%s is not there any more. Was it moved or deleted?"), shown);
      else if (code == EACCES)
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                     _ ("You have no permission to read %s."), shown);
      else
        g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s cannot be opened: %s."), shown,
                     g_strerror (code));
      return FALSE;
    }
  if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode) || st.st_size == 0)
    {
      g_autofree char *shown = g_filename_display_name (path);

      close (fd);
      g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
                   is_model ? _ ("%s is empty or no ordinary file; a model is needed here.")
                            : _ ("%s is empty or no ordinary file; a picture is needed here."),
                   shown);
      return FALSE;
    }
  ok = g_unix_fd_list_append (fds, fd, error) >= 0;
  close (fd);
  return ok;
}

static gboolean
open_one (const char *path, const char *name, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  if (names->len >= ATL_MAX_FILES)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("This model has more than %u files."), ATL_MAX_FILES);
      return FALSE;
    }
  if (!open_regular (path, TRUE, fds, error))
    return FALSE;
  g_ptr_array_add (names, g_utf8_make_valid (name, -1));
  return TRUE;
}

gboolean
atl_open_picture_file (const char *path, GUnixFDList *fds, GError **error)
{
  return open_regular (path, FALSE, fds, error);
}

/* "model-00002-of-00003.gguf" -> stem "model", number 2, count 3. */
static gboolean
parse_shard (const char *name, char **stem, guint *number, guint *count)
{
  static const gsize tail = sizeof "-00001-of-00001.gguf" - 1;
  gsize length = strlen (name);
  const char *end = name + length - tail;

  if (length <= tail || end[0] != '-' || memcmp (end + 6, "-of-", 4) != 0 ||
      g_ascii_strcasecmp (end + 15, ".gguf") != 0)
    return FALSE;
  for (guint i = 1; i < 15; i++)
    if ((i < 6 || i > 9) && !g_ascii_isdigit (end[i]))
      return FALSE;
  *number = (guint) g_ascii_strtoull (end + 1, NULL, 10);
  *count = (guint) g_ascii_strtoull (end + 10, NULL, 10);
  *stem = g_strndup (name, length - tail);
  return *number >= 1 && *count >= 1 && *number <= *count;
}

/* The name the engine is told. Files that diffusers calls all the same are told apart by their
 * folder, in its cache by that of the whole repository: lcm-lora-sdxl/pytorch_lora_weights…. */
static char *
told_name (const char *folder, const char *name)
{
  g_autofree char *base = g_path_get_basename (folder);
  g_autofree char *above = g_path_get_dirname (folder);
  g_autofree char *snapshots = g_path_get_basename (above);

  if (!g_str_has_prefix (name, "pytorch_lora_weights."))
    return g_strdup (name);
  if (g_str_equal (snapshots, "snapshots"))
    {
      g_autofree char *repository = g_path_get_dirname (above);

      g_free (base);
      base = g_path_get_basename (repository);
    }
  return strchr (base, '/') == NULL ? g_strconcat (base, "/", name, NULL) : g_strdup (name);
}

static gboolean
open_file_or_shards (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *stem = NULL;
  guint number, count;

  if (!parse_shard (name, &stem, &number, &count))
    {
      g_autofree char *told = told_name (folder, name);

      return open_one (path, told, fds, names, error);
    }
  for (guint i = 1; i <= count; i++)
    {
      g_autofree char *shard = g_strdup_printf ("%s-%05u-of-%05u.gguf", stem, i, count);
      g_autofree char *full = g_build_filename (folder, shard, NULL);
      gboolean there = g_file_test (full, G_FILE_TEST_EXISTS);

      if (!there)
        {
          g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                       _ ("This model comes in %u files; %s is missing."), count, shard);
          return FALSE;
        }
      if (!open_one (full, shard, fds, names, error))
        return FALSE;
    }
  return TRUE;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Files of the folder that end in `suffix`; of GGUF shards only the first. */
static void
list_folder (const char *path, const char *suffix, GPtrArray *found)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && found->len <= ATL_MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *lower = g_ascii_strdown (name, -1);
      g_autofree char *stem = NULL;
      guint number = 1, count;

      if (!g_str_has_suffix (lower, suffix))
        continue;
      if (parse_shard (name, &stem, &number, &count) && number != 1)
        continue;
      g_ptr_array_add (found, g_strdup (name));
    }
}

/* A folder of diffusers: its index, and what lies in the folders of its parts. */
static const char *const part_suffixes[] = { ".safetensors", ".gguf", ".json",
                                             ".model",       ".txt",  NULL };
/* The description of a network of the ncnn library. */
static const char pair_suffix[] = ".param";

/* What the weights of a denoiser in FOLDER, which lacks its index, are told as: only the folder's
 * name may say that it is one that edits. Dots would begin a variant ("fp16"). The caller's. */
static char *
told_in_folder (const char *folder, const char *file)
{
  g_autofree char *name = g_path_get_basename (folder);

  return g_strconcat (g_strdelimit (name, ".", '-'), "_", file, NULL);
}

static gboolean
is_weights (const char *name)
{
  return g_str_has_suffix (name, part_suffixes[0]) || g_str_has_suffix (name, part_suffixes[1]);
}

/* `model` (nullable): the folder whose name is told with the weights. */
static gboolean
open_part (const char *path,
           const char *part,
           const char *model,
           GUnixFDList *fds,
           GPtrArray *names,
           GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *folder = g_build_filename (path, part, NULL);

  for (const char *const *suffix = part_suffixes; *suffix != NULL; suffix++)
    list_folder (folder, *suffix, found);
  g_ptr_array_sort (found, compare_names);
  for (guint i = 0; i < found->len; i++)
    {
      const char *name = found->pdata[i];
      g_autofree char *full = g_build_filename (folder, name, NULL);
      g_autofree char *told =
          model != NULL && is_weights (name) ? told_in_folder (model, name) : g_strdup (name);
      g_autofree char *logical = g_build_filename (part, told, NULL);

      if (!open_one (full, logical, fds, names, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
open_picture_folder (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autofree char *index = g_build_filename (path, ATL_PICTURE_INDEX, NULL);
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (path, 0, error);
  const char *name;

  if (dir == NULL || (atl_picture_folder_has_index (path) &&
                      !open_one (index, ATL_PICTURE_INDEX, fds, names, error)))
    return FALSE;
  while (parts->len <= ATL_MAX_FILES && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *full = g_build_filename (path, name, NULL);

      /* No family needs it. */
      if (*name != '.' && !g_str_equal (name, "safety_checker") &&
          g_file_test (full, G_FILE_TEST_IS_DIR))
        g_ptr_array_add (parts, g_strdup (name));
    }
  g_ptr_array_sort (parts, compare_names);
  for (guint i = 0; i < parts->len; i++)
    {
      gboolean draws = g_str_has_prefix (parts->pdata[i], "transformer") ||
                       g_str_has_prefix (parts->pdata[i], "unet");

      if (!open_part (path, parts->pdata[i],
                      draws && !atl_picture_folder_has_index (path) ? path : NULL, fds, names,
                      error))
        return FALSE;
    }
  return TRUE;
}

char *
atl_client_parts_dir (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *key = NULL;
  struct stat st;

  if (stat (path, &st) != 0)
    return NULL;
  if (S_ISREG (st.st_mode))
    key = g_strdup_printf ("%s-%" G_GINT64_FORMAT, name, (gint64) st.st_size);
  else
    {
      g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, path, -1);

      key = g_strdup_printf ("%s-%.16s", name, hash);
    }
  return g_build_filename (g_get_user_data_dir (), "atelier", "parts", "of", key, NULL);
}

/* What was fetched for a single file that is no whole model. */
static gboolean
open_fetched_parts (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autofree char *folder = atl_client_parts_dir (path);
  g_autoptr (GDir) dir = folder != NULL ? g_dir_open (folder, 0, NULL) : NULL;
  const char *role;

  while (dir != NULL && (role = g_dir_read_name (dir)) != NULL)
    if (!open_part (folder, role, NULL, fds, names, error))
      return FALSE;
  return TRUE;
}

/* NAME.bin beside NAME.param. */
static gboolean
open_pair (const char *param, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autofree char *bin =
      g_strdup_printf ("%.*s.bin", (int) (strlen (param) - strlen (pair_suffix)), param);
  g_autofree char *param_name = g_path_get_basename (param);
  g_autofree char *bin_name = g_path_get_basename (bin);

  return open_one (param, param_name, fds, names, error) &&
         open_one (bin, bin_name, fds, names, error);
}

/* Files that may hold other parts of the model at `path`; what cannot be opened of them is not
 * missed here. */
static void
open_nearby (const char *path, GUnixFDList *fds, GPtrArray *names)
{
  g_autoptr (GPtrArray) files = atl_nearby_files (path);

  for (guint i = 0; i < files->len; i++)
    {
      g_autofree char *name = g_path_get_basename (files->pdata[i]);
      g_autofree char *logical = g_strconcat (ATL_NEARBY_PREFIX, name, NULL);

      open_one (files->pdata[i], logical, fds, names, NULL);
    }
}

/* One of others' folders, with the parts of models sorted into it. FALSE without an error when it
 * is none. */
static gboolean
open_sorted_folder (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autoptr (GPtrArray) found = atl_nearby_denoisers (path);
  g_autofree char *shown = g_filename_display_basename (path);

  if (found->len == 0)
    return FALSE;
  if (found->len > 1)
    {
      g_autofree char *first = g_path_get_basename (found->pdata[0]);
      g_autofree char *second = g_path_get_basename (found->pdata[1]);

      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The folder %s holds %u models (%s, %s…). Choose one of its files."), shown,
                   found->len, first, second);
      return FALSE;
    }
  if (!open_file_or_shards (found->pdata[0], fds, names, error))
    return FALSE;
  open_nearby (found->pdata[0], fds, names);
  return TRUE;
}

/* Folders of parts beside files that lie loose. */
static gboolean
open_part_folders (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (atl_picture_folder_is_part (path, name) && !open_part (path, name, NULL, fds, names, error))
      return FALSE;
  return TRUE;
}

/* A model in one file, with what may be its parts beside it. */
static gboolean
open_lone (const char *path, const char *name, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autofree char *full = g_build_filename (path, name, NULL);
  g_autoptr (GPtrArray) beside = g_ptr_array_new_with_free_func (g_free);

  if (!open_file_or_shards (full, fds, names, error))
    return FALSE;
  list_folder (path, ".safetensors", beside);
  g_ptr_array_sort (beside, compare_names);
  for (guint i = 0; i < beside->len; i++)
    {
      g_autofree char *part = g_build_filename (path, beside->pdata[i], NULL);
      g_autofree char *logical = g_strconcat (ATL_NEARBY_PREFIX, beside->pdata[i], NULL);

      open_one (part, logical, fds, names, NULL);
    }
  return open_part_folders (path, fds, names, error);
}

static gboolean
open_folder (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *shown = g_filename_display_basename (path);
  gboolean has_weights = FALSE;

  if (atl_picture_folder_check (path))
    return open_picture_folder (path, fds, names, error);
  list_folder (path, ".gguf", found);
  if (found->len > 1)
    {
      g_ptr_array_sort (found, compare_names);
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The folder %s holds %u models (%s, %s…). Choose one of its files."), shown,
                   found->len, (char *) g_ptr_array_index (found, 0),
                   (char *) g_ptr_array_index (found, 1));
      return FALSE;
    }
  if (found->len == 1)
    return open_lone (path, g_ptr_array_index (found, 0), fds, names, error);

  list_folder (path, pair_suffix, found);
  if (found->len == 1)
    {
      g_autofree char *full = g_build_filename (path, g_ptr_array_index (found, 0), NULL);

      return open_pair (full, fds, names, error);
    }
  g_ptr_array_set_size (found, 0);

  for (const char *const *suffix = folder_suffixes; *suffix != NULL; suffix++)
    {
      list_folder (path, *suffix, found);
      if (suffix == folder_suffixes)
        has_weights = found->len > 0;
    }
  if (!has_weights)
    {
      GError *local = NULL;

      if (open_sorted_folder (path, fds, names, &local))
        return TRUE;
      if (local != NULL)
        {
          g_propagate_error (error, local);
          return FALSE;
        }
      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The folder %s holds no model: a .gguf file or .safetensors files are "
                      "needed."),
                   shown);
      return FALSE;
    }
  g_ptr_array_sort (found, compare_names);
  for (guint i = 0; i < found->len; i++)
    {
      const char *name = g_ptr_array_index (found, i);
      g_autofree char *full = g_build_filename (path, name, NULL);
      g_autofree char *logical = g_build_filename (shown, name, NULL);

      /* The files say "model"; what it is called is the folder's name. */
      if (!open_one (full, logical, fds, names, error))
        return FALSE;
    }
  return open_part_folders (path, fds, names, error);
}

static gboolean
open_path (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  if (g_str_has_suffix (path, pair_suffix) && !g_file_test (path, G_FILE_TEST_IS_DIR))
    return open_pair (path, fds, names, error);
  if (!(g_file_test (path, G_FILE_TEST_IS_DIR) ? open_folder (path, fds, names, error)
                                               : open_file_or_shards (path, fds, names, error)) ||
      !open_fetched_parts (path, fds, names, error))
    return FALSE;
  open_nearby (path, fds, names);
  return TRUE;
}

GUnixFDList *
atl_open_model_files (const char *const *paths, GPtrArray **names, GError **error)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new ();
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (g_free);

  for (; *paths != NULL; paths++)
    if (!open_path (*paths, fds, list, error))
      return NULL;
  if (list->len == 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, "%s", _ ("No file was chosen."));
      return NULL;
    }
  *names = g_steal_pointer (&list);
  return g_steal_pointer (&fds);
}

/* PEFT's settings lie beside its weights. */
static const char adapter_config[] = "adapter_config.json";

static gboolean
open_adapter_file (const char *folder,
                   const char *name,
                   guint number,
                   GUnixFDList *fds,
                   GPtrArray *names,
                   GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *told = told_name (folder, name);
  g_autofree char *logical = g_strdup_printf ("adapter-%u/%s", number, told);

  return open_one (path, logical, fds, names, error);
}

gboolean
atl_open_adapter_files (
    const char *path, guint number, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  gboolean is_folder = g_file_test (path, G_FILE_TEST_IS_DIR);
  g_autofree char *folder = is_folder ? g_strdup (path) : g_path_get_dirname (path);
  g_autofree char *only = is_folder ? NULL : g_path_get_basename (path);
  g_autofree char *config = g_build_filename (folder, adapter_config, NULL);
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);

  if (only != NULL)
    g_ptr_array_add (found, g_strdup (only));
  else
    {
      list_folder (folder, ".gguf", found);
      if (found->len == 0)
        list_folder (folder, ".safetensors", found);
    }
  if (found->len != 1)
    {
      g_autofree char *shown = g_filename_display_basename (path);

      g_set_error (error, ATL_ERROR, ATL_ERROR_UNSUPPORTED,
                   _ ("The folder %s should hold one adapter: a .gguf or .safetensors file."),
                   shown);
      return FALSE;
    }
  if (!open_adapter_file (folder, g_ptr_array_index (found, 0), number, fds, names, error))
    return FALSE;
  return !g_str_has_suffix (g_ptr_array_index (found, 0), ".safetensors") ||
         !g_file_test (config, G_FILE_TEST_IS_REGULAR) ||
         open_adapter_file (folder, adapter_config, number, fds, names, error);
}

gboolean
atl_open_draft_files (const char *path, GUnixFDList *fds, GPtrArray *names, GError **error)
{
  guint first = names->len;

  if (!open_path (path, fds, names, error))
    return FALSE;
  for (guint i = first; i < names->len; i++)
    {
      char *name = names->pdata[i];

      names->pdata[i] = g_strconcat ("draft/", name, NULL);
      g_free (name);
    }
  return TRUE;
}
