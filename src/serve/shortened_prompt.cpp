#include "serve/shortened_prompt.h"

#include <utility>

namespace tessera::serve {
namespace {

// What comes before the first turn, and all from message `begin` on.
Json without_turns(const Json& messages, std::size_t first, std::size_t begin) {
  Json kept = Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (i < first || i >= begin) kept.push_back(messages[i]);
  }
  return kept;
}

}  // namespace

ShortenedPrompt shortened_prompt(const Json& messages, std::int64_t most_tokens,
                                 const std::function<std::vector<TokenId>(const Json&)>& encode) {
  ShortenedPrompt whole{.tokens = encode(messages)};
  std::vector<std::size_t> turns;  // where each begins
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i]["role"] == "user") turns.push_back(i);
  }
  if (std::cmp_less_equal(whole.tokens.size(), most_tokens) || turns.size() < 2) return whole;
  const auto from = [&](std::size_t turn) {
    return ShortenedPrompt{.tokens = encode(without_turns(messages, turns.front(), turns[turn])),
                           .dropped_messages = static_cast<std::int64_t>(turns[turn] - turns.front())};
  };
  // The longer, the more turns: halve the doubt.
  std::size_t too_many = 0;
  std::size_t enough = turns.size() - 1;
  ShortenedPrompt best = from(enough);
  while (enough - too_many > 1) {
    const std::size_t middle = too_many + (enough - too_many) / 2;
    ShortenedPrompt tried = from(middle);
    if (std::cmp_less_equal(tried.tokens.size(), most_tokens)) {
      enough = middle;
      best = std::move(tried);
    } else {
      too_many = middle;
    }
  }
  return best;
}

}  // namespace tessera::serve
