#include "engine/grammar.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kMostStates = std::size_t{1} << 16;
constexpr std::size_t kMostStacks = std::size_t{1} << 20;
// Ways in which one text can be read at the same time.
constexpr std::size_t kMostPlaces = 20'000;

}  // namespace

Grammar::Grammar(GrammarRules rules) : byte_sets_(std::move(rules.byte_sets)) {
  for (const auto& rule : rules.rules) {
    std::vector<Position>& begins = alternatives_.emplace_back();
    for (const GrammarSequence& sequence : rule) {
      begins.push_back(static_cast<Position>(symbols_.size()));
      for (const GrammarSymbol& symbol : sequence) {
        symbols_.push_back({symbol.is_rule ? Kind::rule : Kind::bytes, symbol.index});
      }
      symbols_.push_back({Kind::end, 0});
    }
  }
  std::vector<Place> work;
  for (const Position begin : alternatives_[static_cast<std::size_t>(rules.root)])
    work.push_back({begin, kNoStack});
  start_ = close(std::move(work));
}

Grammar::State Grammar::step(State state, std::uint8_t byte) {
  if (state < 0) return kDead;
  auto& next = states_[static_cast<std::size_t>(state)].next;
  if (!next) {
    next = std::make_unique<std::array<State, 256>>();
    next->fill(kUnknown);
  }
  if ((*next)[byte] != kUnknown) return (*next)[byte];
  std::vector<Place> work;
  for (const StackId top : states_[static_cast<std::size_t>(state)].tops) {
    const Stack& stack = stacks_[static_cast<std::size_t>(top)];
    const Symbol& symbol = symbols_[static_cast<std::size_t>(stack.at)];
    if (byte_sets_[static_cast<std::size_t>(symbol.index)].test(byte))
      work.push_back({stack.at + 1, stack.below});
  }
  const State result = work.empty() ? kDead : close(std::move(work));
  (*states_[static_cast<std::size_t>(state)].next)[byte] = result;  // states_ may have moved
  return result;
}

// From places anywhere to those that wait for a byte: rules are entered, ends go back to the stack below.
Grammar::State Grammar::close(std::vector<Place> work) {
  std::set<Place> seen;
  std::set<StackId> tops;
  bool complete = false;
  while (!work.empty()) {
    const Place place = work.back();
    work.pop_back();
    if (!seen.insert(place).second) continue;
    if (seen.size() > kMostPlaces)
      fail(ErrorKind::limit, "grammar: more than {} ways to read one text", kMostPlaces);
    switch (symbols_[static_cast<std::size_t>(place.at)].kind) {
      case Kind::bytes:
        tops.insert(stack_of(place));
        break;
      case Kind::rule:
        enter_rule(place, work);
        break;
      case Kind::end:
        if (place.below == kNoStack) {
          complete = true;
        } else {
          const Stack& below = stacks_[static_cast<std::size_t>(place.below)];
          work.push_back({below.at, below.below});
        }
        break;
    }
  }
  if (tops.empty() && !complete) return kDead;
  std::vector<StackId> sorted(tops.begin(), tops.end());
  const auto [found, is_new] = state_ids_.try_emplace({sorted, complete}, static_cast<State>(states_.size()));
  if (is_new) {
    if (states_.size() >= kMostStates) fail(ErrorKind::limit, "grammar: more than {} states", kMostStates);
    states_.push_back({std::move(sorted), complete, nullptr});
  }
  return found->second;
}

// The last symbol of a rule leaves nothing to come back to: repetitions, which are such rules, do not pile
// up.
void Grammar::enter_rule(const Place& place, std::vector<Place>& work) {
  StackId below = place.below;
  if (symbols_[static_cast<std::size_t>(place.at) + 1].kind != Kind::end) {
    below = stack_of({place.at + 1, place.below});
    if (stacks_[static_cast<std::size_t>(below)].depth > kMostDepth) return;
  }
  const auto rule = static_cast<std::size_t>(symbols_[static_cast<std::size_t>(place.at)].index);
  for (const Position begin : alternatives_[rule]) work.push_back({begin, below});
}

Grammar::StackId Grammar::stack_of(const Place& place) {
  const auto [found, is_new] = stack_ids_.try_emplace(place, static_cast<StackId>(stacks_.size()));
  if (is_new) {
    if (stacks_.size() >= kMostStacks) fail(ErrorKind::limit, "grammar: more than {} stacks", kMostStacks);
    const std::int32_t depth =
        place.below == kNoStack ? 0 : stacks_[static_cast<std::size_t>(place.below)].depth + 1;
    stacks_.push_back({place.at, place.below, depth});
  }
  return found->second;
}

}  // namespace tessera::engine
