#include "cli/chat_parameters.h"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/near_names.h"

namespace tessera::cli {
namespace {

using engine::AnswerOptions;
using engine::SamplingOptions;
using nlohmann::ordered_json;

struct Parameter {
  const char* name;
  const char* json_name;
  std::variant<float SamplingOptions::*, std::int64_t SamplingOptions::*, std::uint64_t SamplingOptions::*,
               std::int64_t AnswerOptions::*>
      field;
};

constexpr std::array kParameters = {
    Parameter{"temp", "temperature", &SamplingOptions::temperature},
    Parameter{"top-k", "top_k", &SamplingOptions::top_k},
    Parameter{"top-p", "top_p", &SamplingOptions::top_p},
    Parameter{"min-p", "min_p", &SamplingOptions::min_p},
    Parameter{"typical", "typical_p", &SamplingOptions::typical_p},
    Parameter{"repeat-penalty", "repeat_penalty", &SamplingOptions::repetition_penalty},
    Parameter{"repeat-last-n", "repeat_last_n", &SamplingOptions::penalty_window},
    Parameter{"presence-penalty", "presence_penalty", &SamplingOptions::presence_penalty},
    Parameter{"frequency-penalty", "frequency_penalty", &SamplingOptions::frequency_penalty},
    Parameter{"seed", "seed", &SamplingOptions::seed},
    Parameter{"predict", "max_tokens", &AnswerOptions::max_new_tokens},
};

template <typename Options, typename Field>
auto& field_of(Options& options, Field field) {
  if constexpr (std::is_same_v<Field, std::int64_t AnswerOptions::*>) {
    return options.*field;
  } else {
    return options.sampling.*field;
  }
}

}  // namespace

std::string parameters_text(const AnswerOptions& options) {
  std::string text;
  for (const Parameter& parameter : kParameters) {
    std::visit(
        [&](auto field) { text += fmt::format("{:<18} {}\n", parameter.name, field_of(options, field)); },
        parameter.field);
  }
  return text;
}

std::string parameters_json(const AnswerOptions& options, std::string_view stored) {
  ordered_json json = ordered_json::parse(stored);
  for (const Parameter& parameter : kParameters) {
    // A float as it is written, not as the double next to it.
    std::visit(
        [&](auto field) {
          json[parameter.json_name] = ordered_json::parse(fmt::format("{}", field_of(options, field)));
        },
        parameter.field);
  }
  if (!options.stop.empty() || json.contains("stop")) json["stop"] = options.stop;
  return json.dump();
}

std::vector<std::string> restore_parameters(AnswerOptions& options, std::string_view stored,
                                            std::int64_t vocabulary_size,
                                            const std::set<std::string>& fixed) {
  const ordered_json json = ordered_json::parse(stored);
  std::vector<std::string> unusable;
  const auto take = [&](const std::string& name, const auto& read) {
    const auto value = json.find(name);
    if (value == json.end() || value->is_null() || fixed.contains(name)) return;
    AnswerOptions changed = options;
    try {
      read(*value, changed);
      engine::check(changed.sampling, vocabulary_size);
      options = changed;
    } catch (const std::exception&) {
      unusable.push_back(name);
    }
  };
  for (const Parameter& parameter : kParameters) {
    take(parameter.json_name, [&](const ordered_json& value, AnswerOptions& changed) {
      std::visit([&](auto field) { value.get_to(field_of(changed, field)); }, parameter.field);
    });
  }
  take("stop", [](const ordered_json& value, AnswerOptions& changed) { value.get_to(changed.stop); });
  return unusable;
}

std::optional<std::string> system_parameter(std::string_view stored) {
  const ordered_json json = ordered_json::parse(stored);
  const auto system = json.find("system");
  return system != json.end() && system->is_string() ? std::optional(system->get<std::string>())
                                                     : std::nullopt;
}

std::string with_system_parameter(std::string_view stored, const std::string& system) {
  ordered_json json = ordered_json::parse(stored);
  json["system"] = system;
  return json.dump();
}

std::string without_system_parameter(std::string_view stored) {
  ordered_json json = ordered_json::parse(stored);
  json.erase("system");
  return json.dump();
}

bool is_story(std::string_view stored) {
  return ordered_json::parse(stored).value("mode", ordered_json()) == "story";
}

void set_parameter(AnswerOptions& options, const std::string& assignment, std::int64_t vocabulary_size) {
  const std::size_t end = assignment.find_first_of(" =\t");
  const std::string name = assignment.substr(0, end);
  const std::size_t begin = assignment.find_first_not_of(" =\t", end);
  const std::string value = begin == std::string::npos ? std::string() : assignment.substr(begin);
  std::vector<std::string> names;
  for (const Parameter& parameter : kParameters) {
    names.emplace_back(parameter.name);
    if (name != parameter.name) continue;
    AnswerOptions changed = options;
    std::visit(
        [&](auto field) {
          const auto [after, problem] =
              std::from_chars(value.data(), value.data() + value.size(), field_of(changed, field));
          if (problem != std::errc() || after != value.data() + value.size()) {
            fail(ErrorKind::bad_usage, "{}: expected a number, found '{}'", name, printable(value));
          }
        },
        parameter.field);
    engine::check(changed.sampling, vocabulary_size);
    if (changed.max_new_tokens < -1) {
      fail(ErrorKind::bad_usage, "predict: expected -1 (no limit) or more, found {}", changed.max_new_tokens);
    }
    options = changed;
    return;
  }
  const auto near = near_names(name, names, 1);
  fail(ErrorKind::bad_usage, "no parameter '{}'{}; /params lists them", printable(name),
       near.empty() ? "" : ", did you mean '" + near.front() + "'?");
}

}  // namespace tessera::cli
