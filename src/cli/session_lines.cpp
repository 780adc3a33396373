#include "cli/session_lines.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/error.h"
#include "store/session_files.h"

namespace tessera::cli {
namespace {

// A text of several lines on one.
std::string on_one_line(std::string text) {
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text;
}

}  // namespace

std::string local_time_text(std::int64_t milliseconds) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return "-";
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts)};
}

store::SessionId session_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number < 1) {
    fail(ErrorKind::bad_usage, "expected the number of a session, as the list shows it, found '{}'",
         printable(text));
  }
  return store::SessionId{number};
}

std::string session_lines(const std::vector<store::Session>& sessions,
                          std::optional<store::SessionId> current) {
  std::string lines;
  for (const store::Session& session : sessions) {
    const std::string title = store::title_from(session.title);
    lines += fmt::format("{}{:>5}  {}  {:>4} message{}  {}\n", session.id == current ? '*' : ' ',
                         static_cast<std::int64_t>(session.id), local_time_text(session.updated_at),
                         session.message_count, session.message_count == 1 ? " " : "s",
                         title.empty() ? "(no title)" : title);
  }
  return lines;
}

std::string hit_lines(const std::vector<store::SearchHit>& hits) {
  std::string lines;
  for (const store::SearchHit& hit : hits) {
    const std::string title = store::title_from(hit.title);
    lines += fmt::format(" {:>5}  {}\n", static_cast<std::int64_t>(hit.session),
                         title.empty() ? "(no title)" : title);
    if (hit.message) lines += fmt::format("        {}: {}\n", hit.role, on_one_line(hit.snippet));
  }
  return lines;
}

}  // namespace tessera::cli
