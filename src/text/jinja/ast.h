// The syntax tree of a template. One struct a construct; the interpreter switches on `type`.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace tessera::text::jinja {

// Names are numbered by the parser, so that scopes compare integers.
using Symbol = std::uint32_t;

enum class ExprType : std::uint8_t {
  constant,
  name,
  list,
  tuple,
  dict,
  unary,
  binary,
  logical,
  negation,
  compare,
  concat,
  conditional,
  attribute,
  subscript,
  slice,
  call,
  filter,
  test,
};

struct Expr {
  Expr(ExprType expr_type, int source_line) : type(expr_type), line(source_line) {}
  virtual ~Expr() = default;
  Expr(const Expr&) = delete;
  Expr& operator=(const Expr&) = delete;
  ExprType type;
  int line;
  int depth = 1;  // nesting below, bounded by the parser
};
using ExprPtr = std::unique_ptr<Expr>;

struct Constant : Expr {
  Constant(int source_line, Value constant)
      : Expr(ExprType::constant, source_line), value(std::move(constant)) {}
  Value value;
};

struct Name : Expr {
  Name(int source_line, Symbol name_symbol, std::string name_text)
      : Expr(ExprType::name, source_line), symbol(name_symbol), text(std::move(name_text)) {}
  Symbol symbol;
  std::string text;
};

struct ListLiteral : Expr {  // list or tuple
  using Expr::Expr;
  std::vector<ExprPtr> items;
};

struct DictLiteral : Expr {
  explicit DictLiteral(int source_line) : Expr(ExprType::dict, source_line) {}
  std::vector<std::pair<ExprPtr, ExprPtr>> items;
};

enum class Operator : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };

struct Unary : Expr {  // - or +
  explicit Unary(int source_line) : Expr(ExprType::unary, source_line) {}
  bool negative = false;
  ExprPtr operand;
};

struct Negation : Expr {  // not
  explicit Negation(int source_line) : Expr(ExprType::negation, source_line) {}
  ExprPtr operand;
};

struct Binary : Expr {
  explicit Binary(int source_line) : Expr(ExprType::binary, source_line) {}
  Operator op = Operator::add;
  ExprPtr left, right;
};

struct Logical : Expr {  // and, or
  explicit Logical(int source_line) : Expr(ExprType::logical, source_line) {}
  bool is_and = false;
  ExprPtr left, right;
};

