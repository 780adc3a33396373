#include "engine/grammar_cache.h"

#include <algorithm>
#include <utility>

namespace tessera::engine {
namespace {

// Texts leave states behind; a grammar that has gathered so many is made anew before it reaches its limit.
constexpr std::int64_t kMostStatesToKeep = 16384;

}  // namespace

GrammarCache::GrammarCache(const LoadedModel& loaded, std::size_t most) : loaded_(&loaded), most_(most) {}

std::shared_ptr<const TokenGrammar> GrammarCache::get(const std::string& gbnf) {
  std::shared_ptr<const TokenBytes> vocabulary;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(entries_, gbnf, &Entry::gbnf);
    if (found != entries_.end() && found->grammar->state_count() < kMostStatesToKeep) {
      entries_.splice(entries_.begin(), entries_, found);
      return found->grammar;
    }
    if (found != entries_.end()) entries_.erase(found);
    if (!vocabulary_) vocabulary_ = std::make_shared<const TokenBytes>(*loaded_->tokenizer);
    vocabulary = vocabulary_;
  }
  // Others need not wait while a large grammar is read; two who bring the same one make it twice.
  auto grammar =
      std::make_shared<const TokenGrammar>(parse_gbnf(gbnf), vocabulary, loaded_->end_of_generation);
  const std::lock_guard lock(mutex_);
  entries_.push_front({gbnf, grammar});
  if (entries_.size() > most_) entries_.pop_back();
  return grammar;
}

}  // namespace tessera::engine
