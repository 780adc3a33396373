#include <cmath>
#include <limits>

#include "base/error.h"
#include "text/jinja/formatting.h"
#include "text/jinja/html.h"
#include "text/jinja/interpreter.h"

namespace tessera::text::jinja {
namespace {

constexpr const char* kOperatorNames[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void unsupported_operands(Operator op, const Value& left, const Value& right) {
  for (const Value* side : {&left, &right}) {
    if (side->is_undefined()) fail(ErrorKind::bad_input, "{}", side->undefined_message());
  }
  fail(ErrorKind::bad_input, "expected values that '{}' can join, found '{}' and '{}'",
       kOperatorNames[static_cast<int>(op)], type_name(left), type_name(right));
}

[[noreturn]] void overflow() {
  fail(ErrorKind::limit, "expected an integer within 64 bits, found a larger result");
}

[[noreturn]] void division_by_zero() {
  fail(ErrorKind::bad_input, "expected a divisor other than zero, found zero");
}

std::int64_t floor_quotient(std::int64_t left, std::int64_t right) {
  if (right == 0) division_by_zero();
  if (right == -1) {
    if (left == std::numeric_limits<std::int64_t>::min()) overflow();
    return -left;
  }
  const std::int64_t quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

std::int64_t floor_remainder(std::int64_t left, std::int64_t right) {
  if (right == 0) division_by_zero();
  if (right == -1) return 0;
  const std::int64_t remainder = left % right;
  return remainder != 0 && (remainder < 0) != (right < 0) ? remainder + right : remainder;
}

double float_remainder(double left, double right) {
  if (right == 0) division_by_zero();
  double remainder = std::fmod(left, right);
  if (remainder == 0) return std::copysign(0.0, right);
  if ((remainder < 0) != (right < 0)) remainder += right;
  return remainder;
}

// As CPython divides: exact where the quotient is whole, one below where rounding would lift it.
double float_floor_quotient(double left, double right) {
  const double remainder = float_remainder(left, right);
  const double quotient = (left - remainder) / right;
  if (quotient == 0) return std::copysign(0.0, left / right);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value power(const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral() && right.as_int() >= 0) {
    std::int64_t base = left.as_int();
    std::int64_t result = 1;
    for (std::int64_t exponent = right.as_int(); exponent > 0;) {
      if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
      exponent >>= 1;
      if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
    }
    return Value::integer(result);
  }
  const double base = left.as_float();
  const double exponent = right.as_float();
  if (base == 0 && exponent < 0) division_by_zero();
  if (base < 0 && std::floor(exponent) != exponent && !std::isinf(exponent)) {
    fail(ErrorKind::unsupported, "expected a power that is a real number, found a complex one");
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && !std::isinf(base) && !std::isinf(exponent)) overflow();
  return Value::floating(result);
}

Value integer_arithmetic(Operator op, std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  bool wrapped = false;
  switch (op) {
    case Operator::add:
      wrapped = __builtin_add_overflow(left, right, &result);
      break;
    case Operator::subtract:
      wrapped = __builtin_sub_overflow(left, right, &result);
      break;
    case Operator::multiply:
      wrapped = __builtin_mul_overflow(left, right, &result);
      break;
    case Operator::divide:
      if (right == 0) division_by_zero();
      // Rounded once to 64 bits and once to 53; the first is exact enough for every quotient but pathological
      // ties.
      return Value::floating(
          static_cast<double>(static_cast<long double>(left) / static_cast<long double>(right)));
    case Operator::floor_divide:
      result = floor_quotient(left, right);
      break;
    default:
      result = floor_remainder(left, right);
      break;
  }
  if (wrapped) overflow();
  return Value::integer(result);
}

Value float_arithmetic(Operator op, double left, double right) {
  switch (op) {
    case Operator::add:
      return Value::floating(left + right);
    case Operator::subtract:
      return Value::floating(left - right);
    case Operator::multiply:
      return Value::floating(left * right);
    case Operator::divide:
      if (right == 0) division_by_zero();
      return Value::floating(left / right);
    case Operator::floor_divide:
      return Value::floating(float_floor_quotient(left, right));
    default:
      return Value::floating(float_remainder(left, right));
  }
}

Value join_texts(Budget& budget, const Text& left, const Text& right) {
  TextBuilder out(&budget);
  const bool markup = left.markup || right.markup;
  if (markup && !left.markup) {
    append_escaped(out, left);
  } else {
    out.append(left);
  }
  if (markup && !right.markup) {
    append_escaped(out, right);
  } else {
    out.append(right);
  }
  return out.finish(markup);
}

Value join_sequences(Budget& budget, const Value& left, const Value& right) {
  std::vector<Value> items = left.sequence().items;
  items.insert(items.end(), right.sequence().items.begin(), right.sequence().items.end());
  budget.step(items.size());
  return left.is_list() ? Value::list(std::move(items), &budget) : Value::tuple(std::move(items), &budget);
}

Value repeat(Budget& budget, const Value& value, std::int64_t count) {
  if (value.is_text()) {
    TextBuilder out(&budget);
    out.append_repeated(value.text(), count);
    return out.finish(value.text().markup);
  }
  const auto& items = value.sequence().items;
  const auto times = static_cast<std::uint64_t>(count > 0 && !items.empty() ? count : 0);
  std::uint64_t total = 0;
  if (__builtin_mul_overflow(times, items.size() * sizeof(Value), &total)) total = ~std::uint64_t{0} >> 1U;
  const MemoryCharge reserved(&budget, total);  // refused here, before it is built
  std::vector<Value> repeated;
  repeated.reserve(times * items.size());
  for (std::uint64_t i = 0; i < times; ++i) repeated.insert(repeated.end(), items.begin(), items.end());
  budget.step(repeated.size());
  return value.is_list() ? Value::list(std::move(repeated), &budget)
                         : Value::tuple(std::move(repeated), &budget);
}

}  // namespace

Value Interpreter::binary(Operator op, const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) {
    if (op == Operator::power) return power(left, right);
    if (left.is_integral() && right.is_integral())
      return integer_arithmetic(op, left.as_int(), right.as_int());
    return float_arithmetic(op, left.as_float(), right.as_float());
  }
  if (op == Operator::modulo && left.is_text()) return printf_format(*this, left.text(), right);
  if (op == Operator::add) {
    if (left.is_text() && right.is_text()) return join_texts(budget_, left.text(), right.text());
    if (left.is_sequence() && right.is_sequence() && left.is_list() == right.is_list()) {
      return join_sequences(budget_, left, right);
    }
  }
  if (op == Operator::multiply) {
    if ((left.is_text() || left.is_sequence()) && right.is_integral())
      return repeat(budget_, left, right.as_int());
    if ((right.is_text() || right.is_sequence()) && left.is_integral())
      return repeat(budget_, right, left.as_int());
  }
  unsupported_operands(op, left, right);
}

bool Interpreter::compare(Comparison comparison, const Value& left, const Value& right) {
  switch (comparison) {
    case Comparison::equal:
      return equal(left, right, &budget_);
    case Comparison::not_equal:
      return !equal(left, right, &budget_);
    case Comparison::less:
      return less(left, right, &budget_);
    case Comparison::greater:
      return less(right, left, &budget_);
    case Comparison::less_equal:
    case Comparison::greater_equal: {
      const Value& low = comparison == Comparison::less_equal ? left : right;
      const Value& high = comparison == Comparison::less_equal ? right : left;
      // Not !(high < low): with NaN both are false.
      return less(low, high, &budget_) || equal(low, high, &budget_);
    }
    case Comparison::in:
      return contains(right, left);
    case Comparison::not_in:
      return !contains(right, left);
  }
  fail(ErrorKind::internal, "expected a known comparison");
}

}  // namespace tessera::text::jinja
