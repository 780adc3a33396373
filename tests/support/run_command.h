// Runs a program to its end with given standard input and collects what it prints; for tests of the command
// line.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace tessera::testing {

struct CommandResult {
  int exit_code = 0;   // 128 + signal when a signal ended it
  std::string output;  // standard output
  std::string errors;  // standard error
};

struct CommandOptions {
  std::string input;                                             // standard input; closed after it
  std::vector<std::pair<std::string, std::string>> environment;  // added to, or replacing, this process's
  int timeout_seconds = 120;                                     // then the program is killed (exit code 137)
};

// arguments[0] is the program (a path, or a name on PATH). std::runtime_error when it cannot be started.
CommandResult run_command(const std::vector<std::string>& arguments, const CommandOptions& options = {});

// run_command of the tessera just built.
CommandResult run_tessera(const std::vector<std::string>& arguments, const CommandOptions& options = {});

}  // namespace tessera::testing
