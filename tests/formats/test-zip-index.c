/* The directory of an archive: every number of it wrong, one at a time, and the wide numbers of
 * archives beyond 4 GiB. */
#include "engine/formats/zip-index.h"

#include "base/error.h"
#include "build-torch.h"

#define END_BYTES 22
#define ENTRY_BYTES 46

static const BuildMember members[] = { { "x/a", "one", 3 }, { "x/b/c", "three", 5 } };

static GByteArray *
good (void)
{
  return build_zip (members, G_N_ELEMENTS (members));
}

static void
put (GByteArray *zip, gsize at, guint64 number, guint n_bytes)
{
  for (guint i = 0; i < n_bytes; i++)
    zip->data[at + i] = (guint8) (number >> 8 * i);
}

static gsize
end_of (const GByteArray *zip)
{
  return zip->len - END_BYTES;
}

/* Of the first member in the directory; the second is behind the name of three letters. */
static gsize
directory_of (const GByteArray *zip)
{
  return zip->data[end_of (zip) + 16] | (gsize) zip->data[end_of (zip) + 17] << 8;
}

static void
insert (GByteArray *zip, gsize at, const void *bytes, guint n)
{
  guint old = zip->len;

  g_byte_array_set_size (zip, old + n);
  memmove (zip->data + at + n, zip->data + at, old - at);
  memcpy (zip->data + at, bytes, n);
}

static void
assert_reads (const GByteArray *zip)
{
  g_autoptr (GError) error = NULL;
  /* A copy of the exact size, so that a sanitizer sees the first byte past the end. */
  g_autofree guint8 *exact = g_memdup2 (zip->data, zip->len);
  AtlZipIndex *index = atl_zip_index_new (exact, zip->len, "x.pth", &error);
  const AtlZipMember *member;

  g_assert_no_error (error);
  member = atl_zip_index_find (index, "a");
  g_assert_nonnull (member);
  g_assert_cmpmem (member->data, member->size, "one", 3);
  member = atl_zip_index_find (index, "b/c");
  g_assert_nonnull (member);
  g_assert_cmpmem (member->data, member->size, "three", 5);
  g_assert_null (atl_zip_index_find (index, "x/a"));
  atl_zip_index_free (index);
}

static void
assert_refused (const guint8 *data, gsize size, AtlError code, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *exact = g_memdup2 (data, size);
  AtlZipIndex *index = atl_zip_index_new (exact, size, "x.pth", &error);

  g_assert_null (index);
  g_assert_error (error, ATL_ERROR, (gint) code);
  g_assert_true (g_str_has_prefix (error->message, "x.pth: "));
  g_assert_nonnull (strstr (error->message, words));
}

static void
test_good (void)
{
  g_autoptr (GByteArray) zip = good ();
  const BuildMember bare = { "plain", "x", 1 };
  g_autoptr (GByteArray) one = build_zip (&bare, 1), none = build_zip (&bare, 0);
  g_autoptr (GError) error = NULL;
  AtlZipIndex *index;

  assert_reads (zip);
  /* A comment behind the end, even one that looks like an end. */
  put (zip, end_of (zip) + 20, 26, 2);
  g_byte_array_append (zip, (const guint8 *) "PK\5\6xxxxxxxxxxxxxxxxxxxxxx", 26);
  assert_reads (zip);

  index = atl_zip_index_new (one->data, one->len, "x", &error);
  g_assert_no_error (error);
  g_assert_nonnull (atl_zip_index_find (index, "plain"));
  atl_zip_index_free (index);
  index = atl_zip_index_new (none->data, none->len, "x", &error);
  g_assert_no_error (error);
  g_assert_null (atl_zip_index_find (index, "plain"));
  atl_zip_index_free (index);
  atl_zip_index_free (NULL);
}

static void
test_cut (void)
{
  g_autoptr (GByteArray) zip = good ();

  for (guint n = 0; n < zip->len; n++)
    assert_refused (zip->data, n, ATL_ERROR_BAD_FILE, "directory at its end");
}

