// HTML escaping as MarkupSafe does it: for the escape filter, and where Jinja's Markup joins plain text.
#pragma once
#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {

// & < > " ' become entities.
void append_escaped(TextBuilder& out, const Text& text);

}  // namespace tessera::text::jinja
