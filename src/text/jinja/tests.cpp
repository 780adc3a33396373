// The tests behind `is`.
#include <map>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/objects.h"
#include "text/jinja/text_operations.h"

namespace tessera::text::jinja {
namespace {

// A test without arguments that looks at the value alone.
template <bool (Value::*check)() const>
bool plain(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("test", call, {});
  return (self.*check)();
}

bool defined(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("defined", call, {});
  return !self.is_undefined();
}

bool is_true(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("true", call, {});
  return self.is_bool() && self.as_bool();
}

bool is_false(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("false", call, {});
  return self.is_bool() && !self.as_bool();
}

bool escaped(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("escaped", call, {});
  return self.is_text() && self.text().markup;
}

template <Comparison comparison>
bool compared(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("test", call, {"other"}, 1);
  return interpreter.compare(comparison, self, arguments.at(0));
}

bool has_remainder(Interpreter& interpreter, const Value& self, const Value& divisor,
                   std::int64_t remainder) {
  return equal(interpreter.binary(Operator::modulo, self, divisor), Value::integer(remainder));
}

bool odd(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("odd", call, {});
  return has_remainder(interpreter, self, Value::integer(2), 1);
}

bool even(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("even", call, {});
  return has_remainder(interpreter, self, Value::integer(2), 0);
}

bool divisible_by(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("divisibleby", call, {"num"}, 1);
  return has_remainder(interpreter, self, arguments.at(0), 0);
}

bool is_sequence(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("sequence", call, {});
  if (self.is_object()) return self.object().has_items();
  return interpreter.try_length(self).has_value();
}

bool is_iterable(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("iterable", call, {});
  if (self.object_as<LoopObject>() != nullptr) return true;
  return interpreter.try_iterate(self) != nullptr;
}

bool is_callable(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("callable", call, {});
  return interpreter.is_callable(self);
}

bool is_lower(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("lower", call, {});
  const Value text = interpreter.to_text(self);
  interpreter.budget().scan(text.text().bytes.size());
  return is_lower_text(text.text());
}

bool is_upper(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("upper", call, {});
  const Value text = interpreter.to_text(self);
  interpreter.budget().scan(text.text().bytes.size());
  return is_upper_text(text.text());
}

// Identity. Small numbers are one object each in Python; texts and containers are when they are one here.
bool same_as(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("sameas", call, {"other"}, 1);
  const Value& other = arguments.at(0);
  if (type_name(self) != type_name(other)) return false;
  if (self.is_text())
    return self.text_pointer() == other.text_pointer() || self.text().bytes == other.text().bytes;
  if (self.is_sequence()) return self.sequence_pointer() == other.sequence_pointer();
  if (self.is_dict()) return self.dict_pointer() == other.dict_pointer();
  return equal(self, other);
}

bool is_in(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("in", call, {"seq"}, 1);
  return interpreter.contains(arguments.at(0), self);
}

bool names_filter(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("filter", call, {});
  return self.is_text() && find_filter(self.text().bytes) != nullptr;
}

bool names_test(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("test", call, {});
  return self.is_text() && find_test(self.text().bytes) != nullptr;
}

const std::map<std::string_view, Test>& all_tests() {
  static const std::map<std::string_view, Test> kTests = {
      {"defined", defined},
      {"undefined", plain<&Value::is_undefined>},
      {"none", plain<&Value::is_none>},
      {"boolean", plain<&Value::is_bool>},
      {"true", is_true},
      {"false", is_false},
      {"integer", plain<&Value::is_int>},
      {"float", plain<&Value::is_float>},
      {"number", plain<&Value::is_number>},
      {"string", plain<&Value::is_text>},
      {"mapping", plain<&Value::is_dict>},
      {"escaped", escaped},
      {"odd", odd},
      {"even", even},
      {"divisibleby", divisible_by},
      {"sequence", is_sequence},
      {"iterable", is_iterable},
      {"callable", is_callable},
      {"lower", is_lower},
      {"upper", is_upper},
      {"sameas", same_as},
      {"in", is_in},
      {"filter", names_filter},
      {"test", names_test},
      {"==", compared<Comparison::equal>},
      {"eq", compared<Comparison::equal>},
      {"equalto", compared<Comparison::equal>},
      {"!=", compared<Comparison::not_equal>},
      {"ne", compared<Comparison::not_equal>},
      {">", compared<Comparison::greater>},
      {"gt", compared<Comparison::greater>},
      {"greaterthan", compared<Comparison::greater>},
      {">=", compared<Comparison::greater_equal>},
      {"ge", compared<Comparison::greater_equal>},
      {"<", compared<Comparison::less>},
      {"lt", compared<Comparison::less>},
      {"lessthan", compared<Comparison::less>},
      {"<=", compared<Comparison::less_equal>},
      {"le", compared<Comparison::less_equal>},
  };
  return kTests;
}

}  // namespace

Test find_test(std::string_view name) {
  const auto place = all_tests().find(name);
  return place != all_tests().end() ? place->second : nullptr;
}

}  // namespace tessera::text::jinja
