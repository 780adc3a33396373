#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "cli/command.h"

namespace tessera::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.what());
  return error.kind() == ErrorKind::bad_usage ? kExitUsage : kExitFailed;
}

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "tessera" : "tessera " + chosen.front()->get_name();
  fmt::print(stderr, "error: {}\nhint: '{} --help' lists what it takes\n", error.what(), command);
  return kExitUsage;
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app{"Tessera: train, load, run, serve and chat with transformer language models", "tessera"};
  app.set_version_flag("--version", std::string("tessera ") + TESSERA_VERSION);
  app.require_subcommand(1);
  for (const Command& command : commands())
    command.define(*app.add_subcommand(command.name, command.summary));
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  } catch (const Error& error) {
    return report(error);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return kExitFailed;
  }
}

}  // namespace tessera::cli
