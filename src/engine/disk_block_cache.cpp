#include "engine/disk_block_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace tessera::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".kv";
constexpr std::uint64_t kMostQueuedBytes = std::uint64_t{128} << 20;
constexpr std::uint64_t kMostStagedBytes = std::uint64_t{512} << 20;
constexpr auto kPatienceAtTheEnd = std::chrono::seconds(10);
constexpr auto kAgeOfLostFiles = std::chrono::hours(1);
constexpr std::size_t kFolderDigits = 16;

std::uint64_t file_bytes(const BlockHeader& header) {
  return header.bytes + header.tokens.size() * sizeof(TokenId) + 88;
}

std::size_t common_length(std::span<const TokenId> one, std::span<const TokenId> other) {
  return static_cast<std::size_t>(std::ranges::mismatch(one, other).in1 - one.begin());
}

// The time of the last use is the file's own, so that the next program knows it.
void touch(const fs::path& path) { ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0); }

}  // namespace

DiskBlockCache::DiskBlockCache(const DiskCacheOptions& options, const std::string& layout,
                               std::int64_t block_size, std::uint64_t block_bytes)
    : root_(options.folder),
      max_bytes_(options.max_bytes),
      block_size_(block_size),
      block_bytes_(block_bytes) {
  if (max_bytes_ < 2 * block_bytes_) {
    fail(ErrorKind::bad_usage,
         "the cache on disk: expected room for two blocks of {} bytes at least, found {} bytes; "
         "--kv-cache-disk-size says how much, 0 none",
         block_bytes_, max_bytes_);
  }
  const std::string identity = key_text(root_block_key(options.model + "\n" + layout));
  folder_ = root_ / identity.substr(0, kFolderDigits);
  std::error_code problem;
  fs::create_directories(folder_, problem);
  if (problem) fail(ErrorKind::io, "{}: cannot be made: {}", folder_.string(), problem.message());
  ::chmod(root_.c_str(), 0700);
  scan();
  thread_ = std::thread([this] { work(); });
}

DiskBlockCache::~DiskBlockCache() {
  {
    std::unique_lock lock(mutex_);
    idle_.wait_for(lock, kPatienceAtTheEnd, [this] { return queue_.empty() && !writing_; });
    stopping_ = true;
    queue_.clear();
  }
  wake_.notify_all();
  thread_.join();
}

fs::path DiskBlockCache::path_of(const BlockKey& key) const {
  return folder_ / (key_text(key) + std::string(kSuffix));
}

// The heads of this model's files, the sizes of all.
void DiskBlockCache::scan() {
  std::multimap<fs::file_time_type, std::pair<BlockKey, BlockHeader>> own;
  std::error_code problem;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(root_, problem)) {
    std::error_code ignored;
    if (!file.is_regular_file(ignored)) continue;
    const fs::file_time_type time = file.last_write_time(ignored);
    if (file.path().extension() == ".tmp" && time < fs::file_time_type::clock::now() - kAgeOfLostFiles) {
      fs::remove(file.path(), ignored);
    }
    if (file.path().extension() != kSuffix) continue;
    if (file.path().parent_path() != folder_) {
      foreign_.emplace(time, std::pair(file.path(), file.file_size(ignored)));
      file_bytes_ += file.file_size(ignored);
      continue;
    }
    const auto header = read_block_header(file.path());
    if (!header || header->bytes != block_bytes_ || path_of(header->key()) != file.path() ||
        static_cast<std::int64_t>(header->tokens.size()) > block_size_) {
      fs::remove(file.path(), ignored);
      continue;
    }
    own.emplace(time, std::pair(header->key(), *header));
  }
  for (const auto& [time, found] : own) add_entry(found.first, found.second, true);
}

void DiskBlockCache::add_entry(const BlockKey& key, const BlockHeader& header, bool written) {
  const auto [place, is_new] = entries_.try_emplace(key, Entry{header, next_use_, written});
  if (!is_new) return;
  uses_.emplace(next_use_++, key);
  children_[header.parent].push_back(key);
  if (written) file_bytes_ += file_bytes(header);
}

