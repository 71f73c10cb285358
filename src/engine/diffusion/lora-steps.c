/* The tables of LoRAs for few steps. */
#define G_LOG_DOMAIN "atl-diffusion"

#include "engine/diffusion/lora-steps.h"

#include <string.h>

#define TRAINED_STEPS 1000

/* --- Published files --- */

/* Sums as the publishers' repositories give them. */
static const struct
{
  guint64 size;
  const char *sha256, *name;
} published[] = {
  { 134621556, "8f90d840e075ff588a58e22c6586e2ae9a6f7922996ee6649a7f01072333afe4",
    "lcm-lora-sdv1-5" },
  { 393855224, "a764e6859b6e04047cd761c08ff0cee96413a8e004c9f07707530cd776b19141",
    "lcm-lora-sdxl" },
  { 787239704, "dd3dfdd1f212798b86100e029606d60c53a52b76a19d1f024acdf3c50987d581",
    "dmd2_sdxl_4step_lora" },
  { 393736496, "7de75d21cb3f04bc3e734424157b2c3b799b862069c8dd9f4ad76fe66c57ba7c",
    "dmd2_sdxl_4step_lora_fp16" },
  { 393854592, "04fafc778385b24144498a8247498ae4fb7a69f702ea0566bdce2845a31fcc43",
    "sdxl_lightning_2step_lora" },
  { 393854592, "bf56cf2657efb15e465d81402ed481d1e11c4677e4bcce1bc11fe71ad8506b79",
    "sdxl_lightning_4step_lora" },
  { 393854592, "5aa30d94cdf7950a8b53a693682650ee061eddb128c5435a8f88defea73b2ac6",
    "sdxl_lightning_8step_lora" },
  { 787359648, "c912df184c5116792d2c604d26c6bc2aa916685f4a793755255cda1c43a3c78a",
    "Hyper-SDXL-1step-lora" },
  { 787359648, "69b25c0187ced301c3603c599c0bc509ac99b8ac34db89a2aecc3d5f77a35187",
    "Hyper-SDXL-2steps-lora" },
  { 787359648, "12f81a27d00a751a40d68fd15597091896c5a90f3bd632fb6c475607cbdad76e",
    "Hyper-SDXL-4steps-lora" },
  { 787359648, "ca689190e8c46038550384b5675488526cfe5a40d35f82b27acb75c100f417c1",
    "Hyper-SDXL-8steps-lora" },
  { 787359648, "55b51334c85061afff5eff7c550b61963c8b8607a5868bbe4f26db49374719b1",
    "Hyper-SDXL-8steps-CFG-lora" },
  { 269127096, "a04fd9a535c1e56d38f7590ee72a13fd5ca0409853b4fff021e5a9482cf1ca3b",
    "Hyper-SD15-1step-lora" },
  { 269127064, "2f26dcc1d883feb07557a552315baae2ca2a04ac08556b08a355a244547e8c3a",
    "Hyper-SD15-2steps-lora" },
  { 269127064, "c5dd058616461ed5053e2b14eec4dbe3fa0eea3b13688642f6d6c80ea2ba5958",
    "Hyper-SD15-4steps-lora" },
  { 269127064, "91fc3186236e956d64dbb4357f2e120c69b968b78af7d2db9884a5ca74d3cd13",
    "Hyper-SD15-8steps-lora" },
};

const char *
atl_lora_published_as (guint64 size, const char *sha256)
{
  for (gsize i = 0; i < G_N_ELEMENTS (published); i++)
    if (published[i].size == size && g_str_equal (published[i].sha256, sha256))
      return published[i].name;
  return NULL;
}

gboolean
atl_lora_is_published_size (guint64 size)
{
  for (gsize i = 0; i < G_N_ELEMENTS (published); i++)
    if (published[i].size == size)
      return TRUE;
  return FALSE;
}

const char *
atl_lora_published_name (AtlFileMap *map)
{
  gsize size = atl_file_map_size (map);
  g_autofree char *sum = NULL;

  if (!atl_lora_is_published_size (size))
    return NULL;
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, atl_file_map_data (map), size);
  return atl_lora_published_as (size, sum);
}

/* --- Words --- */

/* "4step", "8-steps", "4_steps"; 0 when it does not say. */
static guint
steps_in (const char *name)
{
  for (const char *at = strstr (name, "step"); at != NULL; at = strstr (at + 4, "step"))
    {
      const char *end = at;
      guint64 n;

      while (end > name && (end[-1] == '-' || end[-1] == '_' || end[-1] == ' '))
        end--;
      at = at > end ? at : end;
      while (end > name && g_ascii_isdigit (end[-1]))
        end--;
      n = g_ascii_strtoull (end, NULL, 10);
      if (g_ascii_isdigit (*end) && n >= 1 && n <= 50)
        return (guint) n;
    }
  return 0;
}

/* Whether the word is there, with no letter before or behind it. */
static gboolean
has_word (const char *name, const char *word)
{
  for (const char *at = strstr (name, word); at != NULL; at = strstr (at + 1, word))
    if ((at == name || !g_ascii_isalpha (at[-1])) && !g_ascii_isalpha (at[strlen (word)]))
      return TRUE;
  return FALSE;
}

