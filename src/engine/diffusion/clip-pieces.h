/* A prompt taken apart into pieces of one weight each, by one of two programs' rules (clip-prompt.h
 * says which).
 *
 *   g_autoptr (GArray) pieces = atl_clip_pieces_a1111 ("a (red:1.3) fox");
 *   atl_clip_piece_at (pieces, 1)->weight                                        1.3
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  GString *text; /* (owned) NULL: BREAK, of A1111 alone */
  double weight;
} AtlClipPiece;

/* (element-type AtlClipPiece), frees its elements; the caller's. Of an empty text A1111's has one
 * empty piece, ComfyUI's none. */
GArray *atl_clip_pieces_a1111 (const char *text);
GArray *atl_clip_pieces_comfyui (const char *text);
AtlClipPiece *atl_clip_piece_at (const GArray *pieces, guint i);

G_END_DECLS