void DiskBlockCache::erase_entry(const BlockKey& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  const auto siblings = children_.find(found->second.header.parent);
  std::erase(siblings->second, key);
  if (siblings->second.empty()) children_.erase(siblings);
  uses_.erase(found->second.use);
  if (found->second.written) {
    file_bytes_ -= file_bytes(found->second.header);
    std::error_code ignored;
    fs::remove(path_of(key), ignored);
  }
  entries_.erase(found);
}

bool DiskBlockCache::has(const BlockHeader& header) const {
  const BlockKey key = header.key();
  const std::lock_guard lock(mutex_);
  if (entries_.contains(key)) return true;
  if (static_cast<std::int64_t>(header.tokens.size()) == block_size_) return false;
  const auto siblings = children_.find(header.parent);
  return siblings != children_.end() && std::ranges::any_of(siblings->second, [&](const BlockKey& other) {
           return common_length(header.tokens, entries_.at(other).header.tokens) == header.tokens.size();
         });
}

bool DiskBlockCache::accepts() const {
  const std::lock_guard lock(mutex_);
  return queue_.empty() || (queue_.size() + 1) * block_bytes_ <= kMostQueuedBytes;
}

void DiskBlockCache::put(BlockHeader header, std::vector<std::byte> bytes) {
  header.bytes = bytes.size();
  {
    const std::lock_guard lock(mutex_);
    const BlockKey key = header.key();
    if (stopping_ || entries_.contains(key)) return;
    drop_parts(header);
    add_entry(key, header, false);
    queue_.push_back({std::move(header), std::move(bytes)});
  }
  wake_.notify_one();
}

// Files that end where this block goes on.
void DiskBlockCache::drop_parts(const BlockHeader& header) {
  const auto siblings = children_.find(header.parent);
  if (siblings == children_.end()) return;
  std::vector<BlockKey> parts;
  for (const BlockKey& key : siblings->second) {
    const Entry& entry = entries_.at(key);
    const std::vector<TokenId>& part = entry.header.tokens;
    if (entry.written && part.size() < header.tokens.size() &&
        common_length(part, header.tokens) == part.size()) {
      parts.push_back(key);
    }
  }
  for (const BlockKey& key : parts) erase_entry(key);
}

void DiskBlockCache::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Queued next = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    const BlockKey key = next.header.key();
    const bool fits = make_room(file_bytes(next.header));
    lock.unlock();
    std::string problem = fits ? "" : "its bound is too small";
    try {
      if (fits) write_block_file(path_of(key), next.header, next.bytes);
    } catch (const std::exception& error) {
      problem = error.what();
      log_line(LogLevel::warning, fmt::format("the cache on disk: {}", problem));
    }
    lock.lock();
    writing_ = false;
    if (const auto entry = entries_.find(key); entry != entries_.end() && problem.empty()) {
      entry->second.written = true;
      file_bytes_ += file_bytes(next.header);
      ++counts_.blocks_written;
    } else {
      if (fits && !problem.empty()) ++counts_.write_failures;
      erase_entry(key);
    }
    if (queue_.empty()) idle_.notify_all();
  }
}

// Other models' files go first, then what was not used for longest.
bool DiskBlockCache::make_room(std::uint64_t bytes) {
  while (file_bytes_ + bytes > max_bytes_ && !foreign_.empty()) {
    const auto oldest = foreign_.begin();
    std::error_code ignored;
    fs::remove(oldest->second.first, ignored);
    file_bytes_ -= oldest->second.second;
    foreign_.erase(oldest);
  }
  for (auto use = uses_.begin(); file_bytes_ + bytes > max_bytes_ && use != uses_.end();) {
    const BlockKey key = use->second;
    ++use;
    if (entries_.at(key).written) erase_entry(key);
  }
  return file_bytes_ + bytes <= max_bytes_;
}

void DiskBlockCache::entered_memory(const BlockKey& key) {
  const std::lock_guard lock(mutex_);
  in_memory_.insert(key);
}

void DiskBlockCache::left_memory(const BlockKey& key) {
  const std::lock_guard lock(mutex_);
  in_memory_.erase(key);
}

