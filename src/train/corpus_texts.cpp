#include "train/corpus_texts.h"

#include <simdjson.h>

#include <utility>

#include "base/error.h"
#include "train/chat_data.h"

namespace tessera::train {

std::string json_line_text(const RawDocument& document, const std::string& text_key) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view text;
  if (parser.parse(document.bytes.data(), document.bytes.size(), true).get(root) != simdjson::SUCCESS) {
    fail(ErrorKind::bad_input, "{}: expected a JSON object", document.where());
  }
  if (root[text_key].get(text) != simdjson::SUCCESS) {
    fail(ErrorKind::bad_input, "{}: expected a JSON object with a string '{}'", document.where(),
         printable(text_key));
  }
  return std::string(text);
}

CorpusTexts::CorpusTexts(const Corpus& corpus, const std::string& text_key) {
  Corpus::Reader reader(corpus);
  RawDocument document;
  while (reader.next(document)) {
    if (document.format == CorpusFormat::text) {
      texts_.push_back(document.bytes);
    } else if (document.format == CorpusFormat::jsonl) {
      add_copy(json_line_text(document, text_key));
    } else {
      auto messages = document.format == CorpusFormat::chat
                          ? read_json_conversation(document.bytes, document.where())
                          : read_chatml_conversation(document.bytes, document.where());
      for (ChatMessage& message : messages) add_copy(std::move(message.content));
    }
  }
}

void CorpusTexts::add_copy(std::string text) { texts_.emplace_back(copies_.emplace_back(std::move(text))); }

}  // namespace tessera::train
