// Which texts may come: a grammar as an automaton over bytes, built as far as texts reach into it.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/gbnf.h"

namespace tessera::engine {

// A pushdown automaton whose stacks share their lower parts; a state is the set of stacks that the text so
// far leaves possible, numbered and remembered, so that the same place in two texts is one state and a step
// from it is a look into a table. Belongs to one thread at a time.
class Grammar {
 public:
  using State = std::int32_t;
  static constexpr State kDead = -1;
  // Where a rule would be nested deeper than this, the text cannot go.
  static constexpr std::int32_t kMostDepth = 256;

  explicit Grammar(GrammarRules rules);

  State start() const { return start_; }
  // The state after another byte; kDead when no text of the grammar goes on so. Error limit: the texts have
  // led to more states than are kept.
  State step(State state, std::uint8_t byte);
  // The text may end here.
  bool is_complete(State state) const { return states_[static_cast<std::size_t>(state)].complete; }
  // It must, because nothing can follow.
  bool is_exhausted(State state) const { return states_[static_cast<std::size_t>(state)].tops.empty(); }
  std::int64_t state_count() const { return static_cast<std::int64_t>(states_.size()); }

 private:
  using Position = std::int32_t;  // of a symbol in symbols_
  using StackId = std::int32_t;
  static constexpr StackId kNoStack = -1;
  static constexpr State kUnknown = -2;

  enum class Kind : std::uint8_t { bytes, rule, end };
  struct Symbol {
    Kind kind = Kind::end;
    std::int32_t index = 0;
  };
  // To go on at a symbol, and when its rule ends, with the stack below.
  struct Stack {
    Position at = 0;
    StackId below = kNoStack;
    std::int32_t depth = 0;
  };
  struct Place {
    Position at = 0;
    StackId below = kNoStack;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct StateData {
    std::vector<StackId> tops;  // sorted; each waits for a byte
    bool complete = false;
    std::unique_ptr<std::array<State, 256>> next;  // kUnknown until it was asked for
  };

  StackId stack_of(const Place& place);
  State close(std::vector<Place> work);
  void enter_rule(const Place& place, std::vector<Place>& work);

  std::vector<ByteSet> byte_sets_;
  std::vector<Symbol> symbols_;                      // all alternatives, each closed by Kind::end
  std::vector<std::vector<Position>> alternatives_;  // rule → where they begin
  std::vector<Stack> stacks_;
  std::map<Place, StackId> stack_ids_;
  std::vector<StateData> states_;
  std::map<std::pair<std::vector<StackId>, bool>, State> state_ids_;
  State start_ = kDead;
};

}  // namespace tessera::engine
