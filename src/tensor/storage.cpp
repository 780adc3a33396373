#include "tensor/storage.h"

#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "tensor/storage_cache.h"

namespace tessera {
namespace {
constexpr std::size_t kAlignment = 64;  // a cache line, and one AVX-512 vector or tile row
constexpr std::size_t kLeastCached = std::size_t{16} << 10;

// Freed pieces by size, while somebody wants them kept.
class Cache {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    ++users_;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--users_ > 0) return;
    for (const auto& [size, pieces] : free_) {
      for (void* piece : pieces) ::operator delete(piece, std::align_val_t{kAlignment});
    }
    free_.clear();
  }
  // Null when there is none of this size.
  void* take(std::size_t bytes) {
    if (bytes < kLeastCached) return nullptr;
    const std::lock_guard lock(mutex_);
    const auto found = free_.find(bytes);
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* piece = found->second.back();
    found->second.pop_back();
    return piece;
  }
  // Whether the piece is kept; otherwise the caller frees it.
  bool keep(void* piece, std::size_t bytes) {
    if (bytes < kLeastCached) return false;
    const std::lock_guard lock(mutex_);
    if (users_ == 0) return false;
    free_[bytes].push_back(piece);
    return true;
  }

 private:
  std::mutex mutex_;
  int users_ = 0;
  std::unordered_map<std::size_t, std::vector<void*>> free_;
};

Cache& cache() {
  static auto* const kCache = new Cache();  // NOLINT: outlives every tensor, static ones too
  return *kCache;
}

}  // namespace

StorageCacheScope::StorageCacheScope() { cache().open(); }
StorageCacheScope::~StorageCacheScope() { cache().close(); }

std::shared_ptr<Storage> Storage::allocate(std::size_t bytes) {
  std::shared_ptr<Storage> storage(new Storage());  // NOLINT: the constructor is private
  void* memory = cache().take(bytes);
  if (memory == nullptr) {
    memory = ::operator new(bytes == 0 ? 1 : bytes, std::align_val_t{kAlignment}, std::nothrow);
  }
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
  if (!writable() || data_ == nullptr || cache().keep(data_, size_)) return;
  ::operator delete(data_, std::align_val_t{kAlignment});
}

std::span<std::byte> Storage::mutable_bytes() {
  if (!writable()) fail(ErrorKind::internal, "cannot write to a tensor that is mapped from a file");
  return {data_, size_};
}

}  // namespace tessera
