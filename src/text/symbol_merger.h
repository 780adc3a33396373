// Merging neighbours of a word in order of priority until nothing merges: the loop that BPE by rank (Sennrich
// et al. 2016) and SentencePiece's BPE by score share.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

namespace tessera::text {

// `Rules` has
//   struct Symbol {...};                        what a symbol knows
//   struct Merge { Priority priority; ... };    Priority: smaller merges first; equal ones from the left
//   bool find(const Symbol&, const Symbol&, Merge&) const;
//   bool still_valid(const Merge&, const Symbol& left, const Symbol& right) const;
//   Symbol join(const Merge&, const Symbol& left, const Symbol& right) const;
template <typename Rules>
class SymbolMerger {
 public:
  using Symbol = typename Rules::Symbol;
  using Merge = typename Rules::Merge;

  explicit SymbolMerger(const Rules& rules) : rules_(rules) {}

  std::vector<Symbol>& symbols() { return symbols_; }

  // Pairs looked up so far.
  std::uint64_t lookups() const { return lookups_; }
  void reset_lookups() { lookups_ = 0; }

  // Merges until nothing is left to merge; symbols() then holds the result.
  void run() {
    if (symbols_.size() < 2) return;
    if (symbols_.size() <= kShortWord) {
      run_short();
    } else {
      run_long();
    }
  }

 private:
  // Up to this length looking at all pairs again costs less than a queue.
  static constexpr std::size_t kShortWord = 24;
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct Candidate {
    Merge merge;
    std::uint32_t left = 0;
    std::uint32_t right = 0;
  };
  static bool is_righter(const Candidate& a, const Candidate& b) { return a.left > b.left; }

  // The candidates of one priority. They come from left to right but for few, so reading them in turn takes
  // the place of a heap's cache misses; what comes after the reading has begun waits in a heap beside.
  class Bucket {
   public:
    void push(const Candidate& candidate) {
      if (started_) {
        late_.push_back(candidate);
        std::push_heap(late_.begin(), late_.end(), is_righter);
      } else {
        sorted_ = sorted_ && (items_.empty() || items_.back().left <= candidate.left);
        items_.push_back(candidate);
      }
    }
    bool empty() const { return next_ == items_.size() && late_.empty(); }
    Candidate pop() {
      if (!sorted_) {
        std::sort(items_.begin(), items_.end(), [](const auto& a, const auto& b) { return a.left < b.left; });
      }
      started_ = sorted_ = true;
      if (late_.empty() || (next_ < items_.size() && items_[next_].left <= late_.front().left))
        return items_[next_++];
      std::pop_heap(late_.begin(), late_.end(), is_righter);
      const Candidate candidate = late_.back();
      late_.pop_back();
      return candidate;
    }

   private:
    std::vector<Candidate> items_;
    std::vector<Candidate> late_;
    std::size_t next_ = 0;
    bool sorted_ = true;
    bool started_ = false;
  };

  void run_short() {
    Merge merges[kShortWord];
    bool possible[kShortWord] = {};
    std::size_t count = symbols_.size();
    lookups_ += count * count;  // at most so many pairs are looked up or compared
    for (std::size_t i = 0; i + 1 < count; ++i)
      possible[i] = rules_.find(symbols_[i], symbols_[i + 1], merges[i]);
    while (count > 1) {
      std::size_t best = count;
      for (std::size_t i = 0; i + 1 < count; ++i) {
        if (possible[i] && (best == count || merges[i].priority < merges[best].priority)) best = i;
      }
      if (best == count) break;
      symbols_[best] = rules_.join(merges[best], symbols_[best], symbols_[best + 1]);
      for (std::size_t i = best + 1; i + 1 < count; ++i) {
        symbols_[i] = symbols_[i + 1];
        merges[i] = merges[i + 1];
        possible[i] = possible[i + 1];
      }
      --count;
      if (best > 0) possible[best - 1] = rules_.find(symbols_[best - 1], symbols_[best], merges[best - 1]);
      possible[best] = best + 1 < count && rules_.find(symbols_[best], symbols_[best + 1], merges[best]);
    }
    symbols_.resize(count);
  }

  void run_long() {
    const auto count = static_cast<std::uint32_t>(symbols_.size());
    previous_.resize(count);
    next_.resize(count);
    alive_.assign(count, true);
    buckets_.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      previous_[i] = i == 0 ? kNone : i - 1;
      next_[i] = i + 1 == count ? kNone : i + 1;
    }
    for (std::uint32_t i = 0; i + 1 < count; ++i) push(i, i + 1);
    while (!buckets_.empty()) {
      const auto first = buckets_.begin();
      if (first->second.empty()) {
        buckets_.erase(first);
        continue;
      }
      const Candidate top = first->second.pop();
      if (!alive_[top.left] || next_[top.left] != top.right) continue;  // one of the two has merged already
      if (!rules_.still_valid(top.merge, symbols_[top.left], symbols_[top.right])) continue;
      symbols_[top.left] = rules_.join(top.merge, symbols_[top.left], symbols_[top.right]);
      alive_[top.right] = false;
      next_[top.left] = next_[top.right];
      if (next_[top.left] != kNone) previous_[next_[top.left]] = top.left;
      push(previous_[top.left], top.left);
      push(top.left, next_[top.left]);
    }
    std::size_t kept = 0;
    for (std::uint32_t i = 0; i != kNone; i = next_[i]) symbols_[kept++] = symbols_[i];
    symbols_.resize(kept);
  }

  void push(std::uint32_t left, std::uint32_t right) {
    Candidate candidate;
    ++lookups_;
    if (left == kNone || right == kNone || !rules_.find(symbols_[left], symbols_[right], candidate.merge))
      return;
    candidate.left = left;
    candidate.right = right;
    buckets_[candidate.merge.priority].push(candidate);
  }

  const Rules& rules_;
  std::uint64_t lookups_ = 0;
  std::vector<Symbol> symbols_;
  std::vector<std::uint32_t> previous_;
  std::vector<std::uint32_t> next_;
  std::vector<bool> alive_;
  std::map<decltype(Merge::priority), Bucket> buckets_;
};

}  // namespace tessera::text
