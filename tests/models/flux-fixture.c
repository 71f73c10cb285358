/* Opening and running the shipped Flux. */
#include "flux-fixture.h"

#include <string.h>

#include "engine/convert/hf.h"
#include "engine/formats/open.h"
#include "engine/models/component.h"

#include "model-fixture.h"

#define MODEL "model/forward-flux-int4.safetensors"

static AtlCheckpoint *
open_shipped (const char *file)
{
  g_autofree char *path = model_fixture_path ("svdquant", file);
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlFileMap) map = atl_file_map_new (path, &error);
  AtlCheckpoint *cp;

  g_assert_no_error (error);
  cp = atl_checkpoint_open (&map, NULL, 1, &error);
  g_assert_no_error (error);
  return cp;
}

/* The shipped model under diffusers' names; without the four-bit form of its layers. */
AtlCheckpoint *
flux_fixture_open (gboolean unpacked)
{
  g_autoptr (AtlCheckpoint) files = open_shipped (MODEL);
  g_autoptr (AtlCheckpoint) out = atl_checkpoint_new ("plain.safetensors");
  g_autoptr (GError) error = NULL;
  AtlCheckpoint *cp = atl_hf_adopt_part (files, &error);

  g_assert_no_error (error);
  if (!unpacked)
    return cp;
  atl_checkpoint_set_base (out, cp);
  for (guint i = 0; i < atl_checkpoint_n_tensors (cp); i++)
    if (strstr (atl_checkpoint_tensor (cp, i)->name, ".svd.") == NULL)
      g_assert_true (atl_checkpoint_add_tensor (out, atl_checkpoint_tensor (cp, i), NULL));
  for (guint i = 0; i < atl_checkpoint_n_meta (cp); i++)
    {
      const char *key = atl_checkpoint_meta_key (cp, i);

      g_assert_true (atl_checkpoint_add_meta (out, key, atl_checkpoint_meta (cp, key), NULL));
    }
  atl_checkpoint_unref (cp);
  return g_steal_pointer (&out);
}

/* What the shipped case's inputs give; the caller frees. */
AtlArray *
flux_fixture_forward (AtlCheckpoint *cp,
                      AtlBackend *backend,
                      const AtlLoraFile *loras,
                      guint n_loras)
{
  static const char *const names[] = { "latent",   "timestep",  "context",    "pooled",
                                       "guidance", "image_ids", "context_ids" };
  g_autoptr (AtlCheckpoint) inputs = open_shipped ("cases/forward-flux-int4/inputs.safetensors");
  AtlBackend *backends[] = { backend, model_fixture_cpu (TRUE) };
  AtlLoadOptions options = { .loras = loras, .n_loras = n_loras };
  g_autoptr (AtlRequest) request = atl_request_new ("forward");
  g_autoptr (AtlComponent) flux = NULL;
  g_autoptr (GPtrArray) outputs = NULL;
  g_autoptr (GError) error = NULL;
  const AtlComponentClass *klass = atl_component_class_for (cp, NULL, "forward", &error);

  g_assert_no_error (error);
  flux = atl_component_load (klass, cp, backends, backend != backends[1] ? 2 : 1, &options, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      AtlArray *array = atl_array_from_tensor (atl_checkpoint_find (inputs, names[i]), &error);

      g_assert_no_error (error);
      atl_request_add (request, array);
    }
  outputs = atl_component_run (flux, request, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (outputs->len, ==, 1);
  return g_ptr_array_steal_index (outputs, 0);
}

void
flux_fixture_add (
    AtlCheckpoint *cp, const char *name, gint64 rows, gint64 columns, const float *data)
{
  AtlTensorInfo info = { .name = name,
                         .dtype = ATL_DTYPE_F32,
                         .n_dims = 2,
                         .dim = { rows, columns },
                         .data = (const guint8 *) data,
                         .size_bytes = (gsize) (rows * columns) * sizeof (float) };

  g_assert_true (atl_checkpoint_add_tensor (cp, &info, NULL));
}
