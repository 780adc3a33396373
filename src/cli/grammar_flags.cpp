#include "cli/grammar_flags.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/options.h"
#include "engine/json_schema.h"

namespace tessera::cli {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;

}  // namespace

void add_grammar_flags(CLI::App& app, GrammarFlags& flags) {
  add_option(app, "--grammar-file", flags.grammar_file, "a GBNF grammar that the text follows");
  add_option(app, "--json-schema", flags.json_schema,
             "a JSON schema that the text follows; {} for any JSON, '{\"type\": \"object\"}' for any object");
  add_option(app, "--json-schema-file", flags.json_schema_file, "the same from a file");
}

std::optional<engine::GrammarRules> grammar_rules(const GrammarFlags& flags) {
  const int given = static_cast<int>(!flags.grammar_file.empty()) +
                    static_cast<int>(!flags.json_schema.empty()) +
                    static_cast<int>(!flags.json_schema_file.empty());
  if (given > 1) {
    fail(ErrorKind::bad_usage,
         "expected one of --grammar-file, --json-schema and --json-schema-file, found {}", given);
  }
  if (!flags.grammar_file.empty()) return engine::parse_gbnf(read_file(flags.grammar_file, kMostBytes));
  if (!flags.json_schema.empty()) return engine::parse_gbnf(engine::json_schema_to_gbnf(flags.json_schema));
  if (flags.json_schema_file.empty()) return std::nullopt;
  return engine::parse_gbnf(engine::json_schema_to_gbnf(read_file(flags.json_schema_file, kMostBytes)));
}

std::shared_ptr<const engine::TokenGrammar> token_grammar(const GrammarFlags& flags,
                                                          const engine::LoadedModel& loaded) {
  auto rules = grammar_rules(flags);
  if (!rules) return nullptr;
  return std::make_shared<const engine::TokenGrammar>(
      std::move(*rules), std::make_shared<const engine::TokenBytes>(*loaded.tokenizer),
      loaded.end_of_generation);
}

}  // namespace tessera::cli
