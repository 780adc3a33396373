// The form that a request wants its answer to have, as a grammar that binds the text.
#pragma once
#include <string>

#include "serve/json_fields.h"

namespace tessera::serve {

// The members "response_format" (text, json_object, json_schema) and "grammar" (GBNF) as GBNF; empty: any
// text. The answer follows it whatever the model would say. ApiError 400 naming the field: both, a schema
// with a keyword that cannot be a grammar (by its name and place), a grammar with a mistake (by line and
// column).
std::string read_answer_grammar(JsonFields& fields);

}  // namespace tessera::serve
