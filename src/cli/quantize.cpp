#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "engine/model_comparison.h"
#include "engine/quantize_model.h"
#include "formats/open_model_files.h"
#include "hub/model_directory.h"
#include "models/model.h"
#include "text/tokenizer.h"

namespace tessera::cli {
namespace {

constexpr int kMostThreads = 1024;
constexpr std::int64_t kReportWindow = 512;  // tokens

struct QuantizeFlags {
  std::string source;
  std::string target;
  std::string type;
  int threads = 0;
  bool pure = false;
  bool force = false;
  bool dry_run = false;
  bool report = false;
  std::string text_file;
};

constexpr const char* kFooter = R"(
TYPE is one of F32, F16, BF16, Q8_0, Q6_K, Q5_0, Q5_1, Q5_K, Q4_0, Q4_1, Q4_K, or a mix that spends more
on the matrices where an error costs most: Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M.

Norms and biases stay float32. With a type of 4 or 5 bits the output matrix (or the embedding that serves
as it) becomes Q6_K; --pure leaves it at TYPE. Q4_K, Q5_K and Q6_K need rows of a multiple of 256: other
rows become Q5_0, Q5_1 and Q8_0, and rows that are no multiple of 32 become F16; the command says how many.

Examples:
  tessera quantize ./SmolLM2-135M-Instruct smollm2-q8.gguf Q8_0
  tessera quantize run/model/latest mine.gguf F32          what tessera train left, unchanged
  tessera quantize model-f16.gguf model-q4.gguf Q4_K_M)";

// Compared on when --report names no text: Abraham Lincoln's address at Gettysburg, 1863.
constexpr const char* kReportText =
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in "
    "Liberty, "
    "and dedicated to the proposition that all men are created equal.\n\nNow we are engaged in a great civil "
    "war, "
    "testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are met "
    "on a great "
    "battle-field of that war. We have come to dedicate a portion of that field, as a final resting place "
    "for those "
    "who here gave their lives that that nation might live. It is altogether fitting and proper that we "
    "should do "
    "this.\n\nBut, in a larger sense, we can not dedicate -- we can not consecrate -- we can not hallow -- "
    "this "
    "ground. The brave men, living and dead, who struggled here, have consecrated it, far above our poor "
    "power to add "
    "or detract. The world will little note, nor long remember what we say here, but it can never forget "
    "what they did "
    "here. It is for us the living, rather, to be dedicated here to the unfinished work which they who "
    "fought here "
    "have thus far so nobly advanced. It is rather for us to be here dedicated to the great task remaining "
    "before us "
    "-- that from these honored dead we take increased devotion to that cause for which they gave the last "
    "full "
    "measure of devotion -- that we here highly resolve that these dead shall not have died in vain -- that "
    "this "
    "nation, under God, shall have a new birth of freedom -- and that government of the people, by the "
    "people, for the "
    "people, shall not perish from the earth.\n";

void check(const QuantizeFlags& flags) {
  if (!flags.text_file.empty()) {
    if (!flags.report) fail(ErrorKind::bad_usage, "-f is the text of --report, which is not given");
    (void)read_file(flags.text_file);  // before the work, not after it
  }
  if (flags.threads < 0 || flags.threads > kMostThreads) {
    fail(ErrorKind::bad_usage, "--threads: expected 0 to {}, found {}", kMostThreads, flags.threads);
  }
  if (!flags.force && !flags.dry_run && std::filesystem::exists(flags.target)) {
    fail(ErrorKind::bad_usage, "{}: there is such a file already; --force replaces it",
         printable(flags.target, 500));
  }
}

void say(const engine::QuantizationJob& job) {
  const auto line = [](const std::string& text) { fmt::print(stderr, "{}\n", terminal_safe(text)); };
  for (const std::string& text : engine::describe_plan(job.plan)) line(text);
  if (!job.contents.note.empty()) line("note: " + job.contents.note);
  std::set<std::string_view> rounded_again;
  for (const engine::PlannedTensor& tensor : job.plan) {
    if (traits(tensor.from).quantized && tensor.to != tensor.from && traits(tensor.to).quantized) {
      rounded_again.insert(name(tensor.from));
    }
  }
  if (rounded_again.empty()) return;
  line(fmt::format("note: the source holds {} already; rounding again adds to its error",
                   fmt::join(rounded_again, ", ")));
}

// The target is GGUF and brings the vocabulary of the source.
void report(const WeightSource& source, const QuantizeFlags& flags, const InterruptGuard& interrupt) {
  const formats::ModelFiles written = formats::open_model_files(flags.target);
  const auto tokenizer = text::load_gguf_tokenizer(written.weights->metadata());
  const std::string text = flags.text_file.empty() ? std::string(kReportText) : read_file(flags.text_file);
  const std::vector<TokenId> tokens = tokenizer->encode(text);
  const auto before = models::create_model(source);
  const auto after = models::create_model(*written.weights);
  engine::ModelComparison found;
  {
    ProgressDisplay display(STDERR_FILENO);
    found = engine::compare_models(*before, *after, tokens, kReportWindow, [&](const Progress& progress) {
      display.show(progress);
      if (interrupt.interrupted())
        fail(ErrorKind::cancelled, "stopped; {} is written", printable(flags.target));
    });
  }
  fmt::print("compared {} positions of {}\n", found.positions,
             flags.text_file.empty() ? "the built-in text" : for_standard_output(flags.text_file));
  fmt::print("KL divergence   mean {:.6f}  median {:.6f}  99% {:.6f}  largest {:.6f} nats\n",
             found.mean_divergence, found.median_divergence, found.p99_divergence, found.largest_divergence);
  fmt::print("same top token  {:.2f}%\n", 100.0 * found.same_top_share);
  fmt::print("perplexity      source {:.4f}  quantised {:.4f}\n", found.source_perplexity,
             found.target_perplexity);
}

void quantize(const QuantizeFlags& flags) {
  if (flags.source.empty() || flags.target.empty() || flags.type.empty()) {
    fail(ErrorKind::bad_usage, "expected SOURCE TARGET TYPE; 'tessera quantize --help' shows examples");
  }
  engine::QuantizationRecipe recipe = engine::quantization_recipe(flags.type);
  recipe.pure = flags.pure;
  check(flags);
  if (flags.threads > 0) set_thread_count(flags.threads);
  const formats::ModelFiles files = formats::open_model_files(hub::resolve_model(flags.source));
  const engine::QuantizationJob job = engine::plan_quantization_job(files, recipe);
  say(job);
  fmt::print(stderr, "{} of tensors become {}\n", bytes_text(job.source_bytes), bytes_text(job.target_bytes));
  if (flags.dry_run) return;
  const InterruptGuard interrupt;
  {
    ProgressDisplay display(STDERR_FILENO);
    engine::write_quantized(job, flags.target, [&](const Progress& progress) {
      display.show(progress);
      if (interrupt.interrupted())
        fail(ErrorKind::cancelled, "stopped; {} is not written", printable(flags.target));
    });
  }
  fmt::print("{}\n", for_standard_output(flags.target));
  if (flags.report) report(*files.weights, flags, interrupt);
}

}  // namespace

void define_quantize(CLI::App& app) {
  const auto flags = std::make_shared<QuantizeFlags>();
  app.add_option("SOURCE", flags->source, "GGUF file, Hugging Face folder, or name");
  app.add_option("TARGET", flags->target, "the GGUF file to write");
  app.add_option("TYPE", flags->type, "what the matrices become");
  add_option(app, "-t,--threads", flags->threads,
             "threads to compute with; 0: every CPU this process may use");
  add_flag(app, "--pure", flags->pure, "the output matrix gets TYPE too");
  add_flag(app, "--force", flags->force, "replace TARGET when it is there");
  add_flag(app, "--dry-run", flags->dry_run, "say what would become what, write nothing");
  add_flag(app, "--report", flags->report,
           "compare the result with the source on a text: KL divergence, perplexity");
  add_option(app, "-f,--file", flags->text_file, "the text of --report, UTF-8; without it a built-in one");
  app.footer(kFooter);
  app.callback([flags] { quantize(*flags); });
}

}  // namespace tessera::cli
