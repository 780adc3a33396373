#include "engine/token_grammar.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

// 19 KB each for a vocabulary of 150,000.
constexpr std::size_t kMostMasks = 2048;

}  // namespace

TokenBytes::TokenBytes(const text::Tokenizer& tokenizer) : vocabulary_size_(tokenizer.vocabulary_size()) {
  for (std::size_t i = 0; i < vocabulary_size_; ++i) {
    const auto token = static_cast<TokenId>(i);
    const text::TokenKind kind = tokenizer.token_kind(token);
    if (kind == text::TokenKind::control || kind == text::TokenKind::unused ||
        kind == text::TokenKind::unknown)
      continue;
    std::string bytes = tokenizer.token_bytes(token);
    if (!bytes.empty()) entries_.push_back({std::move(bytes), token, 0});
  }
  std::ranges::sort(entries_, [](const Entry& one, const Entry& other) {
    return one.bytes != other.bytes ? one.bytes < other.bytes : one.token < other.token;
  });
  place_.assign(vocabulary_size_, entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    place_[static_cast<std::size_t>(entries_[i].token)] = i;
    if (i == 0) continue;
    const std::string& before = entries_[i - 1].bytes;
    entries_[i].shared =
        static_cast<std::size_t>(std::ranges::mismatch(before, entries_[i].bytes).in1 - before.begin());
  }
}

TokenGrammar::TokenGrammar(GrammarRules rules, std::shared_ptr<const TokenBytes> vocabulary,
                           std::vector<TokenId> ends)
    : vocabulary_(std::move(vocabulary)),
      ends_(std::move(ends)),
      grammar_(std::move(rules)),
      start_(grammar_.start()) {
  if (start_ == Grammar::kDead) fail(ErrorKind::bad_input, "grammar: no text follows from it");
}

std::shared_ptr<const TokenMask> TokenGrammar::mask(State state) const {
  const std::lock_guard lock(mutex_);
  const auto found = masks_.find(state);
  if (found != masks_.end()) return found->second;
  if (masks_.size() >= kMostMasks) masks_.clear();
  auto mask = std::make_shared<const TokenMask>(make_mask(state));
  masks_.emplace(state, mask);
  return mask;
}

// Tokens in order: the states after the bytes shared with the one before are there already, and where a
// token fails, all that share the failing byte are passed over.
TokenMask TokenGrammar::make_mask(State state) const {
  TokenMask mask((vocabulary_->vocabulary_size() + 63) / 64, 0);
  const auto allow = [&](TokenId token) {
    mask[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (static_cast<std::size_t>(token) % 64);
  };
  bool any = false;
  std::vector<State> after{state};  // after so many bytes
  std::size_t failed = SIZE_MAX;    // bytes up to and with the one that failed
  for (const TokenBytes::Entry& entry : vocabulary_->entries()) {
    if (entry.shared >= failed) continue;
    failed = SIZE_MAX;
    after.resize(entry.shared + 1);
    for (std::size_t i = entry.shared; i < entry.bytes.size(); ++i) {
      const State next = grammar_.step(after.back(), static_cast<std::uint8_t>(entry.bytes[i]));
      if (next == Grammar::kDead) {
        failed = i + 1;
        break;
      }
      after.push_back(next);
    }
    if (failed != SIZE_MAX) continue;
    allow(entry.token);
    any = true;
  }
  if (grammar_.is_complete(state)) {
    for (const TokenId end : ends_) {
      if (std::cmp_less(end, vocabulary_->vocabulary_size())) allow(end);
    }
    any = any || !ends_.empty();
  }
  if (!any) {
    fail(ErrorKind::unsupported, "grammar: the text cannot go on, because no token of this vocabulary fits");
  }
  return mask;
}

TokenGrammar::State TokenGrammar::accept(State state, TokenId token) const {
  const std::lock_guard lock(mutex_);
  if (vocabulary_->is_text(token)) {
    for (const char byte : vocabulary_->bytes_of(token))
      state = grammar_.step(state, static_cast<std::uint8_t>(byte));
    if (state != Grammar::kDead) return state;
  }
  fail(ErrorKind::internal, "grammar: token {} does not fit", token);
}

bool TokenGrammar::is_exhausted(State state) const {
  const std::lock_guard lock(mutex_);
  return grammar_.is_exhausted(state);
}

std::int64_t TokenGrammar::state_count() const {
  const std::lock_guard lock(mutex_);
  return grammar_.state_count();
}

}  // namespace tessera::engine
