#include "text/jinja/html.h"

namespace tessera::text::jinja {

void append_escaped(TextBuilder& out, const Text& text) {
  std::size_t written = 0;
  for (std::size_t i = 0; i < text.bytes.size(); ++i) {
    const char c = text.bytes[i];
    const char* entity = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '\'' ? "&#39;"
                         : c == '"'  ? "&#34;"
                                     : nullptr;
    if (entity == nullptr) continue;
    out.append(text, written, i);
    out.append(entity, has_literal(text));
    written = i + 1;
  }
  out.append(text, written, text.bytes.size());
}

}  // namespace tessera::text::jinja
