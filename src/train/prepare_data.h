// Texts and conversations to token files, on every thread, in an order that no thread decides.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "train/corpus.h"
#include "train/token_file.h"

namespace tessera::train {

enum class SplitBy {
  automatic,  // tail for a single text, else document
  document,   // whole documents, chosen by the seed
  tail,       // the last characters of each text
};

struct PrepareDataOptions {
  std::vector<std::string> inputs = {};
  std::vector<std::string> validation_inputs = {};  // then nothing of `inputs` is split off
  CorpusOptions corpus = {};
  std::string text_key = "text";     // of JSONL
  double validation_fraction = 0.1;  // 0: no validation file
  SplitBy split = SplitBy::automatic;
  std::uint64_t seed = 0;
  bool add_bos = false;  // around each text; conversations have what their template writes
  bool add_eos = false;
  bool parse_special = false;  // text such as <|endoftext|> becomes its control token
};

struct WrittenSplit {
  std::string path;
  TokenFileInfo info;
  std::uint64_t counted_tokens = 0;  // in the loss
};

struct PreparedData {
  WrittenSplit train;
  std::vector<WrittenSplit> validation;  // one or none
  std::uint64_t documents = 0;           // read
  std::uint64_t lost_bytes =
      0;  // of texts, that no token stands for: characters that the tokenizer does not know
};

// Writes FOLDER/train.tokens and FOLDER/validation.tokens (both or none). `chat_template` may be null when
// there are no conversations. The same input gives the same bytes for any number of threads. Error bad_input
// naming file and line; bad_usage for impossible options; io.
PreparedData prepare_data(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat_template,
                          const PrepareDataOptions& options, const std::string& folder,
                          const ProgressSink& progress = {});

}  // namespace tessera::train
