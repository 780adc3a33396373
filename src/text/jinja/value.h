// The values a template computes with: Python's, as far as Jinja shows them. Text remembers which of its
// bytes came from the conversation. Lists, tuples and dicts never change once made (the sandbox forbids it).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/budget.h"
#include "text/tokenizer.h"

namespace tessera::text::jinja {

class Interpreter;
class Object;
class Value;
class Dict;

// Valid UTF-8, always.
struct Text {
  Text(std::string content, std::vector<TextRange> literal_ranges, bool is_markup, MemoryCharge memory);
  std::string bytes;
  std::vector<TextRange> literal;  // bytes that came from the context; sorted, apart, none empty
  bool markup = false;             // Jinja's Markup: + escapes what is joined to it
  std::int64_t length = 0;         // code points
  MemoryCharge charge;
  bool is_ascii() const { return static_cast<std::size_t>(length) == bytes.size(); }
};

enum class SequenceKind : std::uint8_t { list, tuple, group };  // group: groupby's (grouper, list)

struct Sequence {
  // Error limit when nested deeper than kMaxDepth.
  Sequence(SequenceKind sequence_kind, std::vector<Value> values, Budget* budget);
  SequenceKind kind;
  std::vector<Value> items;
  int depth;
  MemoryCharge charge;
};

// An undefined value says, when misused, why it is undefined.
struct Undefined {
  std::string message;
};

using TextPtr = std::shared_ptr<const Text>;
using SequencePtr = std::shared_ptr<const Sequence>;
using DictPtr = std::shared_ptr<const Dict>;
using UndefinedPtr = std::shared_ptr<const Undefined>;
using ObjectPtr = std::shared_ptr<Object>;

// Values nested deeper than this are an Error: it bounds every recursion over values, destructors included.
inline constexpr int kMaxDepth = 300;

class Value {
 public:
  Value() = default;  // None
  explicit Value(TextPtr text) : data_(std::move(text)) {}
  explicit Value(SequencePtr sequence) : data_(std::move(sequence)) {}
  explicit Value(DictPtr dict) : data_(std::move(dict)) {}
  explicit Value(UndefinedPtr undefined) : data_(std::move(undefined)) {}
  explicit Value(ObjectPtr object) : data_(std::move(object)) {}
  static Value boolean(bool value) { return Value(Data(value)); }
  static Value integer(std::int64_t value) { return Value(Data(value)); }
  static Value floating(double value) { return Value(Data(value)); }
  static Value undefined(std::string message);
  // A text that no budget counts and no user wrote: constants of templates and of this library.
  static Value constant(std::string_view bytes);
  static Value list(std::vector<Value> items, Budget* budget);
  static Value tuple(std::vector<Value> items, Budget* budget);

