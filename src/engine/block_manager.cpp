#include "engine/block_manager.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "tensor/ragged_batch.h"

namespace tessera::engine {

BlockManager::BlockManager(std::int64_t num_blocks, std::int64_t block_size, std::int64_t state_slots)
    : block_size_(block_size), state_slots_(state_slots) {
  if (num_blocks < 1 || block_size < 1) {
    fail(ErrorKind::bad_usage,
         "key/value cache: expected at least one block of at least one token, found {} x {}", num_blocks,
         block_size);
  }
  constexpr std::int64_t kMostSlots = std::numeric_limits<std::int32_t>::max();
  if (num_blocks > kMostSlots / block_size) {
    fail(ErrorKind::bad_usage, "key/value cache: {} blocks of {} tokens are more than {} slots", num_blocks,
         block_size, kMostSlots);
  }
  reference_counts_ = std::vector<std::atomic<std::int32_t>>(static_cast<std::size_t>(num_blocks));
  kept_.resize(reference_counts_.size(), false);
  free_.reserve(static_cast<std::size_t>(num_blocks));
  kept_.resize(reference_counts_.size(), false);
  for (std::int64_t block = num_blocks - 1; block >= 0; --block) free_.push_back(static_cast<BlockId>(block));
  free_count_ = num_blocks;
  for (std::int64_t slot = state_slots - 1; slot >= 0; --slot) {
    free_slots_.push_back(static_cast<std::int32_t>(slot));
  }
}

BlockId BlockManager::allocate() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) fail(ErrorKind::limit, "key/value cache: all {} blocks are in use", num_blocks());
  const BlockId block = free_.back();
  free_.pop_back();
  --free_count_;
  reference_counts_[static_cast<std::size_t>(block)] = 1;
  return block;
}

std::int32_t BlockManager::allocate_state_slot() {
  const std::lock_guard lock(mutex_);
  if (free_slots_.empty()) {
    fail(ErrorKind::limit, "states of attention: all {} slots are in use", state_slots_);
  }
  const std::int32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void BlockManager::release_state_slot(std::int32_t slot) {
  const std::lock_guard lock(mutex_);
  free_slots_.push_back(slot);
}

void BlockManager::retain(BlockId block) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<std::size_t>(block);
  if (reference_counts_[index] < 1)
    fail(ErrorKind::internal, "key/value cache: block {} is retained although it is free", block);
  if (is_idle(index)) --idle_count_;
  ++reference_counts_[index];
}

void BlockManager::release(BlockId block) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<std::size_t>(block);
  if (reference_counts_[index] < 1)
    fail(ErrorKind::internal, "key/value cache: block {} is released although it is free", block);
  if (is_idle(index)) --idle_count_;
  if (--reference_counts_[index] > 0) {
    if (is_idle(index)) ++idle_count_;
    return;
  }
  kept_[index] = false;
  free_.push_back(block);
  ++free_count_;
}

void BlockManager::set_kept(BlockId block, bool kept) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<std::size_t>(block);
  if (is_idle(index)) --idle_count_;
  kept_[index] = kept;
  if (is_idle(index)) ++idle_count_;
}

BlockTable::BlockTable(BlockTable&& other) noexcept
    : manager_(other.manager_),
      blocks_(std::exchange(other.blocks_, {})),
      length_(std::exchange(other.length_, 0)),
      state_slot_(std::exchange(other.state_slot_, kNoSlot)) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this != &other) {
    clear();
    manager_ = other.manager_;
    blocks_ = std::exchange(other.blocks_, {});
    length_ = std::exchange(other.length_, 0);
    state_slot_ = std::exchange(other.state_slot_, kNoSlot);
  }
  return *this;
}

BlockTable BlockTable::fork() const {
  BlockTable copy(*manager_);
  if (manager_->stateful()) return copy;
  copy.blocks_.reserve(blocks_.size());
  for (const BlockId block : blocks_) {
    manager_->retain(block);
    copy.blocks_.push_back(block);
  }
  copy.length_ = length_;
  return copy;
}

std::int64_t BlockTable::blocks_needed(std::int64_t count) const {
  if (count <= 0) return 0;
  const std::int64_t size = block_size();
  const std::int64_t wanted = (length_ + count + size - 1) / size;
  const bool copy_last = length_ % size != 0 && manager_->reference_count(blocks_.back()) > 1;
  return wanted - static_cast<std::int64_t>(blocks_.size()) + (copy_last ? 1 : 0);
}

void BlockTable::append(std::int64_t count, std::vector<BlockCopy>& copies) {
  if (count <= 0) return;
  const std::int64_t needed = blocks_needed(count);
  if (needed > manager_->free_blocks()) {
    fail(ErrorKind::limit, "key/value cache: {} more tokens need {} blocks, {} of {} are free", count, needed,
         manager_->free_blocks(), manager_->num_blocks());
  }
  if (length_ % block_size() != 0 && manager_->reference_count(blocks_.back()) > 1) {
    const BlockId own = manager_->allocate();
    copies.push_back({blocks_.back(), own});
    manager_->release(blocks_.back());
    blocks_.back() = own;
  }
  if (manager_->stateful() && state_slot_ == kNoSlot) state_slot_ = manager_->allocate_state_slot();
  length_ += count;
  while (static_cast<std::int64_t>(blocks_.size()) * block_size() < length_)
    blocks_.push_back(manager_->allocate());
}

void BlockTable::append_shared(BlockId block, std::int64_t tokens) {
  if (length_ % block_size() != 0 || tokens < 1 || tokens > block_size() || manager_->stateful()) {
    fail(ErrorKind::internal, "block table: cannot share a block of {} tokens after {}", tokens, length_);
  }
  manager_->retain(block);
  blocks_.push_back(block);
  length_ += tokens;
}

void BlockTable::exchange(std::size_t index, BlockId block) {
  if (blocks_.at(index) == block) return;
  manager_->retain(block);
  manager_->release(blocks_[index]);
  blocks_[index] = block;
}

void BlockTable::truncate(std::int64_t length) {
  if (length < 0 || length > length_) {
    fail(ErrorKind::internal, "block table: cannot truncate {} tokens to {}", length_, length);
  }
  if (manager_->stateful() && length < length_ / kLinearChunk * kLinearChunk) length = 0;
  const auto keep = static_cast<std::size_t>((length + block_size() - 1) / block_size());
  while (blocks_.size() > keep) {
    manager_->release(blocks_.back());
    blocks_.pop_back();
  }
  length_ = length;
  if (length == 0 && state_slot_ != kNoSlot) {
    manager_->release_state_slot(std::exchange(state_slot_, kNoSlot));
  }
}

std::int64_t BlockTable::most_drafts() const {
  if (!manager_->stateful()) return std::numeric_limits<std::int32_t>::max();
  // The last row of a chunk would make it part of the state.
  return std::max<std::int64_t>(0, kLinearChunk - 2 - length_ % kLinearChunk);
}

std::int32_t BlockTable::state_slot() const {
  if (state_slot_ == kNoSlot) fail(ErrorKind::internal, "block table: no state without a token");
  return state_slot_;
}

std::int32_t BlockTable::slot(std::int64_t position) const {
  const std::int64_t size = block_size();
  const auto block = static_cast<std::int64_t>(blocks_[static_cast<std::size_t>(position / size)]);
  return static_cast<std::int32_t>(block * size + position % size);
}

}  // namespace tessera::engine
