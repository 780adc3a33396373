#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/objects.h"
#include "text/jinja/representation.h"

namespace tessera::text::jinja {

void Scope::set(Symbol symbol, Value value) {
  const auto place = std::ranges::find(names, symbol, &std::pair<Symbol, std::optional<Value>>::first);
  if (place != names.end()) {
    place->second = std::move(value);
  } else {
    names.emplace_back(symbol, std::move(value));
  }
}

void Scope::hide(const HiddenNames& symbols) {
  for (const Symbol symbol : symbols) {
    const auto place = std::ranges::find(names, symbol, &std::pair<Symbol, std::optional<Value>>::first);
    if (place == names.end()) names.emplace_back(symbol, std::nullopt);
  }
}

Interpreter::DepthGuard::DepthGuard(Interpreter& interpreter, Of of)
    : counter_(of == Of::call ? interpreter.call_depth_ : interpreter.depth_) {
  // Evaluations nest within one macro as deep as its source does, some ten levels in practice.
  constexpr std::uint64_t kEvaluationsPerCall = 10;
  const std::uint64_t calls = interpreter.budget_.limits().call_depth;
  if (++counter_ > (of == Of::call ? calls : calls * kEvaluationsPerCall)) {
    --counter_;
    fail(ErrorKind::limit, "expected calls nested at most {} deep, found deeper ones", calls);
  }
}

Interpreter::Interpreter(const Program& program, const Dict& context, Budget& budget,
                         std::optional<std::tm> now)
    : program_(program),
      context_(context),
      budget_(budget),
      now_(now),
      root_(std::make_shared<Scope>(nullptr)) {
  scope_ = root_;
}

Interpreter::~Interpreter() {
  for (const ScopePtr& scope : kept_scopes_) scope->names.clear();
  for (const auto& object : kept_objects_) object->release();
}

std::tm Interpreter::now() const {
  if (now_) return *now_;
  const std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

Value Interpreter::render() {
  TextBuilder out(&budget_);
  out_ = &out;
  root_->hide(program_.hidden);
  try {
    run(program_.body);
  } catch (const Error& error) {
    throw_error(error.kind(), fmt::format("{}:{}: {}", program_.name, line_, printable(error.what(), 2000)));
  }
  return out.finish();
}

Interpreter::Flow Interpreter::run(const Body& body) {
  const DepthGuard guard(*this, DepthGuard::Of::evaluation);
  for (const auto& statement : body) {
    const Flow flow = run(*statement);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Stmt& statement) {
  line_ = statement.line;
  budget_.step();
  switch (statement.type) {
    case StmtType::data:
      out_->append(static_cast<const DataStmt&>(statement).text);
      break;
    case StmtType::output:
      run_output(static_cast<const OutputStmt&>(statement));
      break;
    case StmtType::branch:
      return run_branch(static_cast<const BranchStmt&>(statement));
    case StmtType::loop:
      return run_loop(static_cast<const LoopStmt&>(statement));
    case StmtType::set: {
      const auto& set = static_cast<const SetStmt&>(statement);
      assign(set.target, evaluate(*set.value));
      break;
    }
    case StmtType::set_block:
      return run_set_block(static_cast<const SetBlockStmt&>(statement));
    case StmtType::macro: {
      const auto& macro = static_cast<const MacroStmt&>(statement);
      scope_->set(macro.symbol, make_macro(macro.definition));
      break;
    }
    case StmtType::call_block:
      run_call_block(static_cast<const CallBlockStmt&>(statement));
      break;
    case StmtType::filter_block:
      return run_filter_block(static_cast<const FilterBlockStmt&>(statement));
    case StmtType::with:
      return run_with(static_cast<const WithStmt&>(statement));
    case StmtType::block:
    case StmtType::scope:
      return run_scope(static_cast<const ScopeStmt&>(statement));
    case StmtType::break_loop:
      return Flow::break_loop;
    case StmtType::continue_loop:
      return Flow::continue_loop;
    case StmtType::unavailable:
      fail(ErrorKind::unsupported, "expected a chat template that stands alone, found '{}'",
           static_cast<const UnavailableStmt&>(statement).what);
  }
  return Flow::normal;
}

void Interpreter::write(const Value& value) {
  append_text(*out_, value);
  if (out_->size() > budget_.limits().output_bytes) {
    fail(ErrorKind::limit, "expected at most {} bytes of output, found more", budget_.limits().output_bytes);
  }
}

void Interpreter::run_output(const OutputStmt& output) {
  for (const ExprPtr& value : output.values) write(evaluate(*value));
}

Interpreter::Flow Interpreter::run_branch(const BranchStmt& branch) {
  for (const auto& [test, body] : branch.cases) {
    if (is_true(evaluate(*test))) return run(body);
  }
  return run(branch.otherwise);
}

namespace {

// Puts a scope in place for as long as it lives.
class ScopeSwitch {
 public:
  ScopeSwitch(ScopePtr& place, ScopePtr scope)
      : place_(place), outer_(std::exchange(place, std::move(scope))) {}
  ~ScopeSwitch() { place_ = std::move(outer_); }
  ScopeSwitch(const ScopeSwitch&) = delete;
  ScopeSwitch& operator=(const ScopeSwitch&) = delete;

 private:
  ScopePtr& place_;
  ScopePtr outer_;
};

class OutputSwitch {
 public:
  OutputSwitch(TextBuilder*& place, TextBuilder& out) : place_(place), outer_(std::exchange(place, &out)) {}
  ~OutputSwitch() { place_ = outer_; }
  OutputSwitch(const OutputSwitch&) = delete;
  OutputSwitch& operator=(const OutputSwitch&) = delete;

 private:
  TextBuilder*& place_;
  TextBuilder* outer_;
};

}  // namespace

Interpreter::Flow Interpreter::run_loop(const LoopStmt& loop) {
  const Value items = evaluate(*loop.iterable);
  if (!loop.recursive) return run_loop_over(loop, items, 0);
  write(run_recursive_loop(loop, scope_, items, 0));
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_loop_over(const LoopStmt& loop, const Value& items, int depth) {
  const ScopePtr outer = scope_;
  const auto state = std::make_shared<LoopObject>(*this, loop, outer, items, depth);
  bool completed = false;  // an iteration that break or continue cut short does not count
  while (auto item = state->advance(*this)) {
    budget_.step();
    const ScopeSwitch inner(scope_, std::make_shared<Scope>(outer));
    scope_->set(loop.loop_symbol, state->self());
    assign(loop.target, *item);
    scope_->hide(loop.hidden);
    const Flow flow = run(loop.body);
    if (flow == Flow::break_loop) break;
    if (flow == Flow::normal) completed = true;
  }
  if (completed) return Flow::normal;
  const ScopeSwitch inner(scope_, std::make_shared<Scope>(outer));
  scope_->hide(loop.otherwise_hidden);
  return run(loop.otherwise);
}

bool Interpreter::passes_filter(const LoopStmt& loop, const ScopePtr& scope, const Value& item) {
  const ScopeSwitch inner(scope_, std::make_shared<Scope>(scope));
  assign(loop.target, item);
  return is_true(evaluate(*loop.filter));
}

Value Interpreter::run_recursive_loop(const LoopStmt& loop, const ScopePtr& scope, const Value& items,
                                      int depth) {
  const DepthGuard guard(*this, DepthGuard::Of::call);
  TextBuilder out(&budget_);
  const OutputSwitch output(out_, out);
  const ScopeSwitch inner(scope_, scope);
  run_loop_over(loop, items, depth);
  return out.finish();
}

Interpreter::Flow Interpreter::run_captured(const Body& body, const HiddenNames& hidden, Value& captured) {
  TextBuilder out(&budget_);
  const OutputSwitch output(out_, out);
  scope_->hide(hidden);
  const Flow flow = run(body);
  captured = out.finish();
  return flow;
}

Interpreter::Flow Interpreter::run_set_block(const SetBlockStmt& block) {
  Value text;
  {
    const ScopeSwitch inner(scope_, std::make_shared<Scope>(scope_));
    const Flow flow = run_captured(block.body, block.hidden, text);
    if (flow != Flow::normal) return flow;
    if (block.filter != nullptr) text = evaluate_filter(static_cast<const FilterExpr&>(*block.filter), &text);
  }
  assign(block.target, text);
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_filter_block(const FilterBlockStmt& block) {
  const ScopeSwitch inner(scope_, std::make_shared<Scope>(scope_));
  Value text;
  const Flow flow = run_captured(block.body, block.hidden, text);
  if (flow != Flow::normal) return flow;
  write(evaluate_filter(static_cast<const FilterExpr&>(*block.filter), &text));
  return Flow::normal;
}

Interpreter::Flow Interpreter::run_with(const WithStmt& with) {
  const auto inner = std::make_shared<Scope>(scope_);
  for (const auto& [target, value] : with.assignments) {
    const Value evaluated = evaluate(*value);
    const ScopeSwitch assigning(scope_, inner);
    assign(target, evaluated);
  }
  const ScopeSwitch running(scope_, inner);
  scope_->hide(with.hidden);
  return run(with.body);
}

Interpreter::Flow Interpreter::run_scope(const ScopeStmt& statement) {
  const ScopeSwitch inner(scope_, std::make_shared<Scope>(statement.sees_around ? scope_ : root_));
  scope_->hide(statement.hidden);
  return run(statement.body);
}

void Interpreter::assign(const Target& target, const Value& value) {
  budget_.step();
  if (target.type == Target::Type::name) return scope_->set(target.symbol, value);
  if (target.type == Target::Type::attribute) {
    bool hidden = false;
    const Value* place = find_name(target.symbol, target.text, hidden);
    auto* space = place != nullptr ? place->object_as<Namespace>() : nullptr;
    if (space == nullptr) {
      fail(ErrorKind::bad_input, "expected a namespace to assign '{}' to, found '{}'", target.attribute,
           place != nullptr ? type_name(*place) : "undefined");
    }
    return space->set(*this, target.attribute, value);
  }
  const IteratorPtr items = iterate(value);
  std::vector<Value> unpacked;
  while (auto item = items->next(*this)) {
    unpacked.push_back(std::move(*item));
    if (unpacked.size() > target.items.size()) break;
  }
  if (unpacked.size() != target.items.size()) {
    fail(ErrorKind::bad_input, "expected {} values to unpack, found {}{}", target.items.size(),
         unpacked.size() > target.items.size() ? "at least " : "", unpacked.size());
  }
  for (std::size_t i = 0; i < unpacked.size(); ++i) assign(target.items[i], unpacked[i]);
}

Value Interpreter::make_macro(const MacroDefinition& macro) {
  if (kept_scopes_.empty() || kept_scopes_.back() != scope_) {
    budget_.take(sizeof(Scope) + 64);
    kept_scopes_.push_back(scope_);
  }
  return Value(ObjectPtr(std::make_shared<MacroObject>(&budget_, macro, scope_)));
}

void Interpreter::run_call_block(const CallBlockStmt& block) {
  const auto& expr = static_cast<const CallExpr&>(*block.call);
  const Value caller = make_macro(block.caller);
  const Value callee = evaluate(*expr.callee);
  Call arguments = evaluate_arguments(expr.arguments);
  arguments.keyword.emplace_back("caller", caller);
  line_ = block.line;
  write(call(callee, arguments));
}

Value Interpreter::default_of(const MacroParameter& parameter) {
  if (parameter.default_value != nullptr) return evaluate(*parameter.default_value);
  return Value::undefined("parameter '" + parameter.name + "' was not provided");
}

// The order in which Jinja's Macro.__call__ gives out arguments.
Value Interpreter::call_macro(const MacroDefinition& macro, const ScopePtr& outer, const Call& call) {
  const DepthGuard guard(*this, DepthGuard::Of::call);
  const int call_line = line_;
  std::vector<bool> used(call.keyword.size(), false);
  const auto take_keyword = [&](std::string_view name) -> const Value* {
    const auto place = std::ranges::find(call.keyword, name, &std::pair<std::string, Value>::first);
    if (place == call.keyword.end()) return nullptr;
    used[static_cast<std::size_t>(place - call.keyword.begin())] = true;
    return &place->second;
  };
  const auto scope = std::make_shared<Scope>(outer);
  const auto& parameters = macro.parameters;
  bool caller_is_parameter = false;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    caller_is_parameter |= parameters[i].name == "caller";
    scope->names.emplace_back(parameters[i].symbol, std::nullopt);
    const Value* value = i < call.positional.size() ? &call.positional[i] : take_keyword(parameters[i].name);
    if (value != nullptr) scope->names.back().second = *value;
  }
  if (macro.uses_caller && !caller_is_parameter) {
    const Value* caller = take_keyword("caller");
    scope->set(macro.caller_symbol, Value::undefined("No caller defined"));
    if (caller != nullptr && !caller->is_none()) scope->set(macro.caller_symbol, *caller);
  }
  const std::shared_ptr<Dict> rest = macro.uses_kwargs ? std::make_shared<Dict>(&budget_) : nullptr;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    const auto& [name, value] = call.keyword[i];
    if (rest == nullptr) {
      fail(ErrorKind::bad_input, "macro '{}': expected no argument named '{}', found one", macro.name,
           printable(name));
    }
    rest->set(text(name), value);
  }
  if (rest != nullptr) scope->set(macro.kwargs_symbol, Value(DictPtr(rest)));
  const auto extra = call.positional.begin() +
                     static_cast<std::ptrdiff_t>(std::min(parameters.size(), call.positional.size()));
  if (macro.uses_varargs) {
    scope->set(macro.varargs_symbol,
               Value::tuple(std::vector<Value>(extra, call.positional.end()), &budget_));
  } else if (extra != call.positional.end()) {
    fail(ErrorKind::bad_input, "macro '{}': expected at most {} arguments, found {}", macro.name,
         parameters.size(), call.positional.size());
  }
  const ScopeSwitch inner(scope_, scope);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (scope->names[i].second) continue;
    scope->names[i].second = default_of(parameters[i]);
  }
  Value result;
  run_captured(macro.body, macro.hidden, result);
  line_ = call_line;
  return result;
}

}  // namespace tessera::text::jinja
