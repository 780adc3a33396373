#include "cli/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <cwchar>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/log.h"
#include "cli/terminal.h"

namespace tessera::cli {
namespace {

constexpr int kHistoryLength = 1000;
constexpr std::string_view kLineBreak =
    "\xE2\x86\xB5";  // U+21B5 stands for a line break inside the edited line
constexpr wchar_t kWideLineBreak = L'\x21B5';
constexpr std::string_view kQuotes = "\"\"\"";
constexpr char kInvisible = '\1';  // encloses what takes no room in a prompt

// libedit reads bytes by the locale; where that is not UTF-8 (a bare container) C.UTF-8 is.
void use_utf8_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::wstring widened(const std::string& text) {
  std::wstring wide(text.size() + 1, L'\0');
  const char* from = text.c_str();
  std::mbstate_t state{};
  const std::size_t length = std::mbsrtowcs(wide.data(), &from, wide.size(), &state);
  wide.resize(length == static_cast<std::size_t>(-1) ? 0 : length);
  return wide;
}

struct EditLineEnd {
  void operator()(EditLine* editor) const { el_end(editor); }
};
struct HistoryEnd {
  void operator()(History* history) const { history_end(history); }
};

}  // namespace

struct LineEditor::State {
  std::unique_ptr<History, HistoryEnd> history;
  std::unique_ptr<EditLine, EditLineEnd> editor;
  std::string history_path;
  std::vector<std::string> completions;
  std::string prompt;
  bool color = false;

  static State& of(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<State*>(data);
  }

  static char* show_prompt(EditLine* editor) { return of(editor).prompt.data(); }

  // Tab: completes the only candidate, or as far as all agree; lists them when there is nothing to add.
  static unsigned char complete(EditLine* editor, int) {
    const LineInfo* line = el_line(editor);
    const std::string typed(line->buffer, line->cursor);
    std::vector<std::string> candidates;
    for (const std::string& word : of(editor).completions) {
      if (!typed.empty() && word.starts_with(typed)) candidates.push_back(word);
    }
    if (candidates.empty()) return CC_ERROR;
    std::string common = candidates.front();
    for (const std::string& word : candidates) {
      const auto end = std::mismatch(common.begin(), common.end(), word.begin(), word.end()).first;
      common.erase(end, common.end());
    }
    if (candidates.size() == 1) common += ' ';
    if (common.size() > typed.size()) {
      return el_insertstr(editor, common.c_str() + typed.size()) == 0 ? CC_REFRESH : CC_ERROR;
    }
    std::string list = "\n";
    for (const std::string& word : candidates) list += word + "  ";
    list += "\n";
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, list.data(), list.size());
    return CC_REDISPLAY;
  }

  // What stands between ESC [ 200 ~ and ESC [ 201 ~ was pasted: its line breaks do not end the line.
  static unsigned char paste(EditLine* editor, int) {
    static constexpr std::wstring_view kEnd = L"\x1b[201~";
    constexpr std::size_t kLargestPaste = std::size_t{1} << 20;
    std::wstring text;
    wchar_t next = 0;
    while (!text.ends_with(kEnd) && text.size() < kLargestPaste && el_wgetc(editor, &next) == 1) text += next;
    if (text.ends_with(kEnd)) text.resize(text.size() - kEnd.size());
    std::erase(text, L'\0');
    std::wstring line;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == L'\r' && i + 1 < text.size() && text[i + 1] == L'\n') continue;
      const bool is_break = text[i] == L'\r' || text[i] == L'\n';
      if (is_break || (text[i] >= L' ' && text[i] != 0x7F)) line += is_break ? kWideLineBreak : text[i];
      if (text[i] == L'\t') line += L' ';
    }
    while (line.ends_with(kWideLineBreak)) line.pop_back();
    return line.empty() || el_winsertstr(editor, line.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  void load_history() {
    HistEvent event{};
    ::history(history.get(), &event, H_SETSIZE, kHistoryLength);
    ::history(history.get(), &event, H_SETUNIQUE, 1);
    if (history_path.empty() || !std::filesystem::exists(history_path)) return;
    if (::history(history.get(), &event, H_LOAD, history_path.c_str()) < 0) {
      log_line(LogLevel::warning, history_path + ": the history cannot be read");
    }
  }
};

