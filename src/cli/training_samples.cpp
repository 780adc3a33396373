#include "cli/training_samples.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "engine/generator.h"

namespace tessera::cli {
namespace {

std::vector<TokenId> prompt_tokens(const text::Tokenizer& tokenizer, const std::string& prompt) {
  std::vector<TokenId> tokens = tokenizer.encode(prompt);
  if (!tokens.empty()) return tokens;
  const std::optional<TokenId> begin = tokenizer.bos_token() ? tokenizer.bos_token() : tokenizer.eos_token();
  if (!begin) {
    fail(ErrorKind::bad_usage, "sample-prompt: expected a text of at least one token, found '{}'",
         printable(prompt));
  }
  return {*begin};
}

std::string continue_text(const train::SampleRequest& request,
                          std::shared_ptr<const text::Tokenizer> tokenizer) {
  auto loaded = std::make_shared<engine::LoadedModel>();
  loaded->name = "the model in training";
  loaded->model = {std::shared_ptr<void>(), &request.model};  // the trainer's own
  loaded->tokenizer = std::move(tokenizer);
  const auto ends = loaded->tokenizer->end_of_generation_tokens();
  loaded->end_of_generation.assign(ends.begin(), ends.end());
  const std::vector<TokenId> prompt = prompt_tokens(*loaded->tokenizer, request.prompt);
  const std::int64_t context = std::min(request.model.config().max_position_embeddings,
                                        static_cast<std::int64_t>(prompt.size()) + request.tokens);
  engine::Generator generator(loaded, {.context_size = context, .lora = request.lora});
  engine::Sequence sequence = generator.new_sequence();
  engine::SamplingOptions sampling;
  sampling.temperature = static_cast<float>(request.temperature);
  sampling.seed = request.seed;
  return generator
      .generate(sequence, {.prompt = prompt, .sampling = sampling, .max_new_tokens = request.tokens})
      .text;
}

}  // namespace

std::function<std::string(const train::SampleRequest&)> training_sampler() {
  auto tokenizer = std::make_shared<std::shared_ptr<const text::Tokenizer>>();
  return [tokenizer](const train::SampleRequest& request) {
    if (*tokenizer == nullptr) {
      *tokenizer = text::load_tokenizer_json(request.tokenizer_json, request.tokenizer_config);
    }
    return continue_text(request, *tokenizer);
  };
}

}  // namespace tessera::cli
