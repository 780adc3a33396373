// The bytes behind tensors: 64-byte aligned memory of our own, or a window of a mapped file. Shared by views.
#pragma once
#include <cstddef>
#include <memory>
#include <span>

#include "tensor/device.h"

namespace tessera {

class Storage {
 public:
  // Uninitialised, aligned to 64 bytes. Error limit when the memory cannot be had.
  static std::shared_ptr<Storage> allocate(std::size_t bytes);
  // Read-only memory that `owner` keeps alive (a mapped file).
  static std::shared_ptr<Storage> borrow(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Error internal for borrowed memory.
  std::span<std::byte> mutable_bytes();
  bool writable() const { return owner_ == nullptr; }
  Device device() const { return {}; }

 private:
  Storage() = default;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::shared_ptr<const void> owner_;
};

}  // namespace tessera
