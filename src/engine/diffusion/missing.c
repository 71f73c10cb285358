/* What files lack, and the published ones of their family. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/missing.h"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/part-checks.h"

static void
part_clear (gpointer data)
{
  g_free (((AtlMissingPart *) data)->name);
  g_free (((AtlMissingPart *) data)->misfit_file);
  g_free (((AtlMissingPart *) data)->misfit);
}

static void
say_misfit (const AtlBundle *bundle, AtlMissingPart *part)
{
  const AtlMisfit *misfit = atl_bundle_misfit (bundle, part->role);

  if (misfit == NULL)
    return;
  part->misfit_file = g_path_get_basename (misfit->name);
  /* Translators: a part such as "the text encoder T5", two widths. */
  part->misfit = g_strdup_printf (_ ("%s has to give %u numbers, and this one gives %u"),
                                  part->words, (guint) misfit->takes, (guint) misfit->gives);
}

/* A row without a published file. */
static void
add_unknown (GArray *missing, AtlBundle *bundle, const char *role, const char *words)
{
  AtlMissingPart part = { .words = words, .role = g_intern_string (role) };

  say_misfit (bundle, &part);
  g_array_append_val (missing, part);
}

/* A row for each published file of the role that is not there, or one without. */
static void
add (GArray *missing,
     AtlBundle *bundle,
     const AtlDiffusionFamily *family,
     const char *role,
     const char *words)
{
  gboolean is_known = FALSE;

  for (guint i = 0; i < family->n_published; i++)
    {
      const AtlPublished *p = &family->published[i];
      AtlMissingPart part = { .words = words,
                              .role = p->role,
                              .repository = p->repository,
                              .file = p->file,
                              .size_bytes = p->size_bytes };
      const char *slash = strrchr (p->file, '/');

      if (!g_str_equal (p->role, role) || (p->suits != NULL && !p->suits (bundle)))
        continue;
      is_known = TRUE;
      if (atl_bundle_has_file (bundle, role, slash != NULL ? slash + 1 : p->file))
        continue;
      say_misfit (bundle, &part);
      part.name = g_strconcat (role, "/", slash != NULL ? slash + 1 : p->file, NULL);
      g_array_append_val (missing, part);
    }
  if (!is_known)
    add_unknown (missing, bundle, role, words);
}

/* One that is of two files, of which one is not there. */
static gboolean
is_half (const AtlBundle *bundle, const char *role)
{
  return atl_bundle_has_file (bundle, role, "vocab.json") !=
             atl_bundle_has_file (bundle, role, "merges.txt") &&
         !atl_bundle_has_file (bundle, role, "tokenizer.json") &&
         !atl_bundle_has_file (bundle, role, "spiece.model") &&
         !atl_bundle_has_file (bundle, role, "tokenizer.model");
}

/* The vocabulary's role of a text encoder's; the caller's. */
static char *
vocabulary_of (const char *encoder)
{
  return g_strconcat ("tokenizer", encoder + strlen ("text_encoder"), NULL);
}

gboolean
atl_has_vocabulary (AtlBundle *bundle, const char *encoder)
{
  g_autofree char *role = vocabulary_of (encoder);

  if (atl_bundle_has_folder (bundle, role))
    return !is_half (bundle, role);
  return atl_bundle_tokenizer (bundle, role, NULL) != NULL;
}

/* What is not among the published files, but does as well, is said. */
static const char *
vocabulary_words (const AtlDiffusionFamily *family, const char *role)
{
  for (guint i = 0; i < family->n_published; i++)
    if (g_str_equal (family->published[i].role, role) &&
        g_str_has_suffix (family->published[i].file, "spiece.model"))
      return _ ("a vocabulary (spiece.model or tokenizer.json)");
  return _ ("a vocabulary");
}

/* Whether a model reads it where it is given, and draws without it: SD 3's T5. */
static gboolean
is_extra (const AtlPart *part)
{
  return g_str_has_prefix (part->role, "text_encoder") && part->is_optional && part->needs == NULL;
}

/* Adds the vocabulary of a text encoder unless it is there. */
static void
add_vocabulary (GArray *missing,
                AtlBundle *bundle,
                const AtlDiffusionFamily *family,
                const AtlPart *part)
{
  g_autofree char *role = vocabulary_of (part->role);

  if (!atl_has_vocabulary (bundle, part->role))
    add (missing, bundle, family, role, vocabulary_words (family, role));
}

GArray *
atl_missing_parts (AtlBundle *bundle, const AtlDiffusionFamily *family)
{
  GArray *missing = g_array_new (FALSE, FALSE, sizeof (AtlMissingPart));

  g_array_set_clear_func (missing, part_clear);
  for (guint i = 0; i < family->n_parts; i++)
    {
      const AtlPart *part = &family->parts[i];
      gboolean is_there = atl_bundle_has (bundle, part->role);
      gboolean is_needed = atl_bundle_needs (bundle, part);

      if (!is_there && is_needed)
        add (missing, bundle, family, part->role, _ (part->words));
      if (g_str_has_prefix (part->role, "text_encoder") && (is_there || is_needed) &&
          !is_extra (part))
        add_vocabulary (missing, bundle, family, part);
    }
  return missing;
}

/* Adds encoders that a model also draws without, as what a person may bring, and the vocabulary of
 * one that is there; that is fetched where something else is, too. */
