#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/standard_folders.h"

namespace tessera::cli {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Bytes of the valid UTF-8 character at the start of `text`, 0 when there is none (RFC 3629, table 3-7 of
// Unicode).
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t at) {
    return static_cast<unsigned char>(at < text.size() ? text[at] : 0);
  };
  const auto follows = [&](std::size_t at, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(at) >= low && byte(at) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = follows(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && follows(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = follows(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

std::string control_picture(unsigned char control) {
  const unsigned picture = control == 0x7F ? 0x21U : control;  // U+2421 is DEL's; U+2400 + c the others'
  return {'\xE2', '\x90', static_cast<char>(0x80U + picture)};
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

bool use_color(int fd) {
  return is_terminal(fd) && environment_value("NO_COLOR").empty() && environment_value("TERM") != "dumb";
}

int terminal_width(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

namespace {

bool set_echo(bool on) {
  termios settings{};
  if (::tcgetattr(STDIN_FILENO, &settings) != 0) return false;
  if (((settings.c_lflag & ECHO) != 0) == on) return false;
  settings.c_lflag ^= ECHO;
  return ::tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) == 0;
}

}  // namespace

EchoOff::EchoOff() : changed_(set_echo(false)) {}

EchoOff::~EchoOff() {
  if (changed_) set_echo(true);
}

std::string terminal_safe(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    const bool is_c1 = length == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (length == 0 || is_c1) {
      safe += kReplacement;
    } else if (first == '\r' && text.size() > 1 && text[1] == '\n') {
      // a line break of another system
    } else if ((first < 0x20 && first != '\n' && first != '\t') || first == 0x7F) {
      safe += control_picture(first);
    } else {
      safe += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return safe;
}

std::string for_standard_output(std::string_view text) {
  return is_terminal(STDOUT_FILENO) ? terminal_safe(text) : std::string(text);
}

}  // namespace tessera::cli
