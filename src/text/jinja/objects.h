// The values that are more than data: ranges, views, generators, namespaces, functions, macros, loops.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/interpreter.h"

namespace tessera::text::jinja {

// An iterator made of a function that gives the next item.
class FunctionIterator : public Iterator {
 public:
  using Next = std::function<std::optional<Value>(Interpreter&)>;
  explicit FunctionIterator(Next next) : next_(std::move(next)) {}
  std::optional<Value> next(Interpreter& interpreter) override { return next_(interpreter); }

 private:
  Next next_;
};

// What lazy filters give: walked once, without a length.
class Generator : public Object {
 public:
  Generator(Interpreter& interpreter, int nesting, FunctionIterator::Next next);
  std::string type_name() const override { return "generator"; }
  IteratorPtr iterate(Interpreter& /*interpreter*/) override { return iterator_; }

 private:
  IteratorPtr iterator_;
};

class Range : public Object {
 public:
  Range(Budget* budget, std::int64_t start, std::int64_t stop, std::int64_t step);
  std::string type_name() const override { return "range"; }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  std::optional<std::int64_t> length(Interpreter& /*interpreter*/) override { return count_; }
  IteratorPtr iterate(Interpreter& interpreter) override;
  IteratorPtr iterate_reversed(Interpreter& interpreter) override;
  std::optional<Value> item(Interpreter& interpreter, const Value& key) override;
  bool has_items() const override { return true; }
  Value representation(Interpreter& interpreter, int nesting) override;
  // Wraps for an index outside the range.
  std::int64_t at(std::int64_t index) const {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(start_) +
                                     static_cast<std::uint64_t>(index) * static_cast<std::uint64_t>(step_));
  }
  // The range of `count` items from `index` on, every `step`th.
  Value slice(Budget* budget, std::int64_t index, std::int64_t step, std::int64_t count) const;

 private:
  std::int64_t start_, stop_, step_, count_;
};

// dict.keys(), dict.values(), dict.items().
class DictView : public Object {
 public:
  enum class Of { keys, values, items };
  DictView(Budget* budget, DictPtr dict, Of of);
  std::string type_name() const override;
  std::optional<std::int64_t> length(Interpreter& interpreter) override;
  IteratorPtr iterate(Interpreter& interpreter) override;
  IteratorPtr iterate_reversed(Interpreter& interpreter) override;
  Value representation(Interpreter& interpreter, int nesting) override;

 private:
  Value at(Interpreter& interpreter, std::size_t index) const;
  DictPtr dict_;
  Of of_;
};

// namespace(): the one value whose attributes can be set.
class Namespace : public Object {
 public:
  explicit Namespace(Budget* budget) : Object(budget), values_(std::make_unique<Dict>(budget)) {}
  std::string type_name() const override { return "Namespace"; }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  // Error bad_input for names that begin with an underscore.
  void set(Interpreter& interpreter, std::string_view name, Value value);
  Value representation(Interpreter& interpreter, int nesting) override;
  void release() override { values_ = std::make_unique<Dict>(nullptr); }

 private:
  std::unique_ptr<Dict> values_;
};

// A function of this library: a global, or a method together with its object.
class NativeFunction : public Object {
 public:
  NativeFunction(Budget* budget, std::string name, Function function, Value self = {});
  std::string type_name() const override { return "builtin_function_or_method"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Call& call) override {
    return function_(interpreter, self_, call);
  }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;

 private:
  std::string name_;
  Function function_;
  Value self_;
};

class MacroObject : public Object {
 public:
  MacroObject(Budget* budget, const MacroDefinition& definition, ScopePtr scope);
  std::string type_name() const override { return "Macro"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Call& call) override;
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  Value representation(Interpreter& interpreter, int nesting) override;

 private:
  const MacroDefinition& definition_;
  ScopePtr scope_;
};

// The special variable `loop`. Looks ahead only when asked to, as Jinja does.
class LoopObject : public Object {
 public:
  LoopObject(Interpreter& interpreter, const LoopStmt& statement, ScopePtr scope, Value items, int depth);
  // The next item, or nothing at the end.
  std::optional<Value> advance(Interpreter& interpreter);

  std::string type_name() const override { return "LoopContext"; }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Call& call) override;
  std::optional<std::int64_t> length(Interpreter& interpreter) override;
  Value representation(Interpreter& interpreter, int nesting) override;
  void release() override;

 private:
  const std::optional<Value>& peek(Interpreter& interpreter);
  static Value cycle(Interpreter& interpreter, const Value& self, const Call& call);
  static Value changed(Interpreter& interpreter, const Value& self, const Call& call);

  const LoopStmt& statement_;
  ScopePtr scope_;
  Value items_;
  IteratorPtr iterator_;
  int loop_depth_;
  std::int64_t index0_ = -1;
  std::optional<std::int64_t> length_;
  std::optional<Value> before_, current_, after_, changed_value_;
};

class Cycler : public Object {
 public:
  Cycler(Budget* budget, SequencePtr items, int nesting)
      : Object(budget, nesting), items_(std::move(items)) {}
  std::string type_name() const override { return "Cycler"; }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;

 private:
  SequencePtr items_;
  std::size_t position_ = 0;
};

class Joiner : public Object {
 public:
  Joiner(Budget* budget, Value separator, int nesting)
      : Object(budget, nesting), separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Call& call) override;
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;

 private:
  Value separator_;
  bool used_ = false;
};

// A list walked by index, forwards or backwards.
IteratorPtr iterate_sequence(SequencePtr sequence, bool reversed = false);
Value make_generator(Interpreter& interpreter, int nesting, FunctionIterator::Next next);

}  // namespace tessera::text::jinja
