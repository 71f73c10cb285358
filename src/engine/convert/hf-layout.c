/* The layouts of AtlHfLayout as runs of rows, and the numbers of the settings that they need. */
#define G_LOG_DOMAIN "atl-convert"

#include "engine/convert/hf-layout.h"

#include <glib/gi18n.h>
#include <string.h>

#define MAX_SIZE (1 << 24)

/* Heads of a gated delta net. */
typedef struct
{
  gint64 n_keys, n_values, key_dim, value_dim, per_key;
} Heads;

static gboolean
fail (GError **error, const char *what)
{
  g_set_error (error, ATL_ERROR, ATL_ERROR_BAD_FILE, "%s", what);
  return FALSE;
}

static gint64
number (const AtlHfConfig *config, const char *key)
{
  double value;

  return atl_hf_config_number (config, key, 1, MAX_SIZE, &value) ? (gint64) value : 0;
}

static gboolean
read_heads (Heads *h, const AtlHfConfig *config)
{
  *h = (Heads){ number (config, "linear_num_key_heads"), number (config, "linear_num_value_heads"),
                number (config, "linear_key_head_dim"), number (config, "linear_value_head_dim") };
  if (h->n_keys < 1 || h->n_values % h->n_keys != 0 || h->n_values < 1)
    return FALSE;
  h->per_key = h->n_values / h->n_keys;
  return TRUE;
}

gint64
atl_hf_piece_size (const AtlHfPiece *piece)
{
  gint64 n = 1;

  for (guint i = 0; i < ATL_HF_LEVELS; i++)
    n *= piece->size[i];
  return n;
}

gint64
atl_hf_piece_row (const AtlHfPiece *piece, gint64 i)
{
  gint64 row = piece->first;

  for (guint level = ATL_HF_LEVELS; level-- > 0; i /= piece->size[level])
    row += i % piece->size[level] * piece->stride[level];
  return row;
}

static void
add_piece (AtlHfPlan *plan, AtlHfPiece piece)
{
  g_assert (plan->n_pieces < ATL_HF_MAX_PIECES);
  piece.factor = 1.0f;
  plan->piece[plan->n_pieces++] = piece;
  plan->n_rows += atl_hf_piece_size (&piece);
}

static void
add (AtlHfPlan *plan, gint64 first, gint64 a, gint64 b, gint64 c, gint64 sa, gint64 sb, gint64 sc)
{
  add_piece (plan,
             (AtlHfPiece){ .first = first, .size = { 1, a, b, c }, .stride = { 0, sa, sb, sc } });
}

static void
add_run (AtlHfPlan *plan, gint64 first, gint64 n)
{
  add (plan, first, 1, 1, n, 0, 0, 1);
}

/* Value heads of n rows each, from `first` on: head h * r + i becomes head i * K + h. */
static void
add_tiles (AtlHfPlan *plan, const Heads *h, gint64 first, gint64 n)
{
  add (plan, first, h->per_key, h->n_keys, n, n, h->per_key * n, 1);
}

static gboolean
plan_half (AtlHfPlan *plan, const AtlHfConfig *config, gint64 half, gint64 n_rows, GError **error)
{
  gboolean alternate = (config->family->flags & ATL_HF_ALTERNATE) != 0;

  if (n_rows % 2 != 0)
    return fail (error, _ ("it is no pair of gates and ups"));
  add (plan, alternate ? half : half * (n_rows / 2), 1, 1, n_rows / 2, 0, 0, alternate ? 2 : 1);
  return TRUE;
}

/* Qwen3-Next: what belongs to a key head stands together. */
static gboolean
plan_key_heads (
    AtlHfPlan *plan, const AtlHfConfig *config, gboolean only_z, gint64 n_rows, GError **error)
{
  Heads h;
  gint64 wide, period;

  if (!read_heads (&h, config))
    return fail (error, _ ("it needs numbers of key and value heads that divide"));
  wide = h.per_key * h.value_dim;
  period = 2 * h.key_dim + 2 * wide;
  if (n_rows != h.n_keys * period)
    return fail (error, _ ("it does not have the rows of its key and value heads"));
  if (only_z)
    add (plan, 2 * h.key_dim + wide, 1, h.n_keys, wide, 0, period, 1);
  else
    {
      add (plan, 0, 1, h.n_keys, h.key_dim, 0, period, 1);
      add (plan, h.key_dim, 1, h.n_keys, h.key_dim, 0, period, 1);
      add (plan, 2 * h.key_dim, 1, h.n_keys, wide, 0, period, 1);
    }
  return TRUE;
}

