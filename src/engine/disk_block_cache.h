// The tier below the prefix cache: blocks of keys and values in files, so that a conversation that rested, or
// a server that was started again, need not compute them anew.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/block_file.h"

namespace tessera::engine {

struct DiskCacheOptions {
  std::string folder;
  std::uint64_t max_bytes = 0;  // of all files in the folder, other models' too; the oldest go
  std::string model = {};       // what keys and values depend on besides the tokens: engine/model_identity.h
};

// Counts since the start, and what there is now.
struct DiskCacheCounts {
  std::uint64_t max_bytes = 0;
  std::uint64_t bytes = 0;  // of all files
  std::uint64_t blocks_written = 0;
  std::uint64_t blocks_read = 0;     // found again, and whole
  std::uint64_t tokens_read = 0;     // that those hold
  std::uint64_t read_failures = 0;   // damaged or gone; computed again
  std::uint64_t write_failures = 0;  // the disk is full or fails
};

// A block that was read back: the tokens [index * block_size, ...) of a text.
struct StagedBlock {
  std::size_t index = 0;
  std::vector<TokenId> tokens;
  std::vector<std::byte> bytes;
};

// Any thread may call it; files are written by one of its own.
class DiskBlockCache {
 public:
  // Looks at the files of this model and layout that are there. `layout`: everything that the bytes of a
  // block depend on. Error io: the folder cannot be made; bad_usage: no room for one block.
  DiskBlockCache(const DiskCacheOptions& options, const std::string& layout, std::int64_t block_size,
                 std::uint64_t block_bytes);
  ~DiskBlockCache();  // writes what is queued, for a few seconds at most
  DiskBlockCache(const DiskBlockCache&) = delete;
  DiskBlockCache& operator=(const DiskBlockCache&) = delete;

  std::uint64_t block_bytes() const { return block_bytes_; }
  // Written or queued, this block or one that holds its tokens and more.
  bool has(const BlockHeader& header) const;
  // Room in the queue for another block.
  bool accepts() const;
  // Queues a block. A file whose text this one goes on with is of no more use and goes.
  void put(BlockHeader header, std::vector<std::byte> bytes);
  // Which blocks memory holds: these are not read.
  void entered_memory(const BlockKey& key);
  void left_memory(const BlockKey& key);

  // Reads the blocks that `tokens` begin with and that memory lacks, but never the last token; at the end
  // perhaps one that begins alike and goes on differently. Damaged files are removed. What is read counts
  // against a bound until release_staged().
  std::vector<StagedBlock> read_prefix(const std::string& salt, std::span<const TokenId> tokens);
  void release_staged(const std::vector<StagedBlock>& staged);

  // Returns when nothing is queued. For tests.
  void wait_until_written();
  std::uint64_t bytes() const { return counts().bytes; }
  DiskCacheCounts counts() const;

 private:
  struct Entry {
    BlockHeader header;
    std::uint64_t use = 0;
    bool written = false;
  };
  struct Queued {
    BlockHeader header;
    std::vector<std::byte> bytes;
  };
  std::filesystem::path path_of(const BlockKey& key) const;
  void scan();
  void add_entry(const BlockKey& key, const BlockHeader& header, bool written);
  void erase_entry(const BlockKey& key);
  void work();
  void drop_parts(const BlockHeader& header);
  bool make_room(std::uint64_t bytes);
  std::optional<BlockHeader> best_part(const BlockKey& parent, std::span<const TokenId> tokens) const;
  bool stage(StagedBlock& block, const BlockHeader& header);
  void mark_used(const std::vector<BlockKey>& keys);

  std::filesystem::path root_;
  std::filesystem::path folder_;
  std::uint64_t max_bytes_;
  std::int64_t block_size_;
  std::uint64_t block_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::map<BlockKey, Entry> entries_;
  std::map<BlockKey, std::vector<BlockKey>> children_;
  std::map<std::uint64_t, BlockKey> uses_;  // least recently used first
  std::set<BlockKey> in_memory_;
  std::deque<Queued> queue_;
  std::multimap<std::filesystem::file_time_type, std::pair<std::filesystem::path, std::uint64_t>> foreign_;
  std::uint64_t file_bytes_ = 0;
  DiskCacheCounts counts_;  // but for the bytes
  std::uint64_t staged_bytes_ = 0;
  std::uint64_t next_use_ = 1;
  bool writing_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tessera::engine
