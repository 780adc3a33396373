// The functions every template can call.
#include <algorithm>
#include <array>
#include <ctime>
#include <functional>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/objects.h"

namespace tessera::text::jinja {
namespace {

Value range(Interpreter& interpreter, const Value&, const Call& call) {
  const Arguments arguments("range", call, {"start", "stop", "step"}, 1, true);
  const bool only_stop = !arguments.given(1);
  const std::int64_t step = arguments.integer(2, 1);
  if (step == 0) fail(ErrorKind::bad_input, "range: expected a step other than 0, found 0");
  return Value(
      ObjectPtr(std::make_shared<Range>(&interpreter.budget(), only_stop ? 0 : arguments.integer(0, 0),
                                        arguments.integer(only_stop ? 0 : 1, 0), step)));
}

// dict(mapping or pairs, name=value, ...): calls `set` for each entry in order.
void read_entries(Interpreter& interpreter, const Call& call,
                  const std::function<void(const Value&, Value)>& set) {
  if (call.positional.size() > 1) {
    fail(ErrorKind::bad_input, "dict: expected one positional argument at most, found {}",
         call.positional.size());
  }
  if (!call.positional.empty()) {
    const Value& source = call.positional.front();
    if (source.is_dict()) {
      for (const auto& [key, value] : source.dict().items()) {
        interpreter.budget().step();
        set(key, value);
      }
    } else {
      const IteratorPtr pairs = interpreter.iterate(source);
      while (auto pair = pairs->next(interpreter)) {
        const std::vector<Value> parts = interpreter.to_vector(*pair);
        if (parts.size() != 2)
          fail(ErrorKind::bad_input, "dict: expected pairs, found {} values", parts.size());
        set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : call.keyword) set(interpreter.text(name), value);
}

Value make_dict(Interpreter& interpreter, const Value&, const Call& call) {
  auto dict = std::make_shared<Dict>(&interpreter.budget());
  read_entries(interpreter, call, [&](const Value& key, Value value) { dict->set(key, std::move(value)); });
  return Value(DictPtr(std::move(dict)));
}

Value make_namespace(Interpreter& interpreter, const Value&, const Call& call) {
  auto space = std::make_shared<Namespace>(&interpreter.budget());
  interpreter.budget().take(200);  // kept to the end
  interpreter.keep(space);
  read_entries(interpreter, call, [&](const Value& key, Value value) {
    space->set(interpreter, require_text("namespace", key).bytes, std::move(value));
  });
  return Value(ObjectPtr(std::move(space)));
}

Value make_cycler(Interpreter& interpreter, const Value&, const Call& call) {
  if (call.positional.empty() || !call.keyword.empty())
    fail(ErrorKind::bad_input, "cycler: expected values, found none");
  auto items = std::make_shared<const Sequence>(SequenceKind::tuple, call.positional, &interpreter.budget());
  const int depth = items->depth;
  return Value(ObjectPtr(std::make_shared<Cycler>(&interpreter.budget(), std::move(items), depth + 1)));
}

Value make_joiner(Interpreter& interpreter, const Value&, const Call& call) {
  const Arguments arguments("joiner", call, {"sep"});
  const Value separator = arguments.given(0) ? arguments.at(0) : Value::constant(", ");
  return Value(
      ObjectPtr(std::make_shared<Joiner>(&interpreter.budget(), separator, depth_of(separator) + 1)));
}

Value raise_exception(Interpreter& interpreter, const Value&, const Call& call) {
  const Arguments arguments("raise_exception", call, {"message"}, 1);
  fail(ErrorKind::bad_input, "{}", interpreter.to_text(arguments.at(0)).text().bytes);
}

// datetime.now().strftime(format): a time without a zone, so %z and %Z give nothing.
Value strftime_now(Interpreter& interpreter, const Value&, const Call& call) {
  const Arguments arguments("strftime_now", call, {"format"}, 1);
  const Text& format = arguments.text(0);
  const std::tm now = interpreter.now();
  TextBuilder out(&interpreter.budget());
  for (std::size_t position = 0; position < format.bytes.size();) {
    const std::size_t mark = std::min(format.bytes.find('%', position), format.bytes.size());
    out.append(format, position, mark);
    if (mark >= format.bytes.size()) break;
    std::size_t end = mark + 1;
    while (end < format.bytes.size() &&
           std::string_view("-_0^#EO:").find(format.bytes[end]) != std::string_view::npos)
      ++end;
    if (end >= format.bytes.size()) {
      out.append(format, mark, format.bytes.size());
      break;
    }
    const std::string directive = format.bytes.substr(mark, end + 1 - mark);
    position = end + 1;
    const char kind = directive.back();
    if (kind == 'f' && directive.size() == 2) {
      out.append("000000");
      continue;
    }
    if ((kind == 'z' || kind == 'Z') && directive.size() <= 3) continue;
    // A blank in front tells an empty result from one that does not fit.
    char buffer[256];
    const std::size_t size = std::strftime(buffer, sizeof buffer, (" " + directive).c_str(), &now);
    if (size == 0)
      fail(ErrorKind::bad_input, "strftime_now: expected a date format, found '{}'", printable(directive));
    out.append(std::string_view(buffer, size).substr(1));
  }
  return out.finish();
}

constexpr auto kGlobals = std::to_array<NamedFunction>({
    {"range", range},
    {"dict", make_dict},
    {"namespace", make_namespace},
    {"cycler", make_cycler},
    {"joiner", make_joiner},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
});

}  // namespace

std::optional<Value> find_global(std::string_view name) {
  for (const NamedFunction& entry : kGlobals) {
    if (entry.name == name) {
      return Value(ObjectPtr(std::make_shared<NativeFunction>(nullptr, std::string(name), entry.function)));
    }
  }
  return std::nullopt;
}

}  // namespace tessera::text::jinja
