#include "cli/token_files.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "formats/open_model_files.h"
#include "train/chat_data.h"

namespace tessera::cli {
namespace {

std::unique_ptr<text::Tokenizer> load_tokenizer(const formats::ModelFiles& files, const std::string& path) {
  if (!files.tokenizer_json.empty())
    return text::load_tokenizer_json(files.tokenizer_json, files.tokenizer_config);
  if (files.weights == nullptr) {
    fail(ErrorKind::bad_input, "{}: expected a GGUF file or a tokenizer.json, found neither", path);
  }
  return text::load_gguf_tokenizer(files.weights->metadata());
}

// The one named, the model's own, or ChatML's where the tokenizer has its tokens.
std::optional<text::ChatTemplate> choose_template(const std::string& path, const formats::ModelFiles& files,
                                                  const text::Tokenizer& tokenizer) {
  if (!path.empty()) return text::ChatTemplate(read_file(path), path);
  if (files.chat_template) return text::ChatTemplate(*files.chat_template);
  if (tokenizer.find_token("<|im_start|>") && tokenizer.find_token("<|im_end|>")) {
    return text::ChatTemplate(train::kChatMlTemplate, "ChatML");
  }
  return std::nullopt;
}

// So that the folder is all that training needs.
void copy_tokenizer(const formats::ModelFiles& files, const std::string& folder) {
  for (const std::string& path : {files.tokenizer_json, files.tokenizer_config}) {
    if (path.empty()) continue;
    const std::string target =
        (std::filesystem::path(folder) / std::filesystem::path(path).filename()).string();
    std::error_code ignored;
    if (!std::filesystem::equivalent(path, target, ignored)) write_file_atomically(target, read_file(path));
  }
}

void say(const train::WrittenSplit& split) {
  fmt::print("{}: {} tokens in {} documents", for_standard_output(split.path), split.info.token_count,
             split.info.document_count);
  if (split.info.has_loss_mask) fmt::print(", {} count in the loss", split.counted_tokens);
  fmt::print("\n");
}

}  // namespace

train::PreparedData write_token_files(const TokenFilesRequest& request) {
  const formats::ModelFiles files = formats::open_model_files(request.model);
  const auto tokenizer = load_tokenizer(files, request.model);
  const auto chat_template = choose_template(request.chat_template, files, *tokenizer);
  train::PrepareDataOptions options = request.options;
  if (request.eos_where_known && tokenizer->eos_token()) options.add_eos = true;
  const InterruptGuard interrupt;
  ProgressDisplay display(STDERR_FILENO, 0.5);
  train::PreparedData prepared = train::prepare_data(
      *tokenizer, chat_template ? &*chat_template : nullptr, options, request.output,
      [&](const Progress& progress) {
        display.show(progress);
        if (interrupt.interrupted()) {
          fail(ErrorKind::cancelled, "stopped; nothing is written in {}", printable(request.output));
        }
      });
  copy_tokenizer(files, request.output);
  return prepared;
}

void print_token_files(const train::PreparedData& prepared) {
  say(prepared.train);
  for (const train::WrittenSplit& split : prepared.validation) say(split);
}

}  // namespace tessera::cli
