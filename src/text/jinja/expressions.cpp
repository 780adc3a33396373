#include <algorithm>

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/objects.h"
#include "text/jinja/representation.h"

namespace tessera::text::jinja {

Value Interpreter::evaluate(const Expr& expr) {
  const DepthGuard guard(*this, DepthGuard::Of::evaluation);
  budget_.step();
  switch (expr.type) {
    case ExprType::constant:
      return static_cast<const Constant&>(expr).value;
    case ExprType::name:
      return evaluate_name(static_cast<const Name&>(expr));
    case ExprType::list:
    case ExprType::tuple:
      return evaluate_list(static_cast<const ListLiteral&>(expr));
    case ExprType::dict:
      return evaluate_dict(static_cast<const DictLiteral&>(expr));
    case ExprType::unary:
      return evaluate_unary(static_cast<const Unary&>(expr));
    case ExprType::negation:
      return Value::boolean(!is_true(evaluate(*static_cast<const Negation&>(expr).operand)));
    case ExprType::binary: {
      const auto& node = static_cast<const Binary&>(expr);
      const Value left = evaluate(*node.left);
      return binary(node.op, left, evaluate(*node.right));
    }
    case ExprType::logical:
      return evaluate_logical(static_cast<const Logical&>(expr));
    case ExprType::compare:
      return evaluate_compare(static_cast<const Compare&>(expr));
    case ExprType::concat:
      return evaluate_concat(static_cast<const Concat&>(expr));
    case ExprType::conditional:
      return evaluate_conditional(static_cast<const Conditional&>(expr));
    case ExprType::attribute: {
      const auto& node = static_cast<const Attribute&>(expr);
      return get_attribute(evaluate(*node.object), node.name);
    }
    case ExprType::subscript: {
      const auto& node = static_cast<const Subscript&>(expr);
      const Value object = evaluate(*node.object);
      return get_item(object, evaluate(*node.key));
    }
    case ExprType::slice:
      return evaluate_slice(static_cast<const Slice&>(expr));
    case ExprType::call:
      return evaluate_call(static_cast<const CallExpr&>(expr));
    case ExprType::filter:
      return evaluate_filter(static_cast<const FilterExpr&>(expr), nullptr);
    case ExprType::test:
      return evaluate_test(static_cast<const TestExpr&>(expr));
  }
  fail(ErrorKind::internal, "expected a known kind of expression");
}

const Value* Interpreter::find_name(Symbol symbol, const std::string& text, bool& hidden) const {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [name, value] : scope->names) {
      if (name != symbol) continue;
      hidden = !value.has_value();
      return hidden ? nullptr : &*value;
    }
  }
  return context_.find(text);
}

Value Interpreter::evaluate_name(const Name& name) {
  bool hidden = false;
  if (const Value* value = find_name(name.symbol, name.text, hidden)) return *value;
  if (!hidden) {
    if (auto global = find_global(name.text)) return *global;
  }
  return Value::undefined("'" + printable(name.text) + "' is undefined");
}

Value Interpreter::evaluate_list(const ListLiteral& literal) {
  std::vector<Value> items;
  items.reserve(literal.items.size());
  for (const ExprPtr& item : literal.items) items.push_back(evaluate(*item));
  return literal.type == ExprType::list ? Value::list(std::move(items), &budget_)
                                        : Value::tuple(std::move(items), &budget_);
}

Value Interpreter::evaluate_dict(const DictLiteral& literal) {
  auto dict = std::make_shared<Dict>(&budget_);
  for (const auto& [key, value] : literal.items) {
    const Value evaluated_key = evaluate(*key);
    dict->set(evaluated_key, evaluate(*value));
  }
  return Value(DictPtr(std::move(dict)));
}

Value Interpreter::evaluate_unary(const Unary& unary) {
  const Value operand = evaluate(*unary.operand);
  if (operand.is_undefined()) fail(ErrorKind::bad_input, "{}", operand.undefined_message());
  if (!operand.is_number()) wrong_type(unary.negative ? "-" : "+", "a number", operand);
  if (!unary.negative) return operand.is_float() ? operand : Value::integer(operand.as_int());
  return operand.is_float() ? Value::floating(-operand.as_float())
                            : binary(Operator::subtract, Value::integer(0), operand);
}

Value Interpreter::evaluate_logical(const Logical& logical) {
  Value left = evaluate(*logical.left);
  return is_true(left) == logical.is_and ? evaluate(*logical.right) : left;
}

