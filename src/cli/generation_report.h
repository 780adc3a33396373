// What commands tell about a generation: one line, a table, a JSON object.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/generator.h"

namespace tessera::cli {

// "48 tokens, 310.2 tokens/s | prompt 12 tokens (3 cached), 901.5 tokens/s | context 60/2048"
std::string summary_line(const engine::GenerationResult& result, std::int64_t context_size);

// One line a token: its text, log probability, and the best alternatives.
std::string logprobs_table(const engine::GenerationResult& result, const text::Tokenizer& tokenizer);

// The object that `generate --json` prints, in one line; with logprobs when `sampling` asked for them. Bytes
// that are not UTF-8 become U+FFFD.
std::string generation_json(const engine::GenerationResult& result, const engine::Generator& generator,
                            std::string_view prompt, const engine::SamplingOptions& sampling);

}  // namespace tessera::cli
