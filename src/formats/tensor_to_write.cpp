#include "formats/tensor_to_write.h"

#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"

namespace tessera::formats {

void write_tensor_bytes(const TensorToWrite& tensor, const ByteSink& sink) {
  const Tensor made = tensor.make();
  if (!made.defined() || made.dtype() != tensor.dtype || !(made.shape() == tensor.shape)) {
    fail(ErrorKind::internal, "tensor '{}': announced as {} {}, but made otherwise", tensor.name,
         name(tensor.dtype), tensor.shape.to_string());
  }
  sink({made.raw(), made.bytes()});
}

void write_padding(std::uint64_t count, std::byte byte, const ByteSink& sink) {
  const std::vector<std::byte> padding(count, byte);
  sink(padding);
}

void write_through_sink(const std::string& path, const std::function<void(const ByteSink&)>& write) {
  AtomicFileWriter file(path);
  write([&file](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

}  // namespace tessera::formats
