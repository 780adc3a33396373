// Merging neighbours of a word in order of priority until nothing merges: the loop that BPE by rank (Sennrich
// et al. 2016) and SentencePiece's BPE by score share.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
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
  // Up to this length looking at all pairs again costs less than a heap.
  static constexpr std::size_t kShortWord = 24;
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct Candidate {
    Merge merge;
    std::uint32_t left = 0;
    std::uint32_t right = 0;
  };
  struct Later {
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.merge.priority != b.merge.priority) return b.merge.priority < a.merge.priority;
      return a.left > b.left;
    }
  };

  void run_short() {
    Merge merges[kShortWord];
    bool possible[kShortWord] = {};
    std::size_t count = symbols_.size();
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
    heap_.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      previous_[i] = i == 0 ? kNone : i - 1;
      next_[i] = i + 1 == count ? kNone : i + 1;
    }
    Candidate candidate;
    for (std::uint32_t i = 0; i + 1 < count; ++i) {
      if (!rules_.find(symbols_[i], symbols_[i + 1], candidate.merge)) continue;
      candidate.left = i;
      candidate.right = i + 1;
      heap_.push_back(candidate);
    }
    std::make_heap(heap_.begin(), heap_.end(), Later{});
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), Later{});
      const Candidate top = heap_.back();
      heap_.pop_back();
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
    if (left == kNone || right == kNone || !rules_.find(symbols_[left], symbols_[right], candidate.merge))
      return;
    candidate.left = left;
    candidate.right = right;
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end(), Later{});
  }

  const Rules& rules_;
  std::vector<Symbol> symbols_;
  std::vector<std::uint32_t> previous_;
  std::vector<std::uint32_t> next_;
  std::vector<bool> alive_;
  std::vector<Candidate> heap_;
};

}  // namespace tessera::text
