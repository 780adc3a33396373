// The bare texts of a corpus, for training a tokenizer: files as they are, strings out of JSON, messages.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "train/corpus.h"

namespace tessera::train {

class CorpusTexts {
 public:
  // `corpus` must outlive it. `text_key` as in PrepareDataOptions. Error bad_input naming file and line.
  CorpusTexts(const Corpus& corpus, const std::string& text_key);
  const std::vector<std::string_view>& texts() const { return texts_; }

 private:
  void add_copy(std::string text);

  std::vector<std::string_view> texts_;
  std::deque<std::string> copies_;  // of what JSON spells otherwise
};

// The string under `text_key` of a line of JSON. Error bad_input naming file and line.
std::string json_line_text(const RawDocument& document, const std::string& text_key);

}  // namespace tessera::train
