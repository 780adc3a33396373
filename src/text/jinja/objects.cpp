#include "text/jinja/objects.h"

#include <fmt/core.h>

#include "base/error.h"
#include "text/jinja/representation.h"

namespace tessera::text::jinja {

Generator::Generator(Interpreter& interpreter, int nesting, FunctionIterator::Next next)
    : Object(&interpreter.budget(), nesting),
      iterator_(std::make_shared<FunctionIterator>(std::move(next))) {}

Value make_generator(Interpreter& interpreter, int nesting, FunctionIterator::Next next) {
  return Value(ObjectPtr(std::make_shared<Generator>(interpreter, nesting, std::move(next))));
}

IteratorPtr iterate_sequence(SequencePtr sequence, bool reversed) {
  return std::make_shared<FunctionIterator>([sequence = std::move(sequence), position = std::size_t{0},
                                             reversed](Interpreter&) mutable -> std::optional<Value> {
    const auto& items = sequence->items;
    if (position >= items.size()) return std::nullopt;
    ++position;
    return reversed ? items[items.size() - position] : items[position - 1];
  });
}

Range::Range(Budget* budget, std::int64_t start, std::int64_t stop, std::int64_t step)
    : Object(budget), start_(start), stop_(stop), step_(step), count_(0) {
  // Unsigned, where no difference of two int64 wraps.
  const bool empty = step > 0 ? start >= stop : start <= stop;
  const auto low = static_cast<std::uint64_t>(step > 0 ? start : stop);
  const auto high = static_cast<std::uint64_t>(step > 0 ? stop : start);
  const std::uint64_t stride =
      step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  const std::uint64_t count = empty ? 0 : (high - low - 1) / stride + 1;
  if (budget != nullptr && count > budget->limits().range) {
    fail(ErrorKind::limit, "expected a range of at most {} items, found a longer one",
         budget->limits().range);
  }
  count_ = static_cast<std::int64_t>(count);
}

std::optional<Value> Range::attribute(Interpreter& /*interpreter*/, std::string_view name) {
  if (name == "start") return Value::integer(start_);
  if (name == "stop") return Value::integer(stop_);
  if (name == "step") return Value::integer(step_);
  return std::nullopt;
}

IteratorPtr Range::iterate(Interpreter& /*interpreter*/) {
  return std::make_shared<FunctionIterator>(
      [next = start_, step = step_, left = count_](Interpreter&) mutable -> std::optional<Value> {
        if (left == 0) return std::nullopt;
        const Value value = Value::integer(next);
        if (--left > 0) next += step;
        return value;
      });
}

IteratorPtr Range::iterate_reversed(Interpreter& interpreter) {
  if (count_ == 0) return iterate(interpreter);
  return std::make_shared<FunctionIterator>(
      [next = at(count_ - 1), step = step_, left = count_](Interpreter&) mutable -> std::optional<Value> {
        if (left == 0) return std::nullopt;
        const Value value = Value::integer(next);
        if (--left > 0) next -= step;
        return value;
      });
}

std::optional<Value> Range::item(Interpreter& /*interpreter*/, const Value& key) {
  if (!key.is_integral()) return std::nullopt;
  const std::int64_t index = key.as_int() < 0 ? key.as_int() + count_ : key.as_int();
  if (index < 0 || index >= count_) return std::nullopt;
  return Value::integer(at(index));
}

Value Range::slice(Budget* budget, std::int64_t index, std::int64_t step, std::int64_t count) const {
  const auto width = static_cast<std::uint64_t>(step_) * static_cast<std::uint64_t>(count > 1 ? step : 1);
  const auto stop = static_cast<std::uint64_t>(at(index)) + width * static_cast<std::uint64_t>(count);
  return Value(ObjectPtr(std::make_shared<Range>(budget, at(index), static_cast<std::int64_t>(stop),
                                                 static_cast<std::int64_t>(width))));
}

Value Range::representation(Interpreter& interpreter, int /*nesting*/) {
  return interpreter.text(step_ == 1 ? fmt::format("range({}, {})", start_, stop_)
                                     : fmt::format("range({}, {}, {})", start_, stop_, step_));
}

DictView::DictView(Budget* budget, DictPtr dict, Of of)
    : Object(budget, dict->depth() + 1), dict_(std::move(dict)), of_(of) {}

std::string DictView::type_name() const {
  return of_ == Of::keys ? "dict_keys" : of_ == Of::values ? "dict_values" : "dict_items";
}

std::optional<std::int64_t> DictView::length(Interpreter& /*interpreter*/) {
  return static_cast<std::int64_t>(dict_->items().size());
}

Value DictView::at(Interpreter& interpreter, std::size_t index) const {
  const Dict::Item& item = dict_->items()[index];
  if (of_ == Of::keys) return item.first;
  if (of_ == Of::values) return item.second;
  return Value::tuple({item.first, item.second}, &interpreter.budget());
}

IteratorPtr DictView::iterate(Interpreter& /*interpreter*/) {
  auto view = std::static_pointer_cast<DictView>(shared_from_this());
  return std::make_shared<FunctionIterator>(
      [view = std::move(view), position = std::size_t{0}](Interpreter& user) mutable -> std::optional<Value> {
        if (position >= view->dict_->items().size()) return std::nullopt;
        return view->at(user, position++);
      });
}

IteratorPtr DictView::iterate_reversed(Interpreter& /*interpreter*/) {
  auto view = std::static_pointer_cast<DictView>(shared_from_this());
  return std::make_shared<FunctionIterator>([view = std::move(view), left = dict_->items().size()](
                                                Interpreter& user) mutable -> std::optional<Value> {
    if (left == 0) return std::nullopt;
    return view->at(user, --left);
  });
}

Value DictView::representation(Interpreter& interpreter, int nesting) {
  TextBuilder out(&interpreter.budget());
  out.append(type_name() + "(");
  append_representation(interpreter, out, Value::list(interpreter.to_vector(self()), &interpreter.budget()),
                        nesting + 1);
  out.append(")");
  return out.finish();
}

std::optional<Value> Namespace::attribute(Interpreter& /*interpreter*/, std::string_view name) {
  const Value* value = values_->find(name);
  return value != nullptr ? std::optional(*value) : std::nullopt;
}

void Namespace::set(Interpreter& interpreter, std::string_view name, Value value) {
  if (name.starts_with('_')) {
    fail(ErrorKind::bad_input,
         "expected an attribute of a namespace without a leading underscore, found '{}'", printable(name));
  }
  values_->set(interpreter.text(name), std::move(value));
}

Value Namespace::representation(Interpreter& interpreter, int nesting) {
  TextBuilder out(&interpreter.budget());
  out.append("<Namespace ");
  append_dict_representation(interpreter, out, *values_, nesting + 1);
  out.append(">");
  return out.finish();
}

NativeFunction::NativeFunction(Budget* budget, std::string name, Function function, Value self)
    : Object(budget, depth_of(self) + 1),
      name_(std::move(name)),
      function_(function),
      self_(std::move(self)) {}

// TemplateDict of Hugging Face: dict(...) and dict.fromkeys(...).
std::optional<Value> NativeFunction::attribute(Interpreter& interpreter, std::string_view name) {
  if (name_ != "dict" || name != "fromkeys") return std::nullopt;
  return Value(ObjectPtr(std::make_shared<NativeFunction>(&interpreter.budget(), "fromkeys",
                                                          find_dict_method("fromkeys"), Value())));
}

MacroObject::MacroObject(Budget* budget, const MacroDefinition& definition, ScopePtr scope)
    : Object(budget), definition_(definition), scope_(std::move(scope)) {}

Value MacroObject::call(Interpreter& interpreter, const Call& call) {
  return interpreter.call_macro(definition_, scope_, call);
}

std::optional<Value> MacroObject::attribute(Interpreter& interpreter, std::string_view name) {
  if (name == "name") return definition_.name.empty() ? Value() : Value::constant(definition_.name);
  if (name == "arguments") {
    std::vector<Value> names;
    for (const MacroParameter& parameter : definition_.parameters)
      names.push_back(Value::constant(parameter.name));
    return Value::tuple(std::move(names), &interpreter.budget());
  }
  if (name == "catch_kwargs") return Value::boolean(definition_.uses_kwargs);
  if (name == "catch_varargs") return Value::boolean(definition_.uses_varargs);
  if (name == "caller") return Value::boolean(definition_.uses_caller);
  return std::nullopt;
}

Value MacroObject::representation(Interpreter& interpreter, int /*nesting*/) {
  return interpreter.text(definition_.name.empty() ? "<Macro anonymous>"
                                                   : "<Macro '" + definition_.name + "'>");
}

std::optional<Value> Cycler::attribute(Interpreter& interpreter, std::string_view name) {
  if (name == "current") return items_->items[position_];
  if (name == "pos") return Value::integer(static_cast<std::int64_t>(position_));
  if (name == "items") return Value(items_);
  if (name != "next" && name != "reset") return std::nullopt;
  const auto next = [](Interpreter&, const Value& self, const Call&) {
    auto* cycler = self.object_as<Cycler>();
    const Value value = cycler->items_->items[cycler->position_];
    cycler->position_ = (cycler->position_ + 1) % cycler->items_->items.size();
    return value;
  };
  const auto reset = [](Interpreter&, const Value& self, const Call&) {
    self.object_as<Cycler>()->position_ = 0;
    return Value();
  };
  const Function function = name == "next" ? Function(next) : Function(reset);
  return Value(ObjectPtr(
      std::make_shared<NativeFunction>(&interpreter.budget(), std::string(name), function, self())));
}

Value Joiner::call(Interpreter& /*interpreter*/, const Call& call) {
  const Arguments arguments("joiner", call, {});
  if (std::exchange(used_, true)) return separator_;
  return Value::constant("");
}

std::optional<Value> Joiner::attribute(Interpreter& /*interpreter*/, std::string_view name) {
  if (name == "sep") return separator_;
  if (name == "used") return Value::boolean(used_);
  return std::nullopt;
}

}  // namespace tessera::text::jinja
