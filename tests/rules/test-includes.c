/* Who may include whom: the architecture as a table, checked against every #include line below src.
 * See src/DESIGN.md. */
#include "source-files.h"

/* The first row whose folder begins a file's folder decides. A folder may always include itself;
 * "x/" also allows the folders below x. */
static const struct
{
  const char *folder;
  const char *allowed; /* words */
} rules[] = {
  { "base", "" },
  { "protocol", "base" },
  { "engine/formats", "base" },
  { "engine/tokenizers", "base" },
  { "engine/samplers", "base" },
  { "engine/schedules", "base" },
  { "engine/answers", "base engine/samplers" },
  { "engine/tensor/quants", "base" },
  { "engine/tensor/cpu", "base engine/tensor engine/tensor/quants" },
  { "engine/tensor/opencl/tuning", "base engine/tensor engine/tensor/quants engine/tensor/opencl" },
  { "engine/tensor/opencl", "base engine/tensor engine/tensor/quants engine/tensor/opencl/tuning" },
  { "engine/tensor", "base engine/tensor/quants" },
  { "engine/convert", "base engine/formats engine/tensor/quants" },
  { "engine/models/blocks", "base engine/tensor engine/tensor/quants engine/models" },
  /* The decoder of pictures shares its middle block with the networks of pictures. */
  { "engine/models/vae",
    "base engine/tensor engine/tensor/quants engine/models engine/models/blocks"
    " engine/models/image" },
  { "engine/models", "base engine/tensor engine/tensor/quants engine/models engine/models/blocks" },
  { "engine/pipelines", "base engine/models/ engine/samplers engine/answers engine/tokenizers"
                        " engine/formats engine/convert engine/tensor/" },
  { "engine/diffusion",
    "base engine/models engine/schedules engine/tokenizers engine/formats engine/convert"
    " engine/tensor engine/tensor/quants" },
  { "engine/service", "base protocol media engine/diffusion engine/pipelines engine/tensor/" },
  /* What atelier-cli does inside the engine: measuring and inspecting. */
  { "engine/tools",
    "base engine/pipelines engine/diffusion engine/models/ engine/samplers engine/schedules"
    " engine/tokenizers"
    " engine/formats engine/convert engine/tensor/" },
  { "engine", "base protocol engine/service engine/pipelines engine/tensor/ engine/tools" },
  { "client", "base protocol" },
  { "media", "base" },
  { "store", "base" },
  { "hub", "base" },
  { "cli", "base client hub media" },
  { "app", "base protocol client store hub media app/" },
};

/* Libraries that only some folders may see. */
static const struct
{
  const char *header; /* beginning of what stands between < and > */
  const char *folders;
} libraries[] = {
  { "CL/", "engine/tensor/opencl" },
  { "gtk/", "app" },
  { "gdk/", "app" },
  { "adwaita.h", "app" },
  { "gtksourceview/", "app" },
  { "md4c", "app" },
  { "png.h", "media" },
  { "jpeglib.h", "media" },
  { "webp/", "media" },
  { "sqlite3.h", "store" },
  { "libsoup/", "hub" },
};

static gboolean
is_below (const char *folder, const char *top)
{
  gsize length = strlen (top);

  return strncmp (folder, top, length) == 0 && (folder[length] == '\0' || folder[length] == '/');
}

/* One of the words in `allowed` is `folder`, or ends in "/" and lies above it. */
static gboolean
is_listed (const char *allowed, const char *folder)
{
  g_auto (GStrv) words = g_strsplit (allowed, " ", -1);

  for (guint i = 0; words[i] != NULL; i++)
    {
      gsize length = strlen (words[i]);

      if (length > 0 && words[i][length - 1] == '/')
        {
          words[i][length - 1] = '\0';
          if (is_below (folder, words[i]))
            return TRUE;
        }
      else if (g_str_equal (words[i], folder))
        return TRUE;
    }
  return FALSE;
}

/* NULL when the file in `folder` may have this line, else why not. */
static const char *
judge (const char *folder, const char *included, gboolean system)
{
  g_autofree char *target = NULL;

  if (system)
    {
      for (gsize i = 0; i < G_N_ELEMENTS (libraries); i++)
        if (g_str_has_prefix (included, libraries[i].header))
          {
            g_auto (GStrv) words = g_strsplit (libraries[i].folders, " ", -1);

            for (guint j = 0; words[j] != NULL; j++)
              if (is_below (folder, words[j]))
                return NULL;
            return "this library belongs to another folder";
          }
      return NULL;
    }
  /* Generated headers and the configuration have no folder. */
  if (strchr (included, '/') == NULL)
    return NULL;
  target = g_path_get_dirname (included);
  if (g_str_equal (target, folder))
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    if (is_below (folder, rules[i].folder))
      return is_listed (rules[i].allowed, target) ? NULL : "the architecture does not allow it";
  return "its folder is not in the table of tests/rules/test-includes.c";
}