/* Words that LoRAs for other things have, too, count where a number of steps stands beside. What is
 * set is what their authors' pages show; what flows take is below. */
typedef struct
{
  const char *mark;
  gboolean needs_number;
  guint steps;
  double guidance;
  const char *sampler, *schedule; /* of UNets */
  AtlLoraSpacing spacing;
} Kind;

static const Kind kinds[] = {
  { "lightning", TRUE, 4, 1, "Euler", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "dmd2", FALSE, 4, 1, "LCM", NULL, ATL_LORA_SPACING_TRAILING },
  { "hyper", TRUE, 8, 1, "DDIM", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "hypersd", FALSE, 8, 1, "DDIM", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "hyper-sd", FALSE, 8, 1, "DDIM", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "hyper_sd", FALSE, 8, 1, "DDIM", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "hyper-sdxl", FALSE, 8, 1, "DDIM", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "pcm", TRUE, 4, 1, "DDIM", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "lcm", FALSE, 4, 1, "LCM", NULL, ATL_LORA_SPACING_OWN },
  { "tcd", FALSE, 4, 1, "TCD", NULL, ATL_LORA_SPACING_OWN },
  { "turbo", TRUE, 8, 1, NULL, NULL, ATL_LORA_SPACING_OWN },
  { "xl_turbo", FALSE, 4, 1, "Euler a", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "sdxl-turbo", FALSE, 4, 1, "Euler a", "SGM Uniform", ATL_LORA_SPACING_OWN },
  { "turbo-alpha", FALSE, 8, 1, NULL, NULL, ATL_LORA_SPACING_OWN },
  { "turbo_alpha", FALSE, 8, 1, NULL, NULL, ATL_LORA_SPACING_OWN },
  { "lightx2v", FALSE, 4, 1, NULL, NULL, ATL_LORA_SPACING_OWN },
  { "causvid", FALSE, 4, 1, NULL, NULL, ATL_LORA_SPACING_OWN },
};

static gboolean
is_hyper (const Kind *kind)
{
  return g_str_has_prefix (kind->mark, "hyper");
}

/* Whether the second pass is kept: "Hyper-SDXL-8steps-CFG-lora", "normalcfg", but not the one that
 * was taught to do without, "cfg_step_distill". */
static gboolean
keeps_cfg (const char *name)
{
  return strstr (name, "cfg") != NULL && strstr (name, "smallcfg") == NULL &&
         strstr (name, "distill") == NULL;
}

/* What one sets that keeps it. */
static double
kept_guidance (const Kind *kind, const AtlLoraTraits *own, guint steps)
{
  double guidance = is_hyper (kind) ? own->hyper_guidance[steps <= 4 ? 0 : steps <= 8 ? 1 : 2] : 0;

  return guidance > 0 ? guidance : -1;
}

static void
set_unet (const Kind *kind, AtlLoraFacts *facts)
{
  facts->sampler = kind->sampler;
  facts->schedule = kind->schedule;
  facts->spacing = kind->spacing;
  /* The one of one step was taught trajectories, and is walked with noise put back. */
  if (is_hyper (kind) && facts->steps == 1)
    {
      facts->sampler = "TCD";
      facts->schedule = NULL;
      facts->eta = 1;
    }
}

void
atl_lora_find_steps (const char *names, AtlLoraFacts *facts)
{
  g_autofree char *lower = g_utf8_strdown (names, -1);
  guint number = steps_in (lower);
  static const AtlLoraTraits unknown = { 0 };
  const AtlLoraTraits *own = facts->family != NULL ? &facts->family->lora : &unknown;
  const Kind *kind = NULL;

  facts->steps = 0;
  facts->guidance = facts->eta = -1;
  facts->strength = 1;
  facts->sampler = facts->schedule = NULL;
  facts->spacing = ATL_LORA_SPACING_OWN;
  facts->shift = 0;
  for (gsize i = 0; kind == NULL && i < G_N_ELEMENTS (kinds); i++)
    if (has_word (lower, kinds[i].mark) && (!kinds[i].needs_number || number > 0))
      kind = &kinds[i];
  if (kind == NULL)
    return;
  facts->steps = number > 0 ? number : kind->steps;
  if (own->keeps_guidance)
    facts->guidance = -1;
  else if (keeps_cfg (lower))
    facts->guidance = kept_guidance (kind, own, facts->steps);
  else
    facts->guidance = kind->guidance;
  if (facts->family == NULL || own->text_width > 0)
    set_unet (kind, facts);
  if (is_hyper (kind) && own->hyper_strength > 0)
    facts->strength = own->hyper_strength;
  if (own->sampler != NULL)
    facts->sampler = own->sampler;
  facts->shift = own->shift;
}

double *
atl_lora_timesteps (const AtlLoraFacts *facts, guint n_steps)
{
  double *list;

  if (facts->spacing != ATL_LORA_SPACING_TRAILING || n_steps == 0 || n_steps > TRAINED_STEPS)
    return NULL;
  list = g_new (double, n_steps);
  for (guint i = 0; i < n_steps; i++)
    list[i] = (double) (TRAINED_STEPS - i * TRAINED_STEPS / n_steps - 1);
  /* As DMD2's authors have a single one. */
  if (n_steps == 1)
    list[0] = 399;
  return list;
}
