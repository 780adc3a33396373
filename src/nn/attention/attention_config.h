// Which attention mechanism a layer has, and its settings: what a model's configuration says, and what the
// factory makes a mechanism of.
#pragma once
#include <cstdint>

namespace tessera::nn {

// Dense and flash are the same function; flash is how it is computed when nothing else is asked for.
enum class AttentionKind : std::uint8_t { flash, dense };

struct AttentionConfig {
  AttentionKind kind = AttentionKind::flash;
  friend bool operator==(const AttentionConfig&, const AttentionConfig&) = default;
};

}  // namespace tessera::nn