static void
add_extra (GArray *missing, AtlBundle *bundle, const AtlDiffusionFamily *family)
{
  for (guint i = 0; i < family->n_parts; i++)
    {
      const AtlPart *part = &family->parts[i];
      guint first = missing->len;
      AtlMissingPart *row;

      if (!is_extra (part))
        continue;
      if (atl_bundle_has (bundle, part->role))
        {
          add_vocabulary (missing, bundle, family, part);
          for (guint k = first; k < missing->len; k++)
            {
              row = &g_array_index (missing, AtlMissingPart, k);
              row->is_optional = TRUE;
              if (first == 0)
                row->repository = NULL;
            }
          continue;
        }
      add_unknown (missing, bundle, part->role, _ (part->words));
      row = &g_array_index (missing, AtlMissingPart, missing->len - 1);
      row->name = g_strconcat (part->role, "/", NULL);
      row->is_optional = TRUE;
    }
}

/* Adds what makes a model better, is not there, small and published: a tiny decoder for previews.
 */
static void
add_tiny (GArray *missing, AtlBundle *bundle, const AtlDiffusionFamily *family)
{
  for (guint i = 0; i < family->n_parts; i++)
    {
      const AtlPart *part = &family->parts[i];
      guint first = missing->len;

      if (g_str_equal (part->role, ATL_TINY_ROLE) && !atl_bundle_has (bundle, part->role))
        add (missing, bundle, family, part->role, _ (part->words));
      /* Nobody needs to hear of what cannot be had. */
      if (missing->len > first && g_array_index (missing, AtlMissingPart, first).repository == NULL)
        g_array_set_size (missing, first);
      for (guint k = first; k < missing->len; k++)
        g_array_index (missing, AtlMissingPart, k).is_optional = TRUE;
    }
}

GArray *
atl_missing_for (AtlFileMap *const *maps, const char *const *names, guint n, GError **error)
{
  g_autoptr (AtlBundle) bundle = atl_bundle_new (maps, names, n, error);
  const AtlDiffusionFamily *family =
      bundle != NULL ? atl_diffusion_family_for (bundle, NULL, error) : NULL;
  GArray *missing = family != NULL ? atl_missing_parts (bundle, family) : NULL;

  if (missing != NULL && missing->len > 0)
    add_tiny (missing, bundle, family);
  if (missing != NULL)
    add_extra (missing, bundle, family);
  return missing;
}

/* "; NAME does not fit: WHY" */
static void
append_misfit (GString *words, const AtlMissingPart *part)
{
  if (part->misfit == NULL)
    return;
  if (words->len > 0)
    g_string_append (words, "; ");
  /* Translators: a file's name, a reason with its words. */
  g_string_append_printf (words, _ ("%s does not fit: %s"), part->misfit_file, part->misfit);
}

/* "; PART is not used: its vocabulary is missing (FILE)" */
static void
append_wordless (GString *words,
                 AtlBundle *bundle,
                 const AtlDiffusionFamily *family,
                 const AtlPart *part)
{
  g_autoptr (GArray) missing = g_array_new (FALSE, FALSE, sizeof (AtlMissingPart));
  g_autofree char *list = NULL;

  g_array_set_clear_func (missing, part_clear);
  add_vocabulary (missing, bundle, family, part);
  list = atl_missing_to_words (missing);
  if (list == NULL)
    return;
  if (words->len > 0)
    g_string_append (words, "; ");
  /* Translators: a part such as "the text encoder T5", a file with the place where it is published.
   */
  g_string_append_printf (words, _ ("%s is not used, as it lacks %s"), _ (part->words), list);
}

char *
atl_missing_unused (AtlBundle *bundle, const AtlDiffusionFamily *family)
{
  g_autoptr (GArray) extra = g_array_new (FALSE, FALSE, sizeof (AtlMissingPart));
  GString *words = g_string_new (NULL);

  g_array_set_clear_func (extra, part_clear);
  for (guint i = 0; i < family->n_parts; i++)
    if (is_extra (&family->parts[i]) && !atl_bundle_has (bundle, family->parts[i].role))
      add_unknown (extra, bundle, family->parts[i].role, _ (family->parts[i].words));
  for (guint i = 0; i < extra->len; i++)
    append_misfit (words, &g_array_index (extra, AtlMissingPart, i));
  for (guint i = 0; i < family->n_parts; i++)
    if (is_extra (&family->parts[i]) && atl_bundle_has (bundle, family->parts[i].role))
      append_wordless (words, bundle, family, &family->parts[i]);
  return g_string_free (words, words->len == 0);
}

char *
atl_missing_to_words (const GArray *missing)
{
  GString *words = NULL;

  for (guint i = 0; i < missing->len; i++)
    {
      const AtlMissingPart *part = &g_array_index (missing, AtlMissingPart, i);
      const AtlMissingPart *before = i > 0 ? &g_array_index (missing, AtlMissingPart, i - 1) : NULL;

      if (words == NULL)
        words = g_string_new (NULL);
      if (before != NULL && g_str_equal (before->role, part->role))
        g_string_append_printf (words, " + %s", part->file);
      else
        g_string_append_printf (words, "%s%s", before != NULL ? "; " : "", part->words);
      if (part->repository != NULL && (before == NULL || !g_str_equal (before->role, part->role)))
        g_string_append_printf (words, " (huggingface.co/%s: %s", part->repository, part->file);
      if (part->repository != NULL &&
          (i + 1 == missing->len ||
           !g_str_equal (g_array_index (missing, AtlMissingPart, i + 1).role, part->role)))
        g_string_append_c (words, ')');
    }
  for (guint i = 0; i < missing->len; i++)
    {
      const AtlMissingPart *part = &g_array_index (missing, AtlMissingPart, i);

      if (i == 0 || !g_str_equal (part[-1].role, part->role))
        append_misfit (words, part);
    }
  return words != NULL ? g_string_free (words, FALSE) : NULL;
}
