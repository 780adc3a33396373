#include "engine/sequence.h"

#include <algorithm>

namespace tessera::engine {

void Sequence::truncate(std::int64_t length) {
  if (length < cached()) table_.truncate(length);
  tokens_.resize(static_cast<std::size_t>(std::min(length, this->length())));
}

std::int64_t Sequence::replace(std::span<const TokenId> tokens) {
  const auto reusable = std::min({static_cast<std::size_t>(cached()), tokens.size(), tokens_.size()});
  const auto begin = tokens.begin();
  const auto differs =
      std::mismatch(begin, begin + static_cast<std::ptrdiff_t>(reusable), tokens_.begin()).first;
  std::int64_t common = differs - begin;
  if (common == static_cast<std::int64_t>(tokens.size()) && common > 0) --common;
  table_.truncate(common);
  tokens_.assign(tokens.begin(), tokens.end());
  return cached();
}

void Sequence::set_lora(nn::LoraId lora) {
  if (lora == lora_) return;
  table_.truncate(0);
  lora_ = lora;
}

Sequence Sequence::fork() const { return {tokens_, table_.fork(), lora_}; }

}  // namespace tessera::engine
