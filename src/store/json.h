// JSON that somebody else wrote, read with bounds on its depth; for the .cpp files of this room.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace tessera::store {

constexpr int kDeepestJson = 64;  // writing it out recurses

// Error bad_input: not JSON (names the byte), or nested too deeply. `what` names the text.
inline nlohmann::json parse_json(std::string_view text, std::string_view what) {
  using nlohmann::json;
  const auto check_depth = [&](int depth, json::parse_event_t, json&) {
    if (depth > kDeepestJson) {
      fail(ErrorKind::bad_input, "{}: expected JSON of at most {} levels, found more", what, kDeepestJson);
    }
    return true;
  };
  try {
    return json::parse(text, check_depth);
  } catch (const json::parse_error& error) {
    fail(ErrorKind::bad_input, "{}: expected JSON, found something else at byte {}", what,
         error.byte > 0 ? error.byte - 1 : 0);
  } catch (const json::exception&) {
    fail(ErrorKind::bad_input, "{}: expected JSON, found a number out of range", what);
  }
}

}  // namespace tessera::store
