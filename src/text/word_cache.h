// The ids of words that one encoding has met already: open addressing within fixed memory, no allocation a
// word. Natural text repeats most of its words, and a look-up costs a tenth of merging.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

class WordCache {
 public:
  static constexpr std::size_t kMaximumBytes = 15;
  static constexpr std::size_t kMaximumTokens = 4;

  struct Key {
    std::uint64_t low = 0;
    std::uint64_t high = 0;  // its last byte is the length
    bool operator==(const Key&) const = default;
  };

  // For a text of `text_bytes`: what a short text needs is small too.
  explicit WordCache(std::size_t text_bytes)
      : buckets_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 32, 16, kMaximumBuckets))),
        shift_(64 - static_cast<unsigned>(std::countr_zero(buckets_.size()))) {}

  // Of text[begin, begin + length), 1 to kMaximumBytes bytes.
  static Key key_of(std::string_view text, std::size_t begin, std::size_t length) {
    Key key;
    if (begin + sizeof(Key) <= text.size()) {
      std::memcpy(&key, text.data() + begin, sizeof(Key));
      constexpr std::uint64_t kAll = ~std::uint64_t{0};
      if (length < 8) {
        key.low &= (std::uint64_t{1} << 8 * length) - 1;
        key.high = 0;
      } else {
        key.high &= ~(kAll << 8 * (length - 8));
      }
    } else {
      std::memcpy(&key, text.data() + begin, length);
    }
    key.high |= std::uint64_t{length} << 56;
    return key;
  }

  // Writes the word's ids to `ids`, which has room for kMaximumTokens, and returns how many there are; 0: not
  // known.
  std::size_t find(const Key& key, TokenId* ids) const {
    const Bucket& bucket = buckets_[index_of(key)];
    for (const Slot& slot : bucket.slots) {
      if (slot.key != key) continue;
      std::memcpy(ids, slot.ids.data(), sizeof(slot.ids));
      return 1U + (slot.ids[1] >= 0) + (slot.ids[2] >= 0) + (slot.ids[3] >= 0);
    }
    return 0;
  }

  // What does not fit (no ids, or more than kMaximumTokens) is not kept.
  void insert(const Key& key, std::span<const TokenId> ids) {
    if (ids.empty() || ids.size() > kMaximumTokens) return;
    Bucket& bucket = buckets_[index_of(key)];
    bucket.slots[1] = bucket.slots[0];
    bucket.slots[0].key = key;
    bucket.slots[0].ids.fill(-1);
    std::copy(ids.begin(), ids.end(), bucket.slots[0].ids.begin());
  }

 private:
  static_assert(std::endian::native == std::endian::little, "the length lies in the last byte of a key");
  static constexpr std::size_t kMaximumBuckets = std::size_t{1} << 14;  // 1 MB

  struct Slot {
    Key key;
    std::array<TokenId, kMaximumTokens> ids{};
  };
  struct alignas(64) Bucket {  // a cache line
    std::array<Slot, 2> slots;
  };

  std::size_t index_of(const Key& key) const {
    return ((key.low ^ std::rotl(key.high, 29) * 0xff51afd7ed558ccdU) * 0x9e3779b97f4a7c15U) >> shift_;
  }

  std::vector<Bucket> buckets_;
  unsigned shift_;
};

// Collects ids in front of a vector, so that a word's ids are written without asking for room one by one.
class TokenWriter {
 public:
  explicit TokenWriter(std::vector<TokenId>& output) : output_(output) {}
  // Room for WordCache::kMaximumTokens ids.
  TokenId* room() {
    if (count_ + WordCache::kMaximumTokens > buffer_.size()) finish();
    return buffer_.data() + count_;
  }
  void advance(std::size_t count) { count_ += count; }
  void append(std::span<const TokenId> ids) {
    if (ids.size() > WordCache::kMaximumTokens) {
      finish();
      output_.insert(output_.end(), ids.begin(), ids.end());
    } else {
      std::copy(ids.begin(), ids.end(), room());
      advance(ids.size());
    }
  }

  void finish() {
    output_.insert(output_.end(), buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(count_));
    count_ = 0;
  }

 private:
  std::vector<TokenId>& output_;
  std::array<TokenId, 256> buffer_{};
  std::size_t count_ = 0;
};

// Appends the ids of `words`: from the cache, or from `encode(word)`, which gives a span.
template <typename Encode>
void append_words(WordCache& cache, std::string_view text, std::span<const TextRange> words,
                  std::vector<TokenId>& output, Encode&& encode) {
  TokenWriter writer(output);
  for (const TextRange& word : words) {
    const std::size_t length = word.end - word.begin;
    if (length == 0) continue;
    if (length > WordCache::kMaximumBytes) {
      writer.append(encode(text.substr(word.begin, length)));
      continue;
    }
    const WordCache::Key key = WordCache::key_of(text, word.begin, length);
    if (const std::size_t count = cache.find(key, writer.room())) {
      writer.advance(count);
      continue;
    }
    const std::span<const TokenId> ids = encode(text.substr(word.begin, length));
    cache.insert(key, ids);
    writer.append(ids);
  }
  writer.finish();
}

}  // namespace tessera::text
