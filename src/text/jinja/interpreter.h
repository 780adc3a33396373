// Runs a Program against a context: scopes, evaluation, output. One Interpreter is one rendering.
#pragma once
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/budget.h"
#include "text/jinja/builtins.h"
#include "text/jinja/text_builder.h"
#include "text/jinja/value.h"

namespace tessera::text::jinja {

// The names assigned in one block. A scope that a macro was made in lives as long as the macro.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<Symbol, std::optional<Value>>> names;  // nullopt: known here, undefined so far
  void set(Symbol symbol, Value value);
  void hide(const HiddenNames& symbols);
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  // All three must outlive the interpreter. `now` is what strftime_now shows; nullopt means the clock.
  Interpreter(const Program& program, const Dict& context, Budget& budget, std::optional<std::tm> now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Error bad_input or limit, "name:line: ...".
  Value render();

  // What filters, methods and objects need.
  Budget& budget() { return budget_; }
  std::tm now() const;
  // str() and repr() of Python. Texts keep their provenance, also inside lists and dicts.
  Value to_text(const Value& value);
  void append_text(TextBuilder& out, const Value& value);
  // Error bad_input for values that cannot be iterated.
  IteratorPtr iterate(const Value& value);
  IteratorPtr iterate_reversed(const Value& value);  // nullptr when it cannot be reversed
  IteratorPtr try_iterate(const Value& value);       // nullptr instead of an Error
  std::vector<Value> to_vector(const Value& value);
  std::optional<std::int64_t> try_length(const Value& value);
  std::int64_t length(const Value& value);
  bool contains(const Value& container, const Value& item);
  // Jinja's object.name and object[key]; undefined when there is neither.
  Value get_attribute(const Value& object, std::string_view name);
  Value get_item(const Value& object, const Value& key);
  std::optional<Value> find_attribute(const Value& object, std::string_view name);
  Value call(const Value& callee, const Call& call);
  bool is_callable(const Value& value);
  Value apply_filter(std::string_view name, const Value& value, const Call& call);
  bool apply_test(std::string_view name, const Value& value, const Call& call);
  Value binary(Operator op, const Value& left, const Value& right);
  bool compare(Comparison comparison, const Value& left, const Value& right);
  bool is_true(const Value& value) { return truth(*this, value); }
  Value text(std::string_view bytes) { return make_text(&budget_, bytes); }

  // What could form a cycle of shared pointers is taken apart at the end of the rendering.
  void keep(std::shared_ptr<Object> object) { kept_objects_.push_back(std::move(object)); }
  // Runs a macro's body in a scope below `scope`; used by macros and recursive loops.
  Value call_macro(const MacroDefinition& macro, const ScopePtr& scope, const Call& call);
  Value run_recursive_loop(const LoopStmt& loop, const ScopePtr& scope, const Value& items, int depth);
  // Next item that `loop` lets through its `if`.
  bool passes_filter(const LoopStmt& loop, const ScopePtr& scope, const Value& item);

  class DepthGuard;

 private:
  enum class Flow { normal, break_loop, continue_loop };

  // Statements (statements.cpp).
  Flow run(const Body& body);
  Flow run(const Stmt& statement);
  Flow run_branch(const BranchStmt& branch);
  Flow run_loop(const LoopStmt& loop);
  Flow run_loop_over(const LoopStmt& loop, const Value& items, int depth);
  Flow run_set_block(const SetBlockStmt& block);
  Flow run_filter_block(const FilterBlockStmt& block);
  Flow run_with(const WithStmt& with);
  Flow run_scope(const ScopeStmt& scope);
  void run_output(const OutputStmt& output);
  void run_call_block(const CallBlockStmt& block);
  void write(const Value& value);
  void assign(const Target& target, const Value& value);
  Value make_macro(const MacroDefinition& macro);
  Value default_of(const MacroParameter& parameter);
  // Runs `body` in a fresh scope with its output collected.
  Flow run_captured(const Body& body, const HiddenNames& hidden, Value& captured);

  // Expressions (expressions.cpp).
  Value evaluate(const Expr& expr);
  Value evaluate_name(const Name& name);
  Value evaluate_list(const ListLiteral& literal);
  Value evaluate_dict(const DictLiteral& literal);
  Value evaluate_unary(const Unary& unary);
  Value evaluate_logical(const Logical& logical);
  Value evaluate_compare(const Compare& compare);
  Value evaluate_concat(const Concat& concat);
  Value evaluate_conditional(const Conditional& conditional);
  Value evaluate_slice(const Slice& slice);
  Value evaluate_call(const CallExpr& call);
  Value evaluate_filter(const FilterExpr& filter, const Value* block_text);
  Value evaluate_test(const TestExpr& test);
  Call evaluate_arguments(const ArgumentList& arguments);
  const Value* find_name(Symbol symbol, const std::string& text, bool& hidden) const;

  const Program& program_;
  const Dict& context_;
  Budget& budget_;
  std::optional<std::tm> now_;
  ScopePtr scope_;
  ScopePtr root_;
  TextBuilder* out_ = nullptr;
  int line_ = 1;
  std::uint64_t depth_ = 0;       // evaluations within evaluations
  std::uint64_t call_depth_ = 0;  // macros within macros
  std::vector<ScopePtr> kept_scopes_;
  std::vector<std::shared_ptr<Object>> kept_objects_;
};

// Bounds the recursion of the interpreter over syntax and macros.
class Interpreter::DepthGuard {
 public:
  enum class Of { evaluation, call };
  DepthGuard(Interpreter& interpreter, Of of);
  ~DepthGuard() { --counter_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  std::uint64_t& counter_;
};

}  // namespace tessera::text::jinja
