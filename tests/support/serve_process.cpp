#include "support/serve_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "support/test_paths.h"

namespace tessera::testing {

ServeProcess::ServeProcess(std::vector<std::string> arguments) {
  // Never the sessions and caches of whoever runs the tests.
  if (std::ranges::find(arguments, "--kv-cache-dir") == arguments.end()) {
    arguments.insert(arguments.end(), {"--kv-cache-disk-size", "0"});
  }
  if (std::ranges::find(arguments, "--sessions") == arguments.end()) arguments.emplace_back("--no-sessions");
  arguments.insert(arguments.begin(), {tessera_binary(), "serve", "--port", "0"});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  child_ = ::fork();
  if (child_ == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  output_ = ends[0];
  std::string line;
  char byte = 0;
  while (::read(output_, &byte, 1) == 1 && byte != '\n') line += byte;
  const std::size_t colon = line.rfind(':');
  if (byte != '\n' || colon == std::string::npos) throw std::runtime_error("tessera serve said: " + line);
  port_ = static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
}

ServeProcess::~ServeProcess() {
  if (child_ > 0) ::kill(child_, SIGKILL);
  wait();
  ::close(output_);
}

void ServeProcess::signal(int number) const { ::kill(child_, number); }

int ServeProcess::wait() {
  if (child_ <= 0) return -1;
  int status = 0;
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace tessera::testing
