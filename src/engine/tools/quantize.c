/* Quantising and converting: arguments, progress and summary around convert/requant.h. */
#define G_LOG_DOMAIN "atl-tools"

#include "engine/tools/quantize.h"

#include <glib/gi18n.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/language.h"
#include "engine/convert/hf.h"
#include "engine/convert/requant.h"
#include "engine/formats/open.h"
#include "engine/tokenizers/tokenizer.h"
#include "engine/tools/parts.h"
#include "engine/tools/usage.h"

#define PROGRESS_INTERVAL_US (200 * 1000)

static volatile sig_atomic_t interrupted;

static void
interrupt_cb (int number)
{
  interrupted = 1;
}

typedef struct
{
  GPtrArray *maps;  /* (owned) AtlFileMap */
  GPtrArray *names; /* (owned) char, with the folder's name in front */
} Files;

static void
files_clear (Files *self)
{
  g_clear_pointer (&self->maps, g_ptr_array_unref);
  g_clear_pointer (&self->names, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Files, files_clear)

static gboolean
add_file (Files *self, const char *folder, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *base = g_path_get_basename (folder);
  g_autofree char *logical = g_build_filename (base, name, NULL);
  AtlFileMap *map = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND, _ ("%s cannot be opened: %s"), path,
                   g_strerror (errno));
      return FALSE;
    }
  map = atl_file_map_new_from_fd (fd, logical, error);
  close (fd);
  if (map == NULL)
    return FALSE;
  g_ptr_array_add (self->maps, map);
  g_ptr_array_add (self->names, g_steal_pointer (&logical));
  return TRUE;
}

static gboolean
is_part_of (const char *name, const char *only)
{
  if (only == NULL)
    return g_str_has_suffix (name, ".safetensors") || g_str_has_suffix (name, ".json") ||
           g_str_has_suffix (name, ".jinja") || g_str_has_suffix (name, ".model");
  return atl_tool_same_parts (name, only);
}

static gboolean
has_weights (const Files *self)
{
  for (guint i = 0; i < self->names->len; i++)
    if (g_str_has_suffix (self->names->pdata[i], ".safetensors"))
      return TRUE;
  return FALSE;
}

/* A file with the shards beside it, or the files of a folder. */
static gboolean
files_open (Files *self, const char *path, GError **error)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  gboolean is_folder = g_file_test (absolute, G_FILE_TEST_IS_DIR);
  g_autofree char *folder = is_folder ? g_strdup (absolute) : g_path_get_dirname (absolute);
  g_autofree char *only = is_folder ? NULL : g_path_get_basename (absolute);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  const char *name;

  self->maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  self->names = g_ptr_array_new_with_free_func (g_free);
  if (dir == NULL)
    return FALSE;
  while ((name = g_dir_read_name (dir)) != NULL)
    if (*name != '.' && is_part_of (name, only) && !add_file (self, folder, name, error))
      return FALSE;
  if (is_folder ? has_weights (self) : self->maps->len > 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
               is_folder ? _ ("%s holds no .safetensors files") : _ ("%s is not there"), path);
  return FALSE;
}

/* The vocabulary of a folder as metadata; an empty set for a file, which has it or needs none. */
static AtlCheckpoint *
read_vocabulary (const Files *files, const AtlCheckpoint *cp, gboolean is_file, GError **error)
{
  g_autoptr (AtlCheckpoint) extra = atl_checkpoint_new (atl_checkpoint_name (cp));
  const AtlTensorInfo *embd = atl_checkpoint_find (cp, "token_embd.weight");
  g_autoptr (AtlTokenizer) tokenizer = NULL;
  g_autofree char *warning = NULL;

  if (is_file)
    return g_steal_pointer (&extra);
  tokenizer = atl_tokenizer_new_from_maps ((AtlFileMap *const *) files->maps->pdata,
                                           (const char *const *) files->names->pdata,
                                           files->maps->len, error);
  if (tokenizer == NULL ||
      !atl_tokenizer_add_metadata (tokenizer, embd != NULL ? (guint) embd->dim[0] : 0, extra,
                                   &warning, error))
    return NULL;
  if (warning != NULL)
    fprintf (stderr, _ ("Note: %s.\n"), warning);
  return g_steal_pointer (&extra);
}

typedef struct
{
  GCancellable *cancellable;
  gint64 shown_at;
  gboolean is_terminal;
} Progress;

static void
progress_cb (double fraction, const char *tensor, gpointer data)
{
  Progress *progress = data;
  gint64 now = g_get_monotonic_time ();

  if (interrupted)
    g_cancellable_cancel (progress->cancellable);
  if (!progress->is_terminal || (now - progress->shown_at < PROGRESS_INTERVAL_US && fraction < 1))
    return;
  progress->shown_at = now;
  fprintf (stderr, "\r%3.0f %%  %-48.48s", 100 * fraction, fraction < 1 ? tensor : "");
  if (fraction >= 1)
    fputs ("\r\n", stderr);
}

static gboolean
is_float (AtlDType dtype)
{
  return dtype == ATL_DTYPE_F32 || dtype == ATL_DTYPE_F16 || dtype == ATL_DTYPE_BF16;
}

