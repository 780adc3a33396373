#include "train/token_file_writer.h"

#include <array>
#include <cstring>

#include "base/error.h"

namespace tessera::train {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20U;

// The header's fields one after the other, little-endian as every machine we run on.
class HeaderBytes {
 public:
  template <typename Number>
  void add(Number value) {
    std::memcpy(bytes_.data() + size_, &value, sizeof value);
    size_ += sizeof value;
  }
  void add_text(std::string_view text) {
    std::memcpy(bytes_.data() + size_, text.data(), text.size());
    size_ += text.size();
  }
  std::span<const std::byte> so_far() const { return std::span(bytes_).first(size_); }
  std::span<const std::byte> all() const { return bytes_; }

 private:
  std::array<std::byte, kTokenFileHeaderBytes> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace

TokenFileWriter::TokenFileWriter(const std::string& path, const TokenFileInfo& info)
    : info_{.vocabulary_size = info.vocabulary_size,
            .tokenizer_fingerprint = info.tokenizer_fingerprint,
            .has_loss_mask = info.has_loss_mask},
      path_(path),
      file_(path) {
  if (info.vocabulary_size == 0 || info.vocabulary_size > kMostVocabulary) {
    fail(ErrorKind::bad_usage, "{}: expected a vocabulary of 1 to {}, found {}", path, kMostVocabulary,
         info.vocabulary_size);
  }
  file_.write(HeaderBytes().all());  // its place; commit() fills it
}

void TokenFileWriter::flush() {
  checksum_.update(buffer_);
  file_.write(buffer_);
  buffer_.clear();
}

void TokenFileWriter::append(std::span<const std::byte> bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  content_bytes_ += bytes.size();
  if (buffer_.size() >= kBufferBytes) flush();
}

void TokenFileWriter::pad() {
  while (content_bytes_ % 8 != 0) append(std::array{std::byte{0}});
}

void TokenFileWriter::add_document(std::span<const TokenId> ids,
                                   std::span<const std::uint8_t> counts_in_loss) {
  if (ids.empty()) return;
  if (!counts_in_loss.empty() && (!info_.has_loss_mask || counts_in_loss.size() != ids.size())) {
    fail(ErrorKind::internal, "{}: expected a loss mask of {} tokens in a file that has one, found {}", path_,
         ids.size(), counts_in_loss.size());
  }
  const bool narrow = token_bytes_of(info_.vocabulary_size) == 2;
  document_starts_.push_back(info_.token_count);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<std::uint32_t>(ids[i]);
    if (id >= info_.vocabulary_size) {
      fail(ErrorKind::bad_input, "{}: expected ids below {}, found {} as token {} of document {}", path_,
           info_.vocabulary_size, ids[i], i, info_.document_count);
    }
    const auto bytes = std::as_bytes(std::span(&id, 1));
    append(narrow ? bytes.first(2) : bytes);
    if (info_.has_loss_mask) {
      const std::uint64_t index = info_.token_count + i;
      if (index % 8 == 0) mask_.push_back(0);
      if (counts_in_loss.empty() || counts_in_loss[i] != 0) {
        mask_.back() = static_cast<std::uint8_t>(mask_.back() | (1U << (index % 8)));
      }
    }
  }
  info_.token_count += ids.size();
  ++info_.document_count;
}

void TokenFileWriter::commit() {
  pad();
  append(std::as_bytes(std::span(mask_)));
  pad();
  append(std::as_bytes(std::span(document_starts_)));
  flush();
  HeaderBytes header;
  header.add_text(kTokenFileMagic);
  header.add(kTokenFileVersion);
  header.add(static_cast<std::uint32_t>(token_bytes_of(info_.vocabulary_size)));
  header.add(info_.token_count);
  header.add(info_.document_count);
  header.add(info_.vocabulary_size);
  header.add(info_.tokenizer_fingerprint);
  header.add(std::uint32_t{info_.has_loss_mask ? 1U : 0U});
  header.add(std::uint32_t{0});
  header.add(checksum_.digest());
  header.add(std::uint64_t{0});
  header.add(xxhash64(header.so_far()));
  file_.write_at(0, header.all());
  file_.commit();
}

}  // namespace tessera::train
