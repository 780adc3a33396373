// Limits of what the store takes in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera::store {

constexpr std::size_t kLongestTitle = 1024;  // bytes
constexpr std::size_t kLongestName = 1024;   // of a user, a model, a finish reason
constexpr std::size_t kLongestParameters = 1U << 20U;
constexpr std::size_t kLongestContent = 16U << 20U;  // of one message
constexpr std::size_t kLongestQuery = 4096;
constexpr std::size_t kMostSearchWords = 32;
constexpr std::int64_t kLongestPage = 1000;  // sessions or hits

// Length of the longest prefix that is valid UTF-8 (Unicode 15, table 3-7).
std::size_t valid_utf8_prefix(std::string_view text);

// Error bad_input unless `text` is valid UTF-8 (names the byte), limit when it is longer than `longest`
// bytes. `what` names it: "the title".
void check_text(std::string_view text, std::size_t longest, std::string_view what);

}  // namespace tessera::store
