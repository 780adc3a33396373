#include "nn/rotary_embedding.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.h"

namespace tessera::nn {
namespace {

// theta^(-2i/R) for pair i.
std::vector<double> plain_frequencies(double theta, std::int64_t rotary_dim) {
  std::vector<double> frequencies(static_cast<std::size_t>(rotary_dim / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim));
  }
  return frequencies;
}

// theta · (factor · length / trained - (factor - 1))^(R / (R - 2)), the base that "NTK-aware" scaling takes.
double dynamic_theta(const RotaryParameters& p, std::int64_t length) {
  const double trained = static_cast<double>(p.original_max_position_embeddings);
  const double stretch = p.factor * static_cast<double>(length) / trained - (p.factor - 1.0);
  const double dims = static_cast<double>(p.rotary_dim);
  return p.theta * std::pow(stretch, dims / (dims - 2.0));
}

void scale_llama3(std::vector<double>& frequencies, const RotaryParameters& p) {
  const double trained = static_cast<double>(p.original_max_position_embeddings);
  for (double& frequency : frequencies) {
    // How many turns this pair makes within the trained context: few turns were never seen whole.
    const double turns = trained * frequency / (2.0 * std::numbers::pi);
    const double keep = (turns - p.low_freq_factor) / (p.high_freq_factor - p.low_freq_factor);
    const double clamped = std::clamp(keep, 0.0, 1.0);
    frequency = (1.0 - clamped) * frequency / p.factor + clamped * frequency;
  }
}

// The pair (as a real number) that makes `turns` turns within the trained context; Peng et al. 2023,
// section 3.2.
double pair_of_turns(double turns, const RotaryParameters& p) {
  const double trained = static_cast<double>(p.original_max_position_embeddings);
  return static_cast<double>(p.rotary_dim) * std::log(trained / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(p.theta));
}

void scale_yarn(std::vector<double>& frequencies, const RotaryParameters& p) {
  double low = pair_of_turns(p.beta_fast, p);
  double high = pair_of_turns(p.beta_slow, p);
  if (p.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(p.rotary_dim - 1));
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / p.factor * ramp + frequencies[i] * (1.0 - ramp);
  }
}

std::vector<float> scaled_frequencies(const RotaryParameters& p, double theta) {
  std::vector<double> frequencies = plain_frequencies(theta, p.rotary_dim);
  if (p.type == RopeType::linear) {
    for (double& frequency : frequencies) frequency /= p.factor;
  }
  if (p.type == RopeType::llama3) scale_llama3(frequencies, p);
  if (p.type == RopeType::yarn) scale_yarn(frequencies, p);
  if (!p.frequency_factors.empty()) {
    for (std::size_t i = 0; i < frequencies.size(); ++i)
      frequencies[i] /= static_cast<double>(p.frequency_factors[i]);
  }
  std::vector<float> rounded(frequencies.size());
  std::transform(frequencies.begin(), frequencies.end(), rounded.begin(),
                 [](double frequency) { return static_cast<float>(frequency); });
  return rounded;
}

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double magnitude_of(const RotaryParameters& p) {
  if (p.type != RopeType::yarn && p.type != RopeType::longrope) return 1.0;
  if (p.attention_factor) return *p.attention_factor;
  if (p.type == RopeType::yarn) {
    if (p.mscale.value_or(0.0) != 0.0 && p.mscale_all_dim.value_or(0.0) != 0.0) {
      return yarn_magnitude(p.factor, *p.mscale) / yarn_magnitude(p.factor, *p.mscale_all_dim);
    }
    return yarn_magnitude(p.factor, 1.0);
  }
  if (p.factor <= 1.0) return 1.0;
  return std::sqrt(1.0 +
                   std::log(p.factor) / std::log(static_cast<double>(p.original_max_position_embeddings)));
}

}  // namespace

std::optional<RopeType> rope_type_from_name(std::string_view name) {
  if (name == "default" || name == "none") return RopeType::none;
  if (name == "linear") return RopeType::linear;
  if (name == "dynamic") return RopeType::dynamic;
  if (name == "llama3") return RopeType::llama3;
  if (name == "yarn") return RopeType::yarn;
  if (name == "longrope" || name == "su")
    return RopeType::longrope;  // "su": its first name, in early Phi-3 files
  return std::nullopt;
}

RotaryEmbedding::RotaryEmbedding(RotaryParameters parameters) : parameters_(std::move(parameters)) {
  const RotaryParameters& p = parameters_;
  const bool factors_fit = p.frequency_factors.empty() ||
                           static_cast<std::int64_t>(p.frequency_factors.size()) == p.rotary_dim / 2;
  if (p.rotary_dim < 2 || p.rotary_dim % 2 != 0 || !factors_fit) {
    fail(ErrorKind::internal,
         "RotaryEmbedding: expected an even rotary_dim and half as many factors, found {} and {}",
         p.rotary_dim, p.frequency_factors.size());
  }
  inverse_frequencies_ = scaled_frequencies(p, p.theta);
  magnitude_ = static_cast<float>(magnitude_of(p));
}

bool RotaryEmbedding::has_outgrown(std::int32_t position) const {
  return parameters_.type == RopeType::dynamic && position >= parameters_.original_max_position_embeddings;
}

void RotaryEmbedding::apply(Tensor& q, Tensor& k, std::span<const std::int32_t> positions) const {
  if (std::ranges::none_of(positions, [&](std::int32_t position) { return has_outgrown(position); })) {
    return ops::rotary_embedding(q, k, positions, inverse_frequencies_, parameters_.layout, magnitude_);
  }
  rotate(q, positions);
  rotate(k, positions);
}

void RotaryEmbedding::rotate(Tensor& x, std::span<const std::int32_t> positions) const {
  const RotaryParameters& p = parameters_;
  if (std::ranges::none_of(positions, [&](std::int32_t position) { return has_outgrown(position); })) {
    ops::rotary_embedding(x, positions, inverse_frequencies_, p.layout, magnitude_);
    return;
  }
  for (std::size_t t = 0; t < positions.size(); ++t) {
    const auto row = static_cast<std::int64_t>(t);
    Tensor token = x.rows(row, row + 1);
    const std::span<const std::int32_t> position = positions.subspan(t, 1);
    if (has_outgrown(position[0])) {
      const double theta = dynamic_theta(p, std::int64_t{position[0]} + 1);
      ops::rotary_embedding(token, position, scaled_frequencies(p, theta), p.layout, magnitude_);
    } else {
      ops::rotary_embedding(token, position, inverse_frequencies_, p.layout, magnitude_);
    }
  }
}

}  // namespace tessera::nn
