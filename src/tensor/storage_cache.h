// Keeps the memory of freed tensors for the next of the same size. A training step asks for the same sizes
// again and again; given back to the operating system between steps, every page would be zeroed and mapped
// anew.
#pragma once

namespace tessera {

// While one lives, Storage keeps large pieces that are freed; the end of the last one frees them all.
class StorageCacheScope {
 public:
  StorageCacheScope();
  ~StorageCacheScope();
  StorageCacheScope(const StorageCacheScope&) = delete;
  StorageCacheScope& operator=(const StorageCacheScope&) = delete;
};

}  // namespace tessera
