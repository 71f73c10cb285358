/* Prompts with pictures in them. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/qwen-prompt.h"

#include <glib/gi18n.h>
#include <string.h>

#define N_AXES 3
#define PLACE "<|image_pad|>"

void
atl_qwen_pictures_clear (AtlQwenPictures *self)
{
  for (guint i = 0; i < self->n; i++)
    atl_array_free (self->rows[i]);
  self->n = 0;
}

void
atl_qwen_prompt_clear (AtlQwenPrompt *self)
{
  g_clear_pointer (&self->token_ids, atl_array_free);
  g_clear_pointer (&self->positions, atl_array_free);
  g_clear_pointer (&self->row_tokens, atl_array_free);
}

gboolean
atl_qwen_look (AtlRun *run, const AtlArray *picture, AtlQwenPictures *seen, GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_image");
  g_autoptr (GPtrArray) outputs = NULL;
  AtlArray *grid, *rows;

  g_return_val_if_fail (seen->n < ATL_QWEN_MAX_PICTURES, FALSE);
  atl_request_add (request, atl_array_copy (picture, "image"));
  outputs = atl_run_component (run, "vision_tower", request, error);
  if (outputs == NULL)
    return FALSE;
  grid = atl_arrays_find (outputs, "grid");
  rows = atl_arrays_find (outputs, "hidden");
  if (grid == NULL || rows == NULL)
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID, _ ("the part “%s” gives no “%s”"),
                   "vision_tower", "grid");
      return FALSE;
    }
  for (guint i = 0; i < 2; i++)
    seen->grid[seen->n][i] = atl_array_i32 (grid)[i];
  seen->rows[seen->n++] = atl_array_copy (rows, "rows");
  return TRUE;
}

/* The one token that stands for a picture, or -1. */
static gint32
find_place (AtlTokenizer *tokenizer)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  return atl_tokenizer_encode (tokenizer, PLACE, -1, ATL_TOKENIZE_PARSE_SPECIAL, ids, NULL) &&
                 ids->len == 1
             ? g_array_index (ids, gint32, 0)
             : -1;
}

static void
add_token (GArray *all, gint32 id, gint64 time, gint64 row, gint64 column)
{
  g_array_append_vals (all, (gint32[]){ id, (gint32) time, (gint32) row, (gint32) column },
                       1 + N_AXES);
}

/* Writes (id, time, row, column) of every token to `all`, and which of them are the pictures' to
 * `places`; FALSE when there is another number of pictures. */
static gboolean
lay_out (const GArray *ids, gint32 place, const AtlQwenPictures *seen, GArray *all, GArray *places)
{
  gint64 position = 0;
  guint n = 0;

  for (guint i = 0; i < ids->len; i++)
    {
      gint32 id = g_array_index (ids, gint32, i);
      gint64 rows, columns;

      if (id != place)
        {
          add_token (all, id, position, position, position);
          position++;
          continue;
        }
      if (n == seen->n)
        return FALSE;
      rows = seen->grid[n][0];
      columns = seen->grid[n][1];
      n++;
      for (gint64 k = 0; k < rows * columns; k++)
        {
          gint32 at = (gint32) (all->len / (1 + N_AXES));

          g_array_append_val (places, at);
          add_token (all, id, position, position + k / columns, position + k % columns);
        }
      position += MAX (rows, columns);
    }
  return n == seen->n;
}

gboolean
atl_qwen_read (AtlRun *run,
               const char *text,
               gint64 length,
               const AtlQwenPictures *seen,
               AtlQwenPrompt *prompt,
               GError **error)
{
  AtlTokenizer *tokenizer = atl_bundle_tokenizer (run->bundle, "tokenizer", error);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GArray) places = g_array_new (FALSE, FALSE, sizeof (gint32));
  gint64 T, n_places;

  if (tokenizer == NULL ||
      !atl_tokenizer_encode (tokenizer, text, -1, ATL_TOKENIZE_PARSE_SPECIAL, ids, error))
    return FALSE;
  if ((gint64) ids->len > length)
    g_array_set_size (ids, (guint) length);
  if (!lay_out (ids, find_place (tokenizer), seen, all, places))
    {
      g_set_error (error, ATL_ERROR, ATL_ERROR_INVALID,
                   _ ("The prompt must not hold “%s”: it stands for a picture"), PLACE);
      return FALSE;
    }
  T = all->len / (1 + N_AXES);
  n_places = places->len;
  prompt->token_ids = atl_array_new ("token_ids", ATL_DTYPE_I32, 2, (gint64[]){ 1, T });
  prompt->positions = atl_array_new ("positions", ATL_DTYPE_I32, 2, (gint64[]){ N_AXES, T });
  prompt->row_tokens = atl_array_new ("row_tokens", ATL_DTYPE_I32, 2, (gint64[]){ 1, n_places });
  for (gint64 t = 0; t < T; t++)
    {
      const gint32 *token = &g_array_index (all, gint32, t * (1 + N_AXES));

      atl_array_i32 (prompt->token_ids)[t] = token[0];
      for (gint64 axis = 0; axis < N_AXES; axis++)
        atl_array_i32 (prompt->positions)[axis * T + t] = token[1 + axis];
    }
  memcpy (prompt->row_tokens->data, places->data, (gsize) n_places * sizeof (gint32));
  return TRUE;
}

AtlArray *
atl_qwen_encode (AtlRun *run,
                 const char *text,
                 gint64 length,
                 gint64 drop,
                 const AtlQwenPictures *seen,
                 GError **error)
{
  g_autoptr (AtlRequest) request = atl_request_new ("encode_text");
  g_auto (AtlQwenPrompt) prompt = { 0 };

  if (!atl_qwen_read (run, text, length, seen, &prompt, error))
    return NULL;
  atl_request_add (request, g_steal_pointer (&prompt.token_ids));
  if (seen->n > 0)
    {
      atl_request_add (request, g_steal_pointer (&prompt.positions));
      atl_request_add (request, g_steal_pointer (&prompt.row_tokens));
      atl_request_add (request,
                       atl_array_join ("rows", 1, seen->n, (const AtlArray *const *) seen->rows));
    }
  atl_request_set_number (request, "layer", -1);
  atl_request_set_number (request, "drop", (double) drop);
  return atl_run_output_of (run, "text_encoder", request, "hidden", error);
}
