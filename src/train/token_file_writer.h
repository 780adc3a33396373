// Writes a token file document by document; it is there completely or not at all.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/token_id.h"
#include "base/xxhash64.h"
#include "train/token_file.h"

namespace tessera::train {

class TokenFileWriter {
 public:
  // Of `info` the vocabulary, the fingerprint and has_loss_mask count. Error io; bad_usage for an empty
  // vocabulary. Memory: 8 bytes a document, and a bit a token with a mask.
  TokenFileWriter(const std::string& path, const TokenFileInfo& info);

  // Appends one document; an empty one is left out. `counts_in_loss`: a value a token, or empty when all
  // count. Error bad_input naming an id outside the vocabulary.
  void add_document(std::span<const TokenId> ids, std::span<const std::uint8_t> counts_in_loss = {});
  // Writes mask, document starts and header, and puts the file in place.
  void commit();

  const TokenFileInfo& info() const { return info_; }

 private:
  void append(std::span<const std::byte> bytes);
  void pad();
  void flush();

  TokenFileInfo info_;
  std::string path_;
  AtomicFileWriter file_;
  XxHash64 checksum_;
  std::uint64_t content_bytes_ = 0;
  std::vector<std::byte> buffer_;
  std::vector<std::uint8_t> mask_;
  std::vector<std::uint64_t> document_starts_;
};

}  // namespace tessera::train
