#include "engine/key_value_cache.h"

#include <algorithm>
#include <cstring>

#include "base/checked_size.h"
#include "base/error.h"
#include "base/system_memory.h"

namespace tessera::engine {
namespace {

std::int64_t blocks_for(const KeyValueCacheOptions& options) {
  if (options.tokens < 1 || options.block_size < 1 || options.block_size % kKeyGroup != 0) {
    fail(ErrorKind::bad_usage,
         "key/value cache: expected room for at least one token in blocks of a multiple of {}, found {} and "
         "{}",
         kKeyGroup, options.tokens, options.block_size);
  }
  return (options.tokens - 1) / options.block_size + 1;
}

// Larger ones are no model's, and sizes of groups are counted without checks.
constexpr std::int64_t kLargestHeadDim = 1 << 20;

void expect_supported(const KeyValueCacheOptions& options, std::span<const models::KeyValueShape> layers) {
  for (const DType dtype : {options.key_dtype, options.value_dtype}) {
    if (!is_key_value_type(dtype)) {
      fail(ErrorKind::bad_usage, "key/value cache: expected F32, F16, BF16 or Q8_0, found {}", name(dtype));
    }
  }
  for (const models::KeyValueShape& shape : layers) {
    if (shape.head_dim < 1 || shape.head_dim > kLargestHeadDim) {
      fail(ErrorKind::bad_usage, "key/value cache: expected head_dim from 1 to {}, found {}", kLargestHeadDim,
           shape.head_dim);
    }
  }
}

// Sequences that may have states at a time: address space, as the rest.
constexpr std::int64_t kMostStateSlots = 512;

std::int64_t state_slots_for(const KeyValueCacheOptions& options,
                             std::span<const models::KeyValueShape> layers) {
  return state_bytes_per_sequence(layers) == 0 ? 0 : std::min(blocks_for(options), kMostStateSlots);
}

// Of the groups of one layer, all heads: the keys, or the values.
CheckedSize groups_bytes(const models::KeyValueShape& shape, std::int64_t group_bytes) {
  return CheckedSize::from_signed(shape.num_key_value_heads, "key/value heads") *
         CheckedSize::from_signed(group_bytes, "key/value group");
}

}  // namespace

DType default_key_value_type(const models::Model& model) {
  constexpr double kMostlyFloat32 = 3.5;  // bytes a parameter, on average
  const double average =
      static_cast<double>(model.parameter_bytes()) / static_cast<double>(model.parameter_count());
  return average > kMostlyFloat32 ? DType::f32 : DType::f16;
}

std::uint64_t key_value_bytes_per_token(std::span<const models::KeyValueShape> layers, DType key_dtype,
                                        DType value_dtype) {
  CheckedSize total(0, "key/value bytes of one token");
  for (const models::KeyValueShape& shape : layers) {
    total = total + groups_bytes(shape, key_group_bytes(key_dtype, shape.head_dim)) +
            groups_bytes(shape, value_group_bytes(value_dtype, shape.head_dim));
  }
  return total.value() / kKeyGroup;
}

std::uint64_t state_bytes_per_sequence(std::span<const models::KeyValueShape> layers) {
  CheckedSize total(0, "states of one sequence");
  for (const models::KeyValueShape& shape : layers) {
    total = total + CheckedSize::from_signed(shape.state_floats, "floats of a state") *
                        CheckedSize(sizeof(float), "bytes of a float");
  }
  return total.value();
}

KeyValueCache::KeyValueCache(std::span<const models::KeyValueShape> layers,
                             const KeyValueCacheOptions& options)
    : block_manager_(blocks_for(options), options.block_size, state_slots_for(options, layers)),
      key_dtype_(options.key_dtype),
      value_dtype_(options.value_dtype) {
  expect_supported(options, layers);
  const CheckedSize slots = CheckedSize::from_signed(token_capacity(), "slots of the key/value cache");
  bytes_ = (slots * key_value_bytes_per_token(layers, key_dtype_, value_dtype_)).value();
  const std::uint64_t available = available_memory();
  if (bytes_ > available) {
    fail(ErrorKind::limit,
         "key/value cache: {} tokens need {}, {} available; take a smaller context (-c) or a smaller type "
         "(--cache-type-k, --cache-type-v)",
         options.tokens, format_bytes(bytes_), format_bytes(available));
  }
  const std::uint64_t groups = slots.value() / kKeyGroup;
  for (const models::KeyValueShape& shape : layers) {
    const auto allocate = [&](std::int64_t group_bytes) {
      storages_.push_back(Storage::allocate(groups_bytes(shape, group_bytes).value() * groups));
      return storages_.back()->mutable_bytes().data();
    };
    KeyValueCacheLayer layer;
    layer.keys = allocate(key_group_bytes(key_dtype_, shape.head_dim));
    layer.values = allocate(value_group_bytes(value_dtype_, shape.head_dim));
    layer.key_dtype = key_dtype_;
    layer.value_dtype = value_dtype_;
    layer.num_blocks = block_manager_.num_blocks();
    layer.block_size = block_manager_.block_size();
    layer.num_key_value_heads = shape.num_key_value_heads;
    layer.head_dim = shape.head_dim;
    layers_.push_back(layer);
  }
  if (block_manager_.stateful()) allocate_states(layers);
}

void KeyValueCache::allocate_states(std::span<const models::KeyValueShape> layers) {
  const std::uint64_t each = state_bytes_per_sequence(layers);
  if (each > available_memory()) {
    fail(ErrorKind::limit, "states of attention: one sequence needs {}, {} available", format_bytes(each),
         format_bytes(available_memory()));
  }
  for (const models::KeyValueShape& shape : layers) {
    LinearStateLayer layer{nullptr, block_manager_.state_slots(), shape.state_floats};
    if (shape.state_floats > 0) {
      const CheckedSize bytes = CheckedSize::from_signed(shape.state_floats, "floats of a state") *
                                CheckedSize::from_signed(layer.num_slots, "state slots") *
                                CheckedSize(sizeof(float), "bytes of a float");
      storages_.push_back(Storage::allocate(bytes.value()));
      layer.states = reinterpret_cast<float*>(storages_.back()->mutable_bytes().data());
    }
    states_.push_back(layer);
  }
}

namespace {

// Calls move(part of the cache, its bytes) for the keys and the values of each layer.
template <typename Move>
void for_each_part(std::span<const KeyValueCacheLayer> layers, BlockId block, const Move& move) {
  for (const KeyValueCacheLayer& layer : layers) {
    const auto part = [&](std::byte* blocks, std::int64_t head_bytes) {
      const auto bytes = static_cast<std::size_t>(layer.num_key_value_heads * head_bytes);
      move(blocks + static_cast<std::size_t>(block) * bytes, bytes);
    };
    part(layer.keys, layer.head_key_bytes());
    part(layer.values, layer.head_value_bytes());
  }
}

void expect_block_bytes(std::uint64_t expected, std::size_t found) {
  if (expected != found) {
    fail(ErrorKind::internal, "key/value cache: a block has {} bytes, found {}", expected, found);
  }
}

}  // namespace

void KeyValueCache::save_block(BlockId block, std::span<std::byte> bytes) const {
  expect_block_bytes(block_bytes(), bytes.size());
  std::size_t at = 0;
  for_each_part(layers_, block, [&](const std::byte* part, std::size_t size) {
    std::memcpy(bytes.data() + at, part, size);
    at += size;
  });
}

void KeyValueCache::load_block(BlockId block, std::span<const std::byte> bytes) {
  expect_block_bytes(block_bytes(), bytes.size());
  std::size_t at = 0;
  for_each_part(layers_, block, [&](std::byte* part, std::size_t size) {
    std::memcpy(part, bytes.data() + at, size);
    at += size;
  });
}

void KeyValueCache::copy_blocks(std::span<const BlockCopy> copies) {
  for (const BlockCopy& copy : copies) {
    for (const KeyValueCacheLayer& layer : layers_) {
      const auto copy_part = [&](std::byte* blocks, std::int64_t head_bytes) {
        const auto bytes = static_cast<std::size_t>(layer.num_key_value_heads * head_bytes);
        std::memcpy(blocks + static_cast<std::size_t>(copy.to) * bytes,
                    blocks + static_cast<std::size_t>(copy.from) * bytes, bytes);
      };
      copy_part(layer.keys, layer.head_key_bytes());
      copy_part(layer.values, layer.head_value_bytes());
    }
  }
}

}  // namespace tessera::engine
