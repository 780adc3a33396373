// Filters that pass items on one by one: map, select, reject, selectattr, rejectattr; default and attr.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/objects.h"
#include "text/jinja/sequence_tools.h"

namespace tessera::text::jinja {
namespace {

Call rest_of(const Call& call, std::size_t from) {
  Call rest;
  if (call.positional.size() > from) {
    rest.positional.assign(call.positional.begin() + static_cast<std::ptrdiff_t>(from),
                           call.positional.end());
  }
  rest.keyword = call.keyword;
  return rest;
}

int depth_with(const Value& value, const Call& call) {
  int depth = depth_of(value);
  for (const Value& argument : call.positional) depth = std::max(depth, depth_of(argument));
  for (const auto& [name, argument] : call.keyword) depth = std::max(depth, depth_of(argument));
  return depth + 1;
}

using Mapper = std::function<Value(Interpreter&, const Value&)>;

Mapper make_mapper(Interpreter& interpreter, const Call& call) {
  if (call.positional.empty()) {
    const Arguments arguments("map", call, {"attribute", "default"}, 1);
    auto getter = std::make_shared<AttributeGetter>(interpreter, arguments.find(0), arguments.find(1));
    return [getter](Interpreter& user, const Value& item) { return (*getter)(user, item); };
  }
  const std::string filter = require_text("map", call.positional.front()).bytes;
  auto arguments = std::make_shared<Call>(rest_of(call, 1));
  return [filter, arguments](Interpreter& user, const Value& item) {
    return user.apply_filter(filter, item, *arguments);
  };
}

// Nothing is asked of the value or of the arguments before the first item is wanted, as with Python's
// generators.
Value map(Interpreter& interpreter, const Value& value, const Call& call) {
  return make_generator(interpreter, depth_with(value, call),
                        [value, call, mapper = Mapper(),
                         items = IteratorPtr()](Interpreter& user) mutable -> std::optional<Value> {
                          if (items == nullptr) {
                            if (!user.is_true(value)) return std::nullopt;
                            mapper = make_mapper(user, call);
                            items = user.iterate(value);
                          }
                          auto item = items->next(user);
                          if (!item) return std::nullopt;
                          return mapper(user, *item);
                        });
}

using Predicate = std::function<bool(Interpreter&, const Value&)>;

Predicate make_predicate(Interpreter& interpreter, const Call& call, bool by_attribute) {
  std::shared_ptr<AttributeGetter> getter;
  std::size_t used = 0;
  if (by_attribute) {
    if (call.positional.empty()) fail(ErrorKind::bad_input, "expected the name of an attribute, found none");
    getter = std::make_shared<AttributeGetter>(interpreter, &call.positional[used++]);
  }
  const auto look_up = [getter](Interpreter& user, const Value& item) {
    return getter != nullptr ? (*getter)(user, item) : item;
  };
  if (used >= call.positional.size()) {
    return [look_up](Interpreter& user, const Value& item) { return user.is_true(look_up(user, item)); };
  }
  const std::string test = require_text("select", call.positional[used++]).bytes;
  auto arguments = std::make_shared<Call>(rest_of(call, used));
  return [look_up, test, arguments](Interpreter& user, const Value& item) {
    return user.apply_test(test, look_up(user, item), *arguments);
  };
}

Value choose(Interpreter& interpreter, const Value& value, const Call& call, bool by_attribute, bool wanted) {
  return make_generator(interpreter, depth_with(value, call),
                        [value, call, by_attribute, wanted, predicate = Predicate(),
                         items = IteratorPtr()](Interpreter& user) mutable -> std::optional<Value> {
                          if (items == nullptr) {
                            if (!user.is_true(value)) return std::nullopt;
                            predicate = make_predicate(user, call, by_attribute);
                            items = user.iterate(value);
                          }
                          while (auto item = items->next(user)) {
                            user.budget().step();
                            if (predicate(user, *item) == wanted) return item;
                          }
                          return std::nullopt;
                        });
}

Value select(Interpreter& interpreter, const Value& value, const Call& call) {
  return choose(interpreter, value, call, false, true);
}
Value reject(Interpreter& interpreter, const Value& value, const Call& call) {
  return choose(interpreter, value, call, false, false);
}
Value selectattr(Interpreter& interpreter, const Value& value, const Call& call) {
  return choose(interpreter, value, call, true, true);
}
Value rejectattr(Interpreter& interpreter, const Value& value, const Call& call) {
  return choose(interpreter, value, call, true, false);
}

Value default_value(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("default", call, {"default_value", "boolean"});
  const bool replace =
      value.is_undefined() || (arguments.truth(interpreter, 1, false) && !interpreter.is_true(value));
  if (!replace) return value;
  return arguments.given(0) ? arguments.at(0) : Value::constant("");
}

// As object.name, but without falling back to object["name"].
Value attr(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("attr", call, {"name"}, 1);
  const std::string& name = arguments.text(0).bytes;
  if (value.is_undefined()) fail(ErrorKind::bad_input, "{}", value.undefined_message());
  if (auto found = interpreter.find_attribute(value, name)) return *found;
  return Value::undefined("'" + type_name(value) + " object' has no attribute '" + printable(name) + "'");
}

constexpr auto kFilters = std::to_array<NamedFunction>({
    {"attr", attr},
    {"d", default_value},
    {"default", default_value},
    {"map", map},
    {"reject", reject},
    {"rejectattr", rejectattr},
    {"select", select},
    {"selectattr", selectattr},
});

}  // namespace

std::span<const NamedFunction> selection_filters() { return kFilters; }

}  // namespace tessera::text::jinja
