// Any bytes as a token file: an Error that names the file, or ids below the vocabulary in ascending
// documents. The checksums, which random changes would hardly meet, are set right first.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/xxhash64.h"
#include "train/token_dataset.h"

namespace {

void set_checksum(std::string& bytes, std::size_t at, std::uint64_t value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

void mend_checksums(std::string& bytes) {
  if (bytes.size() < tessera::train::kTokenFileHeaderBytes) return;
  const auto all = std::as_bytes(std::span(bytes));
  set_checksum(bytes, 56, tessera::xxhash64(all.subspan(tessera::train::kTokenFileHeaderBytes)));
  set_checksum(bytes, 72, tessera::xxhash64(all.first(72)));
}

void check(const tessera::train::TokenFile& file) {
  std::vector<tessera::TokenId> ids(file.info().token_count);
  file.copy_tokens(0, ids);
  for (const tessera::TokenId id : ids) {
    if (id < 0 || static_cast<std::uint64_t>(id) >= file.info().vocabulary_size) std::abort();
  }
  for (std::uint64_t i = 0; i < ids.size(); ++i) {
    (void)file.counts_in_loss(i);
    const std::uint64_t document = file.document_of(i);
    if (file.document_start(document) > i) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  mend_checksums(bytes);
  try {
    const auto file = train::TokenFile::read(MappedFile::from_bytes("fuzz.tokens", bytes));
    check(*file);
    const train::TokenDataset dataset(file, {.seq_len = 4, .stride = 3, .separate_documents = true});
    std::vector<std::int32_t> inputs(4);
    std::vector<std::int32_t> targets(4);
    std::vector<std::int32_t> documents(4);
    for (std::int64_t i = 0; i < dataset.size(); ++i) dataset.window(i, inputs, targets, documents);
  } catch (const Error& error) {
    const std::string_view line = error.what();
    if (line.find("fuzz.tokens") == line.npos || line.find('\n') != line.npos) std::abort();
  }
  return 0;
}
