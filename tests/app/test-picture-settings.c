/* What needs no window of the Images page: shapes and sizes, settings to the engine, to the draft
 * and from recipes, the order of the queue. */
#include "app/images/mask-raster.h"
#include "app/images/picture-extend.h"
#include "app/images/picture-queue.h"
#include "app/images/picture-settings.h"
#include "app/images/picture-shapes.h"
#include "app/images/price-words.h"
#include "app/words.h"
#include "media/picture.h"

static void
test_shapes (void)
{
  g_assert_cmpstr (atl_picture_shapes ()[0], ==, "1:1");
  g_assert_cmpfloat (atl_picture_shape_ratio ("3:2"), ==, 1.5);
  g_assert_cmpfloat (atl_picture_shape_ratio ("9:16"), ==, 9.0 / 16);
  g_assert_cmpfloat (atl_picture_shape_ratio (""), ==, 1);
  g_assert_cmpfloat (atl_picture_shape_ratio ("3:0"), ==, 1);
  g_assert_cmpfloat (atl_picture_shape_ratio ("99999999999999999999:1"), ==, 1);
  g_assert_cmpuint (atl_picture_round_side (500, 16), ==, 496);
  g_assert_cmpuint (atl_picture_round_side (0, 16), ==, 16);
  g_assert_cmpuint (atl_picture_round_side (1e9, 64), ==, 4096);
  g_assert_cmpuint (atl_picture_round_side (8, 5000), ==, 5000);
}

static AtlModelInfo *
new_info (guint abilities)
{
  GVariantBuilder sizes, knobs;
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_INFO_KIND, "s", ATL_KIND_PICTURE);
  g_variant_dict_insert (&dict, ATL_INFO_NAME, "s", "Drawn");
  g_variant_builder_init (&sizes, G_VARIANT_TYPE ("a(uus)"));
  g_variant_builder_add (&sizes, "(uus)", 512, 512, "1:1");
  g_variant_builder_add (&sizes, "(uus)", 608, 416, "3:2");
  g_variant_builder_init (&knobs, G_VARIANT_TYPE ("aa{sv}"));
  g_variant_builder_add_parsed (&knobs,
                                "{'name': <'clip_skip'>, 'label': <'CLIP skip'>, 'kind': <'whole'>,"
                                " 'min': <0.0>, 'max': <12.0>, 'step': <1.0>, 'fallback': <0.0>}");
  g_variant_dict_insert_value (&dict, ATL_INFO_SIZES, g_variant_builder_end (&sizes));
  g_variant_dict_insert_value (&dict, ATL_INFO_KNOBS, g_variant_builder_end (&knobs));
  g_variant_dict_insert_value (
      &dict, ATL_INFO_SAMPLERS,
      g_variant_new_strv ((const char *const[]){ "Euler", "DDIM", NULL }, -1));
  g_variant_dict_insert (&dict, ATL_INFO_SIDE, "u", 512);
  g_variant_dict_insert (&dict, ATL_INFO_MULTIPLE, "u", 8);
  g_variant_dict_insert (&dict, ATL_INFO_STEPS, "u", 20);
  g_variant_dict_insert (&dict, ATL_INFO_GUIDANCE, "d", 7.5);
  g_variant_dict_insert (&dict, ATL_INFO_ABILITIES, "u", abilities);
  g_autoptr (GVariant) info = g_variant_ref_sink (g_variant_dict_end (&dict));
  return atl_model_info_new_from_variant (info);
}