/* Qwen3.5: value heads of one key head stand together, in GGUF they take turns. */
static gboolean
plan_tiles (AtlHfPlan *plan,
            const AtlHfConfig *config,
            guint layout,
            gint64 n_rows,
            gint64 n_columns,
            GError **error)
{
  Heads h;
  gint64 values, before = 0, n;

  if (!read_heads (&h, config))
    return fail (error, _ ("it needs numbers of key and value heads that divide"));
  values = h.n_values * h.value_dim;
  n = layout == ATL_HF_TILED_COLUMNS ? n_columns : n_rows;
  if (layout == ATL_HF_TILED_ONES || layout == ATL_HF_TILED_MINUS_EXP)
    values = h.n_values;
  else if (layout == ATL_HF_TILED_LAST)
    before = 2 * h.n_keys * h.key_dim;
  if (n != before + values)
    return fail (error, _ ("it does not have the size of its key and value heads"));
  if (layout == ATL_HF_TILED_COLUMNS)
    {
      AtlHfPlan columns = { 0 };

      add_tiles (&columns, &h, 0, h.value_dim);
      plan->columns = columns.piece[0];
      add_run (plan, 0, n_rows);
      return TRUE;
    }
  if (before > 0)
    add_run (plan, 0, before);
  add_tiles (plan, &h, before, values / h.n_values);
  return TRUE;
}

/* Falcon-H1's mixer: z, x, B, C and dt have multipliers of their own. */
static gboolean
plan_sections (AtlHfPlan *plan, const AtlHfConfig *config, gint64 n_rows, GError **error)
{
  gint64 groups = number (config, "mamba_n_groups") * number (config, "mamba_d_state");
  gint64 heads = number (config, "mamba_n_heads"), inner = number (config, "mamba_d_ssm");

  if (inner < 1)
    inner = number (config, "mamba_expand") * number (config, "hidden_size");
  if (n_rows != 2 * inner + 2 * groups + heads)
    return fail (error, _ ("it does not have the rows of its state space"));
  for (guint i = 0; i < 5; i++)
    {
      g_autofree char *factor = g_strdup_printf ("ssm_multipliers[%u]", i);
      double value = 1;

      add_run (plan, plan->n_rows, i < 2 ? inner : i < 4 ? groups : heads);
      if (!atl_hf_config_factors (config, factor, &value))
        return fail (error, _ ("it needs five ssm_multipliers"));
      plan->piece[i].factor = (float) value;
    }
  return TRUE;
}

static gboolean
plan_by_heads (AtlHfPlan *plan, const AtlHfConfig *config, gint64 n_rows, GError **error)
{
  gint64 heads = number (config, "num_attention_heads");
  gint64 dim = heads > 0 ? n_rows / (3 * heads) : 0;

  if (dim < 1 || n_rows != 3 * heads * dim)
    return fail (error, _ ("it does not divide into queries, keys and values of its heads"));
  add (plan, 0, 3, heads, dim, dim, 3 * dim, 1);
  return TRUE;
}

/* Queries, keys and values in one module, of all heads or (`grouped`) of each head of keys by
 * itself; one of the three, or all (`part` 3). Queries and keys are put into the order of rotary
 * pairs that the family has in GGUF. */