// The child that begins like `tokens` for longest, when memory has not as good a one.
std::optional<BlockHeader> DiskBlockCache::best_part(const BlockKey& parent,
                                                     std::span<const TokenId> tokens) const {
  const auto siblings = children_.find(parent);
  if (siblings == children_.end()) return std::nullopt;
  std::size_t best_length = 0;
  std::optional<BlockHeader> best;
  for (const BlockKey& key : siblings->second) {
    const Entry& entry = entries_.at(key);
    const std::size_t length = common_length(entry.header.tokens, tokens);
    const bool in_memory = in_memory_.contains(key);
    if (length < best_length || length == 0 || (length == best_length && !in_memory)) continue;
    best_length = length;
    best = in_memory || !entry.written ? std::nullopt : std::optional(entry.header);
  }
  return best;
}

bool DiskBlockCache::stage(StagedBlock& block, const BlockHeader& header) {
  {
    const std::lock_guard lock(mutex_);
    if (staged_bytes_ + header.bytes > kMostStagedBytes) return false;
    staged_bytes_ += header.bytes;
  }
  const fs::path path = path_of(header.key());
  if (auto bytes = read_block_file(path, header)) {
    block.tokens = header.tokens;
    block.bytes = std::move(*bytes);
    touch(path);
    const std::lock_guard lock(mutex_);
    ++counts_.blocks_read;
    counts_.tokens_read += block.tokens.size();
    return true;
  }
  log_line(LogLevel::warning,
           fmt::format("{}: damaged or gone; its tokens are computed again", path.string()));
  const std::lock_guard lock(mutex_);
  staged_bytes_ -= header.bytes;
  ++counts_.read_failures;
  erase_entry(header.key());
  return false;
}

std::vector<StagedBlock> DiskBlockCache::read_prefix(const std::string& salt,
                                                     std::span<const TokenId> tokens) {
  std::vector<StagedBlock> staged;
  std::vector<BlockKey> used;
  const auto size = static_cast<std::size_t>(block_size_);
  BlockKey parent = root_block_key(salt);
  std::size_t index = 0;
  bool whole = true;
  for (; whole && (index + 1) * size < tokens.size(); ++index) {
    BlockHeader header{.parent = parent, .tokens = {}, .bytes = block_bytes_};
    const auto own = tokens.subspan(index * size, size);
    header.tokens.assign(own.begin(), own.end());
    const BlockKey key = header.key();
    bool on_disk = false;
    {
      const std::lock_guard lock(mutex_);
      const auto entry = entries_.find(key);
      on_disk = entry != entries_.end() && entry->second.written;
      whole = in_memory_.contains(key) || on_disk;
      if (in_memory_.contains(key)) on_disk = false;
    }
    if (!whole) break;
    StagedBlock block{.index = index, .tokens = {}, .bytes = {}};
    if (on_disk) {
      if (!stage(block, header)) break;
      staged.push_back(std::move(block));
    }
    used.push_back(key);
    parent = key;
  }
  if (tokens.size() > index * size + 1) {
    std::optional<BlockHeader> part;
    {
      const std::lock_guard lock(mutex_);
      part = best_part(parent, tokens.subspan(index * size, tokens.size() - 1 - index * size));
    }
    StagedBlock block{.index = index, .tokens = {}, .bytes = {}};
    if (part && stage(block, *part)) {
      used.push_back(part->key());
      staged.push_back(std::move(block));
    }
  }
  mark_used(used);
  return staged;
}

// Beginnings last, so that they are forgotten after what follows them.
void DiskBlockCache::mark_used(const std::vector<BlockKey>& keys) {
  const std::lock_guard lock(mutex_);
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    const auto entry = entries_.find(*key);
    if (entry == entries_.end()) continue;
    uses_.erase(entry->second.use);
    entry->second.use = next_use_++;
    uses_.emplace(entry->second.use, *key);
  }
}

void DiskBlockCache::release_staged(const std::vector<StagedBlock>& staged) {
  const std::lock_guard lock(mutex_);
  for (const StagedBlock& block : staged) staged_bytes_ -= block.bytes.size();
}

void DiskBlockCache::wait_until_written() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return queue_.empty() && !writing_; });
}

DiskCacheCounts DiskBlockCache::counts() const {
  const std::lock_guard lock(mutex_);
  DiskCacheCounts counts = counts_;
  counts.max_bytes = max_bytes_;
  counts.bytes = file_bytes_;
  return counts;
}

}  // namespace tessera::engine
