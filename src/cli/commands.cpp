#include "cli/commands.h"

#include <array>

#include "cli/command.h"

namespace tessera::cli {

// One line a command; each is defined in the file of its name.

std::span<const Command> commands() {
  static constexpr std::array kCommands = {
      Command{"help", "explain the commands, or one of them", define_help},
  };
  return kCommands;
}

}  // namespace tessera::cli
