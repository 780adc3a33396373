// One text on its way through the model: its tokens, and the cache blocks that hold keys and values of the
// first of them.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/token_id.h"
#include "engine/block_manager.h"
#include "nn/lora.h"

namespace tessera::engine {

class Sequence {
 public:
  explicit Sequence(BlockManager& manager) : table_(manager) {}

  const std::vector<TokenId>& tokens() const { return tokens_; }
  std::int64_t length() const { return static_cast<std::int64_t>(tokens_.size()); }
  // Tokens whose keys and values are in the cache; the rest waits for the next forward pass.
  std::int64_t cached() const { return table_.length(); }
  const BlockTable& table() const { return table_; }
  BlockTable& table() { return table_; }

  void append(TokenId token) { tokens_.push_back(token); }
  // Keeps the first `length` tokens; nothing that stays is computed again.
  void truncate(std::int64_t length);
  // Becomes `tokens`, keeping the cache of the longest common prefix. Returns how many cached tokens stayed.
  // The last token is always left to compute, because its logits are wanted.
  std::int64_t replace(std::span<const TokenId> tokens);
  // The adapter under which the text is computed. Another one than before forgets what is cached.
  nn::LoraId lora() const { return lora_; }
  void set_lora(nn::LoraId lora);
  // The same text again, sharing every cached block.
  Sequence fork() const;

 private:
  Sequence(std::vector<TokenId> tokens, BlockTable table, nn::LoraId lora)
      : tokens_(std::move(tokens)), table_(std::move(table)), lora_(lora) {}

  std::vector<TokenId> tokens_;
  BlockTable table_;
  nn::LoraId lora_ = nn::kNoLora;
};

}  // namespace tessera::engine