LineEditor::LineEditor(std::string history_path, std::vector<std::string> completions)
    : state_(std::make_unique<State>()) {
  use_utf8_locale();
  state_->history_path = std::move(history_path);
  state_->completions = std::move(completions);
  // The prompt and the echo belong to the terminal, also when answers are redirected to a file.
  FILE* terminal = is_terminal(STDOUT_FILENO) ? stdout : stderr;
  state_->color = use_color(::fileno(terminal));
  state_->history.reset(history_init());
  state_->editor.reset(el_init("tessera", stdin, terminal, stderr));
  if (!state_->history || !state_->editor)
    fail(ErrorKind::io, "the terminal cannot be used for editing lines");
  EditLine* editor = state_->editor.get();
  state_->load_history();
  el_set(editor, EL_CLIENTDATA, state_.get());
  el_set(editor, EL_PROMPT_ESC, &State::show_prompt, kInvisible);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_HIST, ::history, state_->history.get());
  el_set(editor, EL_ADDFN, "tessera-complete", "complete a command", &State::complete);
  el_set(editor, EL_BIND, "^I", "tessera-complete", nullptr);
  el_set(editor, EL_ADDFN, "tessera-paste", "insert pasted text", &State::paste);
  el_set(editor, EL_BIND, "\\e[200~", "tessera-paste", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);  // Ctrl-Left, Ctrl-Right
  el_set(editor, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
  el_set(editor, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);  // Delete, Home, End
  el_set(editor, EL_BIND, "\\e[H", "ed-move-to-beg", nullptr);
  el_set(editor, EL_BIND, "\\e[F", "ed-move-to-end", nullptr);
}

LineEditor::~LineEditor() = default;

LineEditor::Outcome LineEditor::read_line(const std::string& prompt, std::string& line) {
  const std::string invisible(1, kInvisible);
  state_->prompt = state_->color
                       ? invisible + "\x1b[1;32m" + invisible + prompt + invisible + "\x1b[0m" + invisible
                       : prompt;
  EditLine* editor = state_->editor.get();
  el_resize(editor);
  constexpr std::string_view kPasteOn = "\x1b[?2004h";
  constexpr std::string_view kPasteOff = "\x1b[?2004l";
  const bool marks_pastes = state_->color || is_terminal(STDOUT_FILENO);
  const auto tell_terminal = [marks_pastes](std::string_view sequence) {
    if (!marks_pastes) return;
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, sequence.data(), sequence.size());
  };
  tell_terminal(kPasteOn);
  int count = 0;
  errno = 0;
  const char* read = el_gets(editor, &count);
  const int problem = errno;
  tell_terminal(kPasteOff);
  if (read == nullptr || count <= 0)
    return count < 0 && problem == EINTR ? Outcome::interrupted : Outcome::end;
  line.assign(read, static_cast<std::size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  line = replaced(std::move(line), kLineBreak, "\n");
  return Outcome::line;
}

LineEditor::Outcome LineEditor::read_message(const std::string& prompt, std::string& message) {
  const Outcome first = read_line(prompt, message);
  if (first != Outcome::line) return first;
  if (!message.starts_with(kQuotes)) return first;
  message.erase(0, kQuotes.size());
  while (!message.ends_with(kQuotes)) {
    std::string line;
    const Outcome next = read_line("... ", line);
    if (next == Outcome::interrupted) return next;
    if (next == Outcome::end) return Outcome::line;  // Ctrl-D ends the message too
    message += "\n" + line;
  }
  message.resize(message.size() - kQuotes.size());
  if (message.starts_with('\n')) message.erase(0, 1);
  if (message.ends_with('\n')) message.pop_back();
  return Outcome::line;
}

void LineEditor::preload(std::string_view text) {
  el_wpush(state_->editor.get(), widened(replaced(std::string(text), "\n", kLineBreak)).c_str());
}

void LineEditor::remember(const std::string& message) {
  if (message.empty()) return;
  HistEvent event{};
  std::string line = replaced(message, "\n", kLineBreak);
  while (line.ends_with(' ')) line.pop_back();
  ::history(state_->history.get(), &event, H_ENTER, line.c_str());
  if (state_->history_path.empty()) return;
  std::error_code problem;
  std::filesystem::create_directories(std::filesystem::path(state_->history_path).parent_path(), problem);
  if (::history(state_->history.get(), &event, H_SAVE, state_->history_path.c_str()) < 0) {
    log_line(LogLevel::warning, state_->history_path + ": the history cannot be written");
  }
}

}  // namespace tessera::cli
