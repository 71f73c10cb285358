/* Panels of packed weights, one function a type. Before it is included: panel_body(), which gets
 * the type as a constant, and PANEL_OUT, what a panel is written as.
 *
 * Threading: any; each call works on the memory that it is given.
 */
#pragma once

typedef void (*PanelFunc) (const guint8 *group, gint64 n_in, gint64 k, gint64 n, PANEL_OUT *out);

#define DEFINE_PANEL(T)                                                                            \
  static __attribute__ ((noinline)) void panel_##T (const guint8 *group, gint64 n_in, gint64 k,    \
                                                    gint64 n, PANEL_OUT *out)                      \
  {                                                                                                \
    panel_body (ATL_DTYPE_##T, group, n_in, k, n, out);                                            \
  }
#define PANEL_ROW(T) [ATL_DTYPE_##T] = panel_##T,

EACH_DTYPE (DEFINE_PANEL)

static const PanelFunc panels[ATL_N_DTYPES] = { EACH_DTYPE (PANEL_ROW) };

static void
write_panel (AtlDType dtype, const guint8 *group, gint64 n_in, gint64 k, gint64 n, PANEL_OUT *out)
{
  dtype = atl_pack_alike (dtype);
  g_assert (panels[dtype] != NULL);
  panels[dtype](group, n_in, k, n, out);
}
