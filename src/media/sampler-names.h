/* What samplers are called: by people who know other programs, and by their authors' classes.
 *
 *   atl_sampler_class ("euler a")                           "EulerAncestralDiscreteScheduler"
 *   atl_sampler_words ("EulerAncestralDiscreteScheduler")   "Euler a"
 *
 * Threading: pure functions.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* NULL for a name that is not in the list; letter case does not matter. Static. */
const char *atl_sampler_class (const char *name);
/* The usual name of a class, or the class itself where it has none. Static, or borrowed. */
const char *atl_sampler_words (const char *class_name);
/* "Euler, Euler a, …": every name. The caller's. */
char *atl_sampler_list (void);

G_END_DECLS
