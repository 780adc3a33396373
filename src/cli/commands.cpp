#include <array>

#include "cli/command.h"

namespace tessera::cli {

// One line a command; each is defined in the file of its name.

std::span<const Command> commands() {
  static constexpr std::array<Command, 0> kCommands{};
  return kCommands;
}

}  // namespace tessera::cli
