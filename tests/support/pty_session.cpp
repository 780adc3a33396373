#include "support/pty_session.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace tessera::testing {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

PtySession::PtySession(const std::vector<std::string>& arguments,
                       const std::vector<std::pair<std::string, std::string>>& environment) {
  winsize size{};
  size.ws_col = 100;
  size.ws_row = 40;
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  process_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
  if (process_ < 0) throw std::runtime_error("no terminal for the test");
  if (process_ == 0) {
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
}

PtySession::~PtySession() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  if (terminal_ >= 0) ::close(terminal_);
}

void PtySession::type(const std::string& keys) {
  if (::write(terminal_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) {
    throw std::runtime_error("the terminal takes no keys");
  }
}

void PtySession::wait_for_key_mode() {
  const auto end = Clock::now() + std::chrono::seconds(60);
  termios settings{};
  while (::tcgetattr(terminal_, &settings) == 0 && (settings.c_lflag & ICANON) != 0) {
    if (Clock::now() > end)
      throw std::runtime_error("the program reads no keys; it shows '" + transcript_ + "'");
    read_more(5);
  }
}

void PtySession::line(const std::string& text) {
  wait_for_key_mode();
  type(text + "\r");
}

std::string PtySession::prompt() {
  std::string before = expect("> ");
  wait_for_key_mode();
  return before;
}

bool PtySession::read_more(int milliseconds) {
  pollfd waiting{terminal_, POLLIN, 0};
  if (::poll(&waiting, 1, milliseconds) <= 0) return true;
  char buffer[4096];
  const ssize_t got = ::read(terminal_, buffer, sizeof buffer);
  if (got <= 0) return false;
  transcript_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::string PtySession::expect(const std::string& text, int seconds) {
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  for (;;) {
    const std::size_t found = transcript_.find(text, seen_);
    if (found != std::string::npos) {
      const std::size_t begin = seen_;
      seen_ = found + text.size();
      return transcript_.substr(begin, seen_ - begin);
    }
    if (!read_more(50) || Clock::now() > end) {
      throw std::runtime_error("expected '" + text + "', found '" + transcript_.substr(seen_) + "'");
    }
  }
}

int PtySession::wait(int seconds) {
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  while (Clock::now() < end) {
    const bool open = read_more(20);  // a program that cannot write does not end
    int status = 0;
    if (::waitpid(process_, &status, WNOHANG) == process_) {
      for (pollfd left{terminal_, POLLIN, 0}; ::poll(&left, 1, 0) > 0 && read_more(0);) {
      }
      process_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (!open) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("the program does not end; it shows '" + transcript_.substr(seen_) + "'");
}

}  // namespace tessera::testing
