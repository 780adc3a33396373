// `tessera serve` as a process on a free port, ended with the object.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::testing {

class ServeProcess {
 public:
  // Starts the tessera just built (--no-sessions unless told) and waits until it prints its address;
  // std::runtime_error with what it said when it ends before.
  explicit ServeProcess(std::vector<std::string> arguments);
  ~ServeProcess();
  ServeProcess(const ServeProcess&) = delete;
  ServeProcess& operator=(const ServeProcess&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void signal(int number) const;
  // Its exit code, 128 + signal when a signal ended it; waits.
  int wait();

 private:
  pid_t child_ = -1;
  int output_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace tessera::testing
