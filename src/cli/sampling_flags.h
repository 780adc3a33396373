// The flags that choose the next token, shared by every command that generates text.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model_loader.h"
#include "engine/sampler.h"

namespace CLI {
class App;
}

namespace tessera::cli {

// What the user gave; empty: not given, so that the model's own recommendation can count.
struct SamplingFlags {
  std::optional<float> temperature;
  std::optional<std::int64_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> typical_p;
  std::optional<float> repeat_penalty;
  std::optional<std::int64_t> repeat_last_n;
  std::optional<float> presence_penalty;
  std::optional<float> frequency_penalty;
  std::optional<std::int64_t> seed;     // -1: random
  std::vector<std::string> logit_bias;  // "ID:BIAS"
};

// Adds --temp, --top-k, --top-p, --min-p, --typical, --repeat-penalty, --repeat-last-n, --presence-penalty,
// --frequency-penalty, -s/--seed and --logit-bias.
void add_sampling_flags(CLI::App& app, SamplingFlags& flags);

// Flags over the model's recommendation over `fallback`. Without --seed a fresh random one (told in the
// result). Error bad_usage: a --logit-bias that is not ID:BIAS, a seed below -1. Ranges are engine::check()'s
// to judge.
engine::SamplingOptions sampling_options(const SamplingFlags& flags,
                                         const engine::GenerationDefaults& defaults,
                                         const engine::SamplingOptions& fallback);

}  // namespace tessera::cli
