#include "engine/merged_weights.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/safetensors_writer.h"
#include "models/lora.h"
#include "models/model.h"
#include "ops/elementwise.h"
#include "ops/matrix_product.h"
#include "ops/quantize.h"

namespace tessera::engine {
namespace {

namespace fs = std::filesystem;

Tensor copy_of(const Tensor& tensor) { return Tensor::from_values(tensor.shape(), tensor.as<float>()); }

// Whatever another source holds, until told otherwise.
class SourceBehind : public WeightSource {
 public:
  explicit SourceBehind(std::shared_ptr<const WeightSource> source) : source_(std::move(source)) {}

  NamingScheme naming() const override { return source_->naming(); }
  std::string_view architecture() const override { return source_->architecture(); }
  const Metadata& metadata() const override { return source_->metadata(); }
  const std::vector<TensorInfo>& tensors() const override { return source_->tensors(); }
  const std::vector<UnsupportedTensor>& unsupported_tensors() const override {
    return source_->unsupported_tensors();
  }
  const TensorInfo* find(std::string_view name) const override { return source_->find(name); }
  Tensor load(std::string_view name) const override { return source_->load(name); }
  const std::string& origin() const override { return source_->origin(); }
  void done_with(const Tensor& tensor) const override { source_->done_with(tensor); }

 protected:
  std::shared_ptr<const WeightSource> source_;
};

// Notes which names are asked for that are not those of the file.
class NotingSource final : public SourceBehind {
 public:
  NotingSource(std::shared_ptr<const WeightSource> source, std::map<std::string, std::string>& aliases)
      : SourceBehind(std::move(source)), aliases_(&aliases) {}
  const TensorInfo* find(std::string_view name) const override {
    const TensorInfo* info = source_->find(name);
    if (info != nullptr && info->name != name) aliases_->emplace(name, info->name);
    return info;
  }

 private:
  std::map<std::string, std::string>* aliases_;
};

class MergedWeights final : public SourceBehind {
 public:
  MergedWeights(std::shared_ptr<const WeightSource> source, const LoraAdapter& adapter,
                std::optional<DType> dtype, std::map<std::string, std::string>& aliases)
      : SourceBehind(std::move(source)), tensors_(source_->tensors()) {
    // The model knows where each module's weight lies in the file, and in which order.
    const auto model = models::create_model(NotingSource(source_, aliases));
    models::add_lora(*model, 0, adapter);
    for (const models::LoraTarget& target : model->lora_targets()) {
      if (target.slot->find(0) == nullptr) continue;
      if (target.weight.empty()) {
        fail(ErrorKind::unsupported,
             "{}: module '{}': expected a matrix of its own, found one that is the embedding too",
             adapter.origin, target.module);
      }
      changes_.emplace(target.weight, target);
    }
    for (TensorInfo& tensor : tensors_) {
      if (!changes_.contains(tensor.name)) continue;
      tensor.dtype = dtype.value_or(traits(tensor.dtype).quantized ? DType::f32 : tensor.dtype);
      tensor.bytes = tensor_bytes(tensor.shape, tensor.dtype);
    }
    for (const TensorInfo& tensor : tensors_) by_name_.emplace(tensor.name, &tensor);
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override {
    const TensorInfo* stored = source_->find(name);
    if (stored == nullptr) return nullptr;
    const auto found = by_name_.find(stored->name);
    return found == by_name_.end() ? stored : found->second;
  }

  Tensor load(std::string_view name) const override {
    const TensorInfo* info = find(name);
    const Tensor stored = source_->load(name);
    const auto change = info == nullptr ? changes_.end() : changes_.find(info->name);
    if (change == changes_.end()) return stored;
    const models::LoraTarget& target = change->second;
    const nn::LoraWeights& weights = *target.slot->find(0);
    const Tensor wide = ops::quantize(stored, DType::f32, info->name);
    Tensor sum = wide.storage() == stored.storage() ? copy_of(wide) : wide;
    Tensor b = copy_of(weights.b);
    ops::scale_in_place(b, weights.scale);
    const auto product = [&](const ops::ConstMatrixView& left, const ops::ConstMatrixView& right) {
      ops::matrix_product(left, right, sum.as_mutable<float>().data(), sum.dim(1), true);
    };
    if (target.stored_transposed) {
      product(ops::view(weights.a).transposed(), ops::view(b).transposed());
    } else {
      product(ops::view(b), ops::view(weights.a));
    }
    source_->done_with(stored);
    return ops::quantize(sum, info->dtype, info->name);
  }

 private:
  std::vector<TensorInfo> tensors_;
  std::map<std::string_view, const TensorInfo*> by_name_;
  std::map<std::string, models::LoraTarget, std::less<>> changes_;  // by the tensor's name
};

bool describes_model(const fs::path& file) {
  const std::string name = file.filename().string();
  if (name.ends_with(".index.json") || name == "training_state.json") return false;
  constexpr std::array kEnds = {".json", ".jinja", ".txt", ".model"};
  return std::ranges::any_of(kEnds, [&](const char* end) { return name.ends_with(end); });
}

}  // namespace

MergedModel merge_lora(std::shared_ptr<const WeightSource> source, const LoraAdapter& adapter,
                       std::optional<DType> dtype) {
  MergedModel merged;
  merged.weights = std::make_shared<MergedWeights>(std::move(source), adapter, dtype, merged.aliases);
  return merged;
}

void write_merged_folder(const MergedModel& merged, const std::string& model_folder,
                         const std::string& folder, const std::function<void(std::size_t)>& advance) {
  std::error_code ignored;
  if (fs::equivalent(model_folder, folder, ignored)) {
    fail(ErrorKind::bad_usage, "{}: expected another folder than the model's own", folder);
  }
  try {
    fs::create_directories(folder);
    for (const auto& entry : fs::directory_iterator(model_folder)) {
      if (!entry.is_regular_file() || !describes_model(entry.path())) continue;
      write_file_atomically((fs::path(folder) / entry.path().filename()).string(),
                            read_file(entry.path().string()));
    }
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::io, "{}: cannot write: {}", folder, error.code().message());
  }
  formats::SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  for (const auto& [asked, stored] : merged.aliases) writer.set_metadata(asked, stored);
  for (const TensorInfo& tensor : merged.weights->tensors()) {
    writer.add_tensor({tensor.name, tensor.dtype, tensor.shape, [&merged, &tensor, &advance] {
                         Tensor made = merged.weights->load(tensor.name);
                         if (advance) advance(tensor.bytes);
                         return made;
                       }});
  }
  writer.write((fs::path(folder) / "model.safetensors").string());
}

}  // namespace tessera::engine
