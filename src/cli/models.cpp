#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "hub/model_directory.h"
#include "hub/remove_model.h"

namespace tessera::cli {
namespace {

struct ModelsOptions {
  bool json = false;
  std::string removed;
  bool yes = false;
};

std::string time_text(std::chrono::system_clock::time_point time, const char* format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

void print_json(const std::vector<hub::InstalledModel>& models) {
  nlohmann::json list = nlohmann::json::array();
  for (const hub::InstalledModel& model : models) {
    list.push_back({{"name", model.name},
                    {"path", model.path.string()},
                    {"bytes", model.bytes},
                    {"format", model.format},
                    {"quantization", model.quantization},
                    {"source", model.source},
                    {"modified", time_text(model.modified, "%Y-%m-%dT%H:%M:%S%z")}});
  }
  // File names need not be UTF-8; JSON must be.
  fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_table(const std::vector<hub::InstalledModel>& models) {
  if (models.empty()) {
    fmt::print(stderr,
               "no models in {}; ./quickstart gets the default one, 'tessera pull hf:USER/REPO' others\n",
               hub::models_directory().string());
    return;
  }
  std::size_t width = 4;
  for (const hub::InstalledModel& model : models) width = std::max(width, model.name.size());
  width = std::min<std::size_t>(width, 60);
  fmt::print("{:<{}}  {:>8}  {:<11}  {:<8}  {:<16}  {}\n", "NAME", width, "SIZE", "FORMAT", "QUANT",
             "MODIFIED", "SOURCE");
  for (const hub::InstalledModel& model : models) {
    fmt::print("{}\n",
               for_standard_output(fmt::format(
                   "{:<{}}  {:>8}  {:<11}  {:<8}  {:<16}  {}", model.name, width, bytes_text(model.bytes),
                   model.format, model.quantization.empty() ? "-" : model.quantization,
                   time_text(model.modified, "%Y-%m-%d %H:%M"), model.source.empty() ? "-" : model.source)));
  }
}

void remove_one(const ModelsOptions& options) {
  const hub::InstalledModel model = hub::find_own_model(options.removed);
  if (!options.yes) {
    if (!is_terminal(STDIN_FILENO)) {
      fail(ErrorKind::bad_usage, "expected --yes to remove '{}' without asking", printable(model.name));
    }
    fmt::print(stderr, "remove {} ({})? [y/N] ", terminal_safe(model.path.string()), bytes_text(model.bytes));
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "Y" && answer != "yes") fail(ErrorKind::cancelled, "nothing was removed");
  }
  hub::remove_model(model);
  fmt::print(stderr, "removed {}, {} freed\n", terminal_safe(model.path.string()), bytes_text(model.bytes));
}

}  // namespace

void define_models(CLI::App& app) {
  const auto options = std::make_shared<ModelsOptions>();
  add_flag(app, "--json", options->json, "as a JSON array");
  CLI::App& removal = *app.add_subcommand("rm", "remove a model from the models directory");
  removal.add_option("NAME", options->removed, "its whole name, as 'tessera models' lists it")->required();
  add_flag(removal, "-y,--yes", options->yes, "do not ask");
  app.callback([options, &removal] {
    if (removal.parsed()) {
      remove_one(*options);
    } else if (options->json) {
      print_json(hub::list_models());
    } else {
      print_table(hub::list_models());
    }
  });
  app.footer(
      "\nMODEL arguments take a name of this list, its beginning if that is unique, or a path.\n"
      "Models are plain files in ${XDG_CACHE_HOME:-~/.cache}/tessera/models; those of the Hugging Face\n"
      "cache are listed too.");
}

}  // namespace tessera::cli
