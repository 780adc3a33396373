#include "text/jinja/context.h"

#include <simdjson.h>

#include <algorithm>

#include "base/error.h"
#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

Value text_value(std::string_view text, bool literal) { return make_text(nullptr, text, literal); }

bool is_control_token_name(std::string_view name) {
  static constexpr std::string_view kNames[] = {"bos_token", "eos_token", "pad_token", "unk_token",
                                                "sep_token", "cls_token", "mask_token"};
  return std::ranges::find(kNames, name) != std::end(kNames);
}

Value convert(const element& json, int depth) {
  if (depth > kMaxDepth)
    fail(ErrorKind::limit, "expected JSON nested at most {} deep, found deeper values", kMaxDepth);
  switch (json.type()) {
    case element_type::ARRAY: {
      std::vector<Value> items;
      for (const element item : simdjson::dom::array(json)) items.push_back(convert(item, depth + 1));
      return Value::list(std::move(items), nullptr);
    }
    case element_type::OBJECT: {
      auto dict = std::make_shared<Dict>(nullptr);
      for (const auto field : simdjson::dom::object(json)) {
        dict->set(text_value(field.key, true), convert(field.value, depth + 1));
      }
      return Value(DictPtr(std::move(dict)));
    }
    case element_type::INT64:
      return Value::integer(std::int64_t(json));
    case element_type::UINT64:
      fail(ErrorKind::bad_input, "expected integers below 2^63 in the JSON, found {}", std::uint64_t(json));
    case element_type::DOUBLE:
      return Value::floating(double(json));
    case element_type::STRING:
      return text_value(std::string_view(json), true);
    case element_type::BOOL:
      return Value::boolean(bool(json));
    case element_type::NULL_VALUE:
      return {};
  }
  fail(ErrorKind::internal, "expected one of JSON's types");
}

}  // namespace

DictPtr context_from_json(std::string_view json) {
  simdjson::dom::parser parser;
  element root;
  if (const auto error = parser.parse(json.data(), json.size()).get(root); error != simdjson::SUCCESS) {
    fail(ErrorKind::bad_input, "template context: expected a JSON object, found broken JSON: {}",
         simdjson::error_message(error));
  }
  simdjson::dom::object members;
  if (root.get(members) != simdjson::SUCCESS) {
    fail(ErrorKind::bad_input, "template context: expected a JSON object, found another JSON value");
  }
  auto context = std::make_shared<Dict>(nullptr);
  for (const auto member : members) {
    std::string_view text;
    const bool control = is_control_token_name(member.key) && member.value.get(text) == simdjson::SUCCESS;
    context->set(text_value(member.key, true), control ? text_value(text, false) : convert(member.value, 1));
  }
  return context;
}

}  // namespace tessera::text::jinja
