#include <fmt/core.h>

#include <algorithm>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/nesting_guard.h"
#include "text/jinja/parser.h"

namespace tessera::text::jinja {
namespace {

const std::pair<std::string_view, Comparison> kComparisons[] = {
    {"==", Comparison::equal},      {"!=", Comparison::not_equal}, {"<", Comparison::less},
    {"<=", Comparison::less_equal}, {">", Comparison::greater},    {">=", Comparison::greater_equal}};

}  // namespace

void Parser::nest(Expr& parent, const ExprPtr& child) const {
  if (child == nullptr) return;
  parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > kMaxNesting) {
    throw_error(ErrorKind::limit,
                fmt::format("{}:{}: expected expressions nested at most {} deep, found deeper ones", name_,
                            parent.line, kMaxNesting));
  }
}

ExprPtr Parser::parse_expression(bool with_conditional) {
  const NestingGuard guard(*this);
  return with_conditional ? parse_conditional() : parse_or();
}

ExprPtr Parser::parse_conditional() {
  ExprPtr then = parse_or();
  while (is_name("if")) {
    auto node = std::make_unique<Conditional>(take().line);
    const bool outer_soft = std::exchange(soft_, true);
    node->test = parse_or();
    nest(*node, node->test);
    if (skip_name("else")) {
      const NestingGuard guard(*this);
      node->otherwise = parse_conditional();
      nest(*node, node->otherwise);
    }
    soft_ = outer_soft;
    nest(*node, then);
    node->then = std::move(then);
    then = std::move(node);
  }
  return then;
}

