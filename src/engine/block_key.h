// The name of a cache block for good: a hash of all tokens from the beginning of its text to its end, and of
// whose text it is.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/token_id.h"

namespace tessera::engine {

using BlockKey = std::array<std::uint8_t, 32>;  // SHA-256 (FIPS 180-4): nobody finds two texts of one key

// Where texts of this salt begin.
BlockKey root_block_key(std::string_view salt);
// The block of `tokens` that follows the text of `parent`.
BlockKey block_key(const BlockKey& parent, std::span<const TokenId> tokens);

// 64 hexadecimal digits.
std::string key_text(const BlockKey& key);

}  // namespace tessera::engine
