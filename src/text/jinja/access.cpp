// Looking into values: attributes, items, iteration, length, membership.
#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/objects.h"
#include "text/jinja/representation.h"

namespace tessera::text::jinja {
namespace {

// The sandbox hides what would change a list or dict, and whatever begins with an underscore.
bool is_hidden_attribute(const Value& object, std::string_view name) {
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr std::string_view kList[] = {"append", "clear", "pop",    "reverse",
                                               "insert", "sort",  "extend", "remove"};
  static constexpr std::string_view kEverywhere[] = {"__class__",        "__doc__",
                                                     "__init__",         "__new__",
                                                     "__eq__",           "__hash__",
                                                     "__repr__",         "__str__",
                                                     "__dir__",          "__getattribute__",
                                                     "__setattr__",      "__delattr__",
                                                     "__reduce__",       "__init_subclass__",
                                                     "__subclasshook__", "__sizeof__",
                                                     "__format__",       "__ne__",
                                                     "__lt__",           "__le__",
                                                     "__gt__",           "__ge__"};
  const auto is_in = [&](const auto& names) { return std::ranges::find(names, name) != std::end(names); };
  if (is_in(kEverywhere)) return true;
  return (object.is_dict() && is_in(kDict)) || (object.is_list() && is_in(kList));
}

IteratorPtr iterate_text(TextPtr text) {
  return std::make_shared<FunctionIterator>(
      [text = std::move(text), position = std::size_t{0}](Interpreter& user) mutable -> std::optional<Value> {
        if (position >= text->bytes.size()) return std::nullopt;
        const std::size_t begin = position;
        next_code_point(text->bytes, position);
        return slice_text(&user.budget(), *text, begin, position);
      });
}

IteratorPtr iterate_text_reversed(TextPtr text) {
  const std::size_t size = text->bytes.size();
  return std::make_shared<FunctionIterator>(
      [text = std::move(text), end = size](Interpreter& user) mutable -> std::optional<Value> {
        if (end == 0) return std::nullopt;
        const std::size_t begin = previous_boundary(text->bytes, end);
        return slice_text(&user.budget(), *text, begin, std::exchange(end, begin));
      });
}

std::optional<Value> number_attribute(Interpreter& interpreter, const Value& number, std::string_view name) {
  const auto method = [&](Function function) {
    return Value(ObjectPtr(
        std::make_shared<NativeFunction>(&interpreter.budget(), std::string(name), function, number)));
  };
  if (name == "real") return number.is_float() ? number : Value::integer(number.as_int());
  if (name == "imag") return number.is_float() ? Value::floating(0) : Value::integer(0);
  if (name == "numerator" && number.is_integral()) return Value::integer(number.as_int());
  if (name == "denominator" && number.is_integral()) return Value::integer(1);
  if (name == "is_integer" && number.is_float()) {
    return method([](Interpreter&, const Value& self, const Call&) {
      return Value::boolean(std::isfinite(self.as_float()) && std::floor(self.as_float()) == self.as_float());
    });
  }
  if (name == "bit_length" && number.is_integral()) {
    return method([](Interpreter&, const Value& self, const Call&) {
      const std::int64_t value = self.as_int();
      const std::uint64_t magnitude =
          value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
      return Value::integer(64 - std::countl_zero(magnitude));
    });
  }
  return std::nullopt;
}

std::optional<std::size_t> sequence_index(const Value& key, std::size_t size) {
  if (!key.is_integral()) return std::nullopt;
  const std::int64_t index = key.as_int() < 0 ? key.as_int() + static_cast<std::int64_t>(size) : key.as_int();
  if (index < 0 || index >= static_cast<std::int64_t>(size)) return std::nullopt;
  return static_cast<std::size_t>(index);
}

// object[key] of Python; nothing where that raises TypeError or LookupError.
std::optional<Value> find_item(Interpreter& interpreter, const Value& object, const Value& key) {
  if (object.is_dict()) {
    if (key.is_list() || key.is_dict()) return std::nullopt;
    const Value* value = object.dict().find(key);
    return value != nullptr ? std::optional(*value) : std::nullopt;
  }
  if (object.is_sequence()) {
    const auto index = sequence_index(key, object.sequence().items.size());
    return index ? std::optional(object.sequence().items[*index]) : std::nullopt;
  }
  if (object.is_text()) {
    const Text& text = object.text();
    const auto index = sequence_index(key, static_cast<std::size_t>(text.length));
    if (!index) return std::nullopt;
    const std::size_t begin = byte_offset(text, static_cast<std::int64_t>(*index));
    std::size_t end = begin;
    next_code_point(text.bytes, end);
    if (!text.is_ascii()) interpreter.budget().scan(begin);
    return slice_text(&interpreter.budget(), text, begin, end);
  }
  if (object.is_object()) return object.object().item(interpreter, key);
  return std::nullopt;
}

Value missing_attribute(const Value& object, const std::string& name) {
  const std::string owner = object.is_none() ? "None" : type_name(object) + " object";
  return Value::undefined("'" + owner + "' has no attribute '" + printable(name) + "'");
}

Value unsafe_attribute(const Value& object, std::string_view name) {
  return Value::undefined("access to attribute '" + printable(name) + "' of '" + type_name(object) +
                          "' object is unsafe");
}

}  // namespace

std::optional<Value> Interpreter::find_attribute(const Value& object, std::string_view name) {
  if (object.is_object()) return object.object().attribute(*this, name);
  if (object.is_number()) return number_attribute(*this, object, name);
  Function method = nullptr;
  if (object.is_text()) method = find_text_method(name);
  if (object.is_dict()) method = find_dict_method(name);
  if (object.is_sequence()) method = find_sequence_method(name, object.is_tuple());
  if (method != nullptr) {
    return Value(ObjectPtr(std::make_shared<NativeFunction>(&budget_, std::string(name), method, object)));
  }
  if (object.is_sequence() && object.sequence().kind == SequenceKind::group) {
    if (name == "grouper") return object.sequence().items[0];
    if (name == "list") return object.sequence().items[1];
  }
  return std::nullopt;
}

Value Interpreter::get_attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) fail(ErrorKind::bad_input, "{}", object.undefined_message());
  if (is_hidden_attribute(object, name)) return unsafe_attribute(object, name);
  if (auto value = find_attribute(object, name)) return *value;
  if (object.is_dict()) {
    if (const Value* value = object.dict().find(name)) return *value;
  }
  return missing_attribute(object, std::string(name));
}

