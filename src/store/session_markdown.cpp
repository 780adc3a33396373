// Sessions as Markdown: a heading a message, which reads back as long as nobody renames the headings.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <span>

#include "base/error.h"
#include "store/session_files.h"

namespace tessera::store {
namespace {

using Lines = std::vector<std::string_view>;
constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
constexpr std::string_view kTimePattern = "0000-00-00 00:00 UTC";  // 0: a digit

std::string time_text(std::int64_t milliseconds) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return std::to_string(milliseconds);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts)};
}

std::string heading_of(std::string_view role) {
  std::string heading = "## " + std::string(role);
  if (!role.empty()) heading[3] = static_cast<char>(heading[3] - 'a' + 'A');  // they are lower-case words
  return heading;
}

// The role whose heading a line is; empty: none.
std::string_view role_of(std::string_view line) {
  const auto role =
      std::ranges::find_if(kRoles, [&](std::string_view one) { return heading_of(one) == line; });
  return role == kRoles.end() ? std::string_view() : *role;
}

bool ends_with_time(std::string_view line) {
  if (line.size() < kTimePattern.size()) return false;
  const std::string_view end = line.substr(line.size() - kTimePattern.size());
  return std::ranges::equal(end, kTimePattern, [](char c, char wanted) {
    return wanted == '0' ? c >= '0' && c <= '9' : c == wanted;
  });
}

// The title of a session, above an empty line and its time.
bool begins_session(std::span<const std::string_view> lines) {
  return lines.size() > 2 && lines[0].starts_with("# ") && lines[1].empty() && ends_with_time(lines[2]);
}

// A line of a message that would be read as one of ours has a backslash before it, and so has one that looks
// so.
bool needs_backslash(std::span<const std::string_view> lines) {
  std::string_view line = lines[0];
  line.remove_prefix(std::min(line.find_first_not_of('\\'), line.size()));
  if (!role_of(line).empty()) return true;
  Lines unescaped(lines.begin(), lines.begin() + std::min<std::ptrdiff_t>(3, std::ssize(lines)));
  unescaped[0] = line;
  return begins_session(unescaped);
}

Lines lines_of(std::string_view text) {
  Lines lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// Joined again, a line end between them; backslashes put or taken away.
std::string text_of(std::span<const std::string_view> lines, bool escape) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) text += '\n';
    std::string_view line = lines[i];
    if (needs_backslash(lines.subspan(i))) {
      if (escape) text += '\\';
      if (!escape && line.starts_with('\\')) line.remove_prefix(1);
    }
    text += line;
  }
  return text;
}

// The lines of one session, its heading first.
SessionTree read_session(std::span<const std::string_view> lines, std::int64_t now) {
  SessionTree tree;
  tree.created_at = tree.updated_at = now;
  tree.title = lines[0].substr(2);
  const std::string_view model = lines[2].substr(0, lines[2].size() - kTimePattern.size());
  if (model.ends_with(", ")) tree.model = model.substr(0, model.size() - 2);
  for (std::size_t i = 3; i < lines.size();) {
    const std::string_view role = role_of(lines[i]);
    if (role.empty()) {  // between the title and the first message
      ++i;
      continue;
    }
    std::size_t begin = i + 1;
    std::size_t end = begin;
    while (end < lines.size() && role_of(lines[end]).empty()) ++end;
    i = end;
    if (begin < end && lines[begin].empty()) ++begin;
    while (begin < end && lines[end - 1].empty()) --end;
    TreeMessage message;
    message.role = role;
    message.content = text_of(lines.subspan(begin, end - begin), false);
    if (role == "assistant") message.model = tree.model;
    message.created_at = now;
    if (!tree.messages.empty()) message.parent = tree.messages.size() - 1;
    tree.messages.push_back(std::move(message));
  }
  if (!tree.messages.empty()) tree.leaf = tree.messages.size() - 1;
  return tree;
}

}  // namespace

std::string session_as_markdown(const SessionTree& tree) {
  std::string text = fmt::format("# {}\n\n{}{}{}\n", title_from(tree.title), tree.model,
                                 tree.model.empty() ? "" : ", ", time_text(tree.updated_at));
  std::vector<std::size_t> path;
  for (std::optional<std::size_t> at = tree.leaf; at; at = tree.messages[*at].parent) path.push_back(*at);
  for (auto index = path.rbegin(); index != path.rend(); ++index) {
    const TreeMessage& message = tree.messages[*index];
    text += fmt::format("\n{}\n\n{}{}", heading_of(message.role), text_of(lines_of(message.content), true),
                        message.content.ends_with('\n') ? "" : "\n");
  }
  return text;
}

bool is_markdown(std::string_view text) { return text.starts_with("# "); }

std::vector<SessionTree> sessions_from_markdown(std::string_view text, std::string_view file,
                                                std::int64_t now) {
  const Lines lines = lines_of(text);
  std::vector<SessionTree> trees;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::span<const std::string_view> rest = std::span(lines).subspan(begin);
    if (!begins_session(rest)) {
      fail(ErrorKind::bad_input,
           "{}: line {}: expected '# TITLE', an empty line and the time, as 'tessera sessions export "
           "--markdown' writes them",
           file, begin + 1);
    }
    std::size_t count = 1;
    while (count < rest.size() && !begins_session(rest.subspan(count))) ++count;
    trees.push_back(read_session(rest.first(count), now));
    begin += count;
  }
  return trees;
}

}  // namespace tessera::store