static void
test_asked (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlModelInfo) plain = new_info (0);
  g_autoptr (AtlModelInfo) able =
      new_info (ATL_PICTURE_NEGATIVE | ATL_PICTURE_IMAGE | ATL_PICTURE_GUIDANCE);
  g_autoptr (GVariant) asked = NULL;

  atl_set_string (&s->prompt, "a fox");
  atl_set_string (&s->negative, "text");
  s->start = g_strdup ("/tmp/fox.png");
  s->quality = ATL_QUALITY_FAST;
  atl_set_string (&s->sampler, "Heun");
  asked = g_variant_ref_sink (atl_picture_settings_to_variant (s, plain, 7));
  g_assert_cmpuint (atl_dict_uint (asked, ATL_MADE_STEPS, 0), ==, 12);
  g_assert_cmpuint (atl_dict_uint (asked, ATL_MADE_SEED, 0), ==, 7);
  /* What the model ignores is not asked for. */
  g_assert_false (g_variant_lookup (asked, ATL_MADE_NEGATIVE, "s", NULL));
  g_assert_false (g_variant_lookup (asked, ATL_MADE_STRENGTH, "d", NULL));
  g_assert_false (g_variant_lookup (asked, ATL_MADE_GUIDANCE, "d", NULL));
  g_assert_false (g_variant_lookup (asked, ATL_MADE_SAMPLER, "s", NULL));
  g_clear_pointer (&asked, g_variant_unref);
  s->steps = 33;
  s->guidance = 0;
  asked = g_variant_ref_sink (atl_picture_settings_to_variant (s, able, 7));
  g_assert_cmpuint (atl_dict_uint (asked, ATL_MADE_STEPS, 0), ==, 33);
  g_assert_cmpfloat (atl_dict_double (asked, ATL_MADE_GUIDANCE, 9), ==, 0);
  g_assert_false (g_variant_lookup (asked, ATL_MADE_NEGATIVE, "s", NULL));
  g_assert_cmpfloat (atl_dict_double (asked, ATL_MADE_STRENGTH, 0), ==, ATL_DEFAULT_STRENGTH);
}

/* A size in px that another model does not make becomes the most alike of its shapes. */
static void
test_suit_size (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlModelInfo) info = new_info (0);
  guint width = 2048, height = 1000;

  atl_set_string (&s->shape, "");
  s->width = 1500;
  s->height = 1000;
  g_assert_false (atl_picture_settings_suit_size (s, info));
  g_assert_false (atl_picture_size_within (info, &width, &height));
  info->max_side = 608;
  g_assert_true (atl_picture_size_within (info, &width, &height));
  g_assert_cmpuint (width, ==, 608);
  g_assert_cmpuint (height, ==, 296);
  g_assert_true (atl_picture_settings_suit_size (s, info));
  g_assert_cmpstr (s->shape, ==, "3:2");
  g_assert_false (atl_picture_settings_suit_size (s, info));
  atl_set_string (&s->shape, "");
  s->width = 600;
  s->height = 600;
  g_assert_false (atl_picture_settings_suit_size (s, info));
  s->width = 600;
  s->height = 700;
  g_assert_true (atl_picture_settings_suit_size (s, info));
  g_assert_cmpstr (s->shape, ==, "1:1");
}

/* What should not be there counts where there is guidance, which some models count from 0. */
static void
test_negative (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlModelInfo) info = new_info (ATL_PICTURE_NEGATIVE | ATL_PICTURE_GUIDANCE);
  g_autoptr (AtlModelInfo) blind = new_info (ATL_PICTURE_GUIDANCE);
  g_autoptr (GVariant) asked = NULL;

  atl_set_string (&s->negative, "text");
  g_assert_true (atl_picture_settings_uses_negative (s, NULL));
  g_assert_false (atl_picture_settings_uses_negative (s, blind));
  /* The model's own is 7.5. */
  g_assert_true (atl_picture_settings_uses_negative (s, info));
  asked = g_variant_ref_sink (atl_picture_settings_to_variant (s, info, 7));
  g_assert_true (g_variant_lookup (asked, ATL_MADE_NEGATIVE, "s", NULL));
  s->guidance = 1;
  g_assert_false (atl_picture_settings_uses_negative (s, info));
  g_clear_pointer (&asked, g_variant_unref);
  asked = g_variant_ref_sink (atl_picture_settings_to_variant (s, info, 7));
  g_assert_false (g_variant_lookup (asked, ATL_MADE_NEGATIVE, "s", NULL));
  info->no_guidance = 0;
  g_assert_true (atl_picture_settings_uses_negative (s, info));
  info->no_guidance = 1;
  /* The second network's guidance counts where there is a second network. */
  g_hash_table_insert (s->knobs, g_strdup ("guidance_2"),
                       g_variant_ref_sink (g_variant_new_double (3)));
  g_assert_false (atl_picture_settings_uses_negative (s, info));
  g_free (info->knobs[0].name);
  info->knobs[0].name = g_strdup ("guidance_2");
  g_assert_true (atl_picture_settings_uses_negative (s, info));
}

