// Filters over sequences that look at the whole: order, size, grouping.
#include <algorithm>
#include <array>
#include <bit>
#include <set>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/objects.h"
#include "text/jinja/sequence_tools.h"
#include "text/jinja/text_operations.h"

namespace tessera::text::jinja {

Value without_case(Interpreter& interpreter, const Value& value) {
  return value.is_text() ? map_case(interpreter.budget(), value.text(), LetterCase::lower) : value;
}

AttributeGetter::AttributeGetter(Interpreter& interpreter, const Value* attribute, const Value* default_value,
                                 bool ignore_case)
    : ignore_case_(ignore_case) {
  if (default_value != nullptr && !default_value->is_none()) default_ = *default_value;
  if (attribute == nullptr || attribute->is_none()) return;
  if (!attribute->is_text()) {
    parts_.push_back(*attribute);
    return;
  }
  const Value dot = Value::constant(".");
  for (Value& part : split_text(interpreter.budget(), attribute->text(), &dot.text(), -1, false)) {
    const std::string& bytes = part.text().bytes;
    const bool is_index =
        !bytes.empty() && bytes.size() < 18 && bytes.find_first_not_of("0123456789") == std::string::npos;
    parts_.push_back(is_index ? Value::integer(std::stoll(bytes)) : std::move(part));
  }
}

Value AttributeGetter::operator()(Interpreter& interpreter, const Value& item) const {
  Value value = item;
  for (const Value& part : parts_) {
    value = interpreter.get_item(value, part);
    if (default_ && value.is_undefined()) value = *default_;
  }
  return ignore_case_ ? without_case(interpreter, value) : value;
}

void sort_by_key(Interpreter& interpreter, std::vector<Keyed>& entries, bool reverse) {
  Budget& budget = interpreter.budget();
  // Python reverses, sorts, and reverses again, so that equals stay in order.
  if (reverse) std::ranges::reverse(entries);
  std::ranges::stable_sort(entries, [&](const Keyed& left, const Keyed& right) {
    budget.step(2);
    return less(left.key, right.key, &budget);
  });
  if (reverse) std::ranges::reverse(entries);
}

namespace {

std::vector<Value> items_of(std::vector<Keyed> entries) {
  std::vector<Value> items;
  items.reserve(entries.size());
  for (Keyed& entry : entries) items.push_back(std::move(entry.item));
  return items;
}

Value length(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("length", call, {});
  return Value::integer(interpreter.length(value));
}

Value list(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("list", call, {});
  return Value::list(interpreter.to_vector(value), &interpreter.budget());
}

Value first(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("first", call, {});
  auto item = interpreter.iterate(value)->next(interpreter);
  return item ? *item : Value::undefined("No first item, sequence was empty.");
}

Value last(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("last", call, {});
  if (value.is_undefined()) return Value::undefined("No last item, sequence was empty.");
  const IteratorPtr iterator = interpreter.iterate_reversed(value);
  if (iterator == nullptr) wrong_type("last", "something that can be walked backwards", value);
  auto item = iterator->next(interpreter);
  return item ? *item : Value::undefined("No last item, sequence was empty.");
}

Value reverse(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("reverse", call, {});
  if (value.is_text()) {
    TextBuilder out(&interpreter.budget());
    const IteratorPtr characters = interpreter.iterate_reversed(value);
    while (auto character = characters->next(interpreter)) {
      interpreter.budget().step();
      out.append(character->text());
    }
    return out.finish(value.text().markup);
  }
  if (const IteratorPtr iterator = interpreter.iterate_reversed(value)) {
    return make_generator(interpreter, depth_of(value) + 1,
                          [iterator](Interpreter& user) { return iterator->next(user); });
  }
  std::vector<Value> items = interpreter.to_vector(value);
  std::ranges::reverse(items);
  return Value::list(std::move(items), &interpreter.budget());
}

Value join(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("join", call, {"d", "attribute"});
  const Value separator = arguments.given(0) ? interpreter.to_text(arguments.at(0)) : Value::constant("");
  const AttributeGetter getter(interpreter, arguments.find_some(1));
  TextBuilder out(&interpreter.budget());
  const IteratorPtr items = interpreter.iterate(value);
  bool is_first = true;
  while (auto item = items->next(interpreter)) {
    interpreter.budget().step();
    if (!std::exchange(is_first, false)) out.append(separator.text());
    interpreter.append_text(out, getter(interpreter, *item));
  }
  return out.finish();
}

Value sort(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("sort", call, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = arguments.truth(interpreter, 1, false);
  // Several attributes, separated by commas, are compared one after the other.
  std::vector<AttributeGetter> getters;
  const Value* attribute = arguments.find_some(2);
  if (attribute != nullptr && attribute->is_text()) {
    const Value comma = Value::constant(",");
    for (const Value& part : split_text(interpreter.budget(), attribute->text(), &comma.text(), -1, false)) {
      getters.emplace_back(interpreter, &part, nullptr, !case_sensitive);
    }
  } else {
    getters.emplace_back(interpreter, attribute, nullptr, !case_sensitive);
  }
  std::vector<Keyed> entries;
  for (Value& item : interpreter.to_vector(value)) {
    std::vector<Value> keys;
    for (const AttributeGetter& getter : getters) keys.push_back(getter(interpreter, item));
    entries.push_back({Value::list(std::move(keys), &interpreter.budget()), std::move(item)});
  }
  sort_by_key(interpreter, entries, arguments.truth(interpreter, 0, false));
  return Value::list(items_of(std::move(entries)), &interpreter.budget());
}

Value dictsort(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("dictsort", call, {"case_sensitive", "by", "reverse"});
  const bool case_sensitive = arguments.truth(interpreter, 0, false);
  const std::string by = arguments.given(1) ? arguments.text(1).bytes : "key";
  if (by != "key" && by != "value")
    fail(ErrorKind::bad_input, "dictsort: expected by 'key' or 'value', found another");
  if (!value.is_dict()) wrong_type("dictsort", "a dict", value);
  std::vector<Keyed> entries;
  for (const auto& [key, item] : value.dict().items()) {
    const Value& chosen = by == "key" ? key : item;
    entries.push_back({case_sensitive ? chosen : without_case(interpreter, chosen),
                       Value::tuple({key, item}, &interpreter.budget())});
  }
  sort_by_key(interpreter, entries, arguments.truth(interpreter, 2, false));
  return Value::list(items_of(std::move(entries)), &interpreter.budget());
}

Value groupby(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("groupby", call, {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = arguments.truth(interpreter, 2, false);
  const AttributeGetter key_of(interpreter, arguments.find(0), arguments.find(1), !case_sensitive);
  const AttributeGetter shown_key_of(interpreter, arguments.find(0), arguments.find(1));
  std::vector<Keyed> entries;
  for (Value& item : interpreter.to_vector(value)) {
    Value key = key_of(interpreter, item);
    entries.push_back({std::move(key), std::move(item)});
  }
  sort_by_key(interpreter, entries, false);
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < entries.size();) {
    std::size_t end = begin + 1;
    while (end < entries.size() && equal(entries[end].key, entries[begin].key, &interpreter.budget())) ++end;
    std::vector<Value> members;
    for (std::size_t i = begin; i < end; ++i) members.push_back(entries[i].item);
    Value grouper = shown_key_of(interpreter, members.front());
    Budget* budget = &interpreter.budget();
    groups.emplace_back(std::make_shared<const Sequence>(
        SequenceKind::group, std::vector<Value>{std::move(grouper), Value::list(std::move(members), budget)},
        budget));
    begin = end;
  }
  return Value::list(std::move(groups), &interpreter.budget());
}

Value extreme(Interpreter& interpreter, const Value& value, const Call& call, bool smallest) {
  const Arguments arguments(smallest ? "min" : "max", call, {"case_sensitive", "attribute"});
  const AttributeGetter key_of(interpreter, arguments.find_some(1), nullptr,
                               !arguments.truth(interpreter, 0, false));
  const IteratorPtr items = interpreter.iterate(value);
  auto best = items->next(interpreter);
  if (!best) return Value::undefined("No aggregated item, sequence was empty.");
  Value best_key = key_of(interpreter, *best);
  while (auto item = items->next(interpreter)) {
    Value key = key_of(interpreter, *item);
    if (!(smallest ? less(key, best_key, &interpreter.budget()) : less(best_key, key, &interpreter.budget())))
      continue;
    best = std::move(item);
    best_key = std::move(key);
  }
  return *best;
}

Value min(Interpreter& interpreter, const Value& value, const Call& call) {
  return extreme(interpreter, value, call, true);
}
Value max(Interpreter& interpreter, const Value& value, const Call& call) {
  return extreme(interpreter, value, call, false);
}

Value sum(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("sum", call, {"attribute", "start"});
  const AttributeGetter getter(interpreter, arguments.find_some(0));
  Value total = arguments.given(1) ? arguments.at(1) : Value::integer(0);
  if (total.is_text()) wrong_type("sum", "a start that is no text", total);
  const IteratorPtr items = interpreter.iterate(value);
  while (auto item = items->next(interpreter)) {
    total = interpreter.binary(Operator::add, total, getter(interpreter, *item));
  }
  return total;
}

Value unique(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("unique", call, {"case_sensitive", "attribute"});
  auto key_of = std::make_shared<AttributeGetter>(interpreter, arguments.find_some(1), nullptr,
                                                  !arguments.truth(interpreter, 0, false));
  auto seen = std::make_shared<std::set<Value, KeyLess>>();
  return make_generator(
      interpreter, depth_of(value) + 1,
      [key_of, seen, value, items = IteratorPtr()](Interpreter& user) mutable -> std::optional<Value> {
        if (items == nullptr) items = user.iterate(value);
        while (auto item = items->next(user)) {
          user.budget().step();
          const Value key = (*key_of)(user, *item);
          require_hashable(key);
          user.budget().take(sizeof(Value) + 40);
          if (seen->insert(key).second) return item;
        }
        return std::nullopt;
      });
}

// Lists of `count` items each.
Value batch(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("batch", call, {"linecount", "fill_with"}, 1);
  const std::int64_t count = arguments.integer(0, 1);
  const Value fill = arguments.given(1) ? arguments.at(1) : Value();
  return make_generator(
      interpreter, depth_of(value) + 1,
      [value, count, fill, items = IteratorPtr()](Interpreter& user) mutable -> std::optional<Value> {
        if (items == nullptr) items = user.iterate(value);
        std::vector<Value> line;
        // Jinja cuts when a line has exactly `count` items: below one, it never does.
        while (static_cast<std::int64_t>(line.size()) != count || line.empty()) {
          auto item = items->next(user);
          if (!item) break;
          user.budget().step();
          line.push_back(std::move(*item));
        }
        if (line.empty()) return std::nullopt;
        if (!fill.is_none() && static_cast<std::int64_t>(line.size()) < count) {
          const MemoryCharge charge(&user.budget(), static_cast<std::uint64_t>(count) * sizeof(Value));
          line.resize(static_cast<std::size_t>(count), fill);
        }
        return Value::list(std::move(line), &user.budget());
      });
}

// `slices` lists, the first ones one item longer where it does not divide.
Value slice(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("slice", call, {"slices", "fill_with"}, 1);
  const std::int64_t slices = arguments.integer(0, 1);
  if (slices == 0) fail(ErrorKind::bad_input, "slice: expected slices other than 0, found 0");
  const Value fill = arguments.given(1) ? arguments.at(1) : Value();
  const std::vector<Value> items = interpreter.to_vector(value);
  const auto size = static_cast<std::int64_t>(items.size());
  std::vector<Value> columns;
  std::int64_t offset = 0;
  for (std::int64_t number = 0; number < slices; ++number) {
    interpreter.budget().step();
    interpreter.budget().take(sizeof(Sequence));
    const bool longer = number < size % slices;
    const std::int64_t count = size / slices + (longer ? 1 : 0);
    std::vector<Value> column(items.begin() + offset, items.begin() + offset + count);
    offset += count;
    if (!fill.is_none() && !longer) column.push_back(fill);
    columns.push_back(Value::list(std::move(column), &interpreter.budget()));
  }
  auto all = std::make_shared<const Sequence>(SequenceKind::list, std::move(columns), &interpreter.budget());
  return make_generator(interpreter, all->depth + 1, [items_left = iterate_sequence(all)](Interpreter& user) {
    return items_left->next(user);
  });
}

Value items(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("items", call, {});
  return make_generator(interpreter, depth_of(value) + 1,
                        [value, pairs = IteratorPtr()](Interpreter& user) mutable -> std::optional<Value> {
                          if (value.is_undefined()) return std::nullopt;
                          if (!value.is_dict()) wrong_type("items", "a dict", value);
                          if (pairs == nullptr) {
                            pairs = std::make_shared<DictView>(&user.budget(), value.dict_pointer(),
                                                               DictView::Of::items)
                                        ->iterate(user);
                          }
                          return pairs->next(user);
                        });
}

constexpr auto kFilters = std::to_array<NamedFunction>({
    {"batch", batch},
    {"count", length},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", list},
    {"max", max},
    {"min", min},
    {"reverse", reverse},
    {"slice", slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
});

}  // namespace

std::span<const NamedFunction> sequence_filters() { return kFilters; }

}  // namespace tessera::text::jinja
