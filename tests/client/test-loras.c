/* LoRAs of pictures over the client with a real engine: what they change, what they say about
 * themselves, and those that do not fit, in words. */
#include <glib/gstdio.h>
#include <string.h>

#include "picture-fixture.h"

#define SD15 "sd15/model"

/* A picture with LoRA `name` (nullable), in three steps. */
static void
start (Drawing *self, AtlClient *client, AtlModel *model, const char *name, double strength)
{
  g_autoptr (AtlPictureRequest) request = atl_picture_request_new (g_variant_new_parsed (
      "{'prompt': <'a fox'>, 'seed': <uint32 5>, 'width': <uint32 64>, 'height': <uint32 64>, "
      "'steps': <uint32 3>}"));

  if (name != NULL)
    {
      g_autofree char *path = picture_fixture_path (name);

      atl_picture_request_add_lora (request, path, strength);
    }
  drawing_begin (self, client, model, request);
}

static GBytes *
draw (Drawing *self, AtlClient *client, AtlModel *model, const char *name, double strength)
{
  guint width, height;

  start (self, client, model, name, strength);
  return drawing_finish (self, &width, &height);
}

static void
test_change (void)
{
  static const char *const files[] = { "sd15/loras/kohya.safetensors",
                                       "sd15/loras/peft.safetensors" };
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_auto (Drawing) plain = { 0 }, after = { 0 };
  GBytes *without = draw (&plain, client, model, NULL, 0);

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    {
      g_auto (Drawing) none = { 0 }, full = { 0 }, again = { 0 };
      g_autoptr (GVariant) loras = NULL;
      g_autoptr (GVariant) row = NULL;
      GBytes *changed;

      g_assert_true (g_bytes_equal (draw (&none, client, model, files[i], 0), without));
      changed = draw (&full, client, model, files[i], 1);
      g_assert_false (g_bytes_equal (changed, without));
      g_assert_true (g_bytes_equal (draw (&again, client, model, files[i], 1), changed));
      loras = atl_dict_lookup (atl_picture_job_get_facts (full.job), ATL_MADE_LORAS, "aa{sv}");
      g_assert_nonnull (loras);
      row = g_variant_get_child_value (loras, 0);
      g_assert_cmpfloat (atl_dict_double (row, "weight", 0), ==, 1);
    }
  g_assert_true (g_bytes_equal (draw (&after, client, model, NULL, 0), without));
  atl_client_stop (client);
}

/* A safetensors file of one change of weights with `metadata`; `prefix` is "lora_unet_" or that of
 * a text encoder. */
static char *
make_lora_of (
    const char *name, const char *prefix, const char *module, guint width, const char *metadata)
{
  g_autofree char *header = g_strdup_printf (
      "{%s%s\"%s%s.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[1,%u],"
      "\"data_offsets\":[0,%u]},\"%s%s.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":"
      "[2,1],\"data_offsets\":[%u,%u]}}",
      metadata, *metadata != '\0' ? "," : "", prefix, module, width, width * 4, prefix, module,
      width * 4, width * 4 + 8);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree guint8 *numbers = g_malloc0 (width * 4 + 8);
  guint64 size = GUINT64_TO_LE ((guint64) strlen (header));
  char *path = picture_fixture_path (name);

  g_byte_array_append (bytes, (const guint8 *) &size, sizeof size);
  g_byte_array_append (bytes, (const guint8 *) header, (guint) strlen (header));
  g_byte_array_append (bytes, numbers, width * 4 + 8);
  g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->len, NULL));
  return path;
}

static char *
make_lora (const char *name, const char *module, guint width, const char *metadata)
{
  return make_lora_of (name, "lora_unet_", module, width, metadata);
}

#define CROSS "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"

