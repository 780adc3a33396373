// Jinja decides where a name lives before the template runs. Seen from outside, one of its rules is odd: in a
// scope that stores a name before it loads it, the name is undefined until then, even if the context has it.
#pragma once
#include "text/jinja/ast.h"

namespace tessera::text::jinja {

// Fills the HiddenNames of the program and of every scope in it.
void analyze_names(Program& program);

}  // namespace tessera::text::jinja
