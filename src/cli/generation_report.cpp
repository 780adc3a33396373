#include "cli/generation_report.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/speculative_flags.h"

namespace tessera::cli {
namespace {

using nlohmann::ordered_json;

ordered_json token_json(TokenId token, float logprob, const text::Tokenizer& tokenizer) {
  return {{"id", token}, {"token", tokenizer.token_bytes(token)}, {"logprob", logprob}};
}

ordered_json logprobs_json(const engine::GenerationResult& result, const text::Tokenizer& tokenizer) {
  ordered_json list = ordered_json::array();
  for (const engine::SampledToken& sampled : result.tokens) {
    ordered_json entry = token_json(sampled.token, sampled.logprob, tokenizer);
    entry["top_logprobs"] = ordered_json::array();
    for (const engine::TokenLogprob& top : sampled.top) {
      entry["top_logprobs"].push_back(token_json(top.token, top.logprob, tokenizer));
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

std::string summary_line(const engine::GenerationResult& result, std::int64_t context_size) {
  const engine::Usage& usage = result.usage;
  const engine::Timings& timings = result.timings;
  std::string cached = usage.cached_tokens > 0 ? fmt::format(" ({} cached)", usage.cached_tokens) : "";
  return fmt::format("{} tokens, {:.1f} tokens/s{} | prompt {} tokens{}, {:.1f} tokens/s | context {}/{}",
                     usage.completion_tokens, timings.decode_per_second(), drafts_text(result.drafts),
                     usage.prompt_tokens, cached, timings.prefill_per_second(),
                     usage.prompt_tokens + usage.completion_tokens, context_size);
}

std::string logprobs_table(const engine::GenerationResult& result, const text::Tokenizer& tokenizer) {
  std::string table;
  for (const engine::SampledToken& sampled : result.tokens) {
    const auto cell = [&](TokenId token, float logprob) {
      return fmt::format("{:<16} {:8.4f}", printable(tokenizer.token_bytes(token), 24), logprob);
    };
    table += cell(sampled.token, sampled.logprob);
    for (const engine::TokenLogprob& top : sampled.top) table += " | " + cell(top.token, top.logprob);
    table += '\n';
  }
  return table;
}

std::string generation_json(const engine::GenerationResult& result, const engine::Generator& generator,
                            std::string_view prompt, const engine::SamplingOptions& sampling) {
  ordered_json ids = ordered_json::array();
  for (const engine::SampledToken& sampled : result.tokens) ids.push_back(sampled.token);
  ordered_json object = {{"model", generator.loaded().name},
                         {"prompt", prompt},
                         {"text", result.text},
                         {"tokens", std::move(ids)},
                         {"finish_reason", engine::finish_reason_name(result.finish_reason)},
                         {"stop", result.stop ? ordered_json(*result.stop) : ordered_json()},
                         {"seed", sampling.seed},
                         {"usage",
                          {{"prompt_tokens", result.usage.prompt_tokens},
                           {"cached_tokens", result.usage.cached_tokens},
                           {"completion_tokens", result.usage.completion_tokens},
                           {"total_tokens", result.usage.prompt_tokens + result.usage.completion_tokens}}},
                         {"timings",
                          {{"prefill_seconds", result.timings.prefill_seconds},
                           {"prefill_tokens_per_second", result.timings.prefill_per_second()},
                           {"decode_seconds", result.timings.decode_seconds},
                           {"decode_tokens_per_second", result.timings.decode_per_second()}}}};
  if (result.drafts.drafted > 0) {
    object["drafts"] = {{"drafted", result.drafts.drafted}, {"accepted", result.drafts.accepted}};
  }
  if (sampling.logprobs >= 0) object["logprobs"] = logprobs_json(result, generator.tokenizer());
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace tessera::cli
