#include "train/initial_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/xxhash64.h"
#include "formats/hugging_face.h"

namespace tessera::train {
namespace {

// SplitMix64 (Steele, Lea & Flood 2014) as a counter: value `index` of the stream `key`.
std::uint64_t random_bits(std::uint64_t key, std::uint64_t index) {
  std::uint64_t z = key + (index + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

// Box & Muller 1958, the cosine half.
double random_normal(std::uint64_t key, std::uint64_t index) {
  const auto uniform = [&](std::uint64_t at) {
    return (static_cast<double>(random_bits(key, at) >> 11U) + 0.5) * 0x1p-53;
  };
  return std::sqrt(-2.0 * std::log(uniform(2 * index))) *
         std::cos(2.0 * std::numbers::pi * uniform(2 * index + 1));
}

// The gates of Gated DeltaNet begin as Mamba 2's (Dao & Gu 2024): exp(A_log) uniform up to 16, and
// softplus(dt_bias) from 0.001 to 0.1, uniform in its logarithm.
void fill_decay(std::string_view name, std::span<float> values, std::uint64_t key) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double uniform = (static_cast<double>(random_bits(key, i) >> 11U) + 0.5) * 0x1p-53;
    const double step = 1e-3 * std::pow(100.0, uniform);
    const double value = name.ends_with(".A_log") ? std::log(16 * uniform) : std::log(std::expm1(step));
    values[i] = static_cast<float>(value);
  }
}

}  // namespace

InitialWeights::InitialWeights(const std::string& config_path, std::uint64_t seed)
    : origin_(config_path),
      metadata_(formats::read_hugging_face_config(MappedFile::open(config_path))),
      seed_(seed) {
  const Metadata::StringArray* names = metadata_.find_strings("architectures");
  if (names == nullptr || names->empty()) {
    fail(ErrorKind::bad_input, "{}: key 'architectures': expected a list with a name, found none", origin_);
  }
  architecture_ = names->front();
  initializer_range_ = metadata_.find_float("initializer_range").value_or(0.02);
  for (const char* key : {"num_hidden_layers", "n_layer"}) {
    if (const auto layers = metadata_.find_int(key))
      layers_ = static_cast<double>(std::max<std::int64_t>(1, *layers));
  }
}

const TensorInfo* InitialWeights::find(std::string_view /*name*/) const { return nullptr; }

Tensor InitialWeights::load(std::string_view name) const {
  fail(ErrorKind::internal, "{}: '{}' loaded from weights that are yet to be made", origin_, name);
}

double InitialWeights::deviation_of(std::string_view name) const {
  constexpr std::array kEndsOfBranches = {"c_proj.weight", "o_proj.weight", "down_proj.weight", "fc2.weight"};
  const bool ends_branch =
      std::ranges::any_of(kEndsOfBranches, [&](const char* end) { return name.ends_with(end); });
  return ends_branch ? initializer_range_ / std::sqrt(2.0 * layers_) : initializer_range_;
}

std::optional<Tensor> InitialWeights::create(std::string_view name, const Shape& shape) const {
  Tensor tensor = Tensor::empty(shape);
  const std::span<float> values = tensor.as_mutable<float>();
  if (name.ends_with(".A_log") || name.ends_with(".dt_bias")) {
    fill_decay(name, values, xxhash64(std::as_bytes(std::span(name)), seed_));
    return tensor;
  }
  if (shape.rank() < 2) {
    // Gemma's norms multiply by one plus what is stored.
    const bool is_scale = name.ends_with("weight") && !architecture_.starts_with("Gemma");
    std::ranges::fill(values, is_scale ? 1.0F : 0.0F);
    return tensor;
  }
  const double deviation = deviation_of(name);
  const std::uint64_t key = xxhash64(std::as_bytes(std::span(name)), seed_);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(deviation * random_normal(key, i));
  }
  return tensor;
}

}  // namespace tessera::train
