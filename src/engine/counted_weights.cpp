#include "engine/counted_weights.h"

#include <atomic>
#include <utility>

namespace tessera::engine {
namespace {

class CountedWeights final : public WeightSource {
 public:
  CountedWeights(std::shared_ptr<const WeightSource> source, std::function<void(std::uint64_t)> on_bytes)
      : source_(std::move(source)), on_bytes_(std::move(on_bytes)) {}

  NamingScheme naming() const override { return source_->naming(); }
  std::string_view architecture() const override { return source_->architecture(); }
  const Metadata& metadata() const override { return source_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return source_->tensors(); }
  const std::vector<UnsupportedTensor>& unsupported_tensors() const override {
    return source_->unsupported_tensors();
  }
  const TensorInfo* find(std::string_view name) const override { return source_->find(name); }
  Tensor load(std::string_view name) const override {
    Tensor tensor = source_->load(name);
    on_bytes_(bytes_ += tensor.bytes());
    return tensor;
  }
  void done_with(const Tensor& tensor) const override { source_->done_with(tensor); }
  const std::string& origin() const override { return source_->origin(); }

 private:
  std::shared_ptr<const WeightSource> source_;
  std::function<void(std::uint64_t)> on_bytes_;
  mutable std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace

std::shared_ptr<const WeightSource> count_loaded_bytes(std::shared_ptr<const WeightSource> source,
                                                       std::function<void(std::uint64_t)> on_bytes) {
  return std::make_shared<CountedWeights>(std::move(source), std::move(on_bytes));
}

}  // namespace tessera::engine
