/* Memory runs out where the engine works: a model file is opened, an answer and a picture are
 * computed, pictures are read and written (refused.h). */
#include "refused.h"

#include "diffusion/small-model.h"
#include "engine/diffusion/upscale.h"
#include "engine/formats/open.h"
#include "engine/pipelines/chat-turn.h"
#include "engine/tensor/cpu/cpu.h"
#include "media/picture.h"
#include "models/model-fixture.h"

/* Of these an allocation depends on what people ask for. */
#define LARGE (1u << 20)

static AtlBackend *cpu;
static char *gguf_path;
/* Kept for the next time; where memory is plenty their weights are, too. */
static AtlDiffusionModel *drawn, *drawn_large, *drawn_clip;
static AtlUpscaler *upscaler;

static gboolean
open_gguf (GError **error)
{
  g_autoptr (AtlFileMap) map = atl_file_map_new (gguf_path, error);
  g_autoptr (AtlCheckpoint) cp = NULL;

  cp = map != NULL ? atl_checkpoint_open (&map, NULL, 1, error) : NULL;
  return cp != NULL;
}

static void
text_cb (const char *text, gboolean is_thinking, gpointer user_data)
{
  g_string_append (user_data, text);
}

static gboolean
answer (GError **error)
{
  AtlChatModelOptions options = { .n_ctx = 512, .kv_dtype = ATL_DTYPE_F16, .n_gpu_layers = 0 };
  AtlTurnOptions turn = { .max_tokens = 4, .thinking = -1 };
  g_autoptr (GString) text = g_string_new (NULL);
  AtlTurnSink sink = { .text = text_cb, .user_data = text };
  const char *names[] = { "model.gguf", NULL };
  g_autoptr (AtlFileMap) map = atl_file_map_new (gguf_path, error);
  AtlChatModel *model = map != NULL ? atl_chat_model_open (&map, names, 1, error) : NULL;
  AtlTurnStats stats;
  gboolean ok;

  if (model == NULL)
    return FALSE;
  atl_sampling_params_init (&turn.sampling);
  ok = atl_chat_model_load (model, &cpu, 1, &options, NULL, NULL, NULL, error) &&
       atl_chat_turn_run (model, NULL, "One day", &turn, &sink, NULL, &stats, error);
  atl_chat_model_free (model);
  return ok;
}

/* n_frames of 0: a picture. `inputs` is nullable; the model is kept for the next time. */
static gboolean
run_model (AtlDiffusionModel **model,
           const char *family,
           guint width,
           guint height,
           guint n_frames,
           guint n_steps,
           GPtrArray *inputs,
           GError **error)
{
  g_autoptr (AtlSettings) settings = atl_settings_new ();
  g_autoptr (GPtrArray) out = NULL;

  if (*model == NULL)
    *model = small_model_open (family);
  atl_settings_set_string (settings, "prompt", "a red fox");
  atl_settings_set_number (settings, "width", width);
  atl_settings_set_number (settings, "height", height);
  if (n_frames > 0)
    atl_settings_set_number (settings, "frames", n_frames);
  atl_settings_set_number (settings, "steps", n_steps);
  atl_diffusion_model_use (*model, &cpu, 1);
  atl_diffusion_model_drop (*model);
  out = atl_diffusion_model_run (*model, settings, inputs, NULL, NULL, error);
  return out != NULL;
}

static gboolean
draw (GError **error)
{
  return run_model (&drawn, "sd15", 64, 64, 0, 2, NULL, error);
}

/* From a picture, and of a size whose arrays may be refused in practice. */
static gboolean
draw_large (GError **error)
{
  g_autoptr (GPtrArray) inputs = atl_arrays_new ();
  AtlArray *image =
      atl_array_try_new ("image", ATL_DTYPE_F32, 4, (gint64[]){ 1, 3, 320, 288 }, error);

  if (image == NULL)
    return FALSE;
  g_ptr_array_add (inputs, image);
  return run_model (&drawn_large, "sd15", 288, 320, 0, 2, inputs, error);
}

static gboolean
draw_clip (GError **error)
{
  return run_model (&drawn_clip, "wan21", 160, 128, 9, 1, NULL, error);
}

static gboolean
enlarge (GError **error)
{
  static const guint8 pixels[300 * 200 * 3];
  const AtlUpscaleRequest request = {
    .pixels = pixels, .width = 300, .height = 200, .channels = 3
  };
  g_autofree guint8 *out = NULL;
  guint width, height;

  if (upscaler == NULL)
    {
      g_autofree char *path = model_fixture_path ("upscale", "model/esrgan-x2.safetensors");
      g_autoptr (AtlFileMap) map = atl_file_map_new (path, error);

      upscaler = map != NULL ? atl_upscaler_open (&map, NULL, 1, error) : NULL;
      if (upscaler == NULL)
        return FALSE;
    }
  atl_upscaler_use (upscaler, &cpu, 1);
  atl_upscaler_drop (upscaler);
  out = atl_upscaler_run (upscaler, &request, &width, &height, NULL, error);
  return out != NULL;
}

static gboolean
code_pictures (GError **error)
{
  g_autoptr (AtlPicture) picture = atl_picture_try_new (700, 500, error);

  if (picture == NULL)
    return FALSE;
  atl_picture_set_text (picture, "parameters", "a red fox\nSteps: 20");
  for (AtlPictureFormat format = ATL_PICTURE_PNG; format <= ATL_PICTURE_WEBP; format++)
    {
      g_autoptr (GBytes) bytes = atl_picture_encode (picture, format, 0, error);
      g_autoptr (AtlPicture) again = NULL;

      if (bytes == NULL)
        return FALSE;
      again = atl_picture_decode (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), 1 << 20,
                                  error);
      if (again == NULL)
        return FALSE;
      g_assert_cmpuint (again->width, ==, 700);
    }
  return TRUE;
}

int
main (int argc, char **argv)
{
  static const RefusedCase gguf = { "GGUF", open_gguf, FALSE };
  static const RefusedCase chat = { "answer", answer, TRUE };
  static const RefusedCase picture = { "picture", draw, TRUE };
  static const RefusedCase large = { "large picture", draw_large, TRUE, LARGE };
  static const RefusedCase clip = { "clip", draw_clip, TRUE, LARGE };
  static const RefusedCase larger = { "enlarged picture", enlarge, TRUE, LARGE };
  static const RefusedCase files = { "picture files", code_pictures, FALSE };
  g_autoptr (GError) error = NULL;
  int status;

  refused_start (argv);
  g_test_init (&argc, &argv, NULL);
  gguf_path = model_fixture_path ("llm-llama2", "model.gguf");
  cpu = atl_cpu_backend_new (NULL, &error);
  g_assert_no_error (error);
  g_test_add_data_func ("/memory/gguf", &gguf, refused_test);
  g_test_add_data_func ("/memory/answer", &chat, refused_test);
  g_test_add_data_func ("/memory/picture", &picture, refused_test);
  g_test_add_data_func ("/memory/large-picture", &large, refused_test);
  g_test_add_data_func ("/memory/clip", &clip, refused_test);
  g_test_add_data_func ("/memory/enlarged", &larger, refused_test);
  g_test_add_data_func ("/memory/picture-files", &files, refused_test);
  status = g_test_run ();
  atl_diffusion_model_free (drawn);
  atl_diffusion_model_free (drawn_large);
  atl_diffusion_model_free (drawn_clip);
  atl_upscaler_free (upscaler);
  atl_backend_free (cpu);
  g_free (gguf_path);
  return status;
}