ExprPtr Parser::parse_or() {
  ExprPtr left = parse_and();
  while (is_name("or")) {
    auto node = std::make_unique<Logical>(take().line);
    node->right = parse_and();
    nest(*node, left);
    nest(*node, node->right);
    node->left = std::move(left);
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_and() {
  ExprPtr left = parse_not();
  while (is_name("and")) {
    auto node = std::make_unique<Logical>(take().line);
    node->is_and = true;
    node->right = parse_not();
    nest(*node, left);
    nest(*node, node->right);
    node->left = std::move(left);
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const NestingGuard guard(*this);
  auto node = std::make_unique<Negation>(take().line);
  node->operand = parse_not();
  nest(*node, node->operand);
  return node;
}

ExprPtr Parser::parse_compare() {
  ExprPtr first = parse_sum();
  std::unique_ptr<Compare> node;
  while (true) {
    const auto* symbol =
        std::ranges::find_if(kComparisons, [&](const auto& entry) { return is_symbol(entry.first); });
    Comparison comparison = Comparison::in;
    const int line = current().line;
    if (symbol != std::end(kComparisons)) {
      comparison = symbol->second;
      take();
    } else if (is_name("not") && look().type == TokenType::name && look().text == "in") {
      comparison = Comparison::not_in;
      take();
      take();
    } else if (!skip_name("in")) {
      break;
    }
    if (node == nullptr) {
      node = std::make_unique<Compare>(line);
      nest(*node, first);
      node->first = std::move(first);
    }
    node->rest.emplace_back(comparison, parse_sum());
    nest(*node, node->rest.back().second);
  }
  if (node != nullptr) return node;
  return first;
}

ExprPtr Parser::parse_sum() {
  ExprPtr left = parse_concat();
  while (is_symbol("+") || is_symbol("-")) {
    const Token& token = take();
    auto node = std::make_unique<Binary>(token.line);
    node->op = token.text == "+" ? Operator::add : Operator::subtract;
    node->right = parse_concat();
    nest(*node, left);
    nest(*node, node->right);
    node->left = std::move(left);
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  ExprPtr first = parse_product();
  if (!is_symbol("~")) return first;
  auto node = std::make_unique<Concat>(current().line);
  nest(*node, first);
  node->parts.push_back(std::move(first));
  while (skip_symbol("~")) {
    node->parts.push_back(parse_product());
    nest(*node, node->parts.back());
  }
  return node;
}

ExprPtr Parser::parse_product() {
  ExprPtr left = parse_power();
  while (is_symbol("*") || is_symbol("/") || is_symbol("//") || is_symbol("%")) {
    const Token& token = take();
    auto node = std::make_unique<Binary>(token.line);
    node->op = token.text == "*"    ? Operator::multiply
               : token.text == "/"  ? Operator::divide
               : token.text == "//" ? Operator::floor_divide
                                    : Operator::modulo;
    node->right = parse_power();
    nest(*node, left);
    nest(*node, node->right);
    node->left = std::move(left);
    left = std::move(node);
  }
  return left;
}

// Unlike Python: 2 ** 3 ** 2 groups to the left.
ExprPtr Parser::parse_power() {
  ExprPtr left = parse_unary();
  while (is_symbol("**")) {
    auto node = std::make_unique<Binary>(take().line);
    node->op = Operator::power;
    node->right = parse_unary();
    nest(*node, left);
    nest(*node, node->right);
    node->left = std::move(left);
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  const NestingGuard guard(*this);
  ExprPtr node;
  if (is_symbol("-") || is_symbol("+")) {
    const Token& token = take();
    auto unary = std::make_unique<Unary>(token.line);
    unary->negative = token.text == "-";
    unary->operand = parse_unary(false);
    nest(*unary, unary->operand);
    node = std::move(unary);
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::parse_primary() {
  switch (current().type) {
    case TokenType::name:
      return parse_name_or_constant();
    case TokenType::string:
      return parse_string();
    case TokenType::integer: {
      const Token& token = take();
      return std::make_unique<Constant>(token.line, Value::integer(token.integer));
    }
    case TokenType::floating: {
      const Token& token = take();
      return std::make_unique<Constant>(token.line, Value::floating(token.floating));
    }
    default:
      break;
  }
  if (skip_symbol("(")) {
    ExprPtr node = parse_tuple(true, true);
    expect_symbol(")");
    return node;
  }
  if (is_symbol("[")) return parse_list();
  if (is_symbol("{")) return parse_dict();
  complain("an expression");
}

ExprPtr Parser::parse_name_or_constant() {
  const Token& token = take();
  const std::string& text = token.text;
  if (text == "true" || text == "True") return std::make_unique<Constant>(token.line, Value::boolean(true));
  if (text == "false" || text == "False")
    return std::make_unique<Constant>(token.line, Value::boolean(false));
  if (text == "none" || text == "None") return std::make_unique<Constant>(token.line, Value());
  note_name(text, true);
  return std::make_unique<Name>(token.line, symbol(text), text);
}

ExprPtr Parser::parse_string() {
  const int line = current().line;
  std::string text;
  while (is_type(TokenType::string)) text += take().text;
  return std::make_unique<Constant>(line, Value::constant(text));
}

ExprPtr Parser::parse_list() {
  auto node = std::make_unique<ListLiteral>(ExprType::list, take().line);
  while (!is_symbol("]")) {
    if (!node->items.empty()) expect_symbol(",");
    if (is_symbol("]")) break;
    node->items.push_back(parse_expression());
    nest(*node, node->items.back());
  }
  expect_symbol("]");
  return node;
}

ExprPtr Parser::parse_dict() {
  auto node = std::make_unique<DictLiteral>(take().line);
  while (!is_symbol("}")) {
    if (!node->items.empty()) expect_symbol(",");
    if (is_symbol("}")) break;
    ExprPtr key = parse_expression();
    expect_symbol(":");
    ExprPtr value = parse_expression();
    nest(*node, key);
    nest(*node, value);
    node->items.emplace_back(std::move(key), std::move(value));
  }
  expect_symbol("}");
  return node;
}

bool Parser::is_tuple_end() const {
  return is_type(TokenType::variable_end) || is_type(TokenType::block_end) || is_symbol(")");
}

ExprPtr Parser::parse_tuple(bool with_conditional, bool in_parentheses) {
  auto tuple = std::make_unique<ListLiteral>(ExprType::tuple, current().line);
  bool is_tuple = false;
  while (true) {
    if (!tuple->items.empty()) expect_symbol(",");
    if (is_tuple_end()) break;
    tuple->items.push_back(parse_expression(with_conditional));
    nest(*tuple, tuple->items.back());
    if (!is_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!tuple->items.empty()) return std::move(tuple->items.front());
    if (!in_parentheses) complain("an expression");
  }
  return tuple;
}

ExprPtr Parser::parse_postfix(ExprPtr node) {
  while (true) {
    if (is_symbol(".") || is_symbol("[")) {
      node = parse_subscript(std::move(node));
    } else if (is_symbol("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filters_and_tests(ExprPtr node) {
  while (true) {
    if (is_symbol("|")) {
      node = parse_filter(std::move(node));
    } else if (is_name("is")) {
      node = parse_test(std::move(node));
    } else if (is_symbol("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_subscript(ExprPtr node) {
  const int line = current().line;
  if (!skip_symbol(".")) {
    expect_symbol("[");
    return parse_bracket_subscript(std::move(node), line);
  }
  if (is_type(TokenType::name)) {
    auto attribute = std::make_unique<Attribute>(line);
    attribute->name = take().text;
    nest(*attribute, node);
    attribute->object = std::move(node);
    return attribute;
  }
  const Token& index = expect_type(TokenType::integer, "a name or number after '.'");
  auto subscript = std::make_unique<Subscript>(line);
  subscript->key = std::make_unique<Constant>(line, Value::integer(index.integer));
  nest(*subscript, node);
  subscript->object = std::move(node);
  return subscript;
}

ExprPtr Parser::parse_bracket_subscript(ExprPtr node, int line) {
  if (skip_symbol(":")) return parse_slice_rest(std::move(node), nullptr, line);
  // An empty subscript is the empty tuple, as Jinja has it.
  ExprPtr key = is_symbol("]") ? std::make_unique<ListLiteral>(ExprType::tuple, line) : parse_expression();
  if (skip_symbol(":")) return parse_slice_rest(std::move(node), std::move(key), line);
  if (is_symbol(",")) {
    auto tuple = std::make_unique<ListLiteral>(ExprType::tuple, line);
    nest(*tuple, key);
    tuple->items.push_back(std::move(key));
    while (skip_symbol(",")) {
      tuple->items.push_back(parse_expression());
      nest(*tuple, tuple->items.back());
    }
    key = std::move(tuple);
  }
  expect_symbol("]");
  auto subscript = std::make_unique<Subscript>(line);
  nest(*subscript, node);
  nest(*subscript, key);
  subscript->object = std::move(node);
  subscript->key = std::move(key);
  return subscript;
}

// Behind the first colon.
ExprPtr Parser::parse_slice_rest(ExprPtr object, ExprPtr start, int line) {
  auto slice = std::make_unique<Slice>(line);
  slice->start = std::move(start);
  if (!is_symbol(":") && !is_symbol("]")) slice->stop = parse_expression();
  if (skip_symbol(":") && !is_symbol("]")) slice->step = parse_expression();
  expect_symbol("]");
  slice->object = std::move(object);
  for (const ExprPtr* child : {&slice->object, &slice->start, &slice->stop, &slice->step})
    nest(*slice, *child);
  return slice;
}

ArgumentList Parser::parse_arguments(Expr& owner) {
  ArgumentList arguments;
  expect_symbol("(");
  bool first = true;
  while (!is_symbol(")")) {
    if (!std::exchange(first, false)) {
      expect_symbol(",");
      if (is_symbol(")")) break;
    }
    if (arguments.unpacked_keyword != nullptr) complain("')' behind '**'");
    if (is_symbol("*") || is_symbol("**")) {
      const bool keyword = take().text == "**";
      ExprPtr& place = keyword ? arguments.unpacked_keyword : arguments.unpacked;
      if (place != nullptr) complain("one '*' argument at most");
      place = parse_expression();
      nest(owner, place);
    } else if (is_type(TokenType::name) && look().type == TokenType::punctuation && look().text == "=") {
      std::string key = take().text;
      take();
      arguments.keyword.emplace_back(std::move(key), parse_expression());
      nest(owner, arguments.keyword.back().second);
    } else {
      if (arguments.unpacked != nullptr || !arguments.keyword.empty()) complain("a keyword argument");
      arguments.positional.push_back(parse_expression());
      nest(owner, arguments.positional.back());
    }
  }
  expect_symbol(")");
  return arguments;
}

ExprPtr Parser::parse_call(ExprPtr node) {
  auto call = std::make_unique<CallExpr>(current().line);
  call->arguments = parse_arguments(*call);
  nest(*call, node);
  call->callee = std::move(node);
  return call;
}

ExprPtr Parser::parse_filter(ExprPtr node, bool start_inline) {
  while (is_symbol("|") || start_inline) {
    if (!std::exchange(start_inline, false)) take();
    auto filter = std::make_unique<FilterExpr>(current().line);
    filter->name = expect_type(TokenType::name, "the name of a filter").text;
    while (skip_symbol(".")) filter->name += "." + expect_type(TokenType::name, "the name of a filter").text;
    if (!soft_ && find_filter(filter->name) == nullptr) {
      fail_at(filter->line, fmt::format("expected a known filter, found '{}'", filter->name));
    }
    if (is_symbol("(")) filter->arguments = parse_arguments(*filter);
    nest(*filter, node);
    filter->operand = std::move(node);
    node = std::move(filter);
  }
  return node;
}

ExprPtr Parser::parse_test(ExprPtr node) {
  auto test = std::make_unique<TestExpr>(take().line);
  const bool negated = skip_name("not");
  test->name = expect_type(TokenType::name, "the name of a test").text;
  while (skip_symbol(".")) test->name += "." + expect_type(TokenType::name, "the name of a test").text;
  if (!soft_ && find_test(test->name) == nullptr) {
    fail_at(test->line, fmt::format("expected a known test, found '{}'", test->name));
  }
  const bool argument_follows =
      (is_type(TokenType::name) && !is_name("else") && !is_name("or") && !is_name("and")) ||
      is_type(TokenType::string) || is_type(TokenType::integer) || is_type(TokenType::floating) ||
      is_symbol("[") || is_symbol("{");
  if (is_symbol("(")) {
    test->arguments = parse_arguments(*test);
  } else if (argument_follows) {
    if (is_name("is")) complain("one test at a time");
    test->arguments.positional.push_back(parse_postfix(parse_primary()));
    nest(*test, test->arguments.positional.back());
  }
  nest(*test, node);
  test->operand = std::move(node);
  if (!negated) return test;
  auto negation = std::make_unique<Negation>(test->line);
  negation->operand = std::move(test);
  nest(*negation, negation->operand);
  return negation;
}

}  // namespace tessera::text::jinja
