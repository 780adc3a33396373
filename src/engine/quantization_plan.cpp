#include "engine/quantization_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/near_names.h"
#include "ops/quantize.h"

namespace tessera::engine {
namespace {

using Mix = QuantizationRecipe::Mix;

struct RecipeEntry {
  std::string_view name;
  DType dtype;
  Mix mix;
  std::int64_t file_type;  // ggml's file types
};

constexpr std::array kRecipes = {
    RecipeEntry{"F32", DType::f32, Mix::plain, 0},       RecipeEntry{"F16", DType::f16, Mix::plain, 1},
    RecipeEntry{"BF16", DType::bf16, Mix::plain, 32},    RecipeEntry{"Q8_0", DType::q8_0, Mix::plain, 7},
    RecipeEntry{"Q4_0", DType::q4_0, Mix::plain, 2},     RecipeEntry{"Q4_1", DType::q4_1, Mix::plain, 3},
    RecipeEntry{"Q5_0", DType::q5_0, Mix::plain, 8},     RecipeEntry{"Q5_1", DType::q5_1, Mix::plain, 9},
    RecipeEntry{"Q4_K", DType::q4_k, Mix::plain, 14},    RecipeEntry{"Q5_K", DType::q5_k, Mix::plain, 16},
    RecipeEntry{"Q6_K", DType::q6_k, Mix::plain, 18},    RecipeEntry{"Q4_K_S", DType::q4_k, Mix::small, 14},
    RecipeEntry{"Q4_K_M", DType::q4_k, Mix::medium, 15}, RecipeEntry{"Q5_K_S", DType::q5_k, Mix::small, 16},
    RecipeEntry{"Q5_K_M", DType::q5_k, Mix::medium, 17},
};

enum class Role : std::uint8_t {
  vector,
  kept,
  embedding,
  output,
  attention_value,
  fused_attention,
  mlp_down,
  matrix
};

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  return std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

Role role_of(const TensorInfo& tensor) {
  const std::string_view name = tensor.name;
  const bool floating = ops::can_quantize_to(tensor.dtype) || traits(tensor.dtype).quantized;
  if (!floating) return Role::kept;
  if (tensor.shape.rank() < 2) return Role::vector;
  if (ends_with_any(name,
                    {"position_embd.weight", "token_types.weight", "wpe.weight", "ffn_gate_inp.weight"}) ||
      !name.ends_with(".weight")) {
    return Role::kept;
  }
  if (name == "output.weight" || name == "lm_head.weight") return Role::output;
  if (ends_with_any(name, {"token_embd.weight", "embed_tokens.weight", "wte.weight"})) return Role::embedding;
  if (ends_with_any(name, {"attn_v.weight", "v_proj.weight"})) return Role::attention_value;
  if (ends_with_any(name, {"attn_qkv.weight", "qkv_proj.weight", "c_attn.weight"}))
    return Role::fused_attention;
  if (ends_with_any(name, {"ffn_down.weight", "mlp.down_proj.weight", "mlp.c_proj.weight"}))
    return Role::mlp_down;
  return Role::matrix;
}

// The first number among the dotted parts of a name: "blk.3.attn_v.weight", "model.layers.3.mlp...".
std::optional<std::int64_t> layer_of(std::string_view name) {
  for (std::size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
    const std::string_view rest = name.substr(dot + 1);
    const std::size_t end = std::min(rest.find('.'), rest.size());
    std::int64_t layer = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + end, layer);
    if (error == std::errc{} && stop == rest.data() + end && layer >= 0) return layer;
  }
  return std::nullopt;
}

// The medium mixes of llama.cpp spend more on the first and last eighth of the layers and on every third
// between.
bool deserves_more(std::int64_t layer, std::int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

class Planner {
 public:
  Planner(std::span<const TensorInfo> tensors, const QuantizationRecipe& recipe) : recipe_(recipe) {
    for (const TensorInfo& tensor : tensors) {
      if (role_of(tensor) == Role::output) has_output_ = true;
      layers_ = std::max(layers_, layer_of(tensor.name).value_or(-1) + 1);
    }
  }

  PlannedTensor plan(const TensorInfo& tensor) const {
    PlannedTensor planned{.name = tensor.name,
                          .columns = tensor.shape.rank() == 0 ? 1 : tensor.shape[-1],
                          .elements = tensor.shape.elements(),
                          .from = tensor.dtype,
                          .to = tensor.dtype};
    const Role role = role_of(tensor);
    if (role == Role::kept) {
      planned.choice = TensorChoice::kept;
      return planned;
    }
    if (role == Role::vector) {
      planned.to = DType::f32;
      planned.choice = TensorChoice::vector;
      return planned;
    }
    planned.wanted = wanted(role, layer_of(tensor.name).value_or(0));
    planned.to = fitting(planned.wanted, planned.columns);
    planned.choice = planned.to != planned.wanted      ? TensorChoice::fallback
                     : planned.wanted != recipe_.dtype ? TensorChoice::promoted
                                                       : TensorChoice::as_asked;
    return planned;
  }

 private:
  DType wanted(Role role, std::int64_t layer) const {
    const DType dtype = recipe_.dtype;
    if (recipe_.pure) return dtype;
    const bool is_output = role == Role::output || (role == Role::embedding && !has_output_);
    const bool coarse = dtype == DType::q4_0 || dtype == DType::q4_1 || dtype == DType::q5_0 ||
                        dtype == DType::q5_1 || dtype == DType::q4_k || dtype == DType::q5_k;
    if (is_output) return coarse ? DType::q6_k : dtype;
    if (recipe_.mix == Mix::medium) {
      if (role == Role::fused_attention) return dtype == DType::q4_k ? DType::q5_k : DType::q6_k;
      const bool sensitive = role == Role::attention_value || role == Role::mlp_down;
      if (sensitive && deserves_more(layer, layers_)) return DType::q6_k;
    }
    if (recipe_.mix == Mix::small && dtype == DType::q4_k) {
      if (role == Role::attention_value && layer < 4) return DType::q5_k;
      if (role == Role::mlp_down && layer < layers_ / 8) return DType::q5_k;
    }
    return dtype;
  }

  static DType fitting(DType dtype, std::int64_t columns) {
    const auto fits = [&](DType type) { return columns % traits(type).block_elements == 0; };
    if (fits(dtype)) return dtype;
    const DType smaller_blocks = dtype == DType::q4_k   ? DType::q5_0
                                 : dtype == DType::q5_k ? DType::q5_1
                                                        : DType::q8_0;
    return fits(smaller_blocks) ? smaller_blocks : DType::f16;
  }

  QuantizationRecipe recipe_;
  bool has_output_ = false;
  std::int64_t layers_ = 0;
};

}  // namespace

std::vector<std::string> quantization_recipe_names() {
  std::vector<std::string> names;
  names.reserve(kRecipes.size());
  for (const RecipeEntry& entry : kRecipes) names.emplace_back(entry.name);
  return names;
}

QuantizationRecipe quantization_recipe(std::string_view name) {
  const std::string wanted = to_lower_ascii(name);
  std::string known;
  for (const RecipeEntry& entry : kRecipes) {
    if (to_lower_ascii(entry.name) == wanted) {
      return {std::string(entry.name), entry.dtype, entry.mix, false, entry.file_type};
    }
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  fail(ErrorKind::bad_usage, "TYPE: expected one of {}, found '{}'", known, printable(name));
}

std::vector<PlannedTensor> plan_quantization(std::span<const TensorInfo> tensors,
                                             const QuantizationRecipe& recipe) {
  const Planner planner(tensors, recipe);
  std::vector<PlannedTensor> plan;
  plan.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) plan.push_back(planner.plan(tensor));
  return plan;
}

std::uint64_t planned_bytes(std::span<const PlannedTensor> plan) {
  std::uint64_t total = 0;
  for (const PlannedTensor& tensor : plan) {
    const DTypeTraits& type = traits(tensor.to);
    total += static_cast<std::uint64_t>(tensor.elements / type.block_elements) * type.block_bytes;
  }
  return total;
}

std::vector<std::string> describe_plan(std::span<const PlannedTensor> plan) {
  struct Group {
    std::int64_t count = 0;
    std::set<std::int64_t> columns;
  };
  std::map<std::tuple<TensorChoice, DType, DType>, Group> groups;
  for (const PlannedTensor& tensor : plan) {
    const bool fell = tensor.choice == TensorChoice::fallback;
    Group& group = groups[{tensor.choice, tensor.to, fell ? tensor.wanted : tensor.to}];
    ++group.count;
    group.columns.insert(tensor.columns);
  }
  std::vector<std::string> lines;
  for (const auto& [key, group] : groups) {
    const auto& [choice, to, wanted] = key;
    std::string line = fmt::format("{} tensor{} {}", group.count, group.count == 1 ? "" : "s", name(to));
    switch (choice) {
      case TensorChoice::as_asked:
        break;
      case TensorChoice::promoted:
        line += ": the output matrix or what the recipe spends more on";
        break;
      case TensorChoice::fallback: {
        std::string widths;
        for (const std::int64_t width : group.columns)
          widths += fmt::format("{}{}", widths.empty() ? "" : ", ", width);
        line += fmt::format(" instead of {}: rows of {} are no multiple of {}", name(wanted), widths,
                            traits(wanted).block_elements);
        break;
      }
      case TensorChoice::vector:
        line += ": norms and biases";
        break;
      case TensorChoice::kept:
        line += ": kept as stored (positions, routers, integers)";
        break;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace tessera::engine
