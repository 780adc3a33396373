// The way between blocks in memory and blocks on disk: copies the bytes, and knows what is where.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/disk_block_cache.h"
#include "engine/key_value_cache.h"

namespace tessera::engine {

class DiskTier {
 public:
  // `memory` must outlive the tier. Errors of DiskBlockCache.
  DiskTier(const DiskCacheOptions& options, KeyValueCache& memory);

  // A prefix that was read back, counted until it goes.
  class Staged {
   public:
    Staged(DiskBlockCache& disk, std::vector<StagedBlock> blocks)
        : disk_(&disk), blocks_(std::move(blocks)) {}
    ~Staged() { disk_->release_staged(blocks_); }
    Staged(const Staged&) = delete;
    Staged& operator=(const Staged&) = delete;
    const std::vector<StagedBlock>& blocks() const { return blocks_; }

   private:
    DiskBlockCache* disk_;
    std::vector<StagedBlock> blocks_;
  };
  // Any thread: reads what the disk has of a text that memory has not. Null: nothing.
  std::unique_ptr<Staged> read_prefix(const std::string& salt, std::span<const TokenId> tokens);

  // The engine's thread; nothing of these waits for the disk.
  void load(BlockId block, const StagedBlock& staged) { memory_->load_block(block, staged.bytes); }
  // Copies a block for the disk, unless it is there. False: too much waits to be written.
  bool save(const BlockKey& parent, std::span<const TokenId> tokens, BlockId block);
  bool accepts() const { return disk_.accepts(); }
  void entered_memory(const BlockKey& key) { disk_.entered_memory(key); }
  void left_memory(const BlockKey& key) { disk_.left_memory(key); }

  DiskBlockCache& disk() { return disk_; }
  const DiskBlockCache& disk() const { return disk_; }

 private:
  KeyValueCache* memory_;
  DiskBlockCache disk_;
};

}  // namespace tessera::engine
