#include "engine/quantized_weights.h"

#include <fmt/core.h>

#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ops/quantize.h"

namespace tessera::engine {
namespace {

class QuantizedWeights : public WeightSource {
 public:
  QuantizedWeights(std::shared_ptr<const WeightSource> source, const QuantizationRecipe& recipe)
      : source_(std::move(source)), tensors_(source_->tensors()) {
    const std::vector<PlannedTensor> plan = plan_quantization(tensors_, recipe);
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (plan[i].choice == TensorChoice::vector || plan[i].choice == TensorChoice::kept) continue;
      tensors_[i].dtype = plan[i].to;
      tensors_[i].bytes = tensor_bytes(tensors_[i].shape, plan[i].to);
    }
    for (const TensorInfo& tensor : tensors_) by_name_.emplace(tensor.name, &tensor);
  }

  NamingScheme naming() const override { return source_->naming(); }
  std::string_view architecture() const override { return source_->architecture(); }
  const Metadata& metadata() const override { return source_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const std::vector<UnsupportedTensor>& unsupported_tensors() const override {
    return source_->unsupported_tensors();
  }
  const std::string& origin() const override { return source_->origin(); }

  const TensorInfo* find(std::string_view name) const override {
    const TensorInfo* stored = source_->find(name);  // knows aliases, and what cannot be run
    if (stored == nullptr) return nullptr;
    const auto found = by_name_.find(stored->name);
    return found == by_name_.end() ? stored : found->second;
  }

  Tensor load(std::string_view name) const override {
    const TensorInfo* info = find(name);
    const Tensor stored = source_->load(name);
    if (info == nullptr || info->dtype == stored.dtype()) return stored;
    Tensor made =
        ops::quantize(stored, info->dtype, fmt::format("{}: tensor '{}'", info->file, printable(info->name)));
    source_->done_with(stored);
    return made;
  }
  void done_with(const Tensor& tensor) const override { source_->done_with(tensor); }

 private:
  std::shared_ptr<const WeightSource> source_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string_view, const TensorInfo*> by_name_;
};

}  // namespace

std::shared_ptr<const WeightSource> quantize_at_load(std::shared_ptr<const WeightSource> source,
                                                     const QuantizationRecipe& recipe) {
  if (source->naming() == NamingScheme::hugging_face && source->architecture().starts_with("GPT2")) {
    fail(ErrorKind::unsupported,
         "{}: expected an architecture that can be quantised while it is loaded, found {}; convert it with "
         "'tessera quantize' first",
         source->origin(), printable(source->architecture()));
  }
  return std::make_shared<QuantizedWeights>(std::move(source), recipe);
}

}  // namespace tessera::engine
