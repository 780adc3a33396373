// The texts that training data is made of: files and folders, cut into documents, none of them copied.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"

namespace tessera::train {

enum class CorpusFormat {
  automatic,  // by the file's name and, in JSONL, its first line
  text,       // a file is a document, or several with a separator between
  jsonl,      // a line is a document: a JSON object with a text
  chat,       // a line is a conversation: OpenAI's {"messages": ...} or ShareGPT's {"conversations": ...}
  chatml,  // <|im_start|>role\n...<|im_end|>, conversations begin at a system message or after an empty line
};

struct CorpusOptions {
  CorpusFormat format = CorpusFormat::automatic;
  std::string document_separator = {};  // of text files; empty: a file is one document
};

struct RawDocument {
  std::string_view bytes;             // as in the file: JSON is not unescaped yet
  CorpusFormat format{};              // never automatic
  const std::string* path = nullptr;  // of its file
  std::uint64_t offset = 0;           // its first byte in the file
  std::uint64_t line = 0;             // from 1
  std::string where() const;          // "path: line 3"
};

class Corpus {
 public:
  // Files in the order given; a folder gives its .txt, .text, .md, .jsonl, .ndjson and .chatml files, at any
  // depth, by name. Error io: a path is missing; bad_input: nothing to read in it.
  Corpus(const std::vector<std::string>& paths, const CorpusOptions& options);

  bool has_chat() const;  // any file of conversations
  std::uint64_t bytes() const;
  std::size_t file_count() const { return files_.size(); }

  // Goes over the documents in order; empty ones are left out.
  class Reader {
   public:
    explicit Reader(const Corpus& corpus) : corpus_(&corpus) {}
    bool next(RawDocument& document);

   private:
    bool next_in_file(RawDocument& document);

    const Corpus* corpus_;
    std::size_t file_ = 0;
    std::size_t position_ = 0;
    std::uint64_t line_ = 1;
  };
  std::uint64_t count_documents() const;

 private:
  struct File {
    std::shared_ptr<const MappedFile> file;
    CorpusFormat format;
  };
  void add_path(const std::string& path);
  void add_file(const std::string& path);

  CorpusOptions options_;
  std::vector<File> files_;
};

// "auto", "text", "jsonl", "chat", "chatml". Error bad_usage naming them.
CorpusFormat corpus_format(std::string_view name);

}  // namespace tessera::train
