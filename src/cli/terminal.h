// What the terminal can do, and text made safe for it.
#pragma once
#include <string>
#include <string_view>

namespace tessera::cli {

bool is_terminal(int fd);

// Colours and dim text on this descriptor: a terminal, TERM is not "dumb", and NO_COLOR is unset or empty
// (https://no-color.org).
bool use_color(int fd);

// Columns of the terminal behind `fd`; 80 when it does not tell.
int terminal_width(int fd);

// While one lives, what is typed ahead is kept but not shown, so that it does not mix with what is printed.
class EchoOff {
 public:
  EchoOff();  // nothing happens when standard input is no terminal
  ~EchoOff();
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  bool changed_ = false;
};

// `text` without what a terminal would obey: every control character but newline and tab becomes its picture
// (ESC is U+241B), C1 controls and invalid UTF-8 become U+FFFD; the return before a newline goes. For text
// that a model, a file or the hub made, when it is shown in a terminal.
std::string terminal_safe(std::string_view text);

// terminal_safe() when standard output is a terminal; else the bytes as they are.
std::string for_standard_output(std::string_view text);

}  // namespace tessera::cli