/* What was asked of the engine, read again, asks for the same. */
static void
test_recipe (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlPictureSettings) again = atl_picture_settings_new ();
  g_autoptr (AtlModelInfo) info = new_info (ATL_PICTURE_NEGATIVE | ATL_PICTURE_GUIDANCE);
  g_autoptr (GVariant) asked = NULL, asked_again = NULL;

  atl_set_string (&s->prompt, "a fox");
  atl_set_string (&s->negative, "text");
  atl_set_string (&s->shape, "3:2");
  atl_set_string (&s->sampler, "DDIM");
  g_hash_table_insert (s->knobs, g_strdup ("clip_skip"),
                       g_variant_ref_sink (g_variant_new_double (2)));
  s->quality = ATL_QUALITY_BEST;
  s->guidance = 4;
  asked = g_variant_ref_sink (atl_picture_settings_to_variant (s, info, 4000000000u));
  atl_set_string (&again->prompt, "something else");
  again->start = g_strdup ("/tmp/fox.png");
  atl_picture_settings_apply_recipe (again, asked, info);
  g_assert_cmpstr (again->shape, ==, "3:2");
  g_assert_cmpstr (again->sampler, ==, "DDIM");
  g_assert_cmpuint (g_hash_table_size (again->knobs), ==, 1);
  g_assert_cmpint (again->quality, ==, ATL_QUALITY_BEST);
  g_assert_cmpuint (again->steps, ==, 0);
  g_assert_true (again->seed_is_locked);
  g_assert_cmpuint (again->seed, ==, 4000000000u);
  g_assert_null (again->start);
  asked_again = g_variant_ref_sink (atl_picture_settings_to_variant (again, info, again->seed));
  g_assert_true (g_variant_equal (asked, asked_again));
}

static void
test_odd_recipe (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlModelInfo) info = new_info (0);
  GVariantDict dict;
  guint w, h;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, ATL_MADE_WIDTH, "u", G_MAXUINT32);
  g_variant_dict_insert (&dict, ATL_MADE_HEIGHT, "u", 3);
  g_variant_dict_insert (&dict, ATL_MADE_STEPS, "u", 1000000);
  g_variant_dict_insert (&dict, ATL_MADE_GUIDANCE, "d", 1e30);
  g_variant_dict_insert (&dict, ATL_MADE_SEED, "s", "seven");
  g_autoptr (GVariant) recipe = g_variant_ref_sink (g_variant_dict_end (&dict));
  s->seed_is_locked = TRUE;
  atl_picture_settings_apply_recipe (s, recipe, info);
  g_assert_cmpstr (s->prompt, ==, "");
  g_assert_cmpuint (s->steps, ==, ATL_MAX_PICTURE_STEPS);
  g_assert_cmpfloat (s->guidance, ==, ATL_MAX_GUIDANCE);
  g_assert_false (s->seed_is_locked);
  atl_picture_settings_size (s, info, &w, &h);
  g_assert_cmpuint (w, ==, 4096);
  g_assert_cmpuint (h, ==, 8);
}

static void
test_draft (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlPictureSettings) again = NULL;
  g_autofree char *json = NULL, *json_again = NULL;

  atl_set_string (&s->prompt, "a \"fox\"\n狐 🦊");
  atl_set_string (&s->negative, "text");
  atl_set_string (&s->sampler, "Euler a");
  atl_set_string (&s->shape, "");
  g_hash_table_insert (s->knobs, g_strdup ("clip_skip"),
                       g_variant_ref_sink (g_variant_new_double (2)));
  g_hash_table_insert (s->knobs, g_strdup ("weighting"),
                       g_variant_ref_sink (g_variant_new_string ("plain")));
  s->width = 640;
  s->height = 333;
  s->quality = ATL_QUALITY_BEST;
  s->count = 4;
  s->guidance = 3.5;
  s->seed = G_MAXUINT32;
  s->seed_is_locked = TRUE;
  s->start = g_strdup ("/tmp/ä.png");
  s->extend[2] = 25;
  g_ptr_array_add (s->references, g_strdup ("/tmp/a.png"));
  g_ptr_array_add (s->loras, atl_picture_lora_new ("/tmp/l.safetensors", -0.5));
  json = atl_picture_settings_to_json (s);
  again = atl_picture_settings_from_json (json);
  json_again = atl_picture_settings_to_json (again);
  g_assert_cmpstr (json, ==, json_again);
  g_assert_cmpstr (again->prompt, ==, s->prompt);
  g_assert_cmpuint (again->seed, ==, G_MAXUINT32);
  g_assert_cmpfloat (((AtlPictureLora *) again->loras->pdata[0])->strength, ==, -0.5);
}

