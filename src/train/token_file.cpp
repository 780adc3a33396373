#include "train/token_file.h"

#include <algorithm>
#include <cstring>

#include "base/checked_size.h"
#include "base/error.h"
#include "base/xxhash64.h"
#include "formats/byte_reader.h"

namespace tessera::train {
namespace {

constexpr std::uint64_t kHeaderChecksumAt = 72;  // the checksum covers the header's bytes before it
constexpr std::uint64_t kSectionAlignment = 8;
constexpr std::uint32_t kLossMaskFlag = 1;

template <typename Stored>
Stored load(std::span<const std::byte> bytes, std::uint64_t offset) {
  Stored value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <typename Stored>
void widen(std::span<const std::byte> bytes, std::uint64_t offset, std::span<TokenId> ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<TokenId>(load<Stored>(bytes, offset + i * sizeof(Stored)));
  }
}

template <typename Stored>
std::uint64_t largest(std::span<const std::byte> bytes, std::uint64_t offset, std::uint64_t count) {
  Stored most = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    most = std::max(most, load<Stored>(bytes, offset + i * sizeof(Stored)));
  }
  return most;
}

}  // namespace

std::uint64_t token_bytes_of(std::uint64_t vocabulary_size) { return vocabulary_size <= 65536 ? 2 : 4; }

std::shared_ptr<const TokenFile> TokenFile::open(const std::string& path) {
  return read(MappedFile::open(path));
}

std::shared_ptr<const TokenFile> TokenFile::read(std::shared_ptr<const MappedFile> file) {
  std::shared_ptr<TokenFile> tokens(new TokenFile(std::move(file)));  // NOLINT: the constructor is private
  tokens->read_header();
  tokens->lay_out();
  tokens->check_content();
  tokens->check_document_starts();
  tokens->check_ids();
  return tokens;
}

