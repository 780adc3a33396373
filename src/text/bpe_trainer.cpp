#include "text/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include "base/error.h"

namespace tessera::text {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::size_t kStepsBetweenReports = 256;

using PairKey = std::uint64_t;

PairKey key_of(TokenId left, TokenId right) {
  return (static_cast<PairKey>(static_cast<std::uint32_t>(left)) << 32U) | static_cast<std::uint32_t>(right);
}
TokenId left_of(PairKey key) { return static_cast<TokenId>(key >> 32U); }
TokenId right_of(PairKey key) { return static_cast<TokenId>(key & UINT32_MAX); }

// The symbols of all words one after the other, linked to their neighbours within the word; a merge takes out
// the right one of two.
struct Symbols {
  std::vector<TokenId> ids;
  std::vector<std::uint32_t> previous;
  std::vector<std::uint32_t> next;
  std::vector<std::uint64_t> counts;  // of the word
};

struct Pair {
  std::uint64_t count = 0;
  std::vector<std::uint32_t> places;  // of left symbols; some may have been merged away since
};

struct Candidate {
  std::uint64_t count;
  PairKey key;
};

class BpeTrainer {
 public:
  BpeTrainer(std::span<const CountedWord> words, std::span<const std::string> base,
             const BpeTrainerOptions& options)
      : options_(options), queue_(Later{this}) {
    result_.tokens.assign(base.begin(), base.end());
    for (std::size_t id = 0; id < base.size(); ++id) {
      if (!base[id].empty()) ids_.emplace(base[id], static_cast<TokenId>(id));
    }
    read_words(words);
    count_pairs();
  }

  TrainedBpe train(const std::function<void(std::size_t)>& step) {
    while (result_.tokens.size() < options_.vocabulary_size && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const std::uint64_t count = pairs_[best.key].count;
      if (count < std::max<std::uint64_t>(1, options_.minimum_count)) continue;
      if (count != best.count) {  // it became rarer since: back in line
        queue_.push({count, best.key});
        continue;
      }
      merge(best.key);
      if (step && result_.merges.size() % kStepsBetweenReports == 0) step(result_.tokens.size());
    }
    return std::move(result_);
  }

 private:
  // The order of the queue: whether `left` is merged after `right`.
  struct Later {
    const BpeTrainer* trainer;
    bool operator()(const Candidate& left, const Candidate& right) const {
      if (left.count != right.count) return left.count < right.count;
      if (trainer->options_.tie_break == TieBreak::first) return left.key > right.key;
      const auto& tokens = trainer->result_.tokens;
      const int order = tokens[left_of(left.key)].compare(tokens[left_of(right.key)]);
      return order != 0 ? order < 0 : tokens[right_of(left.key)] < tokens[right_of(right.key)];
    }
  };

  void read_words(std::span<const CountedWord> words) {
    std::array<TokenId, 256> byte_ids{};
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto found = ids_.find(std::string(1, static_cast<char>(byte)));
      byte_ids[byte] = found == ids_.end() ? -1 : found->second;
    }
    std::size_t total = 0;
    for (const CountedWord& word : words) total += word.bytes.size();
    if (total >= kNone)
      fail(ErrorKind::limit, "expected less than {} bytes of different words, found {}", kNone, total);
    for (const CountedWord& word : words) {
      for (std::size_t i = 0; i < word.bytes.size(); ++i) {
        const auto place = static_cast<std::uint32_t>(symbols_.ids.size());
        const TokenId id = byte_ids[static_cast<unsigned char>(word.bytes[i])];
        if (id < 0) fail(ErrorKind::internal, "expected a base token for every byte of the words");
        symbols_.ids.push_back(id);
        symbols_.previous.push_back(i == 0 ? kNone : place - 1);
        symbols_.next.push_back(i + 1 == word.bytes.size() ? kNone : place + 1);
        symbols_.counts.push_back(word.count);
      }
    }
  }

  void count_pairs() {
    for (std::uint32_t place = 0; place < symbols_.ids.size(); ++place) {
      if (symbols_.next[place] != kNone) add(place);
    }
    for (const auto& [key, pair] : pairs_) queue_.push({pair.count, key});
  }

  PairKey key_at(std::uint32_t place) const {
    return key_of(symbols_.ids[place], symbols_.ids[symbols_.next[place]]);
  }
  void add(std::uint32_t place) {
    Pair& pair = pairs_[key_at(place)];
    pair.count += symbols_.counts[place];
    pair.places.push_back(place);
  }
  void remove(std::uint32_t place) { pairs_[key_at(place)].count -= symbols_.counts[place]; }

  // Two ways may lead to the same bytes ("a" "bc" and "ab" "c"): they share a token.
  TokenId token_for(PairKey key) {
    std::string bytes = result_.tokens[left_of(key)] + result_.tokens[right_of(key)];
    const auto [found, is_new] = ids_.emplace(bytes, static_cast<TokenId>(result_.tokens.size()));
    if (is_new) result_.tokens.push_back(std::move(bytes));
    return found->second;
  }

  void merge(PairKey key) {
    const TokenId merged = token_for(key);
    result_.merges.emplace_back(left_of(key), right_of(key));
    std::vector<std::uint32_t> places = std::move(pairs_[key].places);
    pairs_[key].places.clear();
    std::ranges::sort(places);  // in "aaa" the left pair is merged, as encoding does
    std::vector<PairKey> grown;
    for (const std::uint32_t place : places) {
      if (symbols_.ids[place] != left_of(key) || symbols_.next[place] == kNone || key_at(place) != key)
        continue;
      merge_at(place, merged, grown);
    }
    std::ranges::sort(grown);
    const auto repeated = std::ranges::unique(grown);
    grown.erase(repeated.begin(), repeated.end());
    for (const PairKey pair : grown) queue_.push({pairs_[pair].count, pair});
  }

  void merge_at(std::uint32_t place, TokenId merged, std::vector<PairKey>& grown) {
    const std::uint32_t gone = symbols_.next[place];
    const std::uint32_t before = symbols_.previous[place];
    const std::uint32_t after = symbols_.next[gone];
    if (before != kNone) remove(before);
    remove(place);
    if (after != kNone) remove(gone);
    symbols_.ids[place] = merged;
    symbols_.ids[gone] = -1;  // no pair begins here any more
    symbols_.next[place] = after;
    symbols_.next[gone] = kNone;
    if (after != kNone) {
      symbols_.previous[after] = place;
      add(place);
      grown.push_back(key_at(place));
    }
    if (before != kNone) {
      add(before);
      grown.push_back(key_at(before));
    }
  }

  BpeTrainerOptions options_;
  TrainedBpe result_;
  std::unordered_map<std::string, TokenId> ids_;
  Symbols symbols_;
  std::unordered_map<PairKey, Pair> pairs_;
  std::priority_queue<Candidate, std::vector<Candidate>, Later> queue_;
};

}  // namespace

TrainedBpe train_bpe(std::span<const CountedWord> words, std::span<const std::string> base,
                     const BpeTrainerOptions& options, const std::function<void(std::size_t)>& step) {
  return BpeTrainer(words, base, options).train(step);
}

}  // namespace tessera::text
