/* The vocabularies in a bundle's files, and whether they belong to its text encoders. */
#define G_LOG_DOMAIN "atl-diffusion"

#include <glib/gi18n.h>
#include <string.h>

#include "engine/diffusion/bundle-private.h"

/* "text_encoder_2" for "tokenizer_2"; NULL for other roles. The caller frees. */
static char *
encoder_of (const char *role)
{
  return g_str_has_prefix (role, "tokenizer")
             ? g_strconcat ("text_encoder", role + strlen ("tokenizer"), NULL)
             : NULL;
}

static AtlTokenizer *
tokenizer_in_weights (AtlBundle *self, const char *role, GError **error)
{
  g_autofree char *encoder = encoder_of (role);
  const AtlTensorInfo *info;
  AtlCheckpoint *cp;

  if (encoder == NULL)
    return NULL;
  cp = atl_bundle_has (self, encoder) ? atl_bundle_checkpoint (self, encoder, error) : NULL;
  /* A GGUF file brings the vocabulary of its language model. */
  if (cp != NULL && atl_checkpoint_meta (cp, "tokenizer.ggml.model") != NULL)
    return atl_tokenizer_new_from_checkpoint (cp, error);
  info = cp != NULL ? atl_checkpoint_find (cp, "spiece_model") : NULL;
  return info != NULL && info->data != NULL
             ? atl_tokenizer_new_sentencepiece (info->data, info->size_bytes, error)
             : NULL;
}

/* Tables of tokens have some rows more than their vocabulary has words, for padding: 1 in 15 at
 * most among what is published. */
#define MOST_UNUSED 4 /* 1 in so many */

static gboolean
is_table (const AtlTensorInfo *info)
{
  /* Of CLIP, of T5, of language models under their authors' names and GGUF's. */
  static const char *const names[] = { "token_embedding.weight", "shared.weight",
                                       "embed_tokens.weight", "token_embd.weight" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    if (info->n_dims == 2 && g_str_has_suffix (info->name, names[i]))
      return TRUE;
  return FALSE;
}

/* Whether the encoder that reads them has numbers for as many tokens. A file may hold several: one
 * of them has to. */
static gboolean
check_size (AtlBundle *self, const char *role, const AtlTokenizer *tokenizer, GError **error)
{
  g_autofree char *encoder = encoder_of (role);
  AtlCheckpoint *cp = encoder != NULL && atl_bundle_has (self, encoder)
                          ? atl_bundle_checkpoint (self, encoder, NULL)
                          : NULL;
  gint64 n = atl_tokenizer_n_vocab (tokenizer), rows = 0;

  for (guint i = 0; cp != NULL && i < atl_checkpoint_n_tensors (cp); i++)
    {
      const AtlTensorInfo *info = atl_checkpoint_tensor (cp, i);

      if (!is_table (info))
        continue;
      rows = info->dim[0];
      if (n <= rows && n >= rows - rows / MOST_UNUSED)
        return TRUE;
    }
  if (rows == 0)
    return TRUE;
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE,
               /* Translators: two names of folders, each with a number. */
               _ ("The vocabulary “%s” has %u tokens and the text encoder “%s” knows %u: they "
                  "belong to different models"),
               role, (guint) n, encoder, (guint) rows);
  return FALSE;
}

AtlTokenizer *
atl_bundle_tokenizer (AtlBundle *self, const char *role, GError **error)
{
  AtlBundleFolder *folder = atl_bundle_find_folder (self, role);

  if (folder == NULL)
    {
      GError *local = NULL;
      AtlTokenizer *tokenizer = tokenizer_in_weights (self, role, &local);

      if (tokenizer == NULL)
        {
          if (local != NULL)
            g_propagate_error (error, local);
          else
            g_set_error (error, ATL_ERROR, ATL_ERROR_NOT_FOUND,
                         _ ("This model's vocabulary “%s” is missing"), role);
          return NULL;
        }
      folder = g_new0 (AtlBundleFolder, 1);
      folder->role = g_strdup (role);
      folder->maps = g_ptr_array_new ();
      folder->names = g_ptr_array_new ();
      folder->tokenizer = tokenizer;
      g_ptr_array_add (self->folders, folder);
    }
  if (folder->tokenizer == NULL)
    {
      g_autoptr (AtlTokenizer) tokenizer = atl_tokenizer_new_from_part (
          (AtlFileMap *const *) folder->maps->pdata, (const char *const *) folder->names->pdata,
          folder->maps->len, error);

      if (tokenizer != NULL && check_size (self, role, tokenizer, error))
        folder->tokenizer = g_steal_pointer (&tokenizer);
    }
  return folder->tokenizer;
}
