// The flags that bind a text to a grammar.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "engine/gbnf.h"
#include "engine/model_loader.h"
#include "engine/token_grammar.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct GrammarFlags {
  std::string grammar_file;
  std::string json_schema;
  std::string json_schema_file;
};

// Adds --grammar-file, --json-schema and --json-schema-file.
void add_grammar_flags(CLI::App& app, GrammarFlags& flags);

// The rules they give; nullopt without a flag. Error bad_usage: more than one; io, bad_input, unsupported: as
// the file and the grammar are.
std::optional<engine::GrammarRules> grammar_rules(const GrammarFlags& flags);

// For this model's vocabulary; null without a flag.
std::shared_ptr<const engine::TokenGrammar> token_grammar(const GrammarFlags& flags,
                                                          const engine::LoadedModel& loaded);

}  // namespace tessera::cli
