/* What only the hub's own files may use, and the tests of it that need a server that never
 * recovers, a small disk, or a rule by itself.
 *
 * Threading: the set functions before anything is fetched; the others anywhere, none blocks.
 */
#pragma once

#include "hub/package-index.h"

G_BEGIN_DECLS

/* http.c: seconds of silence that sessions made from now on accept; 30 unless said. */
void atl_http_set_timeout (guint seconds);
/* http.c: where a redirect from `from` to `location` (absolute or not) leads; the caller's. NULL
 * with ATL_ERROR_NETWORK when it is no web address or the rules of http.h forbid it. */
GUri *atl_http_next_hop (GUri *from, const char *location, GError **error);

/* fetch-file.c: how often in a row a download is tried without a new byte, and how long the first
 * pause is (each next is twice as long); 5 and 500 unless said. */
void atl_fetch_set_patience (guint attempts, guint first_pause_ms);

/* part-file.c: how many bytes must stay free beyond what is fetched; 64 MiB unless said. */
void atl_hub_set_room_to_spare (guint64 bytes);

/* package-index.c: the addresses that are asked, in order; borrowed, NULL-terminated. */
const char *const *atl_package_index_urls (AtlPackageIndex *self);
/* package-index.c: the address of `wheel` in an answer of an index, JSON (PEP 691) or HTML (PEP
 * 503), at `page_url`; the caller's, NULL when it is not there. */
char *atl_package_page_find (
    const char *page_url, const char *text, gsize size, gboolean json, const char *wheel);

G_END_DECLS
