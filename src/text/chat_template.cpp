#include "text/chat_template.h"

#include "base/error.h"
#include "text/jinja/context.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace tessera::text {
namespace {

// Real templates have up to some 20 kB.
constexpr std::size_t kMaxSource = std::size_t{1} << 20;

}  // namespace

struct ChatTemplate::Program {
  jinja::Program syntax;
};

ChatTemplate::ChatTemplate(std::string_view source, std::string name) {
  if (source.size() > kMaxSource) {
    fail(ErrorKind::limit, "{}: expected a template of at most {} bytes, found {}", name, kMaxSource,
         source.size());
  }
  program_ = std::make_unique<Program>(Program{jinja::Parser(source, std::move(name)).parse()});
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

RenderedPrompt ChatTemplate::render(std::string_view context_json, const TemplateBudget& limits,
                                    std::optional<std::tm> now) const {
  const jinja::DictPtr context = jinja::context_from_json(context_json);
  // Declared first: values give their memory back to it when they die.
  jinja::Budget budget({limits.steps, limits.memory_bytes, limits.output_bytes, limits.depth, limits.range});
  jinja::Interpreter interpreter(program_->syntax, *context, budget, now);
  const jinja::Value rendered = interpreter.render();
  return {rendered.text().bytes, rendered.text().literal};
}

}  // namespace tessera::text
