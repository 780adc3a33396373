#include "engine/fair_shares.h"

#include <algorithm>
#include <limits>

namespace tessera::engine {
namespace {

constexpr std::size_t kMostAccounts = 4096;

}  // namespace

void FairShares::enter(const std::string& client) {
  Account& account = accounts_[client];
  if (account.active == 0) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const auto& [name, other] : accounts_) {
      if (other.active > 0) least = std::min(least, other.served);
    }
    if (least != std::numeric_limits<std::int64_t>::max()) account.served = std::max(account.served, least);
  }
  ++account.active;
  if (accounts_.size() > kMostAccounts) forget_idle();
}

void FairShares::leave(const std::string& client) {
  const auto found = accounts_.find(client);
  if (found != accounts_.end() && found->second.active > 0) --found->second.active;
}

std::int64_t FairShares::served(const std::string& client) const {
  const auto found = accounts_.find(client);
  return found == accounts_.end() ? 0 : found->second.served;
}

void FairShares::forget_idle() {
  std::erase_if(accounts_, [](const auto& account) { return account.second.active == 0; });
}

}  // namespace tessera::engine
