// What filters over sequences share: looking up "a.b.0" in an item, and Python's sort.
#pragma once
#include <functional>
#include <vector>

#include "text/jinja/interpreter.h"

namespace tessera::text::jinja {

// Looks up a dotted path, as the `attribute` argument of filters does. A null `attribute` gives the item
// itself.
class AttributeGetter {
 public:
  AttributeGetter(Interpreter& interpreter, const Value* attribute, const Value* default_value = nullptr,
                  bool ignore_case = false);
  Value operator()(Interpreter& interpreter, const Value& item) const;

 private:
  std::vector<Value> parts_;
  std::optional<Value> default_;
  bool ignore_case_;
};

// Texts in lower case, everything else as it is.
Value without_case(Interpreter& interpreter, const Value& value);

struct Keyed {
  Value key, item;
};
// Stable, by Python's <; `reverse` keeps the order of equals too.
void sort_by_key(Interpreter& interpreter, std::vector<Keyed>& entries, bool reverse);

}  // namespace tessera::text::jinja
