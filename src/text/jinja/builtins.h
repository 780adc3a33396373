// The tables of filters, tests, methods and global functions, and how their arguments are read.
#pragma once
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace tessera::text::jinja {

// A filter gets the value before the bar, a method its object. Error bad_input for arguments it does not
// take.
using Function = Value (*)(Interpreter& interpreter, const Value& self, const Call& call);
using Test = bool (*)(Interpreter& interpreter, const Value& self, const Call& call);

struct NamedFunction {
  std::string_view name;
  Function function;
};

Function find_filter(std::string_view name);  // nullptr when unknown
Test find_test(std::string_view name);
Function find_text_method(std::string_view name);
Function find_dict_method(std::string_view name);
Function find_sequence_method(std::string_view name, bool is_tuple);
// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; nullopt when unknown.
std::optional<Value> find_global(std::string_view name);

// The parts of the tables that filters.cpp joins, one file a subject.
std::span<const NamedFunction> text_filters();
std::span<const NamedFunction> layout_filters();
std::span<const NamedFunction> sequence_filters();
std::span<const NamedFunction> selection_filters();
std::span<const NamedFunction> number_filters();

// A call's arguments by the names of the parameters, as Python binds them.
class Arguments {
 public:
  // The first `required` of `names` must be given. Error bad_input names `function` and the argument.
  Arguments(std::string_view function, const Call& call, std::initializer_list<std::string_view> names,
            std::size_t required = 0, bool positional_only = false);
  // nullptr when it was not given.
  const Value* find(std::size_t index) const { return values_[index]; }
  const Value& at(std::size_t index) const { return *values_[index]; }
  bool given(std::size_t index) const { return values_[index] != nullptr; }
  // None counts as not given.
  const Value* find_some(std::size_t index) const;
  std::int64_t integer(std::size_t index, std::int64_t otherwise) const;
  bool truth(Interpreter& interpreter, std::size_t index, bool otherwise) const;
  const Text& text(std::size_t index) const;  // Error bad_input when it is not a text
  std::string_view function() const { return function_; }

 private:
  std::string_view function_;
  std::vector<const Value*> values_;
};

[[noreturn]] void wrong_type(std::string_view where, std::string_view expected, const Value& found);
// The int in `value`; Error bad_input naming `where` otherwise.
std::int64_t require_integer(std::string_view where, const Value& value);
const Text& require_text(std::string_view where, const Value& value);

}  // namespace tessera::text::jinja
