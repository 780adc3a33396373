// How much each client has had of the engine, so that the one who had least is served next (virtual token
// counters: Sheng et al., "Fairness in Serving Large Language Models", 2024).
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>

namespace tessera::engine {

class FairShares {
 public:
  // A piece of work of this client begins to wait, or is over. A client who had nothing to do is lifted to
  // the least served of those who had: idleness earns no credit.
  void enter(const std::string& client);
  void leave(const std::string& client);
  void charge(const std::string& client, std::int64_t tokens) { accounts_[client].served += tokens; }

  std::int64_t served(const std::string& client) const;

 private:
  struct Account {
    std::int64_t served = 0;  // tokens
    std::int64_t active = 0;  // pieces of work
  };
  void forget_idle();

  std::unordered_map<std::string, Account> accounts_;
};

}  // namespace tessera::engine
