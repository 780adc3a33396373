// Grammars that requests bring, compiled once and kept: the next request of the same kind finds its masks
// made.
#pragma once
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "engine/model_loader.h"
#include "engine/token_grammar.h"

namespace tessera::engine {

// Any thread.
class GrammarCache {
 public:
  // Keeps the grammars that were asked for last, at most `most`. `loaded` must outlive the cache.
  explicit GrammarCache(const LoadedModel& loaded, std::size_t most = 64);

  // The grammar of a GBNF text. Error as parse_gbnf and TokenGrammar.
  std::shared_ptr<const TokenGrammar> get(const std::string& gbnf);

 private:
  struct Entry {
    std::string gbnf;
    std::shared_ptr<const TokenGrammar> grammar;
  };

  const LoadedModel* loaded_;
  std::size_t most_;
  std::mutex mutex_;
  std::shared_ptr<const TokenBytes> vocabulary_;  // made for the first grammar
  std::list<Entry> entries_;                      // the last one used first
};

}  // namespace tessera::engine