/* One number each, from the directory's start, or from the end's. */
static void
test_numbers (void)
{
  enum
  {
    DIRECTORY,
    END,
    FILE_START
  };
  static const struct
  {
    guint from, at, n_bytes;
    guint64 number;
    AtlError code;
    const char *words;
  } cases[] = {
    { END, 10, 2, 3, ATL_ERROR_BAD_FILE, "directory" },           /* more members */
    { END, 12, 4, 1000, ATL_ERROR_BAD_FILE, "directory" },        /* longer than the file */
    { END, 12, 4, 45, ATL_ERROR_BAD_FILE, "directory" },          /* ends within an entry */
    { END, 16, 4, G_MAXUINT32, ATL_ERROR_BAD_FILE, "directory" }, /* past the end */
    { END, 16, 4, 1, ATL_ERROR_BAD_FILE, "directory" },           /* not where it says */
    { END, 20, 2, 1, ATL_ERROR_BAD_FILE, "directory" },           /* a comment that is not there */
    { DIRECTORY, 0, 1, 'Q', ATL_ERROR_BAD_FILE, "directory" },
    { DIRECTORY, 8, 2, 1, ATL_ERROR_UNSUPPORTED, "encrypted" },
    { DIRECTORY, 10, 2, 8, ATL_ERROR_UNSUPPORTED, "compressed" },
    { DIRECTORY, 24, 4, 4, ATL_ERROR_UNSUPPORTED, "compressed" }, /* sizes differ */
    { DIRECTORY, 28, 2, 1025, ATL_ERROR_BAD_FILE, "directory" },  /* a name past the end */
    { DIRECTORY, 30, 2, 60000, ATL_ERROR_BAD_FILE, "directory" }, /* an extra field past it */
    { DIRECTORY, 32, 2, 60000, ATL_ERROR_BAD_FILE, "directory" }, /* a comment past it */
    { DIRECTORY, 42, 4, 1u << 31, ATL_ERROR_BAD_FILE, "directory" },
    { DIRECTORY, 42, 4, 1, ATL_ERROR_BAD_FILE, "directory" }, /* no member begins there */
    { DIRECTORY, 46, 1, 0, ATL_ERROR_BAD_FILE, "directory" }, /* NUL in a name */
    { FILE_START, 26, 2, 60000, ATL_ERROR_BAD_FILE, "directory" },
    { FILE_START, 0, 1, 'Q', ATL_ERROR_BAD_FILE, "directory" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GByteArray) zip = good ();
      gsize from = cases[i].from == END         ? end_of (zip)
                   : cases[i].from == DIRECTORY ? directory_of (zip)
                                                : 0;

      put (zip, from + cases[i].at, cases[i].number, cases[i].n_bytes);
      assert_refused (zip->data, zip->len, cases[i].code, cases[i].words);
    }
}

static void
test_members (void)
{
  const BuildMember twice[] = { { "x/a", "one", 3 }, { "y/a", "two", 3 } };
  g_autofree char *name = g_strnfill (1025, 'n');
  const BuildMember named = { name, "x", 1 };
  g_autoptr (GByteArray) same = build_zip (twice, 2), longer = build_zip (&named, 1);
  g_autoptr (GByteArray) zip = good ();
  gsize at = directory_of (zip);

  assert_refused (same->data, same->len, ATL_ERROR_BAD_FILE, "“a” is there twice");
  assert_refused (longer->data, longer->len, ATL_ERROR_BAD_FILE, "directory");
  /* A member that reaches into the directory, by its size and by where it begins. */
  put (zip, at + 20, at, 4);
  put (zip, at + 24, at, 4);
  assert_refused (zip->data, zip->len, ATL_ERROR_BAD_FILE, "directory");
  put (zip, at + 20, 3, 4);
  put (zip, at + 24, 3, 4);
  assert_reads (zip);
  put (zip, at + 42, at - 29, 4);
  assert_refused (zip->data, zip->len, ATL_ERROR_BAD_FILE, "directory");
}

/* --- Archives beyond 4 GiB: the numbers stand elsewhere --- */

