#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/log.h"
#include "base/near_names.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/options.h"
#include "cli/terminal.h"

namespace tessera::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

constexpr const char* kFooter = R"(
Examples:
  tessera chat                                       talk with the default model
  echo "What is the capital of France?" | tessera chat
  tessera generate -p "Once upon a time" -n 50
  tessera pull hf:bartowski/SmolLM2-360M-Instruct-GGUF:Q4_K_M
  tessera help chat                                  the flags of one command

MODEL is a GGUF file, a Hugging Face folder, or a name that 'tessera models' lists.
Every flag is also an environment variable (--ctx-size is TESSERA_CTX_SIZE) and a key in the
configuration file; a flag wins over the variable, the variable over the file.)";

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.what());
  return error.kind() == ErrorKind::bad_usage ? kExitUsage : kExitFailed;
}

void log_to_standard_error(LogLevel level, std::string_view line) {
  const char* name = level == LogLevel::debug ? "debug" : level == LogLevel::info ? "info" : "warning";
  fmt::print(stderr, "{}: {}\n", name, is_terminal(2) ? terminal_safe(line) : std::string(line));
}

std::string suggestion(std::string_view wanted, const std::vector<std::string>& names) {
  const auto near = near_names(wanted, names, 1);
  return near.empty() ? std::string() : "did you mean '" + near.front() + "'? ";
}

std::string unknown_command(const CLI::App& app, const std::string& name) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return fmt::format("error: unknown command '{}'\nhint: {}'tessera help' lists the commands\n",
                     printable(name), suggestion(name, names));
}

std::string unknown_argument(const CLI::App& command, std::string argument) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  argument = argument.substr(0, argument.find('='));
  const bool is_flag = argument.size() > 1 && argument.front() == '-';
  return fmt::format("error: {} '{}'\nhint: {}'tessera {} --help' lists what it takes\n",
                     is_flag ? "unknown flag" : "unexpected argument", printable(argument),
                     is_flag ? suggestion(argument, names) : "", command.get_name());
}

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  const auto chosen = app.get_subcommands();
  const std::vector<std::string> rest = app.remaining(true);
  if (chosen.empty() && rest.empty() && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    fmt::print(stderr, "{}\nerror: expected a command\n", app.help());
  } else if (chosen.empty() && !rest.empty() && rest.front().front() != '-') {
    fmt::print(stderr, "{}", unknown_command(app, rest.front()));
  } else if (!rest.empty() && (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
                               dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)) {
    fmt::print(stderr, "{}", unknown_argument(chosen.empty() ? app : *chosen.front(), rest.front()));
  } else {
    const std::string command = chosen.empty() ? "tessera" : "tessera " + chosen.front()->get_name();
    fmt::print(stderr, "error: {}\nhint: '{} --help' lists what it takes\n", printable(error.what(), 500),
               command);
  }
  return kExitUsage;
}

void add_verbose_flag(CLI::App& app) {
  app.add_flag_callback(
         "-v,--verbose", [] { set_log_sink(log_to_standard_error); }, "log what happens to standard error")
      ->envname("TESSERA_VERBOSE");
}

// The arguments, last first, as CLI11 takes them; with the field's two-letter flags spelt the way it can
// read.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument == "-hf") argument = "--hf";
    if (argument == "-np") argument = "--parallel";
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

int parse_and_run(CLI::App& app, int argc, char** argv) {
  try {
    add_config_file(app);
    app.parse(arguments_of(argc, argv));
    return 0;
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  }
}

}  // namespace

int run(int argc, char** argv) {
  try {
    CLI::App app{"Tessera: train, load, run, serve and chat with transformer language models", "tessera"};
    app.set_version_flag("--version", std::string("tessera ") + TESSERA_VERSION,
                         "show the version and leave");
    app.set_help_flag("-h,--help", "show this help and leave");
    app.get_formatter()->column_width(38);
    app.footer(kFooter);
    app.require_subcommand(1);
    add_verbose_flag(app);
    for (const Command& command : commands()) {
      CLI::App& subcommand = *app.add_subcommand(command.name, command.summary);
      subcommand.footer("");  // the top's is not theirs
      command.define(subcommand);
      add_verbose_flag(subcommand);
    }
    return parse_and_run(app, argc, argv);
  } catch (const Error& error) {
    return report(error);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return kExitFailed;
  }
}

}  // namespace tessera::cli
