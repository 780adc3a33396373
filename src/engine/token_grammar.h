// A grammar over the tokens of a vocabulary: which of them may come next, so that whatever is sampled, the
// text follows the grammar.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/token_id.h"
#include "engine/grammar.h"
#include "text/tokenizer.h"

namespace tessera::engine {

// The bytes of all tokens in order, beside each how many it shares with the one before: a walk over a prefix
// tree without the tree. Made once for a model.
class TokenBytes {
 public:
  // Control tokens, which are no text, are left out.
  explicit TokenBytes(const text::Tokenizer& tokenizer);

  struct Entry {
    std::string bytes;
    TokenId token = 0;
    std::size_t shared = 0;
  };
  std::span<const Entry> entries() const { return entries_; }
  std::size_t vocabulary_size() const { return vocabulary_size_; }
  const std::string& bytes_of(TokenId token) const {
    return entries_[place_[static_cast<std::size_t>(token)]].bytes;
  }
  bool is_text(TokenId token) const { return place_[static_cast<std::size_t>(token)] < entries_.size(); }

 private:
  std::vector<Entry> entries_;
  std::vector<std::size_t> place_;  // token → entry
  std::size_t vocabulary_size_;
};

// One bit a token.
using TokenMask = std::vector<std::uint64_t>;

// Shared by any number of generations, in any threads; what one has found out serves the others.
class TokenGrammar {
 public:
  using State = Grammar::State;

  // `ends`: the tokens that end a text. They are allowed where it is complete.
  TokenGrammar(GrammarRules rules, std::shared_ptr<const TokenBytes> vocabulary, std::vector<TokenId> ends);

  State start() const { return start_; }
  // The tokens that may follow. Error unsupported: none of this vocabulary can.
  std::shared_ptr<const TokenMask> mask(State state) const;
  // The state after a token that the mask allows, which is no end. Error internal: it does not.
  State accept(State state, TokenId token) const;
  // Nothing but the end can follow.
  bool is_exhausted(State state) const;
  // Places in texts that have been met so far.
  std::int64_t state_count() const;

 private:
  TokenMask make_mask(State state) const;

  std::shared_ptr<const TokenBytes> vocabulary_;
  std::vector<TokenId> ends_;
  mutable std::mutex mutex_;
  mutable Grammar grammar_;
  mutable std::unordered_map<State, std::shared_ptr<const TokenMask>> masks_;
  State start_;
};

}  // namespace tessera::engine
