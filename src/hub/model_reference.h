// How a model of the Hugging Face hub is written, "hf:USER/REPO[@REVISION][:QUANT]", and what file names
// tell.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace tessera::hub {

struct ModelReference {
  std::string repository;    // "USER/REPO"
  std::string revision;      // branch, tag or commit; empty: main
  std::string quantization;  // "Q4_K_M"; empty: the preferred one there is

  std::string text() const;  // "hf:USER/REPO@REVISION:QUANT" with what is there
};

// With or without the "hf:" in front. Error bad_usage naming what is wrong.
ModelReference parse_model_reference(std::string_view text);

// "Q4_K_M" out of "Model-7B.q4_k_m-00001-of-00003.gguf", in upper case; empty when the name holds none.
std::string quantization_of_file(std::string_view file_name);

// Part K of N of a split GGUF ("NAME-00001-of-00003.gguf").
struct SplitName {
  std::string prefix;  // "NAME"
  int part = 0;
  int parts = 0;
};
std::optional<SplitName> split_name_of_file(std::string_view file_name);

}  // namespace tessera::hub
