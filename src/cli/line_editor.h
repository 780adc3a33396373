// Reading what a person types: one line with editing keys, history and completion (libedit), or a message of
// several.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::cli {

class LineEditor {
 public:
  // On the terminal of standard input. `history_path` (may be empty: none is kept) is read now and written
  // after every line; `completions` are offered by Tab at the start of a line.
  LineEditor(std::string history_path, std::vector<std::string> completions);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome {
    line,
    interrupted,  // Ctrl-C
    end,          // Ctrl-D on an empty line, or the terminal is gone
  };
  // One line without its end. A pasted text keeps its line breaks: they are shown as U+21B5 while it is
  // edited.
  Outcome read_line(const std::string& prompt, std::string& line);
  // As read_line, but three quotation marks (""") begin a message of several lines that ends with three more.
  Outcome read_message(const std::string& prompt, std::string& message);

  // The next line starts with this text, to be changed.
  void preload(std::string_view text);
  void remember(const std::string& message);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::cli
