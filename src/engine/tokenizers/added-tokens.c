/* Finding added tokens in text. */
#define G_LOG_DOMAIN "atl-tokenizers"

#include "engine/tokenizers/added-tokens.h"

#include <string.h>

#include "engine/tokenizers/codepoints.h"
#include "engine/tokenizers/trie.h"

struct _AtlAddedTokens
{
  AtlAddedToken *tokens;
  AtlTrie *trie; /* value: index into tokens */
};

AtlAddedTokens *
atl_added_tokens_new (const AtlAddedToken *tokens, const char *const *texts, gsize n)
{
  AtlAddedTokens *self = g_new0 (AtlAddedTokens, 1);
  g_autofree AtlTrieEntry *entries = g_new (AtlTrieEntry, n + 1);
  gsize used = 0;

  self->tokens = g_memdup2 (tokens, n * sizeof *tokens);
  for (gsize i = 0; i < n; i++)
    if (texts[i] != NULL && texts[i][0] != 0)
      entries[used++] = (AtlTrieEntry){ texts[i], (guint32) strlen (texts[i]), (gint32) i };
  self->trie = atl_trie_new (entries, used);
  return self;
}

void
atl_added_tokens_free (AtlAddedTokens *self)
{
  if (self == NULL)
    return;
  g_free (self->tokens);
  atl_trie_free (self->trie);
  g_free (self);
}

static gboolean
is_word_char (gunichar c)
{
  return c == '_' || (atl_cp_class (c) & (ATL_CP_LETTER | ATL_CP_MARK | ATL_CP_NUMBER)) != 0;
}

static gboolean
touches_word (const char *text, gsize length, gsize from, gsize to)
{
  return (from > 0 && is_word_char (g_utf8_get_char (g_utf8_prev_char (text + from)))) ||
         (to < length && is_word_char (g_utf8_get_char (text + to)));
}

/* The longest token allowed at `at`; its index or −1. */
static gint32
token_at (const AtlAddedTokens *self,
          const char *text,
          gsize length,
          gsize at,
          gboolean parse_special,
          AtlTextBudget *budget,
          gsize *end)
{
  AtlTrieWalk walk = { 0, -1 };
  gint32 found = -1;
  gsize i;

  for (i = at; i < length && atl_trie_step (self->trie, &walk, (guint8) text[i]); i++)
    {
      const AtlAddedToken *token = walk.value >= 0 ? &self->tokens[walk.value] : NULL;

      if (token == NULL || (token->special && !parse_special) ||
          (token->single_word && touches_word (text, length, at, i + 1)))
        continue;
      found = walk.value;
      *end = i + 1;
    }
  return atl_text_budget_spend (budget, i - at) ? found : -1;
}

gboolean
atl_added_tokens_next (const AtlAddedTokens *self,
                       const char *text,
                       gsize length,
                       gsize from,
                       gboolean parse_special,
                       AtlTextBudget *budget,
                       AtlAddedMatch *match)
{
  for (gsize at = from; at < length && !atl_text_budget_spent (budget); at++)
    {
      gsize end = at;
      gint32 index = token_at (self, text, length, at, parse_special, budget, &end);
      const AtlAddedToken *token;

      if (index < 0)
        continue;
      token = &self->tokens[index];
      match->id = token->id;
      match->from = at;
      match->to = end;
      while (token->lstrip && match->from > from)
        {
          const char *before = g_utf8_prev_char (text + match->from);

          if (before < text + from || atl_cp_class (g_utf8_get_char (before)) != ATL_CP_SPACE)
            break;
          match->from = before - text;
        }
      while (token->rstrip && match->to < length &&
             atl_cp_class (g_utf8_get_char (text + match->to)) == ATL_CP_SPACE)
        match->to = g_utf8_next_char (text + match->to) - text;
      return TRUE;
    }
  return FALSE;
}