Value Interpreter::get_item(const Value& object, const Value& key) {
  if (object.is_undefined()) fail(ErrorKind::bad_input, "{}", object.undefined_message());
  if (auto value = find_item(*this, object, key)) return *value;
  if (key.is_text()) {
    if (is_hidden_attribute(object, key.text().bytes)) return unsafe_attribute(object, key.text().bytes);
    if (auto value = find_attribute(object, key.text().bytes)) return *value;
    return missing_attribute(object, key.text().bytes);
  }
  TextBuilder shown(&budget_);
  append_representation(*this, shown, key);
  return Value::undefined(type_name(object) + " object has no element " + printable(shown.bytes()));
}

IteratorPtr Interpreter::try_iterate(const Value& value) {
  if (value.is_sequence()) return iterate_sequence(value.sequence_pointer());
  if (value.is_text()) return iterate_text(value.text_pointer());
  if (value.is_dict())
    return std::make_shared<DictView>(nullptr, value.dict_pointer(), DictView::Of::keys)->iterate(*this);
  if (value.is_undefined())
    return std::make_shared<FunctionIterator>([](Interpreter&) { return std::nullopt; });
  if (value.is_object()) return value.object().iterate(*this);
  return nullptr;
}

IteratorPtr Interpreter::iterate(const Value& value) {
  IteratorPtr iterator = try_iterate(value);
  if (iterator == nullptr) wrong_type("for", "something to iterate over", value);
  return iterator;
}

IteratorPtr Interpreter::iterate_reversed(const Value& value) {
  if (value.is_sequence()) return iterate_sequence(value.sequence_pointer(), true);
  if (value.is_text()) return iterate_text_reversed(value.text_pointer());
  if (value.is_dict())
    return std::make_shared<DictView>(nullptr, value.dict_pointer(), DictView::Of::keys)
        ->iterate_reversed(*this);
  if (value.is_object()) return value.object().iterate_reversed(*this);
  return nullptr;
}

std::vector<Value> Interpreter::to_vector(const Value& value) {
  std::vector<Value> items;
  MemoryCharge charge(&budget_, 0);
  const IteratorPtr iterator = iterate(value);
  while (auto item = iterator->next(*this)) {
    budget_.step();
    charge.grow(sizeof(Value));
    items.push_back(std::move(*item));
  }
  return items;
}

std::optional<std::int64_t> Interpreter::try_length(const Value& value) {
  if (value.is_text()) return value.text().length;
  if (value.is_sequence()) return static_cast<std::int64_t>(value.sequence().items.size());
  if (value.is_dict()) return static_cast<std::int64_t>(value.dict().items().size());
  if (value.is_undefined()) return 0;
  if (value.is_object()) return value.object().length(*this);
  return std::nullopt;
}

std::int64_t Interpreter::length(const Value& value) {
  const auto length = try_length(value);
  if (!length) wrong_type("length", "something with a length", value);
  return *length;
}

bool Interpreter::contains(const Value& container, const Value& item) {
  if (container.is_text()) {
    if (!item.is_text()) wrong_type("in", "a text to look for in a text", item);
    budget_.step(container.text().bytes.size() / 64);
    return find_bytes(container.text().bytes, item.text().bytes) != std::string::npos;
  }
  if (container.is_dict()) return container.dict().find(item) != nullptr;
  const IteratorPtr iterator = try_iterate(container);
  if (iterator == nullptr) wrong_type("in", "a container", container);
  while (auto candidate = iterator->next(*this)) {
    budget_.step();
    if (equal(*candidate, item, &budget_)) return true;
  }
  return false;
}

bool Interpreter::is_callable(const Value& value) {
  return value.is_undefined() || (value.is_object() && value.object().callable());
}

Value Interpreter::to_text(const Value& value) {
  if (value.is_text()) return value;
  TextBuilder out(&budget_);
  append_string(*this, out, value);
  return out.finish();
}

void Interpreter::append_text(TextBuilder& out, const Value& value) { append_string(*this, out, value); }

}  // namespace tessera::text::jinja
