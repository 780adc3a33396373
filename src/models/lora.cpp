#include "models/lora.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/split_mix64.h"
#include "base/xxhash64.h"
#include "models/weight_loader.h"

namespace tessera::models {
namespace {

constexpr std::string_view kOutputHead = "lm_head";

std::string_view last_part(std::string_view module) { return module.substr(module.rfind('.') + 1); }

// PEFT's rule: the whole name, or its end after a dot.
bool names(std::string_view target, std::string_view module) {
  if (module == target) return true;
  return module.size() > target.size() && module.ends_with(target) &&
         module[module.size() - target.size() - 1] == '.';
}

bool is_target(std::span<const std::string> targets, std::string_view module) {
  return std::ranges::any_of(targets, [&](const std::string& target) {
    return target == "all-linear" ? module != kOutputHead : names(target, module);
  });
}

// Rows of b from Hugging Face's order, where a head's halves rotate against each other, to neighbours that
// do, or back. b: [out, r].
Tensor reordered(const Tensor& b, std::int64_t head_dim, bool to_interleaved) {
  Tensor result = Tensor::empty(b.shape());
  const std::int64_t half = head_dim / 2;
  const std::size_t row_bytes = static_cast<std::size_t>(b.dim(1)) * sizeof(float);
  for (std::int64_t row = 0; row < b.dim(0); ++row) {
    const std::int64_t within = row % head_dim;
    const std::int64_t other = row - within + 2 * (within % half) + within / half;
    const std::int64_t from = to_interleaved ? row : other;
    const std::int64_t to = to_interleaved ? other : row;
    std::memcpy(result.mutable_raw() + static_cast<std::size_t>(to) * row_bytes,
                b.raw() + static_cast<std::size_t>(from) * row_bytes, row_bytes);
  }
  return result;
}

const LoraTarget* find_target(const Model& model, std::string_view module) {
  const auto targets = model.lora_targets();
  const auto found = std::ranges::find(targets, module, &LoraTarget::module);
  return found == targets.end() ? nullptr : &*found;
}

// A float32 tensor of the adapter's own memory.
Tensor own_copy(const Tensor& tensor) {
  const Tensor wide = widen(tensor);
  return Tensor::from_values(wide.shape(), wide.as<float>());
}

void check_module(const LoraAdapter& adapter, const LoraModule& module, const LoraTarget& target) {
  const std::int64_t in = target.slot->in_features();
  const std::int64_t out = target.slot->out_features();
  const bool fits = module.a.rank() == 2 && module.b.rank() == 2 && module.a.dim(1) == in &&
                    module.b.dim(0) == out && module.a.dim(0) == module.b.dim(1) && module.a.dim(0) > 0;
  if (!fits) {
    fail(ErrorKind::bad_input,
         "{}: module '{}': expected A [r, {}] and B [{}, r], found {} and {}: was it made for another model?",
         adapter.origin, printable(module.module), in, out, module.a.shape().to_string(),
         module.b.shape().to_string());
  }
}

void check_finite(const LoraAdapter& adapter, const LoraModule& module, const nn::LoraWeights& weights) {
  for (const Tensor* tensor : {&weights.a, &weights.b}) {
    for (const float value : tensor->as<float>()) {
      if (!std::isfinite(value)) {
        fail(ErrorKind::bad_input, "{}: module '{}': expected finite numbers, found {}", adapter.origin,
             printable(module.module), value);
      }
    }
  }
}

Tensor uniform(std::int64_t r, std::int64_t in, std::uint64_t key) {
  Tensor a = Tensor::empty({r, in});
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  std::uint64_t index = 0;
  for (float& value : a.as_mutable<float>()) {
    const double unit = static_cast<double>(split_mix64(key + index++) >> 11U) * 0x1p-53;  // [0, 1)
    value = static_cast<float>((2 * unit - 1) * bound);
  }
  return a;
}

void check_targets(const Model& model, const LoraOptions& options) {
  for (const std::string& target : options.target_modules) {
    const bool found = std::ranges::any_of(
        model.lora_targets(), [&](const LoraTarget& layer) { return is_target({&target, 1}, layer.module); });
    if (!found) {
      fail(ErrorKind::bad_usage, "target-modules: expected all-linear or some of {}, found '{}'",
           fmt::join(linear_module_names(model), ", "), printable(target));
    }
  }
}

}  // namespace

double lora_scale(double alpha, std::int64_t r, bool use_rslora) {
  const auto rank = static_cast<double>(r);
  return alpha / (use_rslora ? std::sqrt(rank) : rank);
}

void add_lora(const Model& model, nn::LoraId id, const LoraAdapter& adapter) {
  if (adapter.modules.empty()) {
    fail(ErrorKind::bad_input, "{}: expected A and B of some modules, found none", adapter.origin);
  }
  for (const LoraModule& module : adapter.modules) {
    const LoraTarget* target = find_target(model, module.module);
    if (target == nullptr) {
      fail(ErrorKind::bad_input,
           "{}: expected modules of this model ({}, of {} layers), found '{}': was it made for another one?",
           adapter.origin, fmt::join(linear_module_names(model), ", "), model.config().num_hidden_layers,
           printable(module.module));
    }
    check_module(adapter, module, *target);
  }
  for (const LoraModule& module : adapter.modules) {
    const LoraTarget& target = *find_target(model, module.module);
    nn::LoraWeights weights{own_copy(module.a), own_copy(module.b), static_cast<float>(module.scale)};
    check_finite(adapter, module, weights);
    if (target.interleaved_head_dim > 0) {
      weights.b = reordered(weights.b, target.interleaved_head_dim, true);
    }
    target.slot->set(id, std::move(weights));
  }
}

std::vector<Parameter> make_lora(const Model& model, nn::LoraId id, const LoraOptions& options,
                                 std::uint64_t seed) {
  if (options.r < 1) fail(ErrorKind::bad_usage, "lora-r: expected 1 or more, found {}", options.r);
  check_targets(model, options);
  for (const LoraTarget& target : model.lora_targets()) {
    if (!is_target(options.target_modules, target.module)) continue;
    const nn::LoraSlot& slot = *target.slot;
    const std::uint64_t key = xxhash64(std::as_bytes(std::span(target.module)), seed);
    target.slot->set(
        id, {uniform(options.r, slot.in_features(), key), Tensor::zeros({slot.out_features(), options.r}),
             static_cast<float>(lora_scale(options.alpha, options.r, options.use_rslora))});
  }
  return lora_parameters(model, id);
}

std::vector<Parameter> lora_parameters(const Model& model, nn::LoraId id) {
  std::vector<Parameter> parameters;
  for (const LoraTarget& target : model.lora_targets()) {
    const nn::LoraWeights* weights = target.slot->find(id);
    if (weights == nullptr) continue;
    parameters.push_back({fmt::format("base_model.model.{}.lora_A.weight", target.module), weights->a});
    parameters.push_back({fmt::format("base_model.model.{}.lora_B.weight", target.module), weights->b});
  }
  return parameters;
}

LoraAdapter lora_adapter(const Model& model, nn::LoraId id) {
  LoraAdapter adapter;
  for (const LoraTarget& target : model.lora_targets()) {
    const nn::LoraWeights* weights = target.slot->find(id);
    if (weights == nullptr) continue;
    const bool moved = target.interleaved_head_dim > 0;
    adapter.modules.push_back({target.module, weights->a,
                               moved ? reordered(weights->b, target.interleaved_head_dim, false) : weights->b,
                               double{weights->scale}});
  }
  return adapter;
}

std::vector<std::string> linear_module_names(const Model& model) {
  std::vector<std::string> names;
  for (const LoraTarget& target : model.lora_targets()) {
    std::string name(last_part(target.module));
    if (name != kOutputHead && std::ranges::find(names, name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

std::int64_t linear_weight_count(const Model& model) {
  std::int64_t count = 0;
  for (const LoraTarget& target : model.lora_targets()) {
    count += target.slot->in_features() * target.slot->out_features();
  }
  return count;
}

}  // namespace tessera::models
