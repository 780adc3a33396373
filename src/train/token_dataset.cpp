#include "train/token_dataset.h"

#include <algorithm>

#include "base/checked_size.h"
#include "base/error.h"

namespace tessera::train {
namespace {

constexpr std::int64_t kMostSequence = std::int64_t{1} << 30;

TokenDatasetOptions checked(TokenDatasetOptions options) {
  if (options.seq_len < 1 || options.seq_len > kMostSequence) {
    fail(ErrorKind::bad_usage, "seq_len: expected 1 to {}, found {}", kMostSequence, options.seq_len);
  }
  if (options.stride == 0) options.stride = options.seq_len;
  if (options.stride < 1) fail(ErrorKind::bad_usage, "stride: expected at least 1, found {}", options.stride);
  if (options.keep_tail && options.stride != options.seq_len) {
    fail(ErrorKind::bad_usage, "keep_tail: expected a stride of seq_len = {}, found {}", options.seq_len,
         options.stride);
  }
  return options;
}

}  // namespace

TokenDataset::TokenDataset(std::shared_ptr<const TokenFile> file, const TokenDatasetOptions& options)
    : file_(std::move(file)),
      options_(checked(options)),
      token_count_(CheckedSize(file_->info().token_count, "number of tokens").as_dimension()),
      vocabulary_size_(static_cast<std::int64_t>(file_->info().vocabulary_size)) {
  count_windows();
}

TokenDataset::TokenDataset(std::span<const TokenId> ids, const TokenDatasetOptions& options)
    : ids_(ids), options_(checked(options)), token_count_(static_cast<std::int64_t>(ids.size())) {
  count_windows();
  const auto [least, most] = std::ranges::minmax(ids);
  if (least < 0) fail(ErrorKind::bad_input, "{}: expected ids of 0 or more, found {}", name(), least);
  vocabulary_size_ = std::int64_t{most} + 1;
}

std::string TokenDataset::name() const { return file_ ? file_->path() : "ids in memory"; }

void TokenDataset::count_windows() {
  // A window needs its tokens and one more, the target of the last; a tail needs one target.
  const std::int64_t needed = options_.keep_tail ? 2 : options_.seq_len + 1;
  if (token_count_ < needed) {
    fail(ErrorKind::bad_input, "{}: expected at least {} tokens for one window of seq_len {}, found {}",
         name(), needed, options_.seq_len, token_count_);
  }
  size_ = options_.keep_tail ? (token_count_ - 1 + options_.seq_len - 1) / options_.seq_len
                             : (token_count_ - options_.seq_len - 1) / options_.stride + 1;
}

void TokenDataset::copy_tokens(std::int64_t begin, std::span<TokenId> ids) const {
  if (file_) {
    file_->copy_tokens(static_cast<std::uint64_t>(begin), ids);
  } else {
    std::ranges::copy(ids_.subspan(static_cast<std::size_t>(begin), ids.size()), ids.begin());
  }
}

void TokenDataset::window(std::int64_t index, std::span<std::int32_t> inputs, std::span<std::int32_t> targets,
                          std::span<std::int32_t> documents) const {
  const auto length = static_cast<std::size_t>(options_.seq_len);
  if (index < 0 || index >= size_ || inputs.size() != length || targets.size() != length ||
      (!documents.empty() && documents.size() != length)) {
    fail(ErrorKind::internal,
         "{}: expected window 0 to {} and rows of {}, found window {} and rows of {}, {} and {}", name(),
         size_ - 1, length, index, inputs.size(), targets.size(), documents.size());
  }
  const std::int64_t begin = index * options_.stride;
  const auto real = static_cast<std::size_t>(std::min(options_.seq_len, token_count_ - 1 - begin));
  copy_tokens(begin, inputs.first(real));
  copy_tokens(begin + 1, targets.first(real));
  std::ranges::fill(inputs.subspan(real), 0);
  std::ranges::fill(targets.subspan(real), kIgnoredTarget);
  ignore_masked(begin, targets.first(real));
  if (options_.separate_documents || !documents.empty()) {
    number_documents(begin, targets.first(real), documents);
  }
}

void TokenDataset::ignore_masked(std::int64_t begin, std::span<std::int32_t> targets) const {
  if (!file_ || !file_->info().has_loss_mask) return;
  for (std::size_t t = 0; t < targets.size(); ++t) {
    if (!file_->counts_in_loss(static_cast<std::uint64_t>(begin) + t + 1)) targets[t] = kIgnoredTarget;
  }
}

void TokenDataset::number_documents(std::int64_t begin, std::span<std::int32_t> targets,
                                    std::span<std::int32_t> documents) const {
  std::ranges::fill(documents, 0);
  if (!file_) return;
  const std::uint64_t first = file_->document_of(static_cast<std::uint64_t>(begin));
  std::uint64_t document = first;
  for (std::size_t t = 0; t < std::max(targets.size(), documents.size()); ++t) {
    const std::uint64_t target_at = static_cast<std::uint64_t>(begin) + t + 1;
    if (!documents.empty()) documents[t] = static_cast<std::int32_t>(document - first);
    if (document + 1 >= file_->info().document_count || file_->document_start(document + 1) != target_at)
      continue;
    ++document;
    if (options_.separate_documents && t < targets.size()) targets[t] = kIgnoredTarget;
  }
}

void TokenDataset::check_not_shrunk() const {
  if (file_) file_->check_not_shrunk();
}

}  // namespace tessera::train
