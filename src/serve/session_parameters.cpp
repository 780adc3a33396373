#include "serve/session_parameters.h"

#include <limits>

#include "serve/generation_fields.h"

namespace tessera::serve {
namespace {

constexpr std::size_t kMostStops = 16;
constexpr std::int64_t kMostCount = 1'000'000'000;
// Above it neighbouring integers are one number to clients that compute in doubles (ECMAScript).
constexpr std::int64_t kMostSeed = (std::int64_t{1} << 53) - 1;

void read_mode(JsonFields& fields, SessionParameters& read) {
  const auto mode = fields.string("mode");
  if (!mode) return;
  if (*mode != "chat" && *mode != "story") {
    refuse_field(fields.path_of("mode"), "expected chat or story, found '{}'", printable(*mode, 40));
  }
  read.story = *mode == "story";
}

void read_stop(JsonFields& fields, SessionParameters& read) {
  const Json* list = fields.find("stop");
  if (list == nullptr) return;
  const std::string path = fields.path_of("stop");
  if (!list->is_array() || list->size() > kMostStops) {
    refuse_field(path, "expected an array of at most {} texts, found {}", kMostStops, shown(*list));
  }
  read.stop.clear();
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& text = (*list)[i];
    if (!text.is_string() || text.get_ref<const std::string&>().empty()) {
      refuse_field(fmt::format("{}[{}]", path, i), "expected a text that is not empty, found {}",
                   shown(text));
    }
    read.stop.push_back(text.get<std::string>());
  }
}

void read_sampling(JsonFields& fields, engine::SamplingOptions& sampling) {
  read_sampling_numbers(fields, "repeat_penalty", kMostCount, sampling);
  sampling.penalty_window = fields.integer("repeat_last_n", -1, kMostCount).value_or(sampling.penalty_window);
}

}  // namespace

void lay_over(SessionParameters& read, const Json& parameters, bool stored) {
  JsonFields fields(parameters, "parameters");
  read_mode(fields, read);
  if (auto system = fields.string("system")) read.system = std::move(*system);
  read_sampling(fields, read.sampling);
  const std::int64_t most_seed = stored ? std::numeric_limits<std::int64_t>::max() : kMostSeed;
  if (const auto seed = fields.integer("seed", 0, most_seed)) read.seed = static_cast<std::uint64_t>(*seed);
  // -1 is how the terminal says: no limit.
  const auto most = fields.integer("max_tokens", -1, kMostCount);
  if (most && *most == 0)
    refuse_field(fields.path_of("max_tokens"), "expected -1 (no limit) or more, found 0");
  read.max_new_tokens = most.value_or(read.max_new_tokens);
  read_stop(fields, read);
  if (!stored) fields.finish();
}

void check_session_parameters(const Json& parameters) {
  SessionParameters read;
  lay_over(read, parameters, false);
}

}  // namespace tessera::serve
