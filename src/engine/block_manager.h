// Fixed-size blocks of the key/value cache: who holds which, shared by reference count, copied on write
// (PagedAttention, Kwon et al. 2023). Numbers only; the memory is key_value_cache's.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace tessera::engine {

using BlockId = std::int32_t;

// The content of block `from` must be copied to block `to` before anything is written to `to`.
struct BlockCopy {
  BlockId from = 0;
  BlockId to = 0;
  friend bool operator==(const BlockCopy&, const BlockCopy&) = default;
};

class BlockManager {
 public:
  // Error bad_usage unless both are positive and every slot number (block * block_size + offset) fits in
  // int32.
  // state_slots above 0: layers keep states of constant size, one slot a sequence, which cannot be shared and
  // go back no further than to the border of their chunk; see BlockTable.
  BlockManager(std::int64_t num_blocks, std::int64_t block_size, std::int64_t state_slots = 0);

  std::int64_t num_blocks() const { return static_cast<std::int64_t>(reference_counts_.size()); }
  std::int64_t block_size() const { return block_size_; }
  std::int64_t state_slots() const { return state_slots_; }
  bool stateful() const { return state_slots_ > 0; }
  std::int64_t free_blocks() const { return free_count_; }
  std::int32_t reference_count(BlockId block) const {
    return reference_counts_[static_cast<std::size_t>(block)];
  }

  // All of it may be called from several threads: sequences that are sampled side by side take guesses back
  // at the same time. What the functions above say may be over at once when somebody calls these.
  // A block with one reference. Error limit when none is free.
  BlockId allocate();
  void retain(BlockId block);
  // Back to the free list with the last reference. Error internal: the block is free already.
  void release(BlockId block);
  // A slot for a sequence's states; Error limit when none is free.
  std::int32_t allocate_state_slot();
  void release_state_slot(std::int32_t slot);
  // Whether a store of old blocks holds one of the references.
  void set_kept(BlockId block, bool kept);
  // Blocks that are kept and that nobody else refers to.
  std::int64_t idle_blocks() const { return idle_count_; }

 private:
  bool is_idle(std::size_t block) const { return kept_[block] && reference_counts_[block] == 1; }

  std::int64_t block_size_;
  std::int64_t state_slots_;
  std::mutex mutex_;
  std::vector<std::atomic<std::int32_t>> reference_counts_;  // changed under the mutex
  std::atomic<std::int64_t> free_count_{0};                  // of free_
  std::vector<bool> kept_;
  std::atomic<std::int64_t> idle_count_{0};
  std::vector<std::int32_t> free_slots_;  // likewise used from the back
  std::vector<BlockId> free_;  // used from the back, so that a short chat keeps touching the same memory
};

// The blocks of one sequence in order; holds one reference to each and gives it back when it goes. Where the
// manager is stateful, it has a state slot as long as it has blocks, none of which is shared, and what a
// state does not hold is computed again (fork and truncate then keep less, length() says how much).
class BlockTable {
  static constexpr std::int32_t kNoSlot = -1;

 public:
  explicit BlockTable(BlockManager& manager) : manager_(&manager) {}
  ~BlockTable() { clear(); }
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;

  std::span<const BlockId> blocks() const { return blocks_; }
  std::int64_t length() const { return length_; }  // tokens
  std::int64_t block_size() const { return manager_->block_size(); }

  // The same tokens for another sequence: all blocks shared, nothing copied. Stateful: an empty table.
  BlockTable fork() const;
  // Free blocks that append(count) would take, the copy of a shared last block included.
  std::int64_t blocks_needed(std::int64_t count) const;
  // Room for `count` more tokens. When the last block is part full and shared it is replaced by a new one,
  // and the copy to make is added to `copies`. Error limit when blocks are short; then nothing has changed.
  void append(std::int64_t count, std::vector<BlockCopy>& copies);
  // Takes over a block that holds the next `tokens` tokens (or more), and shares it. The blocks so far must
  // be full.
  void append_shared(BlockId block, std::int64_t tokens);
  // The block at `index` gives way to one with the same content.
  void exchange(std::size_t index, BlockId block);
  // Forgets tokens from `length` on: rollback. Error internal when length is above length(). Stateful: all
  // tokens, where the state cannot go back so far.
  void truncate(std::int64_t length);
  void clear() { truncate(0); }
  // Tokens that may be added to the next one and still be taken back; all of them where nothing has a state.
  std::int64_t most_drafts() const;
  // Stateful: where the sequence's states are; error internal when it is empty.
  std::int32_t state_slot() const;
  // Where the keys and values of the token at `position` are: block * block_size + offset.
  std::int32_t slot(std::int64_t position) const;

 private:
  BlockManager* manager_;
  std::vector<BlockId> blocks_;
  std::int64_t length_ = 0;
  std::int32_t state_slot_ = kNoSlot;
};

}  // namespace tessera::engine