static guint
check_file (const char *relative)
{
  gsize size;
  g_autofree char *text = read_source (relative, &size);
  g_autofree char *dir = g_path_get_dirname (relative);
  const char *folder = strchr (dir, '/') != NULL ? strchr (dir, '/') + 1 : "";
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  guint n_wrong = 0;

  for (guint i = 0; lines[i] != NULL; i++)
    {
      const char *p = lines[i];
      g_autofree char *included = NULL;
      const char *why;

      while (*p == ' ' || *p == '\t')
        p++;
      if (*p != '#')
        continue;
      p++;
      while (*p == ' ' || *p == '\t')
        p++;
      if (!g_str_has_prefix (p, "include"))
        continue;
      p += strcspn (p, "<\"");
      if (*p == '\0')
        continue;
      included = g_strndup (p + 1, strcspn (p + 1, ">\""));
      why = judge (folder, included, *p == '<');
      if (why == NULL)
        continue;
      g_test_message ("%s:%u: %s: %s", relative, i + 1, included, why);
      n_wrong++;
    }
  return n_wrong;
}

static void
test_folder (gconstpointer data)
{
  static const char *const endings[] = { ".c", ".h", NULL };
  g_autoptr (GPtrArray) files = source_files (data, endings);
  guint n_wrong = 0;

  g_assert_cmpuint (files->len, >, 0);
  for (guint i = 0; i < files->len; i++)
    n_wrong += check_file (files->pdata[i]);
  if (n_wrong > 0)
    g_test_fail_printf ("%u lines break the rules of inclusion", n_wrong);
}

/* The judge itself must be able to say no. */
static void
test_judge (void)
{
  g_assert_null (judge ("base", "base/error.h", FALSE));
  g_assert_nonnull (judge ("base", "protocol/names.h", FALSE));
  g_assert_nonnull (judge ("app/chat", "engine/formats/gguf.h", FALSE));
  g_assert_nonnull (judge ("app", "engine/tools/bench.h", FALSE));
  g_assert_nonnull (judge ("cli", "engine/tools/bench.h", FALSE));
  g_assert_null (judge ("app/chat", "app/models/card.h", FALSE));
  g_assert_null (judge ("app/chat", "store/chats.h", FALSE));
  g_assert_nonnull (judge ("store", "hub/library.h", FALSE));
  g_assert_nonnull (judge ("engine/tensor/cpu", "engine/tensor/opencl/device.h", FALSE));
  g_assert_nonnull (judge ("engine/models/llm", "engine/tensor/cpu/cpu.h", FALSE));
  g_assert_nonnull (judge ("engine/models/llm", "engine/models/video/wan.h", FALSE));
  g_assert_nonnull (judge ("engine/models/llm", "engine/samplers/chain.h", FALSE));
  g_assert_null (judge ("engine/models/llm", "engine/models/blocks/attention.h", FALSE));
  g_assert_null (judge ("engine/pipelines", "engine/models/llm/decoder.h", FALSE));
  g_assert_nonnull (judge ("client", "store/store.h", FALSE));
  g_assert_nonnull (judge ("somewhere", "base/error.h", FALSE));
  g_assert_null (judge ("app/chat", "gtk/gtk.h", TRUE));
  g_assert_nonnull (judge ("client", "gtk/gtk.h", TRUE));
  g_assert_nonnull (judge ("engine/tensor/cpu", "CL/cl.h", TRUE));
  g_assert_nonnull (judge ("hub", "sqlite3.h", TRUE));
  g_assert_null (judge ("app", "atelier-config.h", FALSE));
}

int
main (int argc, char **argv)
{
  g_autoptr (GPtrArray) folders = NULL;

  g_test_init (&argc, &argv, NULL);
  g_test_set_nonfatal_assertions ();
  folders = source_folders ("src");
  g_test_add_func ("/rules/includes/judge", test_judge);
  for (guint i = 0; i < folders->len; i++)
    {
      const char *folder = folders->pdata[i];
      g_autofree char *name = g_strconcat ("/rules/includes/", folder, NULL);

      g_test_add_data_func (name, folder, test_folder);
    }
  return g_test_run ();
}
