// Where a model's tensors and configuration come from: a safetensors folder, a GGUF file, a checkpoint, or
// fresh random values. models/ asks a WeightSource and never learns which.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metadata.h"
#include "tensor/tensor.h"

namespace tessera {

// Which names the file uses for tensors and configuration keys.
enum class NamingScheme { hugging_face, gguf };

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;               // PyTorch order, also for GGUF
  std::string file;          // where it lies
  std::uint64_t offset = 0;  // of its first byte in that file
  std::size_t bytes = 0;
};

// A tensor that lies properly in its file but has a type this build cannot run ("F8_E4M3", "IQ2_XXS").
struct UnsupportedTensor {
  std::string name;
  std::string type;
  Shape shape;
  std::string file;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual NamingScheme naming() const = 0;
  // "LlamaForCausalLM" (config.json's architectures[0]) or "llama" (general.architecture).
  virtual std::string_view architecture() const = 0;
  virtual const Metadata& metadata() const = 0;
  // All tensors that can be loaded, in file order.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Those that cannot, by name. They do no harm until somebody asks for one.
  virtual const std::vector<UnsupportedTensor>& unsupported_tensors() const;
  // nullptr when there is none of that name; Error unsupported when there is one whose type cannot be run.
  virtual const TensorInfo* find(std::string_view name) const = 0;
  // The tensor, mapped without copying. Error bad_input when it is missing.
  virtual Tensor load(std::string_view name) const = 0;
  // For a source that invents its weights (training from scratch): the tensor of this name and shape.
  // nullopt: there is nothing but what find() finds.
  virtual std::optional<Tensor> create(std::string_view /*name*/, const Shape& /*shape*/) const {
    return std::nullopt;
  }
  // `tensor`, which load() gave, will not be read again soon: whatever memory it holds may be given back, as
  // long as reading it again still works.
  virtual void done_with(const Tensor& /*tensor*/) const {}
  // What to call this source in errors: the file or folder.
  virtual const std::string& origin() const = 0;
};

// The tensor `name`, which must have exactly `shape`; Error bad_input names file, tensor, offset, expected
// and found.
Tensor load_expecting(const WeightSource& source, std::string_view name, const Shape& shape);

}  // namespace tessera
