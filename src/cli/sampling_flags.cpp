#include "cli/sampling_flags.h"

#include <charconv>
#include <random>

#include "base/error.h"
#include "cli/options.h"

namespace tessera::cli {
namespace {

template <typename Value>
Value first_of(const std::optional<Value>& flag, const std::optional<Value>& recommended, Value fallback) {
  if (flag) return *flag;
  return recommended.value_or(fallback);
}

std::pair<TokenId, float> parse_logit_bias(const std::string& text) {
  TokenId token = 0;
  const char* end = text.data() + text.size();
  const auto [after, problem] = std::from_chars(text.data(), end, token);
  if (problem == std::errc() && after != end && *after == ':') {
    float bias = 0;
    const char* begin = after + 1 + (after[1] == '+' ? 1 : 0);
    const auto [last, trouble] = std::from_chars(begin, end, bias);
    if (trouble == std::errc() && last == end) return {token, bias};
  }
  fail(ErrorKind::bad_usage, "--logit-bias: expected ID:BIAS, e.g. 15:-1.5 or 15:-inf, found '{}'",
       printable(text));
}

std::uint64_t random_seed() {
  std::random_device device;
  return device();  // 32 bits: short enough to be typed again
}

template <typename Value>
void add_optional(CLI::App& app, const std::string& flags, std::optional<Value>& value,
                  const std::string& help) {
  app.add_option(flags, value, help)->envname(environment_name(flags));
}

}  // namespace

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  add_optional(app, "--temp", flags.temperature, "temperature; 0: always the most probable token");
  add_optional(app, "--top-k", flags.top_k, "choose among the K most probable tokens; 0: all");
  add_optional(app, "--top-p", flags.top_p,
               "choose among the fewest tokens with this probability together; 1: all");
  add_optional(app, "--min-p", flags.min_p,
               "drop tokens below this share of the best one's probability; 0: none");
  add_optional(app, "--typical", flags.typical_p,
               "locally typical sampling: keep this much probability; 1: all");
  add_optional(app, "--repeat-penalty", flags.repeat_penalty,
               "divide the logits of tokens seen before; 1: off");
  add_optional(app, "--repeat-last-n", flags.repeat_last_n,
               "how many tokens back penalties look; -1: all, 0: none");
  add_optional(app, "--presence-penalty", flags.presence_penalty,
               "taken from logits of tokens already generated; 0: off");
  add_optional(app, "--frequency-penalty", flags.frequency_penalty,
               "taken from logits for each time the token was generated; 0: off");
  add_optional(app, "-s,--seed", flags.seed,
               "seed of the random choice; the same seed gives the same text; -1: random");
  add_option(app, "--logit-bias", flags.logit_bias,
             "ID:BIAS, added to the logit of token ID; can be repeated");
}

engine::SamplingOptions sampling_options(const SamplingFlags& flags,
                                         const engine::GenerationDefaults& defaults,
                                         const engine::SamplingOptions& fallback) {
  engine::SamplingOptions options = fallback;
  options.temperature = first_of(flags.temperature, defaults.temperature, fallback.temperature);
  options.top_k = first_of(flags.top_k, defaults.top_k, fallback.top_k);
  options.top_p = first_of(flags.top_p, defaults.top_p, fallback.top_p);
  options.min_p = first_of(flags.min_p, defaults.min_p, fallback.min_p);
  options.typical_p = first_of(flags.typical_p, defaults.typical_p, fallback.typical_p);
  options.repetition_penalty =
      first_of(flags.repeat_penalty, defaults.repetition_penalty, fallback.repetition_penalty);
  options.penalty_window = flags.repeat_last_n.value_or(fallback.penalty_window);
  options.presence_penalty = flags.presence_penalty.value_or(fallback.presence_penalty);
  options.frequency_penalty = flags.frequency_penalty.value_or(fallback.frequency_penalty);
  const std::int64_t seed = flags.seed.value_or(-1);
  if (seed < -1)
    fail(ErrorKind::bad_usage, "--seed: expected 0 or more, or -1 for a random one, found {}", seed);
  options.seed = seed == -1 ? random_seed() : static_cast<std::uint64_t>(seed);
  for (const std::string& bias : flags.logit_bias) options.logit_bias.push_back(parse_logit_bias(bias));
  return options;
}

}  // namespace tessera::cli
