// One subcommand of the program: how main() finds it and runs it.
#pragma once
#include <span>

namespace CLI {
class App;
}

namespace tessera::cli {

struct Command {
  const char* name;
  const char* summary;
  // Adds the subcommand's flags to `app` (its own CLI::App) and sets its callback. The callback may throw
  // Error.
  void (*define)(CLI::App& app);
};

// In the order of the help text; commands.cpp lists them.
std::span<const Command> commands();

// Parses and runs. Exit code: 0 well, 1 failed, 2 bad usage.
int run(int argc, char** argv);

}  // namespace tessera::cli
