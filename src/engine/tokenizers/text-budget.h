/* What the lookups of one text may cost in all: bytes of pieces compared, whose length a file
 * chooses. A vocabulary with pieces of thousands of letters would otherwise go over that many for
 * each byte of a text, and a long prompt would take minutes.
 *
 * Who has spent it gives up at once, and what came of the text does not count; whoever gave the
 * budget asks atl_text_budget_spent afterwards.
 *
 * Threading: of one thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint64 left;
} AtlTextBudget;

/* Real vocabularies need some twenty for each byte, and a few hundred where spaces or lines repeat.
 */
static inline AtlTextBudget
atl_text_budget (gsize bytes)
{
  return (AtlTextBudget){ 256 * (guint64) bytes + 100 * 1000 * 1000 };
}

/* FALSE when there is not so much left, and from then on. */
static inline gboolean
atl_text_budget_spend (AtlTextBudget *self, gsize n)
{
  self->left = n < self->left ? self->left - n : 0;
  return self->left > 0;
}

static inline gboolean
atl_text_budget_spent (const AtlTextBudget *self)
{
  return self->left == 0;
}

G_END_DECLS
