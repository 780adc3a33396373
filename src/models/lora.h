// Low-rank adapters of a model: which layers can have one, adding what a file holds, and making fresh ones to
// be trained. The mathematics and the forward are nn/lora.h's.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/model.h"
#include "tensor/lora_adapter.h"

namespace tessera::models {

// Puts `adapter` beside the model's layers under `id`. Error bad_input naming the adapter and the module: a
// module the model does not have (with those it has), another shape, an element that is not finite.
void add_lora(const Model& model, nn::LoraId id, const LoraAdapter& adapter);

// How a fresh adapter begins.
struct LoraOptions {
  std::int64_t r = 8;
  double alpha = 16.0;
  bool use_rslora = false;  // s = alpha / sqrt(r) (Kalajdzievski 2023) instead of alpha / r
  // Module names, or their ends ("q_proj"), as in PEFT; "all-linear": every layer but the output head.
  std::vector<std::string> target_modules = {"all-linear"};
};
double lora_scale(double alpha, std::int64_t r, bool use_rslora);

// A (uniform in ±1/√in, as PEFT's kaiming_uniform with a = √5) and B (zero) beside every target → A and B of
// each, to be trained, by PEFT's names ("base_model.model.<module>.lora_A.weight"). Values depend on the seed
// and the module's name alone. Error bad_usage: r < 1, or a target that names no layer, with those there are.
std::vector<Parameter> make_lora(const Model& model, nn::LoraId id, const LoraOptions& options,
                                 std::uint64_t seed);
// A and B that add_lora or make_lora put there, as make_lora returns them.
std::vector<Parameter> lora_parameters(const Model& model, nn::LoraId id);
// The adapter as files hold it: sharing memory, but for rows that the model keeps in another order.
LoraAdapter lora_adapter(const Model& model, nn::LoraId id);

// The last parts of the names of the model's layers, each once: what target_modules of "all-linear" means.
std::vector<std::string> linear_module_names(const Model& model);
// Multiplications of one token through all linear layers.
std::int64_t linear_weight_count(const Model& model);

}  // namespace tessera::models
