// /params: the sampling options by the names of their flags.
#pragma once
#include <string>

#include "engine/conversation.h"

namespace tessera::cli {

// One "name value" a line.
std::string parameters_text(const engine::AnswerOptions& options);

// A JSON object with the names of the HTTP interfaces: {"temperature": 0.4, "top_k": 40, ..., "max_tokens":
// -1}.
std::string parameters_json(const engine::AnswerOptions& options);

// `assignment`: "temp 0.7" or "temp=0.7". Error bad_usage naming the parameters there are, or the range;
// `options` then stay as they were.
void set_parameter(engine::AnswerOptions& options, const std::string& assignment,
                   std::int64_t vocabulary_size);

}  // namespace tessera::cli
