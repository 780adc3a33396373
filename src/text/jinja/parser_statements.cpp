#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "text/jinja/name_analysis.h"
#include "text/jinja/nesting_guard.h"
#include "text/jinja/parser.h"

namespace tessera::text::jinja {

Parser::Parser(std::string_view source, std::string name)
    : name_(std::move(name)), tokens_(tokenize(source, name_)) {}

Program Parser::parse() {
  Program program;
  program.body = parse_body({});
  program.name = std::move(name_);
  program.symbols = std::move(spellings_);
  analyze_names(program);
  return program;
}

const Token& Parser::take() {
  const Token& token = tokens_[position_];
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool Parser::is_symbol(std::string_view text) const {
  return current().type == TokenType::punctuation && current().text == text;
}

bool Parser::is_name(std::string_view text) const {
  return current().type == TokenType::name && current().text == text;
}

bool Parser::skip_symbol(std::string_view text) {
  const bool found = is_symbol(text);
  if (found) take();
  return found;
}

bool Parser::skip_name(std::string_view text) {
  const bool found = is_name(text);
  if (found) take();
  return found;
}

void Parser::expect_symbol(std::string_view text) {
  if (!skip_symbol(text)) complain(fmt::format("'{}'", text));
}

void Parser::expect_name(std::string_view text) {
  if (!skip_name(text)) complain(fmt::format("'{}'", text));
}

const Token& Parser::expect_type(TokenType type, std::string_view what) {
  if (current().type != type) complain(std::string(what));
  return take();
}

std::string Parser::describe(const Token& token) const {
  switch (token.type) {
    case TokenType::data:
      return "template text";
    case TokenType::block_begin:
      return "'{%'";
    case TokenType::block_end:
      return "'%}'";
    case TokenType::variable_begin:
      return "'{{'";
    case TokenType::variable_end:
      return "'}}'";
    case TokenType::end:
      return "the end of the template";
    case TokenType::string:
      return fmt::format("the text '{}'", printable(token.text, 30));
    default:
      return fmt::format("'{}'", printable(token.text, 30));
  }
}

void Parser::complain(const std::string& expected) const {
  fail_at(current().line, fmt::format("expected {}, found {}", expected, describe(current())));
}

void Parser::fail_at(int line, const std::string& message) const {
  throw_error(ErrorKind::bad_input, fmt::format("{}:{}: {}", name_, line, message));
}

Symbol Parser::symbol(const std::string& name) {
  const auto [place, added] = symbols_.try_emplace(name, static_cast<Symbol>(spellings_.size()));
  if (added) spellings_.push_back(name);
  return place->second;
}

// As Jinja looks for undeclared names: in source order, a store hides what is loaded later.
void Parser::note_name(const std::string& name, bool is_load) {
  const auto note = [&](bool SpecialNames::* uses, bool SpecialNames::* hides) {
    for (SpecialNames& macro : macros_) {
      if (is_load) {
        if (!(macro.*hides)) macro.*uses = true;
      } else {
        macro.*hides = true;
      }
    }
  };
  if (name == "caller") note(&SpecialNames::uses_caller, &SpecialNames::hides_caller);
  if (name == "kwargs") note(&SpecialNames::uses_kwargs, &SpecialNames::hides_kwargs);
  if (name == "varargs") note(&SpecialNames::uses_varargs, &SpecialNames::hides_varargs);
}

// Up to one of `end_tags`, which stays the current token; with none, up to the end of the template.
Body Parser::parse_body(EndTags end_tags) {
  const NestingGuard guard(*this);
  Body body;
  while (!is_type(TokenType::end)) {
    const Token& token = take();
    if (token.type == TokenType::data) {
      body.push_back(std::make_unique<DataStmt>(token.line, token.text));
    } else if (token.type == TokenType::variable_begin) {
      auto output = std::make_unique<OutputStmt>(token.line);
      output->values.push_back(parse_tuple());
      expect_type(TokenType::variable_end, "'}}'");
      body.push_back(std::move(output));
    } else {
      if (is_type(TokenType::name) && std::ranges::find(end_tags, current().text) != end_tags.end())
        return body;
      if (!is_type(TokenType::name)) complain("the name of a tag");
      const std::string tag = current().text;
      auto statement = parse_statement();
      if (statement == nullptr) {
        complain(end_tags.size() == 0 ? "a known tag"
                                      : fmt::format("a known tag or '{}'", fmt::join(end_tags, "' or '")));
      }
      body.push_back(std::move(statement));
      expect_type(TokenType::block_end, fmt::format("'%}}' at the end of '{}'", printable(tag, 30)));
    }
  }
  if (end_tags.size() > 0) complain(fmt::format("'{}'", fmt::join(end_tags, "' or '")));
  return body;
}

Body Parser::parse_block_body(EndTags end_tags) {
  skip_symbol(":");
  expect_type(TokenType::block_end, "'%}'");
  return parse_body(end_tags);
}

Body Parser::parse_whole_body(std::string_view end_tag) {
  Body body = parse_block_body({end_tag});
  take();
  return body;
}

// nullptr for an unknown tag.
std::unique_ptr<Stmt> Parser::parse_statement() {
  const std::string& tag = current().text;
  if (tag == "for") return parse_for();
  if (tag == "if") return parse_if();
  if (tag == "set") return parse_set();
  if (tag == "print") return parse_print();
  if (tag == "break" || tag == "continue") return parse_loop_control();
  if (tag == "include" || tag == "import" || tag == "from" || tag == "extends" || tag == "autoescape") {
    return parse_unavailable();
  }
  const bool outer_soft = std::exchange(soft_, false);
  auto statement = parse_scoped_statement(tag);
  soft_ = outer_soft;
  return statement;
}

std::unique_ptr<Stmt> Parser::parse_scoped_statement(const std::string& tag) {
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "block") return parse_block();
  if (tag == "generation") return parse_generation();
  return nullptr;
}

std::unique_ptr<Stmt> Parser::parse_for() {
  auto loop = std::make_unique<LoopStmt>(take().line);
  loop->loop_symbol = symbol("loop");
  ++loops_in_source_;
  loop->target = parse_target(false);
  expect_name("in");
  loop->iterable = parse_tuple(false);
  const bool outer_soft = std::exchange(soft_, false);
  if (skip_name("if")) loop->filter = parse_expression();
  loop->recursive = skip_name("recursive");
  ++loops_;
  loop->body = parse_block_body({"endfor", "else"});
  --loops_;
  if (take().text == "else") loop->otherwise = parse_whole_body("endfor");
  --loops_in_source_;
  soft_ = outer_soft;
  return loop;
}

std::unique_ptr<Stmt> Parser::parse_if() {
  auto branch = std::make_unique<BranchStmt>(take().line);
  const bool outer_soft = std::exchange(soft_, true);
  while (true) {
    ExprPtr test = parse_tuple(false);
    branch->cases.emplace_back(std::move(test), parse_block_body({"elif", "else", "endif"}));
    const std::string& tag = take().text;
    if (tag == "elif") continue;
    if (tag == "else") branch->otherwise = parse_whole_body("endif");
    break;
  }
  soft_ = outer_soft;
  return branch;
}

std::unique_ptr<Stmt> Parser::parse_set() {
  const int line = take().line;
  Target target = parse_target(true);
  if (skip_symbol("=")) {
    auto statement = std::make_unique<SetStmt>(line);
    statement->target = std::move(target);
    statement->value = parse_tuple();
    return statement;
  }
  auto statement = std::make_unique<SetBlockStmt>(line);
  statement->target = std::move(target);
  statement->filter = parse_filter(nullptr);
  const bool outer_soft = std::exchange(soft_, false);
  statement->body = parse_whole_body("endset");
  soft_ = outer_soft;
  return statement;
}

void Parser::parse_signature(MacroDefinition& definition) {
  expect_symbol("(");
  bool defaults = false;
  while (!is_symbol(")")) {
    if (!definition.parameters.empty()) expect_symbol(",");
    const Token& token = expect_type(TokenType::name, "the name of a parameter");
    const std::string& name = token.text;
    if (std::ranges::find(definition.parameters, name, &MacroParameter::name) !=
        definition.parameters.end()) {
      fail_at(token.line, fmt::format("expected different parameters, found '{}' twice", name));
    }
    MacroParameter parameter{symbol(name), name, nullptr};
    if (skip_symbol("=")) {
      parameter.default_value = parse_expression();
      defaults = true;
    } else if (defaults) {
      complain("a default, as the parameters before it have");
    }
    definition.parameters.push_back(std::move(parameter));
  }
  expect_symbol(")");
}

void Parser::parse_macro_body(MacroDefinition& definition, std::string_view end_tag) {
  const int outer_loops = std::exchange(loops_, 0);
  macros_.emplace_back();
  for (const MacroParameter& parameter : definition.parameters) {
    SpecialNames& special = macros_.back();
    if (parameter.name == "kwargs") special.hides_kwargs = true;
    if (parameter.name == "varargs") special.hides_varargs = true;
  }
  const int line = current().line;
  definition.body = parse_whole_body(end_tag);
  const SpecialNames special = macros_.back();
  macros_.pop_back();
  definition.caller_symbol = symbol("caller");
  definition.kwargs_symbol = symbol("kwargs");
  definition.varargs_symbol = symbol("varargs");
  definition.uses_caller = special.uses_caller;
  definition.uses_kwargs = special.uses_kwargs;
  definition.uses_varargs = special.uses_varargs;
  const auto caller = std::ranges::find(definition.parameters, "caller", &MacroParameter::name);
  if (definition.uses_caller && caller != definition.parameters.end() && caller->default_value == nullptr) {
    fail_at(line, "expected a default for the special parameter 'caller', found none");
  }
  loops_ = outer_loops;
}

std::unique_ptr<Stmt> Parser::parse_macro() {
  auto macro = std::make_unique<MacroStmt>(take().line);
  macro->definition.name = expect_type(TokenType::name, "the name of the macro").text;
  macro->symbol = symbol(macro->definition.name);
  parse_signature(macro->definition);
  parse_macro_body(macro->definition, "endmacro");
  return macro;
}

std::unique_ptr<Stmt> Parser::parse_call_block() {
  auto statement = std::make_unique<CallBlockStmt>(take().line);
  if (is_symbol("(")) parse_signature(statement->caller);
  statement->call = parse_expression();
  if (statement->call->type != ExprType::call)
    fail_at(statement->line, "expected a call behind 'call', found none");
  parse_macro_body(statement->caller, "endcall");
  return statement;
}

std::unique_ptr<Stmt> Parser::parse_filter_block() {
  auto statement = std::make_unique<FilterBlockStmt>(take().line);
  statement->filter = parse_filter(nullptr, true);
  statement->body = parse_whole_body("endfilter");
  return statement;
}

std::unique_ptr<Stmt> Parser::parse_with() {
  auto statement = std::make_unique<WithStmt>(take().line);
  while (!is_type(TokenType::block_end)) {
    if (!statement->assignments.empty()) expect_symbol(",");
    Target target = parse_target(false);
    expect_symbol("=");
    statement->assignments.emplace_back(std::move(target), parse_expression());
  }
  statement->body = parse_whole_body("endwith");
  return statement;
}

std::unique_ptr<Stmt> Parser::parse_block() {
  auto statement = std::make_unique<ScopeStmt>(StmtType::block, take().line);
  const std::string name = expect_type(TokenType::name, "the name of the block").text;
  if (std::ranges::find(blocks_, name) != blocks_.end()) {
    fail_at(statement->line, fmt::format("expected blocks of different names, found '{}' twice", name));
  }
  blocks_.push_back(name);
  statement->sees_around = skip_name("scoped");
  if (skip_name("required")) fail_at(statement->line, "expected a block with content, found a required one");
  const int outer_loops = std::exchange(loops_, 0);
  statement->body = parse_whole_body("endblock");
  loops_ = outer_loops;
  skip_name(name);
  return statement;
}

// Hugging Face's mark around what the assistant says; it renders as its content, in a scope of its own.
std::unique_ptr<Stmt> Parser::parse_generation() {
  auto statement = std::make_unique<ScopeStmt>(StmtType::scope, take().line);
  const int outer_loops = std::exchange(loops_, 0);
  statement->body = parse_whole_body("endgeneration");
  loops_ = outer_loops;
  return statement;
}

std::unique_ptr<Stmt> Parser::parse_print() {
  auto statement = std::make_unique<OutputStmt>(take().line);
  while (!is_type(TokenType::block_end)) {
    if (!statement->values.empty()) expect_symbol(",");
    statement->values.push_back(parse_expression());
  }
  return statement;
}

std::unique_ptr<Stmt> Parser::parse_loop_control() {
  const Token& token = take();
  if (loops_ == 0)
    fail_at(token.line, fmt::format("expected '{}' inside a loop, found it outside", token.text));
  return std::make_unique<PlainStmt>(token.text == "break" ? StmtType::break_loop : StmtType::continue_loop,
                                     token.line);
}

std::unique_ptr<Stmt> Parser::parse_unavailable() {
  const Token& token = take();
  auto statement = std::make_unique<UnavailableStmt>(token.line);
  statement->what = token.text;
  while (!is_type(TokenType::block_end) && !is_type(TokenType::end)) take();
  return statement;
}

Target Parser::parse_target(bool with_namespace) {
  const NestingGuard guard(*this);
  std::vector<Target> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_symbol(",");
    if (!items.empty() && is_tuple_end()) break;
    items.push_back(parse_single_target(with_namespace));
    if (!is_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) return std::move(items.front());
  Target target;
  target.type = Target::Type::tuple;
  target.items = std::move(items);
  return target;
}

Target Parser::parse_single_target(bool with_namespace) {
  if (skip_symbol("(")) {
    Target target;
    target.type = Target::Type::tuple;
    if (!is_symbol(")")) target = parse_target(false);
    expect_symbol(")");
    return target;
  }
  const Token& token = expect_type(TokenType::name, "a name to assign to");
  static constexpr std::string_view kConstants[] = {"true", "false", "none", "True", "False", "None"};
  if (std::ranges::find(kConstants, token.text) != std::end(kConstants)) {
    fail_at(token.line, fmt::format("expected a name to assign to, found '{}'", token.text));
  }
  Target target;
  target.symbol = symbol(token.text);
  target.text = token.text;
  if (with_namespace && skip_symbol(".")) {
    target.type = Target::Type::attribute;
    target.attribute = expect_type(TokenType::name, "the name of an attribute").text;
    note_name(target.text, true);
    return target;
  }
  if (token.text == "loop" && loops_in_source_ > 0) {
    fail_at(token.line, "expected a name other than the special 'loop' to assign to inside a loop");
  }
  note_name(token.text, false);
  return target;
}

}  // namespace tessera::text::jinja