static gboolean
plan_fused (AtlHfPlan *plan,
            const AtlHfConfig *config,
            guint part,
            gboolean grouped,
            gint64 n_rows,
            GError **error)
{
  const gboolean permuted = part < 3 && (config->family->flags & ATL_HF_PERMUTE) != 0;
  gint64 heads = number (config, "num_attention_heads"), keys = atl_hf_config_key_heads (config);
  gint64 dim = heads > 0 && keys > 0 ? n_rows / (heads + 2 * keys) : 0;
  gint64 groups = grouped ? keys : 1;

  if (dim < 1 || n_rows != dim * (heads + 2 * keys) || heads % keys != 0 ||
      (permuted && dim % 2 != 0))
    return fail (error, _ ("it does not divide into queries, keys and values of its heads"));
  for (guint i = 0; i < 3; i++)
    {
      gint64 n = (i == 0 ? heads : keys) / groups;
      gint64 before = i == 0 ? 0 : (heads + (i - 1) * keys) / groups;
      AtlHfPiece piece = { .first = before * dim,
                           .size = { groups, n, 1, dim },
                           .stride = { n_rows / groups, dim, 0, 1 } };

      if (permuted && i < 2)
        {
          piece.size[2] = dim / 2;
          piece.stride[2] = 1;
          piece.size[3] = 2;
          piece.stride[3] = dim / 2;
        }
      if (part == i || part == 3)
        add_piece (plan, piece);
    }
  return TRUE;
}

static gboolean
plan_padded (AtlHfPlan *plan, const AtlHfConfig *config, gint64 n_rows, GError **error)
{
  gint64 vocabulary = number (config, "vocab_size");

  if (vocabulary < 1 || n_rows < 1)
    return fail (error, _ ("it needs the size of the vocabulary"));
  add_run (plan, 0, MIN (n_rows, vocabulary));
  if (n_rows < vocabulary)
    add (plan, 0, 1, 1, vocabulary - n_rows, 0, 0, 0);
  return TRUE;
}

/* Heads of queries or keys whose rotary halves become neighbours; 0 for all else. */
static gint64
permuted_heads (const AtlHfConfig *config, const char *gguf)
{
  gint64 n = 0;

  if ((config->family->flags & ATL_HF_PERMUTE) == 0)
    return 0;
  if (strcmp (gguf, "attn_k") == 0)
    n = number (config, "num_key_value_heads");
  return n > 0 || (strcmp (gguf, "attn_k") != 0 && strcmp (gguf, "attn_q") != 0)
             ? n
             : number (config, "num_attention_heads");
}

static gboolean
plan_rows (AtlHfPlan *plan,
           const AtlHfConfig *config,
           const AtlHfName *name,
           gint64 n_rows,
           GError **error)
{
  gint64 heads = permuted_heads (config, name->gguf);
  gint64 half = heads > 0 ? n_rows / heads / 2 : 0;

  if (heads == 0)
    {
      add_run (plan, 0, n_rows);
      return TRUE;
    }
  if (n_rows < 1 || half * 2 * heads != n_rows)
    return fail (error, _ ("it has rows that do not divide into the heads"));
  add (plan, 0, heads, half, 2, 2 * half, 1, half);
  return TRUE;
}

static gboolean
plan_groups (AtlHfPlan *plan, const AtlHfConfig *config, gint64 n_rows, GError **error)
{
  gint64 groups = number (config, "mamba_n_groups");

  if (groups < 1)
    groups = number (config, "n_groups");
  if (groups < 1 || n_rows % groups != 0)
    return fail (error, _ ("it does not divide into the groups of the state space"));
  plan->list_rows = groups;
  add_run (plan, 0, n_rows);
  return TRUE;
}