enum class Comparison : std::uint8_t {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct Compare : Expr {  // a < b < c
  explicit Compare(int source_line) : Expr(ExprType::compare, source_line) {}
  ExprPtr first;
  std::vector<std::pair<Comparison, ExprPtr>> rest;
};

struct Concat : Expr {  // a ~ b
  explicit Concat(int source_line) : Expr(ExprType::concat, source_line) {}
  std::vector<ExprPtr> parts;
};

struct Conditional : Expr {  // a if test else b
  explicit Conditional(int source_line) : Expr(ExprType::conditional, source_line) {}
  ExprPtr test, then, otherwise;  // otherwise may be missing
};

struct Attribute : Expr {
  explicit Attribute(int source_line) : Expr(ExprType::attribute, source_line) {}
  ExprPtr object;
  std::string name;
};

struct Subscript : Expr {
  explicit Subscript(int source_line) : Expr(ExprType::subscript, source_line) {}
  ExprPtr object, key;
};

struct Slice : Expr {  // object[start:stop:step]; the three may be missing
  explicit Slice(int source_line) : Expr(ExprType::slice, source_line) {}
  ExprPtr object, start, stop, step;
};

struct ArgumentList {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keyword;
  ExprPtr unpacked;          // *args
  ExprPtr unpacked_keyword;  // **kwargs
};

struct CallExpr : Expr {
  explicit CallExpr(int source_line) : Expr(ExprType::call, source_line) {}
  ExprPtr callee;
  ArgumentList arguments;
};

struct FilterExpr : Expr {
  explicit FilterExpr(int source_line) : Expr(ExprType::filter, source_line) {}
  ExprPtr operand;  // missing in a filter block: what the block rendered
  std::string name;
  ArgumentList arguments;
};

struct TestExpr : Expr {
  explicit TestExpr(int source_line) : Expr(ExprType::test, source_line) {}
  ExprPtr operand;
  std::string name;
  ArgumentList arguments;
};

// What set and for assign to.
struct Target {
  enum class Type : std::uint8_t { name, attribute, tuple };
  Type type = Type::name;
  Symbol symbol = 0;
  std::string text;       // the name, for error lines
  std::string attribute;  // of a namespace
  std::vector<Target> items;
  int depth = 1;
};

enum class StmtType : std::uint8_t {
  output,
  data,
  branch,
  loop,
  set,
  set_block,
  macro,
  call_block,
  filter_block,
  with,
  block,
  scope,
  break_loop,
  continue_loop,
  unavailable,
};

struct Stmt {
  Stmt(StmtType stmt_type, int source_line) : type(stmt_type), line(source_line) {}
  virtual ~Stmt() = default;
  Stmt(const Stmt&) = delete;
  Stmt& operator=(const Stmt&) = delete;
  StmtType type;
  int line;
};
using Body = std::vector<std::unique_ptr<Stmt>>;

struct DataStmt : Stmt {
  DataStmt(int source_line, std::string data) : Stmt(StmtType::data, source_line), text(std::move(data)) {}
  std::string text;
};

struct OutputStmt : Stmt {
  explicit OutputStmt(int source_line) : Stmt(StmtType::output, source_line) {}
  std::vector<ExprPtr> values;
};

struct BranchStmt : Stmt {  // if, elif..., else
  explicit BranchStmt(int source_line) : Stmt(StmtType::branch, source_line) {}
  std::vector<std::pair<ExprPtr, Body>> cases;
  Body otherwise;
};

// Names that a scope hides from the context although nothing is assigned yet; see name_analysis.h.
using HiddenNames = std::vector<Symbol>;

struct LoopStmt : Stmt {
  explicit LoopStmt(int source_line) : Stmt(StmtType::loop, source_line) {}
  Target target;
  ExprPtr iterable, filter;  // filter may be missing
  bool recursive = false;
  Symbol loop_symbol = 0;  // of the name "loop"
  Body body, otherwise;
  HiddenNames hidden, otherwise_hidden;
};

struct SetStmt : Stmt {
  explicit SetStmt(int source_line) : Stmt(StmtType::set, source_line) {}
  Target target;
  ExprPtr value;
};

struct SetBlockStmt : Stmt {
  explicit SetBlockStmt(int source_line) : Stmt(StmtType::set_block, source_line) {}
  Target target;
  ExprPtr filter;  // may be missing
  Body body;
  HiddenNames hidden;
};

struct MacroParameter {
  Symbol symbol;
  std::string name;
  ExprPtr default_value;  // may be missing
};

struct MacroDefinition {
  std::string name;  // empty for the caller of a call block
  std::vector<MacroParameter> parameters;
  Body body;
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
  Symbol caller_symbol = 0, kwargs_symbol = 0, varargs_symbol = 0;
  HiddenNames hidden;
};

struct MacroStmt : Stmt {
  explicit MacroStmt(int source_line) : Stmt(StmtType::macro, source_line) {}
  Symbol symbol = 0;
  MacroDefinition definition;
};

struct CallBlockStmt : Stmt {
  explicit CallBlockStmt(int source_line) : Stmt(StmtType::call_block, source_line) {}
  ExprPtr call;  // a CallExpr
  MacroDefinition caller;
};

struct FilterBlockStmt : Stmt {
  explicit FilterBlockStmt(int source_line) : Stmt(StmtType::filter_block, source_line) {}
  ExprPtr filter;
  Body body;
  HiddenNames hidden;
};

struct WithStmt : Stmt {
  explicit WithStmt(int source_line) : Stmt(StmtType::with, source_line) {}
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Body body;
  HiddenNames hidden;
};

// A scope of its own: `generation` (sees the names around it) and `block` (sees the top level only, unless
// scoped).
struct ScopeStmt : Stmt {
  using Stmt::Stmt;
  bool sees_around = true;
  Body body;
  HiddenNames hidden;
};

struct PlainStmt : Stmt {  // break, continue
  using Stmt::Stmt;
};

struct UnavailableStmt : Stmt {  // include, import, extends: there are no other templates
  explicit UnavailableStmt(int source_line) : Stmt(StmtType::unavailable, source_line) {}
  std::string what;
};

struct Program {
  std::string name;
  Body body;
  HiddenNames hidden;
  std::vector<std::string> symbols;  // Symbol -> spelling
};

}  // namespace tessera::text::jinja