/* The record and its locator before the end; what was in the end is all ones. */
static GByteArray *
wide (guint64 n_members, guint64 record_at_plus)
{
  GByteArray *zip = good ();
  gsize end = end_of (zip), size = zip->data[end + 12], directory = directory_of (zip);
  guint8 record[56 + 20] = "PK\6\6";

  memcpy (record + 56, "PK\6\7", 4);
  insert (zip, end, record, sizeof record);
  put (zip, end + 32, n_members, 8);
  put (zip, end + 40, size, 8);
  put (zip, end + 48, directory, 8);
  put (zip, end + 56 + 8, end + record_at_plus, 8);
  end = end_of (zip);
  put (zip, end + 10, G_MAXUINT16, 2);
  put (zip, end + 12, G_MAXUINT32, 4);
  put (zip, end + 16, G_MAXUINT32, 4);
  return zip;
}

static void
test_wide_end (void)
{
  g_autoptr (GByteArray) right = wide (2, 0), many = wide (65537, 0), past = wide (2, 1);
  g_autoptr (GByteArray) beyond = wide (2, G_MAXUINT32), moved = wide (2, 0);
  const guint8 alone[20 + END_BYTES] = "PK\6\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0PK\5\6";

  assert_reads (right);
  assert_refused (many->data, many->len, ATL_ERROR_UNSUPPORTED, "65536");
  assert_refused (past->data, past->len, ATL_ERROR_BAD_FILE, "directory");
  assert_refused (beyond->data, beyond->len, ATL_ERROR_BAD_FILE, "directory");
  put (moved, end_of (moved) - 20 - 56 + 48, G_MAXUINT64, 8);
  assert_refused (moved->data, moved->len, ATL_ERROR_BAD_FILE, "directory");
  /* A locator without room for what it tells of. */
  assert_refused (alone, sizeof alone, ATL_ERROR_BAD_FILE, "directory");
}

/* An entry with an extra field; `sizes` and `offset` say which numbers are in it. */
static GByteArray *
with_extra (gboolean sizes, gboolean offset, const void *extra, guint n)
{
  GByteArray *zip = good ();
  gsize at = directory_of (zip);

  if (sizes)
    {
      put (zip, at + 20, G_MAXUINT32, 4);
      put (zip, at + 24, G_MAXUINT32, 4);
    }
  if (offset)
    put (zip, at + 42, G_MAXUINT32, 4);
  put (zip, at + 30, n, 2);
  insert (zip, at + ENTRY_BYTES + 3, extra, n);
  put (zip, end_of (zip) + 12, end_of (zip) - at, 4);
  return zip;
}

static void
test_wide_members (void)
{
  static const guint8 all[] = "\1\0\30\0\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
  static const guint8 behind[] = "\7\0\2\0xx\1\0\20\0\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0";
  static const guint8 vast[] = "\1\0\20\0\377\377\377\377\377\377\377\377"
                               "\377\377\377\377\377\377\377\377";
  g_autoptr (GByteArray) both = with_extra (TRUE, TRUE, all, 28);
  g_autoptr (GByteArray) second = with_extra (TRUE, FALSE, behind, 26);
  g_autoptr (GByteArray) unused = with_extra (FALSE, FALSE, behind, 26);
  g_autoptr (GByteArray) trailing = with_extra (FALSE, FALSE, "\7\0\0", 3);
  g_autoptr (GByteArray) missing = with_extra (TRUE, TRUE, behind, 26);
  g_autoptr (GByteArray) none = with_extra (TRUE, FALSE, "\7\0\0\0", 4);
  g_autoptr (GByteArray) longer = with_extra (TRUE, FALSE, "\1\0\20\0\3\0", 6);
  g_autoptr (GByteArray) huge = with_extra (TRUE, FALSE, vast, 20);

  assert_reads (both);
  assert_reads (second);
  assert_reads (unused);
  assert_reads (trailing);
  assert_refused (missing->data, missing->len, ATL_ERROR_BAD_FILE, "directory");
  assert_refused (none->data, none->len, ATL_ERROR_BAD_FILE, "directory");
  assert_refused (longer->data, longer->len, ATL_ERROR_BAD_FILE, "directory");
  assert_refused (huge->data, huge->len, ATL_ERROR_BAD_FILE, "directory");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/zip-index/good", test_good);
  g_test_add_func ("/zip-index/cut", test_cut);
  g_test_add_func ("/zip-index/numbers", test_numbers);
  g_test_add_func ("/zip-index/members", test_members);
  g_test_add_func ("/zip-index/wide-end", test_wide_end);
  g_test_add_func ("/zip-index/wide-members", test_wide_members);
  return g_test_run ();
}
