/* What the fault layer exports to the test that loads it. */
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>

/* From now on the call number `at` (counted from 0; -1: none) returns `status`; with
 * CL_OUT_OF_RESOURCES all later ones as well. */
void opencl_fault_layer_arm (long at, cl_int status);

/* Calls that could have failed since then. */
long opencl_fault_layer_n_calls (void);

/* Before the call number `at`, counted as for arming, which comes first. */
void opencl_fault_layer_tell (long at, void (*func) (void *data), void *data);

/* Calls that wait for the device do not return while this is set. */
void opencl_fault_layer_hang (int on);