static void
test_odd_draft (void)
{
  static const char *const drafts[] = {
    "",
    "{",
    "[]",
    "null",
    "{\"prompt\": 3, \"shape\": 99, \"count\": -7, \"loras\": [1, {}, null]}",
    "{\"extend\": [\"a\", 1e99], \"references\": [{}, 5], \"quality\": 17, \"guidance\": \"x\"}"
  };

  for (guint i = 0; i < G_N_ELEMENTS (drafts); i++)
    {
      g_autoptr (AtlPictureSettings) s = atl_picture_settings_from_json (drafts[i]);

      g_assert_cmpstr (s->prompt, ==, "");
      g_assert_cmpstr (s->shape, ==, "1:1");
      g_assert_cmpuint (s->count, ==, 1);
      g_assert_cmpint (s->quality, ==, ATL_QUALITY_BALANCED);
      g_assert_cmpfloat (s->guidance, ==, -1);
      g_assert_cmpuint (s->loras->len, ==, 0);
    }
}

static AtlPictureTask *
add (AtlPictureQueue *queue, guint32 seed)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlPictureTask) task = atl_picture_task_new (NULL, s, seed);

  atl_picture_queue_append (queue, task);
  return task; /* the queue holds it */
}

static char *
order (AtlPictureQueue *queue)
{
  GString *seeds = g_string_new (NULL);

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (queue)); i++)
    {
      g_autoptr (AtlPictureTask) task = g_list_model_get_item (G_LIST_MODEL (queue), i);

      g_string_append_printf (seeds, "%u", atl_picture_task_get_seed (task));
    }
  return g_string_free (seeds, FALSE);
}

static void
check_order (AtlPictureQueue *queue, const char *wanted)
{
  g_autofree char *seeds = order (queue);

  g_assert_cmpstr (seeds, ==, wanted);
}

static void
test_queue (void)
{
  g_autoptr (AtlPictureQueue) queue = atl_picture_queue_new ();
  g_autoptr (GError) error = g_error_new (ATL_ERROR, ATL_ERROR_NO_MEMORY, "too large");
  AtlPictureTask *one = add (queue, 1), *two = add (queue, 2), *three = add (queue, 3);
  AtlPictureTask *four = add (queue, 4);

  g_assert_true (atl_picture_queue_next (queue) == one);
  atl_picture_task_set_state (one, ATL_TASK_RUNNING);
  /* What is drawn stays in front. */
  g_assert_false (atl_picture_queue_can_move (queue, one, 1));
  g_assert_false (atl_picture_queue_move (queue, two, -1));
  g_assert_true (atl_picture_queue_move (queue, four, -1));
  check_order (queue, "1243");
  g_assert_true (atl_picture_queue_move (queue, two, 99));
  check_order (queue, "1432");
  g_assert_true (atl_picture_queue_move (queue, two, -99));
  check_order (queue, "1243");
  /* One that failed is passed over until it is tried again. */
  atl_picture_task_fail (two, error);
  g_assert_true (atl_picture_queue_next (queue) == four);
  g_assert_cmpuint (atl_picture_queue_n_waiting (queue), ==, 2);
  atl_picture_task_set_state (two, ATL_TASK_WAITING);
  g_assert_null (atl_picture_task_get_error (two));
  g_assert_true (atl_picture_queue_next (queue) == two);
  atl_picture_queue_remove (queue, three);
  check_order (queue, "124");
}

