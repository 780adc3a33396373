// The methods of dict, list and tuple that change nothing.
#include <algorithm>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/objects.h"

namespace tessera::text::jinja {
namespace {

Value make_view(Interpreter& interpreter, const Value& self, const Call& call, DictView::Of of) {
  const Arguments arguments("dict view", call, {});
  return Value(ObjectPtr(std::make_shared<DictView>(&interpreter.budget(), self.dict_pointer(), of)));
}

Value keys(Interpreter& interpreter, const Value& self, const Call& call) {
  return make_view(interpreter, self, call, DictView::Of::keys);
}
Value values(Interpreter& interpreter, const Value& self, const Call& call) {
  return make_view(interpreter, self, call, DictView::Of::values);
}
Value items(Interpreter& interpreter, const Value& self, const Call& call) {
  return make_view(interpreter, self, call, DictView::Of::items);
}

Value get(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("get", call, {"key", "default"}, 1, true);
  if (const Value* value = self.dict().find(arguments.at(0))) return *value;
  return arguments.given(1) ? arguments.at(1) : Value();
}

Value copy_dict(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("copy", call, {});
  return self;  // nothing can change either
}

Value fromkeys(Interpreter& interpreter, const Value&, const Call& call) {
  const Arguments arguments("fromkeys", call, {"iterable", "value"}, 1, true);
  auto dict = std::make_shared<Dict>(&interpreter.budget());
  const IteratorPtr keys_given = interpreter.iterate(arguments.at(0));
  while (auto key = keys_given->next(interpreter)) {
    interpreter.budget().step();
    dict->set(*key, arguments.given(1) ? arguments.at(1) : Value());
  }
  return Value(DictPtr(std::move(dict)));
}

Value count(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("count", call, {"value"}, 1, true);
  std::int64_t found = 0;
  for (const Value& item : self.sequence().items) {
    if (equal(item, arguments.at(0), &interpreter.budget())) ++found;
  }
  return Value::integer(found);
}

Value index(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("index", call, {"value", "start", "stop"}, 1, true);
  const auto& list = self.sequence().items;
  const auto size = static_cast<std::int64_t>(list.size());
  const auto place = [&](std::size_t argument, std::int64_t otherwise) {
    const std::int64_t given = arguments.integer(argument, otherwise);
    return std::clamp<std::int64_t>(given < 0 ? given + size : given, 0, size);
  };
  for (std::int64_t i = place(1, 0); i < place(2, size); ++i) {
    if (equal(list[static_cast<std::size_t>(i)], arguments.at(0), &interpreter.budget()))
      return Value::integer(i);
  }
  fail(ErrorKind::bad_input, "index: expected a value that is in the list, found none");
}

Value copy_list(Interpreter&, const Value& self, const Call& call) {
  const Arguments arguments("copy", call, {});
  return self;
}

}  // namespace

Function find_dict_method(std::string_view name) {
  if (name == "items") return items;
  if (name == "keys") return keys;
  if (name == "values") return values;
  if (name == "get") return get;
  if (name == "copy") return copy_dict;
  if (name == "fromkeys") return fromkeys;
  return nullptr;
}

Function find_sequence_method(std::string_view name, bool is_tuple) {
  if (name == "count") return count;
  if (name == "index") return index;
  if (name == "copy" && !is_tuple) return copy_list;
  return nullptr;
}

}  // namespace tessera::text::jinja
