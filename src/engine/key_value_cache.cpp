#include "engine/key_value_cache.h"

#include <cstring>

#include "base/checked_size.h"
#include "base/error.h"
#include "base/system_memory.h"

namespace tessera::engine {
namespace {

std::int64_t blocks_for(const KeyValueCacheOptions& options) {
  if (options.tokens < 1 || options.block_size < 1) {
    fail(ErrorKind::bad_usage,
         "key/value cache: expected room for at least one token in blocks of at least one, found {} and {}",
         options.tokens, options.block_size);
  }
  return (options.tokens - 1) / options.block_size + 1;
}

}  // namespace

std::uint64_t key_value_bytes_per_token(std::span<const models::KeyValueShape> layers, DType dtype) {
  CheckedSize total(0, "key/value bytes of one token");
  for (const models::KeyValueShape& shape : layers) {
    const auto elements = CheckedSize::from_signed(shape.num_key_value_heads, "key/value heads") *
                          CheckedSize::from_signed(shape.head_dim, "head_dim");
    total = total + elements * std::uint64_t{2} * traits(dtype).block_bytes;
  }
  return total.value();
}

KeyValueCache::KeyValueCache(std::span<const models::KeyValueShape> layers,
                             const KeyValueCacheOptions& options)
    : block_manager_(blocks_for(options), options.block_size), dtype_(options.dtype) {
  if (dtype_ != DType::f32 && dtype_ != DType::f16 && dtype_ != DType::bf16) {
    fail(ErrorKind::bad_usage, "key/value cache: expected dtype F32, F16 or BF16, found {}", name(dtype_));
  }
  const CheckedSize slots = CheckedSize::from_signed(token_capacity(), "slots of the key/value cache");
  bytes_ = (slots * key_value_bytes_per_token(layers, dtype_)).value();
  const std::uint64_t available = available_memory();
  if (bytes_ > available) {
    fail(ErrorKind::limit, "key/value cache: {} tokens need {}, {} available; take a smaller context (-c)",
         options.tokens, format_bytes(bytes_), format_bytes(available));
  }
  for (const models::KeyValueShape& shape : layers) {
    const std::uint64_t bytes = key_value_bytes_per_token(std::span(&shape, 1), dtype_) / 2 * slots.value();
    KeyValueCacheLayer layer;
    for (std::byte** part : {&layer.keys, &layer.values}) {
      storages_.push_back(Storage::allocate(bytes));
      *part = storages_.back()->mutable_bytes().data();
    }
    layer.dtype = dtype_;
    layer.num_blocks = block_manager_.num_blocks();
    layer.block_size = block_manager_.block_size();
    layer.num_key_value_heads = shape.num_key_value_heads;
    layer.head_dim = shape.head_dim;
    layers_.push_back(layer);
  }
}

void KeyValueCache::copy_blocks(std::span<const BlockCopy> copies) {
  for (const BlockCopy& copy : copies) {
    for (const KeyValueCacheLayer& layer : layers_) {
      const std::size_t bytes =
          static_cast<std::size_t>(layer.num_key_value_heads * layer.block_size * layer.head_dim) *
          traits(layer.dtype).block_bytes;
      const std::size_t from = static_cast<std::size_t>(copy.from) * bytes;
      const std::size_t to = static_cast<std::size_t>(copy.to) * bytes;
      std::memcpy(layer.keys + to, layer.keys + from, bytes);
      std::memcpy(layer.values + to, layer.values + from, bytes);
    }
  }
}

}  // namespace tessera::engine
