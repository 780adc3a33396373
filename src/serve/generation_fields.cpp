#include "serve/generation_fields.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <random>

namespace tessera::serve {
namespace {

constexpr std::size_t kMostStops = 16;
constexpr double kMostBias = 100;
// Above it neighbouring integers are one number to clients that compute in doubles (ECMAScript).
constexpr std::int64_t kMostSeed = (std::int64_t{1} << 53) - 1;

std::uint64_t random_seed() {
  std::random_device device;
  return device();
}

std::vector<std::string> read_stop(JsonFields& fields) {
  const Json* value = fields.find("stop");
  if (value == nullptr) return {};
  const std::string path = fields.path_of("stop");
  const Json list = value->is_array() ? *value : Json::array({*value});
  if (list.size() > kMostStops)
    refuse_field(path, "expected at most {} strings, found {}", kMostStops, list.size());
  std::vector<std::string> stops;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = value->is_array() ? fmt::format("{}[{}]", path, i) : path;
    if (!list[i].is_string() || list[i].get_ref<const std::string&>().empty()) {
      refuse_field(where, "expected a text that is not empty, found {}", shown(list[i]));
    }
    stops.push_back(list[i].get<std::string>());
  }
  return stops;
}

std::vector<std::pair<TokenId, float>> read_logit_bias(JsonFields& fields, std::int64_t vocabulary_size) {
  const Json* value = fields.find("logit_bias");
  if (value == nullptr) return {};
  const std::string path = fields.path_of("logit_bias");
  if (!value->is_object()) refuse_field(path, "expected an object of token ids, found {}", shown(*value));
  std::vector<std::pair<TokenId, float>> biases;
  for (const auto& [name, bias] : value->items()) {
    TokenId token = 0;
    const char* end = name.data() + name.size();
    const auto [after, problem] = std::from_chars(name.data(), end, token);
    if (problem != std::errc() || after != end || token < 0 || token >= vocabulary_size) {
      refuse_field(path, "expected token ids in [0, {}), found '{}'", vocabulary_size, printable(name));
    }
    const double number = bias.is_number() ? bias.get<double>() : std::numeric_limits<double>::quiet_NaN();
    if (!(number >= -kMostBias && number <= kMostBias)) {
      refuse_field(path + "." + name, "expected a number in [{}, {}], found {}", -kMostBias, kMostBias,
                   shown(bias));
    }
    biases.emplace_back(token, static_cast<float>(number));
  }
  return biases;
}

void read_sampling(JsonFields& fields, std::int64_t vocabulary_size, engine::SamplingOptions& sampling) {
  read_sampling_numbers(fields, "repetition_penalty", vocabulary_size, sampling);
  const auto seed = fields.integer("seed", 0, kMostSeed);
  sampling.seed = seed ? static_cast<std::uint64_t>(*seed) : random_seed();
  const auto biases = read_logit_bias(fields, vocabulary_size);
  sampling.logit_bias.insert(sampling.logit_bias.end(), biases.begin(), biases.end());
}

void read_stream(JsonFields& fields, GenerationFields& read) {
  read.stream = fields.boolean("stream").value_or(false);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return;
  if (!read.stream) refuse_field(fields.path_of("stream_options"), "expected 'stream' to be true with it");
  JsonFields members(*options, fields.path_of("stream_options"));
  read.include_usage = members.boolean("include_usage").value_or(false);
  members.ignore("include_obfuscation");
  members.finish();
}

}  // namespace

void read_sampling_numbers(JsonFields& fields, const char* repetition_penalty, std::int64_t most_top_k,
                           engine::SamplingOptions& sampling) {
  const auto set = [&](const char* name, double least, double most, float& value, bool open_below = false) {
    if (const auto given = fields.number(name, least, most, open_below)) value = static_cast<float>(*given);
  };
  set("temperature", 0, 2, sampling.temperature);
  set("top_p", 0, 1, sampling.top_p, true);
  set("min_p", 0, 1, sampling.min_p);
  set("typical_p", 0, 1, sampling.typical_p, true);
  set(repetition_penalty, 0, 100, sampling.repetition_penalty, true);
  set("presence_penalty", -2, 2, sampling.presence_penalty);
  set("frequency_penalty", -2, 2, sampling.frequency_penalty);
  sampling.top_k = fields.integer("top_k", 0, most_top_k).value_or(sampling.top_k);
}

GenerationFields read_generation_fields(JsonFields& fields, const engine::SamplingOptions& defaults,
                                        const GenerationLimits& limits) {
  GenerationFields read;
  read.sampling = defaults;
  read_sampling(fields, limits.vocabulary_size, read.sampling);
  read.max_new_tokens = fields.integer("max_tokens", 1, limits.context_size).value_or(-1);
  read.stop = read_stop(fields);
  read.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  read.n = fields.integer("n", 1, kMostChoices).value_or(1);
  read_stream(fields, read);
  if (const auto truncation = fields.string("truncation"); truncation && *truncation != "disabled") {
    read.truncates = *truncation == "auto";
    if (!read.truncates) {
      refuse_field(fields.path_of("truncation"), "expected auto or disabled, found {}", shown(*truncation));
    }
  }
  for (const char* harmless : {"user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier"}) {
    fields.ignore(harmless);
  }
  return read;
}

void check_model(JsonFields& fields, const std::vector<std::string>& served) {
  const auto model = fields.string("model");
  if (!model || std::ranges::find(served, *model) != served.end()) return;
  std::string names;
  for (const std::string& name : served) names += (names.empty() ? "" : ", ") + name;
  throw ApiError(404, fmt::format("model: expected one of {}, found '{}'", names, printable(*model)), "model",
                 "model_not_found");
}

}  // namespace tessera::serve
