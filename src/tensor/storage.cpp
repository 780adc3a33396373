#include "tensor/storage.h"

#include <new>

#include "base/error.h"

namespace tessera {
namespace {
constexpr std::size_t kAlignment = 64;  // a cache line, and one AVX-512 vector or tile row
}

std::shared_ptr<Storage> Storage::allocate(std::size_t bytes) {
  std::shared_ptr<Storage> storage(new Storage());  // NOLINT: the constructor is private
  void* memory = ::operator new(bytes == 0 ? 1 : bytes, std::align_val_t{kAlignment}, std::nothrow);
  if (memory == nullptr) fail(ErrorKind::limit, "out of memory: {} bytes asked for", bytes);
  storage->data_ = static_cast<std::byte*>(memory);
  storage->size_ = bytes;
  return storage;
}

std::shared_ptr<Storage> Storage::borrow(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> owner) {
  std::shared_ptr<Storage> storage(new Storage());  // NOLINT: the constructor is private
  storage->data_ = const_cast<std::byte*>(bytes.data());
  storage->size_ = bytes.size();
  storage->owner_ = std::move(owner);
  if (!storage->owner_) fail(ErrorKind::internal, "borrowed storage needs an owner");
  return storage;
}

Storage::~Storage() {
  if (writable() && data_ != nullptr) ::operator delete(data_, std::align_val_t{kAlignment});
}

std::span<std::byte> Storage::mutable_bytes() {
  if (!writable()) fail(ErrorKind::internal, "cannot write to a tensor that is mapped from a file");
  return {data_, size_};
}

}  // namespace tessera
