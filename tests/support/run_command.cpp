#include "support/run_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include "support/test_paths.h"

namespace tessera::testing {
namespace {

// Both ends of a pipe, closed with the object.
struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  void close_end(std::size_t index) {
    if (ends.at(index) >= 0) ::close(ends.at(index));
    ends.at(index) = -1;
  }
};

[[noreturn]] void become(const std::vector<std::string>& arguments, const CommandOptions& options,
                         const Pipe& in, const Pipe& out, const Pipe& err) {
  ::dup2(in.ends[0], STDIN_FILENO);
  ::dup2(out.ends[1], STDOUT_FILENO);
  ::dup2(err.ends[1], STDERR_FILENO);
  for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> pointers;
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  ::_exit(127);
}

// Appends what can be read now; at the end of the stream closes the pipe.
void drain(Pipe& pipe, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t count = ::read(pipe.ends[0], buffer.data(), buffer.size());
  if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
  if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) pipe.close_end(0);
}

// Writes what the pipe takes now; closes it when everything is written or nobody reads.
void feed(Pipe& pipe, const std::string& input, std::size_t& sent) {
  if (sent < input.size()) {
    const ssize_t count = ::write(pipe.ends[1], input.data() + sent, input.size() - sent);
    if (count > 0) sent += static_cast<std::size_t>(count);
    if (count < 0 && errno != EINTR && errno != EAGAIN) sent = input.size();
  }
  if (sent >= input.size()) pipe.close_end(1);
}

}  // namespace

CommandResult run_command(const std::vector<std::string>& arguments, const CommandOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);  // a program that does not read its input must not end the test
  Pipe in;
  Pipe out;
  Pipe err;
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) become(arguments, options, in, out, err);
  in.close_end(0);
  out.close_end(1);
  err.close_end(1);
  ::fcntl(in.ends[1], F_SETFL, O_NONBLOCK);

  CommandResult result;
  std::size_t sent = 0;
  feed(in, options.input, sent);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout_seconds);
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(child, SIGKILL);
      break;
    }
    std::array<pollfd, 3> waiting{
        {{in.ends[1], POLLOUT, 0}, {out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}}};
    ::poll(waiting.data(), waiting.size(), 200);  // a closed end is -1, which poll skips
    if (waiting[0].revents != 0) feed(in, options.input, sent);
    if (waiting[1].revents != 0) drain(out, result.output);
    if (waiting[2].revents != 0) drain(err, result.errors);
  }
  in.close_end(1);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

CommandResult run_tessera(const std::vector<std::string>& arguments, const CommandOptions& options) {
  std::vector<std::string> all{tessera_binary()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_command(all, options);
}

}  // namespace tessera::testing
