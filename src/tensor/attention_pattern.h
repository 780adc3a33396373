// Which keys a query sees, as a model's configuration says it: the patterns of sparse attention. What each
// means is defined by kernels/ref/attention_pattern.h.
#pragma once
#include <cstdint>

namespace tessera {

enum class PatternKind : std::uint8_t {
  full,            // every key; with causal: k <= q
  sliding_window,  // causal: q - window < k <= q (the query itself is one of the window); else |q - k| <=
                   // window
  strided,         // Sparse Transformer (Child et al. 2019): k <= q and (q - k) mod stride = 0
  fixed,    // its other pattern: k <= q, of q's own block of `stride`, or of the last `columns` of any block
  bigbird,  // Zaheer et al. 2020, in blocks: three around q's, the first, the last, and random ones
};

// Sparse Transformer's `local` is the causal sliding window. Its patterns are given to different heads or
// layers, not united.
struct AttentionPattern {
  PatternKind kind = PatternKind::full;
  bool causal = true;  // strided and fixed always are
  std::int64_t window = 0;
  std::int64_t stride = 0;
  std::int64_t columns = 0;
  std::int64_t block = 0;          // of bigbird, tokens
  std::int64_t random_blocks = 0;  // r, for each row of blocks
  std::uint64_t seed = 0;
  // T that bigbird counts its blocks in; 0: that of the text at hand. A model that decodes needs one that
  // does not grow with the text.
  std::int64_t length = 0;
  bool operator==(const AttentionPattern&) const = default;
};

}  // namespace tessera
