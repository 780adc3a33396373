// The one exception type of Tessera: it says what was expected, what was found, where, and what to do.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace tessera {

enum class ErrorKind {
  bad_input,    // a file, template, tokenizer or request that is not what it claims to be
  bad_usage,    // the caller asked for something that makes no sense (command line: exit code 2)
  io,           // the operating system refused: missing file, full disk, broken connection
  unsupported,  // well-formed, but of a kind this build cannot run; names the kind
  limit,        // a stated budget was reached: context, memory, steps
  busy,         // too much is being done already: the same may succeed later
  cancelled,    // the caller asked to stop
  internal,     // a broken promise between rooms; a fault of ours
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

[[noreturn]] void throw_error(ErrorKind kind, const std::string& message);

// Throws Error with a formatted one-line message.
template <typename... Arguments>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw_error(kind, fmt::format(format, std::forward<Arguments>(arguments)...));
}

// Renders text from a hostile file for an error line: control characters and invalid bytes as \xNN, cut after
// `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 80);

}  // namespace tessera
