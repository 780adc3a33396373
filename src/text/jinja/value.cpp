#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <compare>

#include "base/error.h"
#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {
namespace {

void require_shallow(int depth) {
  if (depth > kMaxDepth) {
    fail(ErrorKind::limit, "expected values nested at most {} deep, found deeper ones", kMaxDepth);
  }
}

// int64 has 63 bits, double 53: long double holds both exactly, as Python's comparison demands.
std::partial_ordering compare_numbers(const Value& left, const Value& right) {
  if (left.is_integral() && right.is_integral()) return left.as_int() <=> right.as_int();
  const auto widen = [](const Value& value) {
    return value.is_float() ? static_cast<long double>(value.as_float())
                            : static_cast<long double>(value.as_int());
  };
  return widen(left) <=> widen(right);
}

void charge_comparison(Budget* budget, const Text& left, const Text& right) {
  constexpr std::size_t kBytesPerStep = 256;
  if (budget != nullptr) budget->step(std::min(left.bytes.size(), right.bytes.size()) / kBytesPerStep);
}

int key_rank(const Value& value) {
  if (value.is_none()) return 0;
  if (value.is_undefined()) return 1;
  if (value.is_number()) return 2;
  if (value.is_text()) return 3;
  if (value.is_sequence()) return 4;
  return 5;
}

}  // namespace

Text::Text(std::string content, std::vector<TextRange> literal_ranges, bool is_markup, MemoryCharge memory)
    : bytes(std::move(content)),
      literal(std::move(literal_ranges)),
      markup(is_markup),
      length(count_code_points(bytes)),
      charge(std::move(memory)) {}

Sequence::Sequence(SequenceKind sequence_kind, std::vector<Value> values, Budget* budget)
    : kind(sequence_kind), items(std::move(values)), depth(1), charge(budget, sizeof(Sequence)) {
  charge.grow(items.size() * sizeof(Value));
  for (const Value& item : items) depth = std::max(depth, depth_of(item) + 1);
  require_shallow(depth);
}

Value Value::undefined(std::string message) {
  return Value(std::make_shared<const Undefined>(Undefined{std::move(message)}));
}

Value Value::constant(std::string_view bytes) {
  return Value(
      std::make_shared<const Text>(std::string(bytes), std::vector<TextRange>{}, false, MemoryCharge{}));
}

Value Value::list(std::vector<Value> items, Budget* budget) {
  return Value(std::make_shared<const Sequence>(SequenceKind::list, std::move(items), budget));
}

Value Value::tuple(std::vector<Value> items, Budget* budget) {
  return Value(std::make_shared<const Sequence>(SequenceKind::tuple, std::move(items), budget));
}

Object::Object(Budget* budget, int nesting) : depth_(nesting), charge_(budget, 160) {
  require_shallow(nesting);
}

Value Object::call(Interpreter& /*interpreter*/, const Call& /*call*/) {
  fail(ErrorKind::bad_input, "expected something that can be called, found '{}'", type_name());
}

Value Object::representation(Interpreter& /*interpreter*/, int /*nesting*/) {
  return Value::constant("<" + type_name() + ">");
}

std::string type_name(const Value& value) {
  if (value.is_none()) return "NoneType";
  if (value.is_undefined()) return "Undefined";
  if (value.is_bool()) return "bool";
  if (value.is_int()) return "int";
  if (value.is_float()) return "float";
  if (value.is_text()) return value.text().markup ? "Markup" : "str";
  if (value.is_sequence()) return value.is_list() ? "list" : "tuple";
  if (value.is_dict()) return "dict";
  return value.object().type_name();
}

int depth_of(const Value& value) {
  if (value.is_sequence()) return value.sequence().depth;
  if (value.is_dict()) return value.dict().depth();
  if (value.is_object()) return value.object().depth();
  return 0;
}

bool truth(Interpreter& interpreter, const Value& value) {
  if (value.is_none() || value.is_undefined()) return false;
  if (value.is_bool()) return value.as_bool();
  if (value.is_int()) return value.as_int() != 0;
  if (value.is_float()) return value.as_float() != 0;
  if (value.is_text()) return !value.text().bytes.empty();
  if (value.is_sequence()) return !value.sequence().items.empty();
  if (value.is_dict()) return !value.dict().items().empty();
  return value.object().length(interpreter).value_or(1) != 0;
}

