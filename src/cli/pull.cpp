#include "hub/pull.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"

namespace tessera::cli {
namespace {

struct PullOptions {
  std::string model;
  std::string flag_model;
  std::string name;
  bool dry_run = false;
};

constexpr const char* kFooter = R"(
USER/REPO is a repository of the Hugging Face hub. QUANT names one of its GGUF files (Q4_K_M is taken
first without it); a repository without GGUF files is fetched as a folder of safetensors. A pull that was
stopped goes on where it was.

Environment: HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE, HTTPS_PROXY, XDG_CACHE_HOME.

Examples:
  tessera pull hf:bartowski/SmolLM2-360M-Instruct-GGUF:Q4_K_M
  tessera pull -hf HuggingFaceTB/SmolLM2-135M-Instruct)";

void pull(const PullOptions& options) {
  if (options.model.empty() == options.flag_model.empty()) {
    fail(ErrorKind::bad_usage,
         "expected one model, as hf:USER/REPO[:QUANT]; 'tessera pull --help' shows examples");
  }
  const auto reference =
      hub::parse_model_reference(options.model.empty() ? options.flag_model : options.model);
  const InterruptGuard interrupt;
  const auto stop_on_interrupt = [&interrupt] {
    if (interrupt.interrupted())
      fail(ErrorKind::cancelled, "stopped; what has come is kept, the same pull goes on with it");
  };
  hub::HttpClient client(hub::hub_settings_from_environment());
  const hub::PullPlan plan = hub::plan_pull(client, reference, options.name, stop_on_interrupt);
  fmt::print(stderr, "{}: {} in {} file{}; needs {}, you have {}\n", reference.text(),
             bytes_text(plan.total_bytes), plan.downloads.size(), plan.downloads.size() == 1 ? "" : "s",
             bytes_text(plan.needed_bytes), bytes_text(plan.available_bytes));
  if (options.dry_run) {
    for (const hub::Download& download : plan.downloads) {
      fmt::print("{}\n", for_standard_output(fmt::format("{}\t{}", download.file.path, download.file.size)));
    }
    return;
  }
  {
    ProgressDisplay display(STDERR_FILENO);
    hub::execute_pull(client, plan, [&](const Progress& progress) {
      display.show(progress);
      stop_on_interrupt();
    });
  }
  fmt::print("{}\n", for_standard_output(plan.path.string()));
}

}  // namespace

void define_pull(CLI::App& app) {
  const auto options = std::make_shared<PullOptions>();
  app.add_option("MODEL", options->model, "what to get, as hf:USER/REPO[@REVISION][:QUANT]");
  add_option(app, "--hf", options->flag_model, "the same, as USER/REPO[:QUANT]; -hf is taken too");
  add_option(app, "--name", options->name, "the name to give it in the models directory");
  add_flag(app, "--dry-run", options->dry_run, "list the files and sizes, fetch nothing");
  app.footer(kFooter);
  app.callback([options] { pull(*options); });
}

}  // namespace tessera::cli
