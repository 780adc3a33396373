// The variables of a rendering, from JSON.
#pragma once
#include <string_view>

#include "text/jinja/value.h"

namespace tessera::text::jinja {

// An object's members in their order. Every string is marked as the user's, but for the texts of control
// tokens (bos_token, eos_token, ...) at the top level, which the engine itself passes. Error bad_input for
// anything else than an object, for broken JSON and integers beyond 64 bits; limit for too deep nesting.
DictPtr context_from_json(std::string_view json);

}  // namespace tessera::text::jinja
