#include <algorithm>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"

namespace tessera::text::jinja {

void wrong_type(std::string_view where, std::string_view expected, const Value& found) {
  if (found.is_undefined()) {
    fail(ErrorKind::bad_input, "{}: expected {}, found an undefined value: {}", where, expected,
         found.undefined_message());
  }
  fail(ErrorKind::bad_input, "{}: expected {}, found '{}'", where, expected, type_name(found));
}

std::int64_t require_integer(std::string_view where, const Value& value) {
  if (!value.is_integral()) wrong_type(where, "an integer", value);
  return value.as_int();
}

const Text& require_text(std::string_view where, const Value& value) {
  if (!value.is_text()) wrong_type(where, "a text", value);
  return value.text();
}

Arguments::Arguments(std::string_view function, const Call& call,
                     std::initializer_list<std::string_view> names, std::size_t required,
                     bool positional_only)
    : function_(function), values_(names.size(), nullptr) {
  if (call.positional.size() > names.size()) {
    fail(ErrorKind::bad_input, "{}: expected at most {} arguments, found {}", function, names.size(),
         call.positional.size());
  }
  for (std::size_t i = 0; i < call.positional.size(); ++i) values_[i] = &call.positional[i];
  for (const auto& [name, value] : call.keyword) {
    const auto place = std::ranges::find(names, name);
    const auto index = static_cast<std::size_t>(place - names.begin());
    if (place == names.end() || positional_only || values_[index] != nullptr) {
      fail(ErrorKind::bad_input, "{}: expected no argument named '{}', found one", function, printable(name));
    }
    values_[index] = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      fail(ErrorKind::bad_input, "{}: expected the argument '{}', found none", function, names.begin()[i]);
    }
  }
}

const Value* Arguments::find_some(std::size_t index) const {
  const Value* value = values_[index];
  return value != nullptr && value->is_none() ? nullptr : value;
}

std::int64_t Arguments::integer(std::size_t index, std::int64_t otherwise) const {
  return given(index) ? require_integer(function_, at(index)) : otherwise;
}

bool Arguments::truth(Interpreter& interpreter, std::size_t index, bool otherwise) const {
  return given(index) ? interpreter.is_true(at(index)) : otherwise;
}

const Text& Arguments::text(std::size_t index) const { return require_text(function_, at(index)); }

}  // namespace tessera::text::jinja
