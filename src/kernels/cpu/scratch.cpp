#include "kernels/cpu/scratch.h"

#include <memory>

#include "tensor/storage.h"

namespace tessera::kernels {

float* thread_scratch(std::int64_t floats) {
  thread_local std::shared_ptr<Storage> buffer;
  const auto bytes = static_cast<std::size_t>(floats) * sizeof(float);
  if (buffer == nullptr || buffer->bytes().size() < bytes) {
    buffer = nullptr;  // let go of the old memory first
    buffer = Storage::allocate(bytes);
  }
  return reinterpret_cast<float*>(buffer->mutable_bytes().data());
}

}  // namespace tessera::kernels
