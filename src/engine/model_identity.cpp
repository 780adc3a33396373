#include "engine/model_identity.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "engine/block_key.h"

namespace tessera::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kEndBytes = std::size_t{1} << 20;
constexpr std::size_t kSampleBytes = 4096;
constexpr std::size_t kSamples = 256;  // a training step changes nearly every weight

std::vector<fs::path> files_of(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const fs::directory_entry& file : fs::directory_iterator(path)) {
    const std::string end = file.path().extension().string();
    if (file.is_regular_file() && (end == ".safetensors" || end == ".json" || end == ".gguf")) {
      files.push_back(file.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

// Folds bytes into `key`, which then depends on all that was folded.
void fold(BlockKey& key, std::span<const std::byte> bytes) {
  const BlockKey content = root_block_key({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::vector<TokenId> words(content.begin(), content.end());
  key = block_key(key, words);
}

void fold_file(BlockKey& key, const fs::path& path) {
  const auto file = MappedFile::open(path.string());
  const std::span<const std::byte> bytes = file->bytes();
  const std::string described = fmt::format("{} {}", path.filename().string(), bytes.size());
  fold(key, std::as_bytes(std::span(described)));
  const std::size_t end = std::min(kEndBytes, bytes.size());
  fold(key, bytes.first(end));
  fold(key, bytes.last(end));
  for (std::size_t i = 0; i < kSamples; ++i) {
    const std::size_t begin = bytes.size() / kSamples * i;
    fold(key, bytes.subspan(begin, std::min(kSampleBytes, bytes.size() - begin)));
  }
}

}  // namespace

std::string model_identity(const std::string& path, std::string_view options) {
  BlockKey key = root_block_key(fmt::format("{} {} {}", TESSERA_VERSION, isa_name(selected_isa()), options));
  for (const fs::path& file : files_of(path)) fold_file(key, file);
  return key_text(key);
}

}  // namespace tessera::engine