/* The bar never runs backwards, and is not full before the picture is there. */
static void
test_progress (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlPictureTask) task = atl_picture_task_new (NULL, s, 1);
  double before = 0;

  for (guint step = 0; step <= 4; step++)
    {
      atl_picture_task_set_progress (task, "Drawing", step, 4, 1);
      g_assert_cmpfloat (atl_picture_task_get_fraction (task), >=, before);
      before = atl_picture_task_get_fraction (task);
    }
  g_assert_cmpfloat (before, <, 0.9);
  atl_picture_task_set_progress (task, "Decoding", 0, 0, -1);
  g_assert_cmpfloat (atl_picture_task_get_fraction (task), ==, before);
}

/* Who wants no more steps sees at once that it is being finished, and no time that is not coming.
 */
static void
test_ending (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlPictureTask) task = atl_picture_task_new (NULL, s, 1);
  guint n_steps;
  double before;

  atl_picture_task_set_progress (task, "Drawing", 3, 150, 1600);
  before = atl_picture_task_get_fraction (task);
  atl_picture_task_end_early (task);
  g_assert_cmpstr (atl_picture_task_get_phase (task), ==, "Finishing after this step");
  g_assert_cmpfloat (atl_picture_task_get_seconds_left (task), <, 0);
  g_assert_cmpuint (atl_picture_task_get_step (task, &n_steps), ==, 0);
  g_assert_cmpuint (n_steps, ==, 0);
  /* The step that was begun ends. */
  atl_picture_task_set_progress (task, "Drawing", 4, 150, 1590);
  g_assert_cmpstr (atl_picture_task_get_phase (task), ==, "Finishing after this step");
  g_assert_cmpfloat (atl_picture_task_get_seconds_left (task), <, 0);
  g_assert_cmpfloat (atl_picture_task_get_fraction (task), >, before);
  atl_picture_task_set_progress (task, "Finishing", 0, 0, -1);
  g_assert_cmpstr (atl_picture_task_get_phase (task), ==, "Finishing");
}

/* It counts down, does not waver, and owns up to what takes far longer. */
static void
test_time_left (void)
{
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  g_autoptr (AtlPictureTask) task = atl_picture_task_new (NULL, s, 1);

  atl_picture_task_pass_second (task);
  g_assert_cmpfloat (atl_picture_task_get_seconds_left (task), ==, -1);
  atl_picture_task_set_progress (task, "Drawing", 1, 10, 40);
  atl_picture_task_pass_second (task);
  atl_picture_task_pass_second (task);
  g_assert_cmpfloat (atl_picture_task_get_seconds_left (task), ==, 38);
  atl_picture_task_set_progress (task, "Drawing", 2, 10, 42);
  g_assert_cmpfloat (atl_picture_task_get_seconds_left (task), ==, 38);
  atl_picture_task_set_progress (task, "Drawing", 3, 10, 90);
  g_assert_cmpfloat (atl_picture_task_get_seconds_left (task), ==, 90);
  atl_picture_task_set_progress (task, "Drawing", 9, 10, 0.5);
  atl_picture_task_pass_second (task);
  g_assert_cmpfloat (atl_picture_task_get_seconds_left (task), ==, 0.5);
}

/* --- The painted mask --- */

static guint
at (AtlMask *mask, guint x, guint y)
{
  return atl_mask_get_bytes (mask)[y * atl_mask_get_width (mask) + x];
}

