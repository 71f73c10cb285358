/* Networks of picture and clip models with odd tensors and odd numbers in their configuration:
 * refused in words, or loaded, for which nothing is computed here.
 *
 * A file of random bytes never gets so far, so the bytes are changes to a network that is well:
 * first which one, then four bytes each: what is done, to which tensor or number, with what. More
 * networks than the tests bring are in the folder $ATELIER_FUZZ_NETWORKS names, at any depth. */
#include <string.h>

#include "base/checked.h"
#include "engine/formats/open.h"
#include "engine/models/component.h"
#include "engine/tensor/rehearsal.h"
#include "fuzz.h"
#include "model-fixture.h"

#define MAX_CHANGES 16u
#define BUFFER_BYTES (1u << 20)

static const AtlFuzzBytes seeds[] = {
  ATL_FUZZ_BYTES (""),
  ATL_FUZZ_BYTES ("\1\0\0\5\1"),
  ATL_FUZZ_BYTES ("\2\1\0\5\1\2\0\1\2"),
  ATL_FUZZ_BYTES ("\3\4\0\1\2\3\0\2\1"),
  ATL_FUZZ_BYTES ("\4\5\0\3\2\6\0\0\1"),
  ATL_FUZZ_BYTES ("\5\7\0\3\2\7\0\0\1\7\0\1\5"),
  { NULL, 0 },
};

static const AtlFuzzBytes words[] = {
  ATL_FUZZ_BYTES ("\1\0\0\0"), ATL_FUZZ_BYTES ("\2\0\0\0"),
  ATL_FUZZ_BYTES ("\3\0\0\0"), ATL_FUZZ_BYTES ("\4\0\0\0"),
  ATL_FUZZ_BYTES ("\5\0\0\0"), ATL_FUZZ_BYTES ("\6\0\0\0"),
  ATL_FUZZ_BYTES ("\7\0\0\0"), { NULL, 0 },
};

const AtlFuzzTarget atl_fuzz_target = { "networks", NULL, NULL, seeds, words, NULL };

static GPtrArray *networks; /* of AtlCheckpoint */
static AtlBackend *backend;
static guint8 zeros[BUFFER_BYTES];

static void
add_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) atl_file_map_unref);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (AtlCheckpoint) cp = NULL;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        add_folder (path);
      else if (g_str_has_suffix (name, ".safetensors") || g_str_has_suffix (name, ".pth") ||
               g_str_equal (name, "config.json"))
        {
          g_ptr_array_add (maps, atl_file_map_new (path, NULL));
          g_ptr_array_add (names, g_strdup (name));
        }
    }
  /* Several networks in a folder are one each. */
  if (maps->len > 2)
    for (guint i = 0; i < maps->len; i++)
      {
        AtlCheckpoint *one = atl_checkpoint_open ((AtlFileMap *const *) &maps->pdata[i],
                                                  (const char *const *) &names->pdata[i], 1, NULL);

        if (one != NULL)
          g_ptr_array_add (networks, one);
      }
  else if (maps->len > 0)
    cp = atl_checkpoint_open ((AtlFileMap *const *) maps->pdata, (const char *const *) names->pdata,
                              maps->len, NULL);
  if (cp != NULL && atl_checkpoint_n_tensors (cp) > 0)
    g_ptr_array_add (networks, g_steal_pointer (&cp));
}

static void
open_networks (void)
{
  static const char *const families[] = { "sd15", "wan21", "upscale" };
  g_autoptr (GError) error = NULL;

  networks = g_ptr_array_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (families); i++)
    {
      g_autofree char *folder = model_fixture_path (families[i], "model");

      add_folder (folder);
    }
  if (g_getenv ("ATELIER_FUZZ_NETWORKS") != NULL)
    add_folder (g_getenv ("ATELIER_FUZZ_NETWORKS"));
  g_assert_cmpuint (networks->len, >=, 6);
  g_test_message ("%u networks", networks->len);
  backend = atl_rehearsal_new (model_fixture_cpu (FALSE), &error);
  g_assert_no_error (error);
}

/* --- Changes --- */

typedef struct
{
  guint what, which, how;
} Change;

static guint
take_changes (const uint8_t *data, size_t size, Change *changes)
{
  guint n = 0;

  for (; size >= 4 && n < MAX_CHANGES; data += 4, size -= 4)
    changes[n++] = (Change){ data[0] % 8, data[1] | (guint) data[2] << 8, data[3] };
  return n;
}

static gint64
odd_size (gint64 size, guint how)
{
  const gint64 sizes[] = { 0, 1, 2, 3, size + 1, size - 1, size * 2, size / 2, 4, 7, 8, 32, 64 };

  return MAX (sizes[how % G_N_ELEMENTS (sizes)], 0);
}

/* What a reader promises: as many bytes as the shape says, and an honest file of this size. FALSE
 * for what no test needs. */
static gboolean
measure (AtlTensorInfo *info)
{
  guint64 n = 1, rows = 1, bytes = 0;

  for (guint i = 0; i < info->n_dims; i++)
    if (!atl_checked_mul (n, (guint64) info->dim[i], &n))
      return FALSE;
  if (n == 0)
    bytes = 0;
  else
    {
      guint64 row = info->n_dims > 0 ? (guint64) info->dim[info->n_dims - 1] : 1;

      rows = n / row;
      if (!atl_dtype_row_bytes (info->dtype, row, &bytes) ||
          !atl_checked_mul (bytes, rows, &bytes) || bytes > BUFFER_BYTES)
        return FALSE;
    }
  info->size_bytes = (gsize) bytes;
  info->data = zeros;
  return TRUE;
}

