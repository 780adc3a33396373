#include "tensor/weight_source.h"

#include "base/error.h"

namespace tessera {

const std::vector<UnsupportedTensor>& WeightSource::unsupported_tensors() const {
  static const std::vector<UnsupportedTensor> kNone;
  return kNone;
}

Tensor load_expecting(const WeightSource& source, std::string_view name, const Shape& shape) {
  const TensorInfo* info = source.find(name);
  if (info == nullptr) {
    if (std::optional<Tensor> made = source.create(name, shape)) return *std::move(made);
    fail(ErrorKind::bad_input, "{}: tensor '{}': expected shape {}, found no such tensor", source.origin(),
         printable(name), shape.to_string());
  }
  if (!(info->shape == shape)) {
    fail(ErrorKind::bad_input, "{}: tensor '{}' at byte {}: expected shape {}, found {}", info->file,
         printable(name), info->offset, shape.to_string(), info->shape.to_string());
  }
  return source.load(name);
}

}  // namespace tessera
