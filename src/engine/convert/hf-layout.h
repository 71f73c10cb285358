/* Where the rows of a tensor stand in a published module. Private to convert/.
 *
 *   AtlHfPlan plan;
 *   if (!atl_hf_layout_plan (&plan, config, name, n_rows, n_columns, error))
 *     return FALSE;
 *
 * Threading: pure functions.
 */
#pragma once

#include "engine/convert/hf-settings.h"

G_BEGIN_DECLS

#define ATL_HF_MAX_PIECES 6

#define ATL_HF_LEVELS 4

/* size[0] * … * size[3] rows (or columns), the last of them next to each other: number (a, b, c, d)
 * is number first + a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3] of the module,
 * times `factor`. */
typedef struct
{
  gint64 first, size[ATL_HF_LEVELS], stride[ATL_HF_LEVELS];
  float factor;
} AtlHfPiece;

typedef enum
{
  ATL_HF_UNCHANGED,
  ATL_HF_ADD_ONE,
  ATL_HF_NEGATIVE_EXP,
} AtlHfChange;

typedef struct
{
  AtlHfPiece piece[ATL_HF_MAX_PIECES]; /* of rows, one after the other */
  guint n_pieces;
  gint64 n_rows;      /* of all pieces */
  AtlHfPiece columns; /* size[0] 0: as they are */
  AtlHfChange change; /* of the numbers of a list */
  gint64 list_rows;   /* 0, or rows that a list is shaped to */
} AtlHfPlan;

/* The plan of a module of `n_rows` rows of `n_columns`, or of one of several of that size in one
 * tensor (experts); a list has rows of one. ATL_ERROR_BAD_FILE says what does not fit, without the
 * name of the module. */
gboolean atl_hf_layout_plan (AtlHfPlan *plan,
                             const AtlHfConfig *config,
                             const AtlHfName *name,
                             gint64 n_rows,
                             gint64 n_columns,
                             GError **error);

/* How many rows a piece has. */
gint64 atl_hf_piece_size (const AtlHfPiece *piece);
/* Where row `i` of a piece stands in the module, of which the next piece->size[3] - 1 follow in
 * steps of piece->stride[3] where i divides by piece->size[3]. */
gint64 atl_hf_piece_row (const AtlHfPiece *piece, gint64 i);

/* Whether all rows stay where and as they are. */
gboolean atl_hf_plan_is_plain (const AtlHfPlan *plan, gint64 n_rows);

/* Rows and columns that the plan asks for lie inside the module. */
gboolean atl_hf_plan_fits (const AtlHfPlan *plan, gint64 n_rows, gint64 n_columns);

G_END_DECLS