bool equal(const Value& left, const Value& right, Budget* budget) {
  if (budget != nullptr) budget->step();
  const auto equal_items = [budget](const Value& a, const Value& b) { return equal(a, b, budget); };
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) == 0;
  if (left.is_text() && right.is_text()) {
    charge_comparison(budget, left.text(), right.text());
    return left.text().bytes == right.text().bytes;
  }
  if (left.is_none() || right.is_none()) return left.is_none() && right.is_none();
  if (left.is_undefined() || right.is_undefined()) return left.is_undefined() && right.is_undefined();
  if (left.is_sequence() && right.is_sequence()) {
    return left.is_list() == right.is_list() &&
           std::ranges::equal(left.sequence().items, right.sequence().items, equal_items);
  }
  if (left.is_dict() && right.is_dict()) {
    const auto& items = left.dict().items();
    return items.size() == right.dict().items().size() &&
           std::ranges::all_of(items, [&](const Dict::Item& item) {
             const Value* other = right.dict().find(item.first);
             return other != nullptr && equal_items(item.second, *other);
           });
  }
  return left.is_object() && right.is_object() && left.object_pointer() == right.object_pointer();
}

bool less(const Value& left, const Value& right, Budget* budget) {
  if (budget != nullptr) budget->step();
  if (left.is_number() && right.is_number()) return compare_numbers(left, right) < 0;
  if (left.is_text() && right.is_text()) {
    charge_comparison(budget, left.text(), right.text());
    return left.text().bytes < right.text().bytes;
  }
  if (left.is_sequence() && right.is_sequence() && left.is_list() == right.is_list()) {
    const auto& a = left.sequence().items;
    const auto& b = right.sequence().items;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!equal(a[i], b[i], budget)) return less(a[i], b[i], budget);
    }
    return a.size() < b.size();
  }
  for (const Value* side : {&left, &right}) {
    if (side->is_undefined()) fail(ErrorKind::bad_input, "{}", side->undefined_message());
  }
  fail(ErrorKind::bad_input, "expected two values with an order, found '{}' and '{}'", type_name(left),
       type_name(right));
}

void require_hashable(const Value& value) {
  if (value.is_list() || value.is_dict()) {
    fail(ErrorKind::bad_input, "expected a value that can be a key, found a {}", type_name(value));
  }
  if (value.is_sequence()) {
    for (const Value& item : value.sequence().items) require_hashable(item);
  }
}

bool KeyLess::operator()(const Value& left, const Value& right) const {
  const int rank = key_rank(left);
  if (rank != key_rank(right)) return rank < key_rank(right);
  switch (rank) {
    case 0:
    case 1:
      return false;
    case 2: {
      // NaN equals nothing: ordered by position below every number, so that the order stays total.
      const bool left_nan = left.is_float() && std::isnan(left.as_float());
      const bool right_nan = right.is_float() && std::isnan(right.as_float());
      if (left_nan || right_nan) return left_nan && !right_nan;
      return compare_numbers(left, right) < 0;
    }
    case 3:
      return left.text().bytes < right.text().bytes;
    case 4:
      return std::ranges::lexicographical_compare(left.sequence().items, right.sequence().items, KeyLess{});
    default:
      return left.object_pointer() < right.object_pointer();
  }
}

bool KeyLess::operator()(const Value& left, std::string_view right) const {
  const int rank = key_rank(left);
  return rank != 3 ? rank < 3 : left.text().bytes < right;
}

bool KeyLess::operator()(std::string_view left, const Value& right) const {
  const int rank = key_rank(right);
  return rank != 3 ? 3 < rank : left < right.text().bytes;
}

void Dict::set(const Value& key, Value value) {
  require_hashable(key);
  depth_ = std::max({depth_, depth_of(key) + 1, depth_of(value) + 1});
  require_shallow(depth_);
  const auto [place, added] = index_.try_emplace(key, items_.size());
  if (!added) {
    items_[place->second].second = std::move(value);
    return;
  }
  charge_.grow(sizeof(Item) + 80);
  items_.emplace_back(key, std::move(value));
}

const Value* Dict::find(const Value& key) const {
  require_hashable(key);
  const auto place = index_.find(key);
  return place == index_.end() ? nullptr : &items_[place->second].second;
}

const Value* Dict::find(std::string_view key) const {
  const auto place = index_.find(key);
  return place == index_.end() ? nullptr : &items_[place->second].second;
}

}  // namespace tessera::text::jinja