  bool is_none() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_undefined() const { return std::holds_alternative<UndefinedPtr>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_integral() const { return is_int() || is_bool(); }  // Python's bool is an int
  bool is_number() const { return is_integral() || is_float(); }
  bool is_text() const { return std::holds_alternative<TextPtr>(data_); }
  bool is_sequence() const { return std::holds_alternative<SequencePtr>(data_); }
  bool is_list() const { return is_sequence() && sequence().kind == SequenceKind::list; }
  bool is_tuple() const { return is_sequence() && sequence().kind != SequenceKind::list; }
  bool is_dict() const { return std::holds_alternative<DictPtr>(data_); }
  bool is_object() const { return std::holds_alternative<ObjectPtr>(data_); }

  bool as_bool() const { return std::get<bool>(data_); }
  std::int64_t as_int() const { return is_bool() ? (as_bool() ? 1 : 0) : std::get<std::int64_t>(data_); }
  double as_float() const { return is_float() ? std::get<double>(data_) : static_cast<double>(as_int()); }
  const Text& text() const { return *std::get<TextPtr>(data_); }
  const TextPtr& text_pointer() const { return std::get<TextPtr>(data_); }
  const Sequence& sequence() const { return *std::get<SequencePtr>(data_); }
  const SequencePtr& sequence_pointer() const { return std::get<SequencePtr>(data_); }
  const Dict& dict() const { return *std::get<DictPtr>(data_); }
  const DictPtr& dict_pointer() const { return std::get<DictPtr>(data_); }
  Object& object() const { return *std::get<ObjectPtr>(data_); }
  const ObjectPtr& object_pointer() const { return std::get<ObjectPtr>(data_); }
  const std::string& undefined_message() const { return std::get<UndefinedPtr>(data_)->message; }
  // The object as a Type, or nullptr.
  template <typename Type>
  Type* object_as() const {
    return is_object() ? dynamic_cast<Type*>(std::get<ObjectPtr>(data_).get()) : nullptr;
  }

 private:
  using Data = std::variant<std::monostate, bool, std::int64_t, double, TextPtr, SequencePtr, DictPtr,
                            UndefinedPtr, ObjectPtr>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

// A total order over hashable values in which Python-equal keys are equal (1, 1.0 and true are one key).
struct KeyLess {
  using is_transparent = void;
  bool operator()(const Value& left, const Value& right) const;
  bool operator()(const Value& left, std::string_view right) const;
  bool operator()(std::string_view left, const Value& right) const;
};

// Keeps the order of insertion; lookup is logarithmic, whatever the keys.
class Dict {
 public:
  using Item = std::pair<Value, Value>;
  explicit Dict(Budget* budget) : charge_(budget, sizeof(Dict)) {}
  // Only while it is being built. Error bad_input for an unhashable key, limit for too deep nesting.
  void set(const Value& key, Value value);
  const Value* find(const Value& key) const;  // Error bad_input for an unhashable key
  const Value* find(std::string_view key) const;
  const std::vector<Item>& items() const { return items_; }
  int depth() const { return depth_; }

 private:
  std::vector<Item> items_;
  std::map<Value, std::size_t, KeyLess> index_;
  int depth_ = 1;
  MemoryCharge charge_;
};

struct Call {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;
};

// What a for loop walks over: the next item, or nothing at the end.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual std::optional<Value> next(Interpreter& interpreter) = 0;
};
using IteratorPtr = std::shared_ptr<Iterator>;

// Every value that is not plain data: ranges, views, generators, namespaces, functions, macros, loops.
class Object : public std::enable_shared_from_this<Object> {
 public:
  explicit Object(Budget* budget, int nesting = 0);  // Error limit when nested deeper than kMaxDepth
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::optional<Value> attribute(Interpreter& /*interpreter*/, std::string_view /*name*/) {
    return {};
  }
  virtual bool callable() const { return false; }
  virtual Value call(Interpreter& interpreter, const Call& call);
  virtual std::optional<std::int64_t> length(Interpreter& /*interpreter*/) { return {}; }
  virtual IteratorPtr iterate(Interpreter& /*interpreter*/) { return nullptr; }
  virtual IteratorPtr iterate_reversed(Interpreter& /*interpreter*/) { return nullptr; }
  virtual std::optional<Value> item(Interpreter& /*interpreter*/, const Value& /*key*/) { return {}; }
  virtual bool has_items() const { return false; }  // Python's __getitem__
  // repr(); `nesting` is how deep the recursion already is.
  virtual Value representation(Interpreter& interpreter, int nesting);
  // Lets go of the values it holds; called at the end of a rendering on objects that may hold themselves.
  virtual void release() {}
  int depth() const { return depth_; }
  Value self() { return Value(shared_from_this()); }

 private:
  int depth_;
  MemoryCharge charge_;
};

std::string type_name(const Value& value);  // Python's: str, int, NoneType, ...
int depth_of(const Value& value);
bool truth(Interpreter& interpreter, const Value& value);
// Charges `budget`, where there is one, for what it compares.
bool equal(const Value& left, const Value& right, Budget* budget = nullptr);
// Python's <: numbers with numbers, texts with texts, lists with lists. Error bad_input otherwise.
bool less(const Value& left, const Value& right, Budget* budget = nullptr);
// Error bad_input for lists and dicts, which cannot be keys.
void require_hashable(const Value& value);

}  // namespace tessera::text::jinja