gboolean
atl_hf_layout_plan (AtlHfPlan *plan,
                    const AtlHfConfig *config,
                    const AtlHfName *name,
                    gint64 n_rows,
                    gint64 n_columns,
                    GError **error)
{
  guint layout = name->layout & ATL_HF_LAYOUT_MASK;
  gboolean ok = TRUE;
  double factor = 1;

  *plan = (AtlHfPlan){ .change = ATL_HF_UNCHANGED };
  switch (layout)
    {
    case ATL_HF_FIRST_HALF:
    case ATL_HF_SECOND_HALF:
      ok = plan_half (plan, config, layout == ATL_HF_SECOND_HALF, n_rows, error);
      break;
    case ATL_HF_QKV_OF_KEY_HEADS:
    case ATL_HF_Z_OF_KEY_HEADS:
      ok = plan_key_heads (plan, config, layout == ATL_HF_Z_OF_KEY_HEADS, n_rows, error);
      break;
    case ATL_HF_TILED_LAST:
    case ATL_HF_TILED:
    case ATL_HF_TILED_ONES:
    case ATL_HF_TILED_MINUS_EXP:
    case ATL_HF_TILED_COLUMNS:
      ok = plan_tiles (plan, config, layout, n_rows, n_columns, error);
      break;
    case ATL_HF_SECTIONS:
      ok = plan_sections (plan, config, n_rows, error);
      break;
    case ATL_HF_BY_HEADS:
      ok = plan_by_heads (plan, config, n_rows, error);
      break;
    case ATL_HF_GROUPED_Q:
    case ATL_HF_GROUPED_K:
    case ATL_HF_GROUPED_V:
    case ATL_HF_GROUPED_QKV:
      ok = plan_fused (plan, config, layout - ATL_HF_GROUPED_Q, TRUE, n_rows, error);
      break;
    case ATL_HF_JOINED_Q:
    case ATL_HF_JOINED_K:
    case ATL_HF_JOINED_V:
      ok = plan_fused (plan, config, layout - ATL_HF_JOINED_Q, FALSE, n_rows, error);
      break;
    case ATL_HF_PADDED:
      ok = plan_padded (plan, config, n_rows, error);
      break;
    case ATL_HF_GROUPS:
      ok = plan_groups (plan, config, n_rows, error);
      break;
    default:
      ok = plan_rows (plan, config, name, n_rows, error);
      break;
    }
  if (!ok)
    return FALSE;
  if (layout == ATL_HF_COLUMN || layout == ATL_HF_MINUS_EXP_COLUMN)
    plan->list_rows = n_rows;
  if (layout == ATL_HF_MINUS_EXP || layout == ATL_HF_MINUS_EXP_COLUMN ||
      layout == ATL_HF_TILED_MINUS_EXP)
    plan->change = ATL_HF_NEGATIVE_EXP;
  else if ((config->family->flags & ATL_HF_NORM_PLUS_ONE) != 0 && n_columns == 1 &&
           g_str_has_suffix (name->gguf, "_norm") && strcmp (name->gguf, "ssm_norm") != 0)
    plan->change = ATL_HF_ADD_ONE;
  if (name->factors != NULL && !atl_hf_config_factors (config, name->factors, &factor))
    return fail (error, _ ("it needs multipliers that the settings do not have"));
  for (guint i = 0; i < plan->n_pieces; i++)
    plan->piece[i].factor *= (float) factor;
  return TRUE;
}

gboolean
atl_hf_plan_is_plain (const AtlHfPlan *plan, gint64 n_rows)
{
  const AtlHfPiece *p = &plan->piece[0];

  return plan->n_pieces == 1 && plan->columns.size[0] == 0 && plan->change == ATL_HF_UNCHANGED &&
         plan->list_rows == 0 && p->factor == 1.0f && p->first == 0 &&
         p->size[ATL_HF_LEVELS - 1] == n_rows && p->stride[ATL_HF_LEVELS - 1] == 1;
}

static gboolean
piece_fits (const AtlHfPiece *piece, gint64 n)
{
  gint64 last = piece->first;

  for (guint i = 0; i < ATL_HF_LEVELS; i++)
    {
      if (piece->size[i] < 1 || piece->stride[i] < 0 || piece->size[i] > G_MAXINT32 ||
          piece->stride[i] > G_MAXINT32)
        return FALSE;
      last += (piece->size[i] - 1) * piece->stride[i];
    }
  return piece->first >= 0 && last < n;
}

gboolean
atl_hf_plan_fits (const AtlHfPlan *plan, gint64 n_rows, gint64 n_columns)
{
  for (guint i = 0; i < plan->n_pieces; i++)
    if (!piece_fits (&plan->piece[i], n_rows))
      return FALSE;
  return plan->columns.size[0] == 0 || piece_fits (&plan->columns, n_columns);
}