static void
test_mask (void)
{
  g_autoptr (AtlMask) mask = atl_mask_new (40, 30);

  g_assert_true (atl_mask_is_empty (mask));
  g_assert_false (atl_mask_can_undo (mask));
  atl_mask_begin (mask);
  atl_mask_line (mask, 5, 10, 25, 10, 3, FALSE);
  g_assert_cmpuint (at (mask, 5, 10), ==, 255);
  g_assert_cmpuint (at (mask, 24, 10), ==, 255);
  g_assert_cmpuint (at (mask, 15, 15), ==, 0);
  g_assert_cmpuint (at (mask, 35, 10), ==, 0);
  /* A smooth rim. */
  g_assert_cmpuint (at (mask, 15, 12), >, 0);
  atl_mask_begin (mask);
  atl_mask_line (mask, 15, 10, 15, 10, 2, TRUE);
  g_assert_cmpuint (at (mask, 15, 10), ==, 0);
  g_assert_cmpuint (at (mask, 6, 10), ==, 255);
  atl_mask_begin (mask);
  atl_mask_invert (mask);
  g_assert_cmpuint (at (mask, 15, 10), ==, 255);
  g_assert_cmpuint (at (mask, 6, 10), ==, 0);
  atl_mask_undo (mask);
  atl_mask_undo (mask);
  g_assert_cmpuint (at (mask, 15, 10), ==, 255);
  g_assert_true (atl_mask_can_redo (mask));
  atl_mask_redo (mask);
  g_assert_cmpuint (at (mask, 15, 10), ==, 0);
  atl_mask_undo (mask);
  atl_mask_undo (mask);
  g_assert_true (atl_mask_is_empty (mask));
  g_assert_false (atl_mask_can_undo (mask));
  /* Something new: what was undone is gone. */
  atl_mask_begin (mask);
  atl_mask_fill (mask, 255);
  g_assert_false (atl_mask_can_redo (mask));
  /* Outside of the picture nothing happens. */
  atl_mask_line (mask, -1e9, -1e9, 1e9, -1e9, 5, TRUE);
  atl_mask_line (mask, 1e6, 1e6, 2e6, 1e6, 1e5, TRUE);
  g_assert_cmpuint (at (mask, 39, 29), ==, 255);
}

static void
test_mask_undo_is_bounded (void)
{
  g_autoptr (AtlMask) mask = atl_mask_new (4096, 4096);
  guint n = 0;

  for (guint i = 0; i < 10; i++)
    atl_mask_begin (mask);
  for (; atl_mask_can_undo (mask); n++)
    atl_mask_undo (mask);
  g_assert_cmpuint (n, ==, 3);
}

static void
test_mask_png (void)
{
  g_autoptr (AtlMask) mask = atl_mask_new (40, 30), again = atl_mask_new (40, 30);
  g_autoptr (GBytes) png = NULL;
  g_autoptr (AtlPicture) picture = NULL;
  g_autoptr (GError) error = NULL;

  atl_mask_line (mask, 5, 10, 25, 20, 4, FALSE);
  png = atl_mask_to_png (mask, &error);
  g_assert_no_error (error);
  picture =
      atl_picture_decode (g_bytes_get_data (png, NULL), g_bytes_get_size (png), 1 << 20, &error);
  g_assert_no_error (error);
  atl_mask_load (again, picture->rgb, picture->width, picture->height);
  g_assert_cmpmem (atl_mask_get_bytes (mask), 40 * 30, atl_mask_get_bytes (again), 40 * 30);
}

