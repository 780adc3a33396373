// The memory of the paged key/value cache, all layers, and of the states of layers that keep one instead of
// keys and values; modules are handed views of it and own none.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/block_manager.h"
#include "models/model.h"
#include "tensor/ragged_batch.h"
#include "tensor/storage.h"

namespace tessera::engine {

struct KeyValueCacheOptions {
  std::int64_t tokens = 0;       // to make room for, rounded up to whole blocks
  std::int64_t block_size = 16;  // a multiple of kKeyGroup
  DType key_dtype = DType::f16;  // f32, f16, bf16 or q8_0
  DType value_dtype = DType::f16;
};

// F32 for a model whose weights are float32, else F16: the cache then rounds no coarser than the weights.
DType default_key_value_type(const models::Model& model);

// Bytes that one token takes in all layers together.
std::uint64_t key_value_bytes_per_token(std::span<const models::KeyValueShape> layers, DType key_dtype,
                                        DType value_dtype);

// Bytes of one sequence's states in all layers together; 0: no layer has any.
std::uint64_t state_bytes_per_sequence(std::span<const models::KeyValueShape> layers);

class KeyValueCache {
 public:
  // Address space only: the operating system gives the pages when they are first written, so a large cache
  // starts as quickly as a small one. Error limit "needs N GB, M available"; bad_usage: a dtype or size that
  // cannot be.
  KeyValueCache(std::span<const models::KeyValueShape> layers, const KeyValueCacheOptions& options);

  std::span<const KeyValueCacheLayer> layers() const { return layers_; }
  // One entry a layer when some have states of constant size; else none. Slots are block_manager()'s.
  std::span<const LinearStateLayer> states() const { return states_; }
  BlockManager& block_manager() { return block_manager_; }
  const BlockManager& block_manager() const { return block_manager_; }
  std::int64_t token_capacity() const { return block_manager_.num_blocks() * block_manager_.block_size(); }
  std::uint64_t bytes() const { return bytes_; }
  DType key_dtype() const { return key_dtype_; }
  DType value_dtype() const { return value_dtype_; }

  // Bytes of one block, all layers.
  std::uint64_t block_bytes() const {
    return bytes_ / static_cast<std::uint64_t>(block_manager_.num_blocks());
  }
  // A block's bytes out of the cache and into it: keys, then values, layer after layer. `bytes`:
  // block_bytes().
  void save_block(BlockId block, std::span<std::byte> bytes) const;
  void load_block(BlockId block, std::span<const std::byte> bytes);

  // Copies whole blocks, all layers, in the order given.
  void copy_blocks(std::span<const BlockCopy> copies);

 private:
  void allocate_states(std::span<const models::KeyValueShape> layers);

  BlockManager block_manager_;
  DType key_dtype_;
  DType value_dtype_;
  std::uint64_t bytes_ = 0;
  std::vector<std::shared_ptr<Storage>> storages_;  // keys and values of one layer each; states
  std::vector<KeyValueCacheLayer> layers_;
  std::vector<LinearStateLayer> states_;
};

}  // namespace tessera::engine
