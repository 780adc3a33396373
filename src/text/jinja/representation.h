// Values as text: Python's str() and repr(), and the JSON of Hugging Face's tojson filter. Provenance is
// kept: what a user wrote stays marked inside whatever surrounds it.
#pragma once
#include <string>

#include "text/jinja/interpreter.h"
#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {

// str(): the characters themselves for a text, repr() for what is inside a list.
void append_string(Interpreter& interpreter, TextBuilder& out, const Value& value);
// repr(). Error limit when nested too deep.
void append_representation(Interpreter& interpreter, TextBuilder& out, const Value& value, int nesting = 0);
void append_dict_representation(Interpreter& interpreter, TextBuilder& out, const Dict& dict, int nesting);
// A text's repr(); with `ascii`, everything beyond ASCII is escaped.
void append_quoted(TextBuilder& out, const Text& text, bool ascii = false);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;  // one level of it
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// json.dumps(). Error bad_input for values JSON has no form for.
void append_json(Interpreter& interpreter, TextBuilder& out, const Value& value, const JsonStyle& style);

// The shortest digits that read back as the same double, written as Python's repr() does.
std::string float_representation(double value);

}  // namespace tessera::text::jinja
