/* A fuzz target is one function on bytes and one description of where to begin.
 *
 * Each target file defines both names below. Linked with driver.c it is a test program that mutates
 * the seeds a fixed number of times, the same way every time; linked with guided.c and libFuzzer
 * (tests/reliability/run fuzz) it is an endless, guided one.
 */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* Some bytes, which may hold NUL. */
typedef struct
{
  const char *bytes;
  gsize size;
} AtlFuzzBytes;

#define ATL_FUZZ_BYTES(literal)                                                                    \
  {                                                                                                \
    literal, sizeof (literal) - 1                                                                  \
  }

typedef struct
{
  const char *name;          /* of the test: "gguf" */
  const char *folder;        /* (nullable) of seeds, inside the conformance folder */
  const char *suffix;        /* of the seed files there: ".gguf" */
  const AtlFuzzBytes *seeds; /* seeds of the target's own, ends with { NULL, 0 } */
  const AtlFuzzBytes *words; /* what mutations insert, ends with { NULL, 0 } */
  /* (nullable) Adds seeds (GBytes) that are made when the program starts. */
  void (*add_seeds) (GPtrArray *seeds);
  guint slowness; /* so many times fewer runs where nobody says how many; 0: as many */
} AtlFuzzTarget;

extern const AtlFuzzTarget atl_fuzz_target;

/* Must return 0 and must not crash, leak, hang or print, whatever `data` is. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
