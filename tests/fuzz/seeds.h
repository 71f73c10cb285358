/* The seeds of a fuzz target, in the same order on every machine. */
#pragma once

#include "fuzz.h"

/* Returns: (transfer full) (element-type GBytes): the target's own, then its folder's. */
GPtrArray *atl_fuzz_seeds (const AtlFuzzTarget *target);
