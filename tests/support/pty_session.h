// A program in a terminal of its own, driven like a person would: type, wait for text, look at the exit code.
#pragma once
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace tessera::testing {

class PtySession {
 public:
  // arguments[0] is the program. The terminal is 100 columns wide; `environment` is added to this process's.
  PtySession(const std::vector<std::string>& arguments,
             const std::vector<std::pair<std::string, std::string>>& environment);
  ~PtySession();  // kills what still runs
  PtySession(const PtySession&) = delete;
  PtySession& operator=(const PtySession&) = delete;

  void type(const std::string& keys);
  // Types a line once the program reads single keys: before that the terminal itself would echo it too.
  void line(const std::string& text);
  // Waits for "> " and until the program reads single keys; returns what came before.
  std::string prompt();
  // Waits until `text` comes, after what earlier calls found; returns everything from there to its end.
  // Throws std::runtime_error with what came instead after `seconds`.
  std::string expect(const std::string& text, int seconds = 180);
  // Waits for the end: exit code, or 128 + signal.
  int wait(int seconds = 180);
  const std::string& transcript() const { return transcript_; }

 private:
  bool read_more(int milliseconds);
  void wait_for_key_mode();

  int terminal_ = -1;
  pid_t process_ = -1;
  std::string transcript_;
  std::size_t seen_ = 0;
};

}  // namespace tessera::testing