static void
test_extend (void)
{
  static const guint extend[4] = { 50, 0, 25, 100 };
  guint8 pixels[64 * 32 * 3];
  g_autoptr (GBytes) rgb = NULL;
  g_auto (AtlExtended) extended = { 0 };
  g_autoptr (GError) error = NULL;
  const guint8 *out, *mask;

  for (guint i = 0; i < sizeof pixels; i++)
    pixels[i] = (guint8) (i * 7);
  rgb = g_bytes_new (pixels, sizeof pixels);
  g_assert_true (atl_picture_extend (rgb, 64, 32, extend, NULL, 0, 0, &extended, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (extended.width, ==, 64 + 32 + 16);
  g_assert_cmpuint (extended.height, ==, 64);
  out = g_bytes_get_data (extended.rgb, NULL);
  mask = g_bytes_get_data (extended.mask, NULL);
  for (guint y = 0; y < 32; y++)
    g_assert_cmpmem (out + 3 * (y * extended.width + 32), 64 * 3, pixels + y * 64 * 3, 64 * 3);
  /* Mirrored at the left edge, new there, old in the middle, soft at the seam; the top stays. */
  g_assert_cmpmem (out + 3 * 31, 3, pixels, 3);
  g_assert_cmpuint (mask[0], ==, 255);
  g_assert_cmpuint (mask[3 * (5 * extended.width + 64)], ==, 0);
  g_assert_cmpuint (mask[3 * (40 * extended.width + 64)], ==, 255);
  g_assert_cmpuint (mask[3 * 32], >, 0);
  g_assert_cmpuint (mask[3 * 32], <, 255);
  g_assert_cmpuint (mask[3 * 64], ==, 0);
}

static void
test_fit (void)
{
  g_autoptr (AtlModelInfo) info = new_info (0);
  g_autoptr (AtlPictureSettings) s = atl_picture_settings_new ();
  guint w, h;

  atl_picture_settings_fit (info, 4000, 3000, &w, &h);
  g_assert_cmpuint (w, ==, 592);
  g_assert_cmpuint (h, ==, 440);
  atl_picture_settings_fit (info, 1, 1000000, &w, &h);
  g_assert_cmpuint (w, ==, 8);
  g_assert_cmpuint (h, ==, 4096);
  s->extend[0] = 50;
  s->extend[3] = 100;
  g_assert_false (atl_picture_settings_is_extended (s));
  s->start = g_strdup ("/tmp/a.png");
  g_assert_true (atl_picture_settings_is_extended (s));
  atl_picture_settings_extended (s, 200, 100, &w, &h);
  g_assert_cmpuint (w, ==, 300);
  g_assert_cmpuint (h, ==, 200);
  atl_picture_settings_clear_start (s);
  g_assert_false (atl_picture_settings_is_extended (s));
}

/* --- The price --- */

static void
check_price (const AtlPicturePrice *price,
             guint count,
             const char *runs_on,
             double larger,
             const char *wanted)
{
  g_autofree char *words = atl_price_words (price, count, runs_on, larger);

  g_assert_cmpstr (words, ==, wanted);
}

static void
test_price (void)
{
  AtlPicturePrice price = { .seconds = 40.2,
                            .steps = 20,
                            .bytes = G_GUINT64_CONSTANT (3100000000),
                            .fits = TRUE,
                            .words = (char *) "Needs much." };

  g_autofree char *fast = atl_price_time (&price, 2, 10, 4.9);

  g_assert_cmpstr (fast, ==, "50 s");
  check_price (&price, 1, "CPU, 2 threads", 0, "≈ 40 s · 3.1 GB · on your processor");
  check_price (&price, 3, "Some card", 0, "≈ 2 min 1 s · 3.1 GB · on your graphics card");
  check_price (&price, 2, "CPU", 9.8, "≈ 1 min 40 s · 3.1 GB · on your processor");
  check_price (&price, 1, "CPU", -1,
               "≈ 40 s · 3.1 GB · on your processor, and the time to enlarge it");
  price.seconds = -1;
  check_price (&price, 1, "CPU", 0,
               "3.1 GB · on your processor · how long it takes is known after the first picture");
  price.fits = FALSE;
  check_price (&price, 1, "CPU", 0, "Needs much.");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pictures/shapes", test_shapes);
  g_test_add_func ("/pictures/asked", test_asked);
  g_test_add_func ("/pictures/negative", test_negative);
  g_test_add_func ("/pictures/suit-size", test_suit_size);
  g_test_add_func ("/pictures/recipe", test_recipe);
  g_test_add_func ("/pictures/odd-recipe", test_odd_recipe);
  g_test_add_func ("/pictures/draft", test_draft);
  g_test_add_func ("/pictures/odd-draft", test_odd_draft);
  g_test_add_func ("/pictures/queue", test_queue);
  g_test_add_func ("/pictures/progress", test_progress);
  g_test_add_func ("/pictures/ending", test_ending);
  g_test_add_func ("/pictures/time-left", test_time_left);
  g_test_add_func ("/pictures/mask", test_mask);
  g_test_add_func ("/pictures/mask-undo-is-bounded", test_mask_undo_is_bounded);
  g_test_add_func ("/pictures/mask-png", test_mask_png);
  g_test_add_func ("/pictures/extend", test_extend);
  g_test_add_func ("/pictures/fit", test_fit);
  g_test_add_func ("/pictures/price", test_price);
  return g_test_run ();
}