Value Interpreter::evaluate_compare(const Compare& compare_expr) {
  Value left = evaluate(*compare_expr.first);
  for (const auto& [comparison, operand] : compare_expr.rest) {
    Value right = evaluate(*operand);
    if (!compare(comparison, left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_concat(const Concat& concat) {
  TextBuilder out(&budget_);
  for (const ExprPtr& part : concat.parts) append_text(out, evaluate(*part));
  return out.finish();
}

Value Interpreter::evaluate_conditional(const Conditional& conditional) {
  if (is_true(evaluate(*conditional.test))) return evaluate(*conditional.then);
  if (conditional.otherwise != nullptr) return evaluate(*conditional.otherwise);
  return Value::undefined("the inline if-expression evaluated to false and no else section was defined");
}

namespace {

// Python's slice.indices(): where to begin, the step, how many items.
struct SliceIndices {
  std::int64_t start, step, count;
};

SliceIndices slice_indices(const Value& start, const Value& stop, const Value& step, std::int64_t length) {
  const auto read = [](const Value& value) {
    if (!value.is_integral()) wrong_type("slice", "integers or none", value);
    return value.as_int();
  };
  const std::int64_t stride = step.is_none() ? 1 : read(step);
  if (stride == 0) fail(ErrorKind::bad_input, "slice: expected a step other than 0, found 0");
  const std::int64_t low = stride > 0 ? 0 : -1;
  const std::int64_t high = stride > 0 ? length : length - 1;
  const auto clamp = [&](const Value& value, std::int64_t otherwise) {
    if (value.is_none()) return otherwise;
    std::int64_t index = read(value);
    if (index < 0) index += length;  // cannot wrap: one is negative, the other is not
    return std::clamp(index, low, std::max(low, high));
  };
  const std::int64_t begin = clamp(start, stride > 0 ? low : high);
  const std::int64_t end = clamp(stop, stride > 0 ? high : low);
  const std::uint64_t distance = stride > 0 ? (end > begin ? static_cast<std::uint64_t>(end - begin) : 0)
                                            : (begin > end ? static_cast<std::uint64_t>(begin - end) : 0);
  const std::uint64_t width =
      stride > 0 ? static_cast<std::uint64_t>(stride) : 0 - static_cast<std::uint64_t>(stride);
  return {begin, stride, static_cast<std::int64_t>(distance == 0 ? 0 : (distance - 1) / width + 1)};
}

Value slice_of_text(Budget& budget, const Text& text, const SliceIndices& slice) {
  TextBuilder out(&budget);
  if (!text.is_ascii() || slice.step != 1) budget.scan(text.bytes.size());
  if (slice.step == 1 && slice.count > 0) {
    out.append(text, byte_offset(text, slice.start), byte_offset(text, slice.start + slice.count));
  } else if (slice.count > 0) {
    std::vector<std::size_t> borders;
    MemoryCharge charge(&budget, static_cast<std::uint64_t>(text.length) * sizeof(std::size_t));
    for (std::size_t position = 0; position < text.bytes.size(); next_code_point(text.bytes, position)) {
      borders.push_back(position);
    }
    borders.push_back(text.bytes.size());
    budget.step(static_cast<std::uint64_t>(slice.count) / 4);
    for (std::int64_t i = 0; i < slice.count; ++i) {
      const auto index = static_cast<std::size_t>(slice.start + i * slice.step);
      out.append(text, borders[index], borders[index + 1]);
    }
  }
  return out.finish(text.markup);
}

}  // namespace

Value Interpreter::evaluate_slice(const Slice& slice) {
  const Value object = evaluate(*slice.object);
  const Value start = slice.start ? evaluate(*slice.start) : Value();
  const Value stop = slice.stop ? evaluate(*slice.stop) : Value();
  const Value step = slice.step ? evaluate(*slice.step) : Value();
  if (object.is_undefined()) fail(ErrorKind::bad_input, "{}", object.undefined_message());
  if (object.is_text()) {
    return slice_of_text(budget_, object.text(), slice_indices(start, stop, step, object.text().length));
  }
  if (auto* range = object.object_as<Range>()) {
    const SliceIndices indices = slice_indices(start, stop, step, *range->length(*this));
    return range->slice(&budget_, indices.start, indices.step, indices.count);
  }
  if (!object.is_sequence()) wrong_type("slice", "a text, list or tuple", object);
  const auto& items = object.sequence().items;
  const SliceIndices indices = slice_indices(start, stop, step, static_cast<std::int64_t>(items.size()));
  budget_.step(static_cast<std::uint64_t>(indices.count));
  std::vector<Value> chosen;
  chosen.reserve(static_cast<std::size_t>(indices.count));
  for (std::int64_t i = 0; i < indices.count; ++i) {
    chosen.push_back(items[static_cast<std::size_t>(indices.start + i * indices.step)]);
  }
  return object.is_list() ? Value::list(std::move(chosen), &budget_)
                          : Value::tuple(std::move(chosen), &budget_);
}

Call Interpreter::evaluate_arguments(const ArgumentList& arguments) {
  Call call;
  call.positional.reserve(arguments.positional.size());
  for (const ExprPtr& argument : arguments.positional) call.positional.push_back(evaluate(*argument));
  if (arguments.unpacked != nullptr) {
    const IteratorPtr items = iterate(evaluate(*arguments.unpacked));
    while (auto item = items->next(*this)) call.positional.push_back(std::move(*item));
  }
  for (const auto& [name, argument] : arguments.keyword) call.keyword.emplace_back(name, evaluate(*argument));
  if (arguments.unpacked_keyword != nullptr) {
    const Value dict = evaluate(*arguments.unpacked_keyword);
    if (!dict.is_dict()) wrong_type("**", "a dict", dict);
    for (const auto& [key, value] : dict.dict().items()) {
      call.keyword.emplace_back(require_text("**", key).bytes, value);
    }
  }
  for (std::size_t i = 0; i < call.keyword.size(); ++i) {
    budget_.step(i);
    for (std::size_t j = 0; j < i; ++j) {
      if (call.keyword[i].first == call.keyword[j].first) {
        fail(ErrorKind::bad_input, "expected each keyword once, found '{}' twice",
             printable(call.keyword[i].first));
      }
    }
  }
  return call;
}

Value Interpreter::evaluate_call(const CallExpr& expr) {
  line_ = expr.line;
  if (expr.callee->type == ExprType::attribute) {
    // A method of plain data, called without making a function object first.
    const auto& attribute = static_cast<const Attribute&>(*expr.callee);
    const Value object = evaluate(*attribute.object);
    Function method = nullptr;
    if (object.is_text()) method = find_text_method(attribute.name);
    if (object.is_dict()) method = find_dict_method(attribute.name);
    if (method != nullptr) {
      const Call arguments = evaluate_arguments(expr.arguments);
      line_ = expr.line;
      return method(*this, object, arguments);
    }
    const Value callee = get_attribute(object, attribute.name);
    return call(callee, evaluate_arguments(expr.arguments));
  }
  const Value callee = evaluate(*expr.callee);
  const Call arguments = evaluate_arguments(expr.arguments);
  line_ = expr.line;
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, const Call& call) {
  budget_.step();
  if (callee.is_undefined()) fail(ErrorKind::bad_input, "{}", callee.undefined_message());
  if (!callee.is_object()) wrong_type("call", "something that can be called", callee);
  const Value kept = callee;  // the callee may be the last to hold itself
  return kept.object().call(*this, call);
}

Value Interpreter::evaluate_filter(const FilterExpr& expr, const Value* block_text) {
  const Value operand = expr.operand == nullptr ? (block_text != nullptr ? *block_text : Value())
                        : expr.operand->type == ExprType::filter && block_text != nullptr
                            ? evaluate_filter(static_cast<const FilterExpr&>(*expr.operand), block_text)
                            : evaluate(*expr.operand);
  const Call arguments = evaluate_arguments(expr.arguments);
  line_ = expr.line;
  return apply_filter(expr.name, operand, arguments);
}

Value Interpreter::evaluate_test(const TestExpr& expr) {
  const Value operand = evaluate(*expr.operand);
  const Call arguments = evaluate_arguments(expr.arguments);
  line_ = expr.line;
  return Value::boolean(apply_test(expr.name, operand, arguments));
}

Value Interpreter::apply_filter(std::string_view name, const Value& value, const Call& call) {
  budget_.step();
  const Function filter = find_filter(name);
  if (filter == nullptr) fail(ErrorKind::bad_input, "expected a known filter, found '{}'", printable(name));
  return filter(*this, value, call);
}

bool Interpreter::apply_test(std::string_view name, const Value& value, const Call& call) {
  budget_.step();
  const Test test = find_test(name);
  if (test == nullptr) fail(ErrorKind::bad_input, "expected a known test, found '{}'", printable(name));
  return test(*this, value, call);
}

}  // namespace tessera::text::jinja
