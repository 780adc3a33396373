// Turns template source into a Program, with Jinja's grammar: precedence, tags, and what is an error when.
#pragma once
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace tessera::text::jinja {

// Recursive descent. Recursion is bounded by kMaxNesting, so that hostile source cannot exhaust the stack.
class Parser {
 public:
  Parser(std::string_view source, std::string name);
  // Error bad_input "name:line: expected ..., found ..."; limit for source nested too deep.
  Program parse();

 private:
  class NestingGuard;
  static constexpr int kMaxNesting = 200;

  // Tokens.
  const Token& current() const { return tokens_[position_]; }
  const Token& look() const { return tokens_[position_ + 1 < tokens_.size() ? position_ + 1 : position_]; }
  const Token& take();
  bool is_type(TokenType type) const { return current().type == type; }
  bool is_symbol(std::string_view text) const;
  bool is_name(std::string_view text) const;
  bool skip_symbol(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_symbol(std::string_view text);
  void expect_name(std::string_view text);
  const Token& expect_type(TokenType type, std::string_view what);
  std::string describe(const Token& token) const;
  [[noreturn]] void complain(const std::string& expected) const;
  [[noreturn]] void fail_at(int line, const std::string& message) const;

  // Expressions (parser_expressions.cpp).
  ExprPtr parse_expression(bool with_conditional = true);
  ExprPtr parse_conditional();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter = true);
  ExprPtr parse_primary();
  ExprPtr parse_name_or_constant();
  ExprPtr parse_string();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_tuple(bool with_conditional = true, bool in_parentheses = false);
  bool is_tuple_end() const;
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_filters_and_tests(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  ExprPtr parse_bracket_subscript(ExprPtr node, int line);
  ExprPtr parse_slice_rest(ExprPtr object, ExprPtr start, int line);
  ExprPtr parse_call(ExprPtr node);
  ExprPtr parse_filter(ExprPtr node, bool start_inline = false);
  ExprPtr parse_test(ExprPtr node);
  ArgumentList parse_arguments(Expr& owner);
  void nest(Expr& parent, const ExprPtr& child) const;

  // Statements (parser_statements.cpp).
  using EndTags = std::initializer_list<std::string_view>;
  Body parse_body(EndTags end_tags);
  Body parse_block_body(EndTags end_tags);
  // The body, and the end tag dropped.
  Body parse_whole_body(std::string_view end_tag);
  std::unique_ptr<Stmt> parse_statement();
  std::unique_ptr<Stmt> parse_scoped_statement(const std::string& tag);
  std::unique_ptr<Stmt> parse_for();
  std::unique_ptr<Stmt> parse_if();
  std::unique_ptr<Stmt> parse_set();
  std::unique_ptr<Stmt> parse_macro();
  std::unique_ptr<Stmt> parse_call_block();
  std::unique_ptr<Stmt> parse_filter_block();
  std::unique_ptr<Stmt> parse_with();
  std::unique_ptr<Stmt> parse_block();
  std::unique_ptr<Stmt> parse_generation();
  std::unique_ptr<Stmt> parse_print();
  std::unique_ptr<Stmt> parse_loop_control();
  std::unique_ptr<Stmt> parse_unavailable();
  Target parse_target(bool with_namespace);
  Target parse_single_target(bool with_namespace);
  void parse_signature(MacroDefinition& definition);
  void parse_macro_body(MacroDefinition& definition, std::string_view end_tag);

  Symbol symbol(const std::string& name);
  // Watches for caller, kwargs and varargs in the macros around.
  void note_name(const std::string& name, bool is_load);

  struct SpecialNames {
    bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
    bool hides_caller = false, hides_kwargs = false, hides_varargs = false;
  };

  std::string name_;
  std::vector<Token> tokens_;
  std::size_t position_ = 0;
  int nesting_ = 0;
  int loops_ = 0;            // loops around whose break is in reach
  int loops_in_source_ = 0;  // loops around in all
  bool soft_ = false;        // inside an if: unknown filters matter only when they run
  std::vector<SpecialNames> macros_;
  std::vector<std::string> blocks_;
  std::map<std::string, Symbol> symbols_;
  std::vector<std::string> spellings_;
};

}  // namespace tessera::text::jinja