static void
print_summary (const char *path, const AtlMix *mix, const AtlRequantSummary *s)
{
  g_autofree char *before = atl_language_size (s->bytes_before);
  g_autofree char *after = atl_language_size (s->bytes_after);

  if (s->n_parts > 1)
    printf (ngettext ("%u part. ", "%u parts. ", s->n_parts), s->n_parts);
  printf (_ ("%s: %s (weights took %s), %.2f bits a weight\n"), path, after, before,
          s->n_weights > 0 ? 8.0 * (double) s->bytes_after / (double) s->n_weights : 0.0);
  /* Without a type: FP8, which GGUF lacks, becomes half precision. */
  if (s->n_requantized > 0 && (mix == NULL || is_float (mix->dtype)))
    printf (_ ("%u of %u tensors were quantised before: what they lost then does not come back.\n"),
            s->n_requantized, s->n_tensors);
  else if (s->n_requantized > 0)
    printf (_ ("%u of %u tensors were quantised before: they lost precision twice. Begin with the "
               "original where you can.\n"),
            s->n_requantized, s->n_tensors);
  if (s->n_shorter_blocks > 0)
    printf (
        ngettext ("%u tensor has rows that no block of 256 divides: it took a somewhat larger "
                  "type with blocks of 32.\n",
                  "%u tensors have rows that no block of 256 divides: they took somewhat larger "
                  "types with blocks of 32.\n",
                  s->n_shorter_blocks),
        s->n_shorter_blocks);
  if (s->n_other_type > 0)
    printf (ngettext ("%u tensor has rows that no block divides and became F16.\n",
                      "%u tensors have rows that no block divides and became F16.\n",
                      s->n_other_type),
            s->n_other_type);
}

static gboolean
run (const char *in, const char *out, const AtlMix *mix, guint64 split_bytes, GError **error)
{
  g_auto (Files) files = { 0 };
  g_autoptr (AtlCheckpoint) opened = NULL;
  g_autoptr (AtlCheckpoint) cp = NULL;
  g_autoptr (AtlCheckpoint) extra = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Progress progress = { cancellable, 0, isatty (STDERR_FILENO) };
  AtlRequant job = { .mix = mix,
                     .split_bytes = split_bytes,
                     .cancellable = cancellable,
                     .progress = progress_cb,
                     .progress_data = &progress };
  AtlRequantSummary summary;

  if (!files_open (&files, in, error))
    return FALSE;
  opened = atl_checkpoint_open ((AtlFileMap *const *) files.maps->pdata,
                                (const char *const *) files.names->pdata, files.maps->len, error);
  cp = opened != NULL ? atl_hf_adopt (opened, error) : NULL;
  extra = cp != NULL ? read_vocabulary (&files, cp, cp == opened, error) : NULL;
  if (extra == NULL)
    return FALSE;
  job.cp = cp;
  job.extra = extra;
  signal (SIGINT, interrupt_cb);
  signal (SIGTERM, interrupt_cb);
  if (!atl_requant_write (&job, out, &summary, error))
    return FALSE;
  print_summary (out, mix, &summary);
  return TRUE;
}

static int
usage (int argc, char **argv, gboolean needs_type)
{
  g_autoptr (GString) words =
      g_string_new (needs_type ? _ ("[--split-size SIZE] MODEL OUT.gguf TYPE\n\n")
                               : _ ("[--split-size SIZE] FOLDER OUT.gguf [TYPE]\n\n"
                                    "Without a type every weight keeps its own.\n\n"));

  g_string_append (
      words,
      _ ("With a size (500M, 4G) the file is written in parts of at most that many bytes, named\n"
         "OUT-00001-of-0000N.gguf and so on.\n\n"));
  for (const AtlMix *mix = atl_mix_list (); mix->name != NULL; mix++)
    g_string_append_printf (words, "  %-8s %s\n", mix->name, _ (mix->about));
  return atl_tool_usage (argc, argv, words->str);
}

/* "500M" or "4G", in powers of ten as llama.cpp reads them; 0 for what is none. */
static guint64
parse_size (const char *text)
{
  char *end;
  guint64 number = g_ascii_strtoull (text, &end, 10);
  guint64 unit = *end == 'M' ? 1000000u : *end == 'G' ? 1000000000u : 0;

  return unit == 0 || end[1] != '\0' || !g_ascii_isdigit (*text) || number > G_MAXINT32
             ? 0
             : number * unit;
}

static int
main_of (int argc, char **argv, gboolean needs_type)
{
  const AtlMix *mix = NULL;
  AtlDType read_only;
  char *name = argv[0];
  guint64 split_bytes = 0;
  g_autoptr (GError) error = NULL;

  if (argc > 2 && strcmp (argv[1], "--split-size") == 0)
    {
      split_bytes = parse_size (argv[2]);
      if (split_bytes == 0)
        {
          fprintf (stderr, _ ("%s: “%s” is no size such as 500M or 4G.\n\n"), name, argv[2]);
          return usage (argc, argv, needs_type);
        }
      argc -= 2;
      argv += 2;
      argv[0] = name;
    }
  if (argc < 3 + needs_type || argc > 4 || argv[1][0] == '-')
    return usage (argc, argv, needs_type);
  if (argc == 4)
    {
      mix = atl_mix_find (argv[3]);
      if (mix == NULL)
        {
          fprintf (stderr,
                   atl_dtype_from_name (argv[3], &read_only)
                       ? _ ("%s: the type “%s” can be read, but is not written.\n\n")
                       : _ ("%s: there is no type “%s”.\n\n"),
                   name, argv[3]);
          return usage (argc, argv, needs_type);
        }
    }
  if (run (argv[1], argv[2], mix, split_bytes, &error))
    return 0;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    fprintf (stderr, "\n%s\n", _ ("Stopped; nothing was written."));
  else
    fprintf (stderr, "%s: %s\n", name, error->message);
  return 1;
}

int
atl_tool_quantize (int argc, char **argv)
{
  return main_of (argc, argv, TRUE);
}

int
atl_tool_convert (int argc, char **argv)
{
  return main_of (argc, argv, FALSE);
}
