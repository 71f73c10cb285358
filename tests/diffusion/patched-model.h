/* Copies of small models on the disk whose files are changed by a few bytes.
 *
 *   g_autofree char *folder = patched_model_copy (small_model_folder ("sd15"));
 *   patched_model_fill (folder, "vae/diffusion_pytorch_model.safetensors",
 *                       "decoder.conv_out.weight", NAN);
 *   patched_model_remove (folder);
 */
#pragma once

#include <glib.h>

/* The path of a copy below the system's folder for temporary files; the caller's. */
char *patched_model_copy (const char *folder);
void patched_model_remove (const char *folder);
/* Every number of a tensor in F16, BF16 or F32 of the safetensors file below `folder`; an empty
 * `tensor` is the first of at least two dimensions. */
void patched_model_fill (const char *folder, const char *file, const char *tensor, double value);
/* Every number of the tensors in BF16 whose names end so, times two to the power. */
void patched_model_scale (const char *folder, const char *file, const char *ending, int power);
