/* The families of golden cases that must pass on every backend, and what of them cannot run yet.
 *
 * A new architecture adds its family here. Cases of a kind that the runner does not know need no
 * mention: they are counted in a skip.
 */
#pragma once

#include <glib.h>

typedef struct
{
  const char *name;
  /* (nullable) Patterns of cases, separated by "|", that are known not to pass, and why. */
  const char *not_yet;
  const char *why_not_yet;
} GoldenFamily;

static const GoldenFamily golden_families[] = {
  { .name = "llm-llama2" },
  { .name = "llm-llama3" },
  { .name = "llm-llama3-tied" },
  { .name = "llm-llama-linear" },
  { .name = "llm-mistral-nemo" },
  { .name = "llm-mixtral" },
  { .name = "llm-qwen2" },
  { .name = "llm-qwen2moe" },
  { .name = "llm-qwen3" },
  { .name = "llm-qwen3-yarn" },
  { .name = "llm-qwen3moe" },
  { .name = "llm-gemma2" },
  { .name = "llm-gemma3" },
  { .name = "llm-phi3" },
  { .name = "llm-phi3-longrope" },
  { .name = "llm-phi4-mini" },
  { .name = "llm-glm4" },
  { .name = "llm-granite" },
  { .name = "llm-olmo2" },
  { .name = "llm-olmo3" },
  { .name = "llm-smollm3" },
  { .name = "llm-command-r" },
  { .name = "llm-command-r-plus" },
  { .name = "llm-cohere2" },
  { .name = "llm-starcoder2" },
  { .name = "llm-stablelm" },
  { .name = "llm-stablelm-parallel" },
  { .name = "llm-exaone4" },
  { .name = "llm-exaone4-hybrid" },
  { .name = "llm-arcee" },
  { .name = "llm-deepseek" },
  { .name = "llm-deepseek2-kimi" },
  { .name = "llm-deepseek2-lite" },
  { .name = "llm-deepseek2-v3" },
  { .name = "llm-ernie4-5" },
  { .name = "llm-ernie4-5-moe" },
  { .name = "llm-gemma" },
  { .name = "llm-gemma3n" },
  { .name = "llm-gemma4" },
  { .name = "llm-gemma4-moe" },
  { .name = "llm-glm-4-7-flash" },
  { .name = "llm-glm4moe" },
  { .name = "llm-gpt-neox" },
  { .name = "llm-gpt-oss" },
  { .name = "llm-granitemoe" },
  { .name = "llm-hunyuan-moe" },
  { .name = "llm-llama4" },
  { .name = "llm-ministral3" },
  { .name = "llm-minimax-m2" },
  { .name = "llm-nemotron" },
  { .name = "llm-phi2" },
  { .name = "llm-seed-oss" },
  { .name = "llm-hf-folder" },
  { .name = "llm-hf-families" },
  { .name = "llm-qwen3next" },
  { .name = "llm-qwen35" },
  { .name = "llm-qwen35moe" },
  { .name = "llm-lfm2" },
  { .name = "llm-lfm2moe" },
  { .name = "llm-mamba2" },
  { .name = "llm-granitehybrid" },
  { .name = "llm-falcon-h1" },
  { .name = "sd15" },
  { .name = "sdxl" },
  { .name = "sd3" },
  { .name = "hidream", .not_yet = "pipeline*", .why_not_yet = "the pipelines are still missing" },
  { .name = "chroma" },
  { .name = "flux1" },
  { .name = "wan21",
    .not_yet = "pipeline-flf2v|pipeline-i2v|pipeline-vace",
    .why_not_yet = "clips from pictures and controls come with the clips" },
  { .name = "flux2",
    .not_yet = "pipeline-*",
    .why_not_yet = "its pipelines follow; its networks are there" },
  { .name = "zimage",
    .not_yet = "forward-omni",
    .why_not_yet = "the mode of Z-Image that edits pictures" },
  { .name = "schedules" },
};
