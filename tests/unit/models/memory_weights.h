// A WeightSource made by hand: tensors and configuration that never were in a file.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "tensor/weight_source.h"

namespace tessera::models {

class MemoryWeights final : public WeightSource {
 public:
  MemoryWeights(NamingScheme naming, std::string architecture)
      : naming_(naming), architecture_(std::move(architecture)), metadata_("by hand", nullptr) {}

  void add(std::string name, Tensor tensor) {
    infos_.push_back({std::move(name), tensor.dtype(), tensor.shape(), origin_, 7, tensor.bytes()});
    tensors_.push_back(std::move(tensor));
  }
  Metadata& configuration() { return metadata_; }

  NamingScheme naming() const override { return naming_; }
  std::string_view architecture() const override { return architecture_; }
  const Metadata& metadata() const override { return metadata_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  const TensorInfo* find(std::string_view name) const override {
    for (const TensorInfo& info : infos_) {
      if (info.name == name) return &info;
    }
    return nullptr;
  }
  Tensor load(std::string_view name) const override {
    return tensors_[static_cast<std::size_t>(find(name) - infos_.data())];
  }
  const std::string& origin() const override { return origin_; }

 private:
  NamingScheme naming_;
  std::string architecture_;
  Metadata metadata_;
  std::string origin_ = "by hand";
  std::vector<TensorInfo> infos_;
  std::vector<Tensor> tensors_;
};

}  // namespace tessera::models
