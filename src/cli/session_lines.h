// Stored sessions as lines of text, for /sessions in a chat and for 'tessera sessions'.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "store/session_types.h"

namespace tessera::cli {

// "2026-11-21 15:04" in local time.
std::string local_time_text(std::int64_t milliseconds);

// The number of a session as typed. Error bad_usage when it is none.
store::SessionId session_number(const std::string& text);

// One line each: number, time, messages, title; `current` is marked.
std::string session_lines(const std::vector<store::Session>& sessions,
                          std::optional<store::SessionId> current = {});

// One line each: number, title, and for a message who wrote it and the text around the words.
std::string hit_lines(const std::vector<store::SearchHit>& hits);

}  // namespace tessera::cli
