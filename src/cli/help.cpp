#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/near_names.h"
#include "cli/commands.h"

namespace tessera::cli {
namespace {

void show_help(const CLI::App& top, const std::string& wanted) {
  if (wanted.empty()) {
    // App::help() would show the help of the command that runs, which is this one.
    fmt::print("{}", top.get_formatter()->make_help(&top, top.get_name(), CLI::AppFormatMode::Normal));
    return;
  }
  std::vector<std::string> names;
  for (const CLI::App* command : top.get_subcommands({})) {
    names.push_back(command->get_name());
    if (command->get_name() != wanted) continue;
    fmt::print("{}", command->help("tessera"));
    return;
  }
  const auto near = near_names(wanted, names, 1);
  fail(ErrorKind::bad_usage, "unknown command '{}'; {}'tessera help' lists the commands", printable(wanted),
       near.empty() ? "" : "did you mean '" + near.front() + "'? ");
}

}  // namespace

void define_help(CLI::App& app) {
  const auto command = std::make_shared<std::string>();
  app.add_option("COMMAND", *command, "the command to explain; without it: all commands");
  app.callback([&app, command] { show_help(*app.get_parent(), *command); });
}

}  // namespace tessera::cli
