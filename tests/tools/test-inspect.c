/* The inspect command on files written here: what it prints, and what it returns. */
#include <glib/gstdio.h>
#include <string.h>

#include "engine/tools/inspect.h"

#include "formats/build.h"

/* Made and removed by the parent; the children that print get it by the environment. */
#define FOLDER_VARIABLE "ATELIER_TEST_INSPECT"
static const char *folder;

static char *
write_file (const char *name, const void *bytes, gsize size)
{
  char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, bytes, (gssize) size, &error);
  g_assert_no_error (error);
  return path;
}

static char *
write_gguf (void)
{
  const guint64 dims[] = { 2, 3 };
  GgufBuilder b;
  char *path;

  build_header (&b, 3, 1, 4);
  build_key_text (&b, "general.architecture", "llama");
  build_key_text (&b, "evil", "a\033[31mred\nb");
  build_key (&b, "nan", 6);
  build_u32 (&b, 0x7fc00000);
  build_key (&b, "list", 9);
  build_u32 (&b, 4);
  build_u64 (&b, 9);
  for (guint i = 0; i < 9; i++)
    build_u32 (&b, 10 + i);
  build_tensor (&b, "weights", 2, dims, 0, 0);
  build_pad (&b, 32);
  for (guint i = 0; i < 6; i++)
    build_u32 (&b, 0);
  path = write_file ("m.gguf", b.bytes->data, b.bytes->len);
  g_byte_array_unref (b.bytes);
  return path;
}

/* Runs the command in a child; the caller looks at what it printed. */
static int
inspect (const char *option, const char *path)
{
  char *argv[] = { "inspect", (char *) (option != NULL ? option : path), (char *) path, NULL };

  return atl_tool_inspect (option != NULL ? 3 : 2, argv);
}

static void
run_child (void)
{
  g_test_trap_subprocess (NULL, 0, 0);
}

static void
test_words (void)
{
  if (g_test_subprocess ())
    {
      g_autofree char *path = write_gguf ();
      g_assert_cmpint (inspect (NULL, path), ==, 0);
      return;
    }
  run_child ();
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout ("*general.architecture = “llama”\n*");
  g_test_trap_assert_stdout ("*evil = “a\\u001b[31mred\\nb”\n*");
  g_test_trap_assert_stdout ("*list = [10, 11, 12, 13, 14, 15, … 9 in all]\n*");
  g_test_trap_assert_stdout ("*weights  f32  [3, 2]  24\n*");
  g_test_trap_assert_stdout ("*f32: 1 tensors, 6 elements, 24*");
}

static void
test_parts (void)
{
  if (g_test_subprocess ())
    {
      g_autofree char *path = write_gguf ();
      int rc = inspect ("--tensors", path);

      printf ("=====\n");
      g_assert_cmpint (rc, ==, 0);
      g_assert_cmpint (inspect ("--metadata", path), ==, 0);
      return;
    }
  run_child ();
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout ("*weights*=====*evil*");
  g_test_trap_assert_stdout_unmatched ("*evil*=====*");
  g_test_trap_assert_stdout_unmatched ("*=====*weights*");
}

static void
test_json (void)
{
  if (g_test_subprocess ())
    {
      g_autofree char *path = write_gguf ();
      g_assert_cmpint (inspect ("--json", path), ==, 0);
      return;
    }
  run_child ();
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout ("*\"name\":\"m.gguf\",\"weight_bytes\":24,\"metadata\":{*");
  g_test_trap_assert_stdout ("*\"nan\":null,\"list\":[10,11,12,13,14,15,16,17,18]},*");
  g_test_trap_assert_stdout (
      "*\"tensors\":[{\"name\":\"weights\",\"dtype\":\"f32\",\"shape\":[3,2],\"bytes\":24}],"
      "\"totals\":[{\"dtype\":\"f32\",\"tensors\":1,\"elements\":6,\"bytes\":24}]}\n*");
}

static void
test_folder (void)
{
  if (g_test_subprocess ())
    {
      const char *header = "{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
      const char *config = "{\"model_type\":\"llama\"}";
      g_autoptr (AtlFileMap) map = build_safetensors ("m", header, 1);
      g_autofree char *a =
          write_file ("model.safetensors", atl_file_map_data (map), atl_file_map_size (map));
      g_autofree char *b = write_file ("config.json", config, strlen (config));
      g_autofree char *c = write_file ("empty.txt", "", 0);
      g_autofree char *gguf = g_build_filename (folder, "m.gguf", NULL);
      g_autofree char *page = g_build_filename (folder, "x.gguf", NULL);

      /* Left by the cases before. */
      g_unlink (gguf);
      g_unlink (page);
      g_assert_cmpint (inspect (NULL, folder), ==, 0);
      return;
    }
  run_child ();
  g_test_trap_assert_passed ();
  g_test_trap_assert_stdout ("*model_type = “llama”\nt  u8  [1]  1\n*");
}

static void
test_refused (gconstpointer user_data)
{
  if (g_test_subprocess ())
    {
      const char *what = user_data;

      g_autofree char *path = write_file ("x.gguf", "<html>\n</html>", 14);

      if (g_str_equal (what, "missing"))
        g_assert_cmpint (inspect (NULL, "/nonexistent/m.gguf"), ==, 1);
      else if (g_str_equal (what, "arguments"))
        g_assert_cmpint (inspect ("--wrong", "m.gguf"), ==, 2);
      else
        g_assert_cmpint (inspect (NULL, path), ==, 1);
      return;
    }
  run_child ();
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr (g_str_equal (user_data, "missing") ? "m.gguf cannot be opened*\n"
                             : g_str_equal (user_data, "page")  ? "x.gguf is a web page*\n"
                                                                : "Usage: atelier-cli inspect*\n");
}

int
main (int argc, char **argv)
{
  g_autofree char *made = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  if (!g_test_subprocess ())
    {
      made = g_dir_make_tmp ("atelier-inspect-XXXXXX", NULL);
      g_assert_nonnull (made);
      g_setenv (FOLDER_VARIABLE, made, TRUE);
    }
  folder = g_getenv (FOLDER_VARIABLE);
  g_assert_nonnull (folder);
  g_test_add_func ("/tools/inspect/words", test_words);
  g_test_add_func ("/tools/inspect/parts", test_parts);
  g_test_add_func ("/tools/inspect/json", test_json);
  g_test_add_func ("/tools/inspect/folder", test_folder);
  g_test_add_data_func ("/tools/inspect/missing", "missing", test_refused);
  g_test_add_data_func ("/tools/inspect/page", "page", test_refused);
  g_test_add_data_func ("/tools/inspect/arguments", "arguments", test_refused);
  status = g_test_run ();
  if (made != NULL)
    {
      g_autoptr (GDir) dir = g_dir_open (made, 0, NULL);
      const char *name;

      while ((name = g_dir_read_name (dir)) != NULL)
        {
          g_autofree char *path = g_build_filename (made, name, NULL);
          g_unlink (path);
        }
      g_rmdir (made);
    }
  return status;
}
