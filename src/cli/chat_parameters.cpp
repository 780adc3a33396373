#include "cli/chat_parameters.h"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <functional>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/near_names.h"

namespace tessera::cli {
namespace {

using engine::AnswerOptions;
using engine::SamplingOptions;

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

std::string parameters_json(const AnswerOptions& options) {
  std::string json;
  for (const Parameter& parameter : kParameters) {
    std::visit(
        [&](auto field) {
          json += fmt::format(R"({}"{}":{})", json.empty() ? "{" : ",", parameter.json_name,
                              field_of(options, field));
        },
        parameter.field);
  }
  return json + "}";
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
