// Training examples out of a long row of tokens: windows of seq_len tokens, and for each the token that
// follows.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/token_id.h"
#include "train/token_file.h"

namespace tessera::train {

// A target that does not count in the loss, as PyTorch's ignore_index has it.
inline constexpr std::int32_t kIgnoredTarget = -100;

struct TokenDatasetOptions {
  std::int64_t seq_len = 0;  // T
  std::int64_t stride = 0;   // tokens from one window to the next; 0: seq_len, so that no target comes twice
  // One more window for the targets behind the last whole one, filled up with ignored targets: an evaluation
  // then sees the whole split. Needs stride 0 or seq_len.
  bool keep_tail = false;
  // Documents that share a window are told apart: window() numbers them, and the first token of a document is
  // no target of the one before.
  bool separate_documents = false;
};

class TokenDataset {
 public:
  // Error bad_usage for impossible options, bad_input when there are too few tokens for one window.
  TokenDataset(std::shared_ptr<const TokenFile> file, const TokenDatasetOptions& options);
  // Ids in memory, which must outlive the dataset; one document.
  TokenDataset(std::span<const TokenId> ids, const TokenDatasetOptions& options);
  static TokenDataset open(const std::string& path, const TokenDatasetOptions& options) {
    return {TokenFile::open(path), options};
  }

  std::int64_t size() const { return size_; }  // windows
  std::int64_t seq_len() const { return options_.seq_len; }
  bool separate_documents() const { return options_.separate_documents; }
  std::int64_t token_count() const { return token_count_; }
  // The vocabulary a model needs: the file's, or the largest id in memory and one.
  std::int64_t vocabulary_size() const { return vocabulary_size_; }
  // Null for ids in memory.
  const TokenFile* file() const { return file_.get(); }

  // Window `index`: inputs[t] = token[index * stride + t], targets[t] = the token after it, or kIgnoredTarget
  // where the file's mask, the end, or separate_documents says so. inputs, targets [T]. `documents` [T] or
  // empty: the number of each token's document within the window, from 0.
  void window(std::int64_t index, std::span<std::int32_t> inputs, std::span<std::int32_t> targets,
              std::span<std::int32_t> documents = {}) const;
  // Error io when the file was cut short by another program.
  void check_not_shrunk() const;

 private:
  void count_windows();
  void copy_tokens(std::int64_t begin, std::span<TokenId> ids) const;
  void ignore_masked(std::int64_t begin, std::span<std::int32_t> targets) const;
  void number_documents(std::int64_t begin, std::span<std::int32_t> targets,
                        std::span<std::int32_t> documents) const;
  std::string name() const;

  std::shared_ptr<const TokenFile> file_;
  std::span<const TokenId> ids_;
  TokenDatasetOptions options_;
  std::int64_t token_count_ = 0;
  std::int64_t vocabulary_size_ = 0;
  std::int64_t size_ = 0;
};

}  // namespace tessera::train