static void
test_facts (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autofree char *tagged = make_lora (
      "ada.safetensors", CROSS, 768,
      "\"__metadata__\":{\"ss_output_name\":\"Ada\",\"ss_tag_frequency\":\"{\\\"10_a\\\":"
      "{\\\"hat\\\":3,\\\"ada lovelace\\\":20}}\"}");
  g_autofree char *fast = make_lora ("sdxl_lightning_4step.safetensors", CROSS, 2048,
                                     "\"__metadata__\":{\"modelspec.trigger_phrase\":\"ink, "
                                     "pen\"}");
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = fixture_inspect (client, tagged, NULL, &error);
  g_autofree char *word = make_lora ("hyper_realism.safetensors", CROSS, 768, "");
  g_autofree char *video =
      make_lora ("lightx2v_rank32.safetensors", "blocks_0_cross_attn_q", 32, "");
  g_autofree char *weak = make_lora ("Hyper-SD3-8steps-CFG-lora.safetensors",
                                     "joint_blocks_0_x_block_attn_qkv", 32, "");
  g_autoptr (AtlModelInfo) other = NULL;
  g_autoptr (AtlModelInfo) strong = NULL;
  g_autoptr (AtlModelInfo) slow = NULL;
  g_autofree char *counted = make_lora (
      "counted.safetensors", CROSS, 768,
      "\"__metadata__\":{\"ss_tag_frequency\":\"{\\\"a\\\":{\\\"ink\\\":9223372036854775807,"
      "\\\"pen\\\":1}}\"}");
  g_autoptr (AtlModelInfo) most = NULL;
  g_autoptr (AtlModelInfo) clip = NULL;

  g_assert_no_error (error);
  g_assert_true (info->is_lora);
  g_assert_false (info->is_picture);
  g_assert_cmpstr (info->name, ==, "Ada");
  g_assert_cmpstr (info->family, ==, "Stable Diffusion 1.5");
  g_assert_cmpuint (g_strv_length (info->triggers), ==, 1);
  g_assert_cmpstr (info->triggers[0], ==, "ada lovelace");
  g_assert_cmpuint (info->steps, ==, 0);
  other = fixture_inspect (client, fast, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (other->family, ==, "Stable Diffusion XL");
  g_assert_cmpuint (other->steps, ==, 4);
  g_assert_cmpfloat (other->guidance, ==, 1);
  g_assert_cmpstr (other->sampler, ==, "Euler");
  g_assert_cmpstr (other->schedule, ==, "SGM Uniform");
  g_assert_cmpuint (g_strv_length (other->triggers), ==, 2);
  g_assert_cmpstr (other->triggers[1], ==, "pen");
  g_assert_cmpfloat (other->strength, ==, 1);
  strong = fixture_inspect (client, weak, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (strong->steps, ==, 8);
  g_assert_cmpfloat (strong->guidance, ==, 5);
  g_assert_cmpfloat (strong->strength, ==, 0.125);
  /* A word alone is none for few steps. */
  slow = fixture_inspect (client, word, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (slow->steps, ==, 0);
  /* As often as can be counted. */
  most = fixture_inspect (client, counted, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (most->triggers), ==, 1);
  g_assert_cmpstr (most->triggers[0], ==, "ink");
  /* The family by its layers' names. */
  clip = fixture_inspect (client, video, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (clip->steps, ==, 4);
  g_assert_cmpstr (clip->sampler, ==, "Euler");
  atl_client_stop (client);
}

/* Several families' layers have the same names: what few steps need depends on the model then. */
static void
test_unknown_family (void)
{
  static const struct
  {
    const char *family;
    double guidance, strength;
    const char *sampler;
  } cases[] = {
    { "Flux.1", -1, 0.125, "" },
    { "Qwen-Image", 1, 1, "" },
    { "Stable Diffusion XL", 1, 1, "DDIM" },
  };
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autofree char *path = make_lora_of ("Hyper-FLUX.1-dev-8steps-lora.safetensors", "transformer.",
                                        "single_transformer_blocks.0.attn.to_q", 3072, "");
  g_autoptr (GError) error = NULL;
  g_autoptr (AtlModelInfo) info = fixture_inspect (client, path, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (info->family, ==, "");
  g_assert_cmpuint (info->steps, ==, 8);
  g_assert_nonnull (info->few_steps);
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GVariant) own = atl_dict_lookup (info->few_steps, cases[i].family, "a{sv}");
      g_autofree char *sampler = atl_dict_string (own, ATL_INFO_SAMPLER, "none");

      g_assert_nonnull (own);
      g_assert_cmpfloat (atl_dict_double (own, ATL_INFO_GUIDANCE, 99), ==, cases[i].guidance);
      g_assert_cmpfloat (atl_dict_double (own, ATL_INFO_STRENGTH, 99), ==, cases[i].strength);
      g_assert_cmpstr (sampler, ==, cases[i].sampler);
    }
  atl_client_stop (client);
}

/* Files that change text encoders alone: the larger CLIP is Stable Diffusion XL's, unless the file
 * says otherwise; the smaller one has many. */
static void
test_text_encoders (void)
{
  static const struct
  {
    const char *prefix;
    guint width;
    const char *metadata, *family;
  } rows[] = {
    { "lora_te2_", 1280, "", "Stable Diffusion XL" },
    { "lora_te2_", 1280, "\"__metadata__\":{\"ss_base_model_version\":\"sd3_m\"}",
      "Stable Diffusion 3" },
    { "lora_te2_", 768, "", "" },
    { "lora_te1_", 768, "", "" },
    { "lora_te3_", 1280, "", "" },
  };
  g_autoptr (AtlClient) client = atl_client_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = make_lora_of ("words.safetensors", rows[i].prefix,
                                            "text_model_encoder_layers_0_self_attn_q_proj",
                                            rows[i].width, rows[i].metadata);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlModelInfo) info = fixture_inspect (client, path, NULL, &error);

      g_assert_no_error (error);
      g_assert_true (info->is_lora);
      g_assert_cmpstr (info->family, ==, rows[i].family);
      g_unlink (path);
    }
  atl_client_stop (client);
}

static void
refuse (AtlClient *client, AtlModel *model, const char *name, const char *words)
{
  g_auto (Drawing) drawing = { 0 };

  start (&drawing, client, model, name, 1);
  g_assert_true (fixture_wait (&drawing.is_over, WAIT_MS));
  g_assert_nonnull (drawing.error);
  g_test_message ("%s: %s", name, drawing.error->message);
  g_assert_true (drawing.error->domain == ATL_ERROR);
  g_assert_nonnull (strstr (drawing.error->message, words));
}

static void
test_wrong (void)
{
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (AtlModel) model = picture_fixture_load (client, SD15);
  g_autoptr (AtlModel) wan = picture_fixture_load (client, "wan21/model");
  g_autofree char *xl = make_lora ("xl.safetensors", CROSS, 2048, "");
  g_autofree char *odd = make_lora ("odd.safetensors", "nothing_that_is_there", 32, "");
  g_autofree char *broken = picture_fixture_path ("broken.safetensors");
  g_auto (Drawing) after = { 0 };
  GPid pid = atl_client_get_pid (client);
  guint width, height;

  g_file_set_contents (broken, "nonsense", -1, NULL);
  refuse (client, model, "xl.safetensors", "Stable Diffusion XL");
  refuse (client, model, "odd.safetensors", "odd.safetensors");
  refuse (client, wan, "sd15/loras/peft.safetensors", "peft.safetensors");
  refuse (client, model, "sd15/model/vae/diffusion_pytorch_model.safetensors", "no LoRA");
  refuse (client, model, "broken.safetensors", "broken.safetensors");
  refuse (client, model, "none.safetensors", "none.safetensors");
  g_assert_nonnull (drawing_draw (&after, client, model, &width, &height));
  g_assert_cmpint (atl_client_get_pid (client), ==, pid);
  atl_client_stop (client);
}

/* What changes a language model is no LoRA for pictures, and no damaged model either. */
static void
test_adapters (void)
{
  static const char gguf[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
                             "\14\0\0\0\0\0\0\0general.type\10\0\0\0"
                             "\7\0\0\0\0\0\0\0adapter";
  static const char header[] =
      "{\"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight\":{\"dtype\":\"F32\","
      "\"shape\":[1,2],\"data_offsets\":[0,8]},"
      "\"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight\":{\"dtype\":\"F32\","
      "\"shape\":[2,1],\"data_offsets\":[8,16]}}";
  g_autoptr (AtlClient) client = atl_client_new ();
  g_autoptr (GByteArray) peft = g_byte_array_new ();
  guint64 size = GUINT64_TO_LE ((guint64) strlen (header));
  const guint8 numbers[16] = { 0 };
  const char *names[] = { "adapter.gguf", "adapter_model.safetensors" };

  g_byte_array_append (peft, (const guint8 *) &size, sizeof size);
  g_byte_array_append (peft, (const guint8 *) header, (guint) strlen (header));
  g_byte_array_append (peft, numbers, sizeof numbers);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = picture_fixture_path (names[i]);
      g_autoptr (GError) error = NULL;
      g_autoptr (AtlModelInfo) info = NULL;

      g_assert_true (i == 0
                         ? g_file_set_contents (path, gguf, sizeof gguf - 1, NULL)
                         : g_file_set_contents (path, (const char *) peft->data, peft->len, NULL));
      info = fixture_inspect (client, path, NULL, &error);
      g_assert_no_error (error);
      g_assert_true (info->is_adapter);
      g_assert_false (info->is_lora);
      g_assert_false (info->can_run);
    }
  atl_client_stop (client);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/loras/change", test_change);
  g_test_add_func ("/loras/facts", test_facts);
  g_test_add_func ("/loras/unknown-family", test_unknown_family);
  g_test_add_func ("/loras/text-encoders", test_text_encoders);
  g_test_add_func ("/loras/wrong", test_wrong);
  g_test_add_func ("/loras/adapters", test_adapters);
  return picture_fixture_run ((const char *const[]){ "sd15", "wan21", NULL });
}
