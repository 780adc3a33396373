// A text as token ids in a memory-mapped file (docs/token-files.md): what `tessera data` writes and training
// reads.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "base/token_id.h"

namespace tessera::train {

inline constexpr std::string_view kTokenFileMagic = "TESSTOKS";
inline constexpr std::uint32_t kTokenFileVersion = 1;
inline constexpr std::uint64_t kTokenFileHeaderBytes = 128;
inline constexpr std::uint64_t kMostVocabulary = std::uint64_t{1} << 31U;

struct TokenFileInfo {
  std::uint64_t vocabulary_size = 0;        // every id is below it
  std::uint64_t tokenizer_fingerprint = 0;  // of the tokenizer that made the ids; 0: not known
  bool has_loss_mask = false;               // a bit a token: whether predicting it counts in the loss
  std::uint64_t token_count = 0;
  std::uint64_t document_count = 0;
};

class TokenFile {
 public:
  // Reads and checks everything: header, sizes, both checksums, document starts, every id. Error bad_input
  // with file, what, byte, expected and found; io when the file cannot be read.
  static std::shared_ptr<const TokenFile> open(const std::string& path);
  static std::shared_ptr<const TokenFile> read(std::shared_ptr<const MappedFile> file);

  const TokenFileInfo& info() const { return info_; }
  const std::string& path() const { return file_->path(); }

  // The ids from `begin` on, as many as `ids` holds. begin + ids.size() <= token_count (Error internal).
  void copy_tokens(std::uint64_t begin, std::span<TokenId> ids) const;
  // Whether predicting token `index` counts in the loss; true without a mask.
  bool counts_in_loss(std::uint64_t index) const;
  // Where document `index` begins, in tokens; ascending, the first is 0.
  std::uint64_t document_start(std::uint64_t index) const;
  // The document that holds token `index`.
  std::uint64_t document_of(std::uint64_t index) const;
  // Error io when another program cut the file short since it was opened.
  void check_not_shrunk() const { file_->check_not_shrunk(); }

 private:
  explicit TokenFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {}
  void read_header();
  void lay_out();
  void check_content() const;
  void check_document_starts() const;
  void check_ids() const;

  std::shared_ptr<const MappedFile> file_;
  TokenFileInfo info_;
  std::uint64_t bytes_each_ = 2;  // of a token: 2 or 4
  std::uint64_t content_checksum_ = 0;
  std::uint64_t mask_begin_ = 0;  // bytes from the start of the file
  std::uint64_t documents_begin_ = 0;
};

// How many bytes an id takes in a file of this vocabulary: 2 up to 65,536 tokens, then 4.
std::uint64_t token_bytes_of(std::uint64_t vocabulary_size);

}  // namespace tessera::train
