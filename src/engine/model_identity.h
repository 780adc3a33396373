// A short text that differs between any two models, or ways to run one, whose keys and values differ.
#pragma once
#include <string>
#include <string_view>

namespace tessera::engine {

// Of the weights at `path` (a GGUF file or a Hugging Face folder): sizes, beginnings, ends and samples in
// between of all files that matter, read in milliseconds; of this version of the program and its kernels; and
// of `options`, what else was asked for ("quantize q4_0"). Error io.
std::string model_identity(const std::string& path, std::string_view options);

}  // namespace tessera::engine
