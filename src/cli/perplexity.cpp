#include "engine/perplexity.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/open_model.h"
#include "cli/options.h"

namespace tessera::cli {
namespace {

constexpr std::int64_t kDefaultWindow = 512;

struct PerplexityFlags {
  ModelFlags model;
  std::string file;
  std::int64_t stride = 0;
};

void show(const engine::PerplexityProgress& progress) {
  const double eta = progress.seconds / static_cast<double>(progress.windows_done) *
                     static_cast<double>(progress.windows - progress.windows_done);
  fmt::print(stderr, "[{}/{}] {} tokens, perplexity {:.4f} +- {:.4f}, {:.0f} s to go\n",
             progress.windows_done, progress.windows, progress.tokens_scored, progress.perplexity,
             progress.standard_error, eta);
}

void perplexity(PerplexityFlags flags) {
  if (flags.model.context_size == 0) flags.model.context_size = kDefaultWindow;
  if (flags.file.empty()) fail(ErrorKind::bad_usage, "expected a text to measure: -f FILE");
  if (flags.stride < 0)
    fail(ErrorKind::bad_usage, "--stride: expected 0 or more tokens, found {}", flags.stride);
  const std::string text = read_file(flags.file);
  const auto generator = open_generator(flags.model);
  const engine::PerplexityOptions options{
      .window = flags.model.context_size,
      .stride = flags.stride > 0 ? flags.stride : std::max<std::int64_t>(1, flags.model.context_size / 2)};
  const std::vector<TokenId> tokens = generator->tokenizer().encode(text);
  const InterruptGuard interrupt;
  const auto result = engine::measure_perplexity(*generator, tokens, options, show, interrupt.flag());
  fmt::print("perplexity {:.4f} +- {:.4f} over {} tokens (window {}, stride {})\n", result.perplexity,
             result.standard_error, result.tokens_scored, options.window, options.stride);
}

}  // namespace

void define_perplexity(CLI::App& app) {
  const auto flags = std::make_shared<PerplexityFlags>();
  add_model_flags(app, flags->model);
  app.add_option("-f,--file", flags->file, "the text, UTF-8")->envname(environment_name("--file"));
  add_option(app, "--stride", flags->stride, "tokens from one window to the next; 0: half a window");
  app.footer("\nThe window is the context (-c), " + std::to_string(kDefaultWindow) +
             " tokens unless told. Progress goes to standard error, the result to standard output.\n");
  app.callback([flags] { perplexity(*flags); });
}

}  // namespace tessera::cli