static void
change_tensor (AtlTensorInfo *info, const Change *c)
{
  static const AtlDType dtypes[] = { ATL_DTYPE_F32,     ATL_DTYPE_F16,  ATL_DTYPE_BF16,
                                     ATL_DTYPE_F8_E4M3, ATL_DTYPE_I8,   ATL_DTYPE_I32,
                                     ATL_DTYPE_I64,     ATL_DTYPE_Q8_0, ATL_DTYPE_Q4_K };

  switch (c->what)
    {
    case 1: /* another size */
    case 2:
      if (info->n_dims > 0)
        {
          gint64 *dim = &info->dim[c->how / 16 % info->n_dims];

          *dim = odd_size (*dim, c->how % 16);
        }
      break;
    case 3:
      info->dtype = dtypes[c->how % G_N_ELEMENTS (dtypes)];
      break;
    case 4: /* more or fewer dimensions */
      info->n_dims = c->how % (ATL_MAX_DIMS + 1);
      for (guint i = 0; i < info->n_dims; i++)
        info->dim[i] = MAX (info->dim[i], c->how % 3);
      break;
    default:
      break;
    }
}

static void
change_value (AtlMetaValue *value, guint how)
{
  static const gint64 numbers[] = { 0, 1, 2, 3, -1, 1 << 20, G_MAXINT32, G_MAXINT64, G_MININT64 };
  static const double floats[] = { 0, -1, 1e-30, 1e30, 0.5 };
  static double list[4] = { 1, 2, 0, -1 };
  static gint64 whole[4] = { 1, 0, -1, G_MAXINT64 };

  *value = (AtlMetaValue){ .type = ATL_META_INT };
  switch (how % 8)
    {
    case 0:
      value->type = ATL_META_STRING;
      value->v_string.chars = how / 8 % 2 ? "silu" : "";
      value->v_string.length = strlen (value->v_string.chars);
      break;
    case 1:
      value->type = ATL_META_FLOAT;
      value->v_float = floats[how / 8 % G_N_ELEMENTS (floats)];
      break;
    case 2:
      value->type = ATL_META_BOOL;
      value->v_bool = how / 8 % 2 != 0;
      break;
    case 3:
      value->type = ATL_META_ARRAY;
      value->v_array.elem_type = how / 8 % 2 ? ATL_META_FLOAT : ATL_META_INT;
      value->v_array.n = how / 16 % 5;
      value->v_array.elems = how / 8 % 2 ? (gpointer) list : (gpointer) whole;
      break;
    default:
      value->v_int = numbers[how / 8 % G_N_ELEMENTS (numbers)];
      break;
    }
}

static AtlCheckpoint *
change_network (const AtlCheckpoint *from, const Change *changes, guint n)
{
  AtlCheckpoint *cp = atl_checkpoint_new ("fuzzed.safetensors");
  guint n_tensors = atl_checkpoint_n_tensors (from), n_meta = atl_checkpoint_n_meta (from);

  for (guint i = 0; i < n_tensors; i++)
    {
      AtlTensorInfo info = *atl_checkpoint_tensor (from, i);
      gboolean is_gone = FALSE, is_changed = FALSE;

      for (guint k = 0; k < n; k++)
        if (changes[k].what < 6 && changes[k].which % n_tensors == i)
          {
            is_gone |= changes[k].what == 0;
            change_tensor (&info, &changes[k]);
            is_changed |= changes[k].what > 0 && changes[k].what < 5;
            /* The name of another, whichever comes first. */
            if (changes[k].what == 5)
              info.name = atl_checkpoint_tensor (from, changes[k].how % n_tensors)->name;
          }
      if (!is_gone && (!is_changed || measure (&info)))
        atl_checkpoint_add_tensor (cp, &info, NULL);
    }
  for (guint i = 0; i < n_meta; i++)
    {
      const char *key = atl_checkpoint_meta_key (from, i);
      AtlMetaValue value = *atl_checkpoint_meta (from, key);
      gboolean is_gone = FALSE;

      for (guint k = 0; k < n; k++)
        if (changes[k].what >= 6 && changes[k].which % n_meta == i)
          {
            is_gone |= changes[k].how == 0;
            change_value (&value, changes[k].how);
          }
      if (!is_gone)
        atl_checkpoint_add_meta (cp, key, &value, NULL);
    }
  return cp;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (AtlCheckpoint) cp = NULL;
  Change changes[MAX_CHANGES];
  guint n;

  if (networks == NULL)
    open_networks ();
  n = size > 0 ? take_changes (data + 1, size - 1, changes) : 0;
  cp = change_network (networks->pdata[(size > 0 ? data[0] : 0) % networks->len], changes, n);
  for (const AtlComponentClass *const *k = atl_component_classes (); *k != NULL; k++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlComponent) component = NULL;

      if (!atl_component_class_claims (*k, cp))
        continue;
      component = atl_component_load (*k, cp, &backend, 1, NULL, &error);
      g_assert_true ((component == NULL) == (error != NULL));
      g_assert_true (component != NULL ||
                     (error->domain == ATL_ERROR && g_utf8_validate (error->message, -1, NULL)));
    }
  return 0;
}
