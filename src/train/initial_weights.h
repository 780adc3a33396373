// Fresh random weights for a model that exists only as a config.json: training from scratch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/weight_source.h"

namespace tessera::train {

class InitialWeights final : public WeightSource {
 public:
  // `config_path`: a config.json in Hugging Face's layout. Error io, bad_input.
  InitialWeights(const std::string& config_path, std::uint64_t seed);

  NamingScheme naming() const override { return NamingScheme::hugging_face; }
  std::string_view architecture() const override { return architecture_; }
  const Metadata& metadata() const override { return metadata_; }
  const std::vector<TensorInfo>& tensors() const override { return none_; }
  const TensorInfo* find(std::string_view name) const override;
  Tensor load(std::string_view name) const override;
  const std::string& origin() const override { return origin_; }

  // As GPT-2 begins (Radford et al. 2019, section 2.3): matrices normal with deviation initializer_range
  // (0.02), the projections that end a residual branch by 1 / sqrt(2 layers) smaller, norms 1, biases 0. A
  // tensor's values depend on the seed, its name and nothing else.
  std::optional<Tensor> create(std::string_view name, const Shape& shape) const override;

 private:
  double deviation_of(std::string_view name) const;

  std::string origin_;
  std::string architecture_;
  Metadata metadata_;
  std::vector<TensorInfo> none_;
  std::uint64_t seed_ = 0;
  double initializer_range_ = 0.02;
  double layers_ = 1;
};

}  // namespace tessera::train
