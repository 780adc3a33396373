// /params: the sampling options by the names of their flags.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/conversation.h"

namespace tessera::cli {

// One "name value" a line.
std::string parameters_text(const engine::AnswerOptions& options);

// A JSON object with the names of the HTTP interfaces: {"temperature": 0.4, "top_k": 40, ..., "max_tokens":
// -1}; what else `stored`, an object of that kind, has stays.
std::string parameters_json(const engine::AnswerOptions& options, std::string_view stored = "{}");

// Takes over what such an object says, but for the names in `fixed`. Returns the names of what cannot be used
// here: of another type, or out of range.
std::vector<std::string> restore_parameters(engine::AnswerOptions& options, std::string_view stored,
                                            std::int64_t vocabulary_size,
                                            const std::set<std::string>& fixed = {});

// "system": the system message that a page keeps among the parameters, in place of one in the conversation.
std::optional<std::string> system_parameter(std::string_view stored);
std::string with_system_parameter(std::string_view stored, const std::string& system);
std::string without_system_parameter(std::string_view stored);
// "mode": "story", a text that goes on without a template.
bool is_story(std::string_view stored);

// `assignment`: "temp 0.7" or "temp=0.7". Error bad_usage naming the parameters there are, or the range;
// `options` then stay as they were.
void set_parameter(engine::AnswerOptions& options, const std::string& assignment,
                   std::int64_t vocabulary_size);

}  // namespace tessera::cli
