// A whole tokenizer.json inside a GGUF file, where GGUF's own keys for vocabularies (tokenizer.ggml.*) could
// not say the same.
#pragma once
#include <string_view>

namespace tessera::text {

inline constexpr std::string_view kGgufTokenizerJsonKey =
    "tokenizer.huggingface.json";  // GGUF's specification
inline constexpr std::string_view kGgufTokenizerConfigKey =
    "tokenizer.huggingface.config";  // ours: tokenizer_config.json

}  // namespace tessera::text
