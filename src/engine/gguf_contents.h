// What the GGUF file of a model holds, whatever files the model lies in now: keys, and tensors that are made
// when asked.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/gguf_types.h"
#include "formats/open_model_files.h"
#include "tensor/weight_source.h"

namespace tessera::engine {

struct GgufContents {
  struct Pair {
    std::string key;
    Metadata::Value value;  // views into `owners` or the files
    std::optional<formats::GgufValueType> type;
  };
  std::string architecture;
  std::vector<Pair> pairs;  // without architecture, alignment, file type and quantisation version
  std::vector<TensorInfo>
      tensors;  // GGUF names; shape and dtype as loads[i] gives them; file and offset of the source
  std::vector<std::function<Tensor()>> loads;
  std::string note;  // what other programs will miss, for people; empty: nothing
  std::vector<std::shared_ptr<const void>> owners;  // keep alive what pairs and loads point into
};

// From a GGUF file: its own keys and tensors. From a Hugging Face folder: converted to GGUF's names, with the
// tokenizer's vocabulary and the chat template. A tokenizer that GGUF has no keys for (characters, Unigram)
// goes in as the whole tokenizer.json. Error unsupported naming what GGUF cannot say or this conversion does
// not know; bad_input as the readers say.
GgufContents gguf_contents(const formats::ModelFiles& files);

}  // namespace tessera::engine
