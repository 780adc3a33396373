#include <fmt/core.h>

#include "base/error.h"
#include "text/jinja/objects.h"

namespace tessera::text::jinja {

LoopObject::LoopObject(Interpreter& interpreter, const LoopStmt& statement, ScopePtr scope, Value items,
                       int depth)
    : Object(&interpreter.budget(), depth_of(items) + 1),
      statement_(statement),
      scope_(std::move(scope)),
      items_(std::move(items)),
      iterator_(interpreter.iterate(items_)),
      loop_depth_(depth) {
  if (statement_.filter == nullptr) return;
  // The `if` of the loop is asked only when the next item is wanted.
  iterator_ = std::make_shared<FunctionIterator>(
      [source = iterator_, &loop = statement_, outer = scope_](Interpreter& user) -> std::optional<Value> {
        while (auto item = source->next(user)) {
          if (user.passes_filter(loop, outer, *item)) return item;
        }
        return std::nullopt;
      });
}

std::optional<Value> LoopObject::advance(Interpreter& interpreter) {
  std::optional<Value> item = after_ ? std::exchange(after_, std::nullopt) : iterator_->next(interpreter);
  if (!item) return std::nullopt;
  ++index0_;
  before_ = std::move(current_);
  current_ = item;
  return item;
}

const std::optional<Value>& LoopObject::peek(Interpreter& interpreter) {
  if (!after_) after_ = iterator_->next(interpreter);
  return after_;
}

std::optional<std::int64_t> LoopObject::length(Interpreter& interpreter) {
  if (length_) return length_;
  if (statement_.filter == nullptr) length_ = interpreter.try_length(items_);
  if (length_) return length_;
  std::vector<Value> rest;
  while (auto item = iterator_->next(interpreter)) rest.push_back(std::move(*item));
  length_ = static_cast<std::int64_t>(rest.size()) + index0_ + 1 + (after_ ? 1 : 0);
  iterator_ = iterate_sequence(
      std::make_shared<const Sequence>(SequenceKind::list, std::move(rest), &interpreter.budget()));
  return length_;
}

std::optional<Value> LoopObject::attribute(Interpreter& interpreter, std::string_view name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!peek(interpreter));
  if (name == "length") return Value::integer(*length(interpreter));
  if (name == "revindex") return Value::integer(*length(interpreter) - index0_);
  if (name == "revindex0") return Value::integer(*length(interpreter) - index0_ - 1);
  if (name == "depth") return Value::integer(loop_depth_ + 1);
  if (name == "depth0") return Value::integer(loop_depth_);
  if (name == "previtem") {
    return index0_ == 0 || !before_ ? Value::undefined("there is no previous item") : *before_;
  }
  if (name == "nextitem") {
    return peek(interpreter) ? *after_ : Value::undefined("there is no next item");
  }
  if (name == "cycle" || name == "changed") {
    return Value(ObjectPtr(std::make_shared<NativeFunction>(&interpreter.budget(), std::string(name),
                                                            name == "cycle" ? cycle : changed, self())));
  }
  return std::nullopt;
}

Value LoopObject::cycle(Interpreter& /*interpreter*/, const Value& self, const Call& call) {
  const auto* loop = self.object_as<LoopObject>();
  if (call.positional.empty() || !call.keyword.empty()) {
    fail(ErrorKind::bad_input, "expected values for loop.cycle, found none");
  }
  return call.positional[static_cast<std::size_t>(loop->index0_) % call.positional.size()];
}

Value LoopObject::changed(Interpreter& interpreter, const Value& self, const Call& call) {
  auto* loop = self.object_as<LoopObject>();
  if (!loop->changed_value_) interpreter.keep(loop->shared_from_this());
  Value value = Value::tuple(call.positional, &interpreter.budget());
  if (loop->changed_value_ && equal(*loop->changed_value_, value)) return Value::boolean(false);
  loop->changed_value_ = std::move(value);
  return Value::boolean(true);
}

Value LoopObject::call(Interpreter& interpreter, const Call& call) {
  if (!statement_.recursive)
    fail(ErrorKind::bad_input, "expected a recursive loop to call, found a plain one");
  const Arguments arguments("loop", call, {"iterable"}, 1);
  return interpreter.run_recursive_loop(statement_, scope_, arguments.at(0), loop_depth_ + 1);
}

Value LoopObject::representation(Interpreter& interpreter, int /*nesting*/) {
  return interpreter.text(fmt::format("<LoopContext {}/{}>", index0_ + 1, *length(interpreter)));
}

void LoopObject::release() {
  items_ = Value();
  iterator_ = nullptr;
  before_ = current_ = after_ = changed_value_ = std::nullopt;
}

}  // namespace tessera::text::jinja