void TokenFile::read_header() {
  formats::ByteReader reader(path(), file_->bytes());
  reader.set_subject("header of the token file");
  const auto magic = reader.take(kTokenFileMagic.size(), "the magic bytes");
  const std::string_view found(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (found != kTokenFileMagic) {
    reader.reject(0, fmt::format("expected '{}', found '{}': not a token file; `tessera data` makes one",
                                 kTokenFileMagic, printable(found)));
  }
  const auto version = reader.read<std::uint32_t>("the version");
  if (version != kTokenFileVersion) {
    fail(ErrorKind::unsupported,
         "{}: expected version {} of token files, found {}: make it again with `tessera data`", path(),
         kTokenFileVersion, version);
  }
  bytes_each_ = reader.read<std::uint32_t>("the bytes of a token");
  info_.token_count = reader.read<std::uint64_t>("the number of tokens");
  info_.document_count = reader.read<std::uint64_t>("the number of documents");
  info_.vocabulary_size = reader.read<std::uint64_t>("the vocabulary's size");
  info_.tokenizer_fingerprint = reader.read<std::uint64_t>("the tokenizer's fingerprint");
  const auto flags = reader.read<std::uint32_t>("the flags");
  const auto reserved = reader.read<std::uint32_t>("the reserved bytes");
  content_checksum_ = reader.read<std::uint64_t>("the content's checksum");
  const auto reserved_2 = reader.read<std::uint64_t>("the reserved bytes");
  const auto checksum = reader.read<std::uint64_t>("the header's checksum");
  const auto room = reader.take(kTokenFileHeaderBytes - reader.offset(), "the reserved bytes");
  const std::uint64_t computed = xxhash64(file_->bytes().first(kHeaderChecksumAt));
  if (checksum != computed) {
    reader.reject(
        kHeaderChecksumAt,
        fmt::format("expected checksum {:016x}, computed {:016x}: the file is damaged", checksum, computed));
  }
  if (bytes_each_ != 2 && bytes_each_ != 4) {
    reader.reject(12, fmt::format("expected 2 or 4 bytes a token, found {}", bytes_each_));
  }
  if (info_.vocabulary_size == 0 || info_.vocabulary_size > kMostVocabulary) {
    reader.reject(32, fmt::format("expected a vocabulary of 1 to {}, found {}", kMostVocabulary,
                                  info_.vocabulary_size));
  }
  const bool room_is_zero = std::ranges::all_of(room, [](std::byte byte) { return byte == std::byte{0}; });
  if ((flags & ~kLossMaskFlag) != 0 || reserved != 0 || reserved_2 != 0 || !room_is_zero) {
    reader.reject(48,
                  fmt::format("expected no flags but {} and zeros where the format keeps room, found {:#x}",
                              kLossMaskFlag, flags));
  }
  info_.has_loss_mask = (flags & kLossMaskFlag) != 0;
}

// Tokens, then the mask, then the document starts, each at a multiple of 8; together exactly the file.
void TokenFile::lay_out() {
  const formats::ByteReader reader(path(), file_->bytes());
  reader.located(16, [&] {
    const CheckedSize tokens(info_.token_count, "number of tokens");
    const CheckedSize mask_begin =
        (tokens * bytes_each_ + kTokenFileHeaderBytes).aligned_to(kSectionAlignment);
    const CheckedSize mask_bytes =
        info_.has_loss_mask ? CheckedSize((tokens + 7).value() / 8) : CheckedSize(0);
    const CheckedSize documents_begin = (mask_begin + mask_bytes).aligned_to(kSectionAlignment);
    const CheckedSize end = documents_begin + CheckedSize(info_.document_count, "number of documents") * 8;
    if (end.value() != file_->bytes().size()) {
      fail(ErrorKind::bad_input, "{} tokens and {} documents make a file of {} bytes, found {}",
           info_.token_count, info_.document_count, end.value(), file_->bytes().size());
    }
    mask_begin_ = mask_begin.value();
    documents_begin_ = documents_begin.value();
  });
}

void TokenFile::check_content() const {
  const std::uint64_t computed = xxhash64(file_->bytes().subspan(kTokenFileHeaderBytes));
  if (computed == content_checksum_) return;
  formats::ByteReader reader(path(), file_->bytes());
  reader.set_subject("content");
  reader.reject(kTokenFileHeaderBytes,
                fmt::format("expected checksum {:016x}, computed {:016x}: the file is damaged",
                            content_checksum_, computed));
}

void TokenFile::check_document_starts() const {
  formats::ByteReader reader(path(), file_->bytes());
  reader.set_subject("document starts");
  std::uint64_t previous = 0;
  for (std::uint64_t i = 0; i < info_.document_count; ++i) {
    const std::uint64_t start = document_start(i);
    if (i == 0 ? start != 0 : start <= previous || start >= info_.token_count) {
      reader.reject(documents_begin_ + 8 * i,
                    fmt::format("expected document {} to begin {}, found token {} of {}", i,
                                i == 0 ? std::string("at token 0") : fmt::format("after token {}", previous),
                                start, info_.token_count));
    }
    previous = start;
  }
  if ((info_.document_count == 0) != (info_.token_count == 0)) {
    reader.reject(documents_begin_, fmt::format("expected documents that hold the {} tokens, found {}",
                                                info_.token_count, info_.document_count));
  }
}

void TokenFile::check_ids() const {
  const auto bytes = file_->bytes();
  const std::uint64_t most = bytes_each_ == 2
                                 ? largest<std::uint16_t>(bytes, kTokenFileHeaderBytes, info_.token_count)
                                 : largest<std::uint32_t>(bytes, kTokenFileHeaderBytes, info_.token_count);
  if (most < info_.vocabulary_size || info_.token_count == 0) return;
  std::uint64_t offset = kTokenFileHeaderBytes;
  const auto at = [&] {
    return bytes_each_ == 2 ? load<std::uint16_t>(bytes, offset) : load<std::uint32_t>(bytes, offset);
  };
  while (at() < info_.vocabulary_size) offset += bytes_each_;
  formats::ByteReader reader(path(), bytes);
  reader.set_subject(fmt::format("token {}", (offset - kTokenFileHeaderBytes) / bytes_each_));
  reader.reject(offset, fmt::format("expected an id below {}, found {}", info_.vocabulary_size, at()));
}

void TokenFile::copy_tokens(std::uint64_t begin, std::span<TokenId> ids) const {
  if (begin > info_.token_count || ids.size() > info_.token_count - begin) {
    fail(ErrorKind::internal, "{}: expected tokens within {}, found {} from {}", path(), info_.token_count,
         ids.size(), begin);
  }
  const std::uint64_t offset = kTokenFileHeaderBytes + begin * bytes_each_;
  if (bytes_each_ == 2) {
    widen<std::uint16_t>(file_->bytes(), offset, ids);
  } else {
    widen<std::uint32_t>(file_->bytes(), offset, ids);
  }
}

bool TokenFile::counts_in_loss(std::uint64_t index) const {
  if (!info_.has_loss_mask) return true;
  const auto bits = load<std::uint8_t>(file_->bytes(), mask_begin_ + index / 8);
  return ((bits >> (index % 8)) & 1U) != 0;
}

std::uint64_t TokenFile::document_start(std::uint64_t index) const {
  return load<std::uint64_t>(file_->bytes(), documents_begin_ + 8 * index);
}

std::uint64_t TokenFile::document_of(std::uint64_t index) const {
  std::uint64_t begin = 0;
  std::uint64_t end = info_.document_count;
  while (end - begin > 1) {
    const std::uint64_t middle = begin + (end - begin) / 2;
    (document_start(middle) <= index ? begin : end) = middle;
  }
  return begin;
}

}  // namespace tessera::train
