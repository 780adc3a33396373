#include "text/jinja/name_analysis.h"

#include <map>
#include <set>

namespace tessera::text::jinja {
namespace {

enum class Load : std::uint8_t { parameter, resolve, alias, undefined };

// The names one scope knows, gathered in source order. A branch of an if notes only what it adds to its
// `base`.
class Frame {
 public:
  explicit Frame(const Frame* parent, const Frame* base = nullptr) : parent_(parent), base_(base) {}
  Frame branch() const { return Frame(parent_, this); }

  bool knows(Symbol name) const { return is_here(name) || known_outside(name); }
  void parameter(Symbol name) {
    stores_.insert(name);
    loads_[name] = Load::parameter;
  }
  void store(Symbol name) {
    if (!is_stored(name)) stores_.insert(name);
    if (!is_here(name)) loads_[name] = known_outside(name) ? Load::alias : Load::undefined;
  }
  void load(Symbol name) {
    if (!knows(name)) loads_[name] = Load::resolve;
  }
  // A name stored in some branch only keeps its outer value, or the context's, in the others.
  void merge(std::initializer_list<const Frame*> branches) {
    std::set<Symbol> stored;
    for (const Frame* branch : branches) {
      for (const Symbol name : branch->stores_) {
        if (!is_stored(name)) stored.insert(name);
      }
    }
    for (const Frame* branch : branches) {
      for (const auto& [name, kind] : branch->loads_) loads_[name] = kind;
    }
    for (const Symbol name : stored) {
      stores_.insert(name);
      loads_[name] = known_outside(name) ? Load::alias : Load::resolve;
    }
  }
  HiddenNames hidden() const {
    HiddenNames names;
    for (const auto& [name, kind] : loads_) {
      if (kind == Load::undefined) names.push_back(name);
    }
    return names;
  }

 private:
  bool is_here(Symbol name) const {
    return loads_.contains(name) || (base_ != nullptr && base_->is_here(name));
  }
  bool is_stored(Symbol name) const {
    return stores_.contains(name) || (base_ != nullptr && base_->is_stored(name));
  }
  bool known_outside(Symbol name) const { return parent_ != nullptr && parent_->knows(name); }
  const Frame* parent_;  // the scope around
  const Frame* base_;    // this scope, before the if
  std::map<Symbol, Load> loads_;
  std::set<Symbol> stores_;
};

void visit(Frame& frame, const Expr* expr);

void visit(Frame& frame, const ArgumentList& arguments) {
  for (const ExprPtr& argument : arguments.positional) visit(frame, argument.get());
  for (const auto& [key, argument] : arguments.keyword) visit(frame, argument.get());
  visit(frame, arguments.unpacked.get());
  visit(frame, arguments.unpacked_keyword.get());
}

void visit_operator(Frame& frame, const Expr* expr) {
  switch (expr->type) {
    case ExprType::unary:
      return visit(frame, static_cast<const Unary*>(expr)->operand.get());
    case ExprType::negation:
      return visit(frame, static_cast<const Negation*>(expr)->operand.get());
    case ExprType::binary:
      visit(frame, static_cast<const Binary*>(expr)->left.get());
      return visit(frame, static_cast<const Binary*>(expr)->right.get());
    case ExprType::logical:
      visit(frame, static_cast<const Logical*>(expr)->left.get());
      return visit(frame, static_cast<const Logical*>(expr)->right.get());
    case ExprType::compare: {
      const auto* compare = static_cast<const Compare*>(expr);
      visit(frame, compare->first.get());
      for (const auto& [comparison, operand] : compare->rest) visit(frame, operand.get());
      return;
    }
    case ExprType::concat:
      for (const ExprPtr& part : static_cast<const Concat*>(expr)->parts) visit(frame, part.get());
      return;
    case ExprType::conditional: {
      const auto* conditional = static_cast<const Conditional*>(expr);
      for (const ExprPtr* part : {&conditional->test, &conditional->then, &conditional->otherwise}) {
        visit(frame, part->get());
      }
      return;
    }
    default:
      return;
  }
}

void visit(Frame& frame, const Expr* expr) {
  if (expr == nullptr) return;
  switch (expr->type) {
    case ExprType::name:
      return frame.load(static_cast<const Name*>(expr)->symbol);
    case ExprType::list:
    case ExprType::tuple:
      for (const ExprPtr& item : static_cast<const ListLiteral*>(expr)->items) visit(frame, item.get());
      return;
    case ExprType::dict:
      for (const auto& [key, value] : static_cast<const DictLiteral*>(expr)->items) {
        visit(frame, key.get());
        visit(frame, value.get());
      }
      return;
    case ExprType::attribute:
      return visit(frame, static_cast<const Attribute*>(expr)->object.get());
    case ExprType::subscript:
      visit(frame, static_cast<const Subscript*>(expr)->object.get());
      return visit(frame, static_cast<const Subscript*>(expr)->key.get());
    case ExprType::slice: {
      const auto* slice = static_cast<const Slice*>(expr);
      for (const ExprPtr* part : {&slice->object, &slice->start, &slice->stop, &slice->step})
        visit(frame, part->get());
      return;
    }
    case ExprType::call:
      visit(frame, static_cast<const CallExpr*>(expr)->callee.get());
      return visit(frame, static_cast<const CallExpr*>(expr)->arguments);
    case ExprType::filter:
      visit(frame, static_cast<const FilterExpr*>(expr)->operand.get());
      return visit(frame, static_cast<const FilterExpr*>(expr)->arguments);
    case ExprType::test:
      visit(frame, static_cast<const TestExpr*>(expr)->operand.get());
      return visit(frame, static_cast<const TestExpr*>(expr)->arguments);
    default:
      return visit_operator(frame, expr);
  }
}

void visit_target(Frame& frame, const Target& target, bool as_parameter) {
  for (const Target& item : target.items) visit_target(frame, item, as_parameter);
  if (target.type == Target::Type::attribute) frame.load(target.symbol);
  if (target.type != Target::Type::name) return;
  if (as_parameter) {
    frame.parameter(target.symbol);
  } else {
    frame.store(target.symbol);
  }
}

void visit(Frame& frame, const Body& body);

// An elif is an if inside the branches, as Jinja sees it.
void visit_branch(Frame& frame, const BranchStmt& branch) {
  visit(frame, branch.cases.front().first.get());
  Frame then = frame.branch();
  Frame elifs = frame.branch();
  Frame otherwise = frame.branch();
  visit(then, branch.cases.front().second);
  for (std::size_t i = 1; i < branch.cases.size(); ++i) {
    visit(elifs, branch.cases[i].first.get());
    Frame inner = elifs.branch();
    visit(inner, branch.cases[i].second);
    elifs.merge({&inner});
  }
  visit(otherwise, branch.otherwise);
  frame.merge({&then, &elifs, &otherwise});
}

void visit_statement(Frame& frame, const Stmt& statement) {
  switch (statement.type) {
    case StmtType::output:
      for (const ExprPtr& value : static_cast<const OutputStmt&>(statement).values) visit(frame, value.get());
      return;
    case StmtType::branch:
      return visit_branch(frame, static_cast<const BranchStmt&>(statement));
    case StmtType::loop:
      return visit(frame, static_cast<const LoopStmt&>(statement).iterable.get());
    case StmtType::set:
      visit(frame, static_cast<const SetStmt&>(statement).value.get());
      return visit_target(frame, static_cast<const SetStmt&>(statement).target, false);
    case StmtType::set_block:
      return visit_target(frame, static_cast<const SetBlockStmt&>(statement).target, false);
    case StmtType::macro:
      return frame.store(static_cast<const MacroStmt&>(statement).symbol);
    case StmtType::call_block:
      return visit(frame, static_cast<const CallBlockStmt&>(statement).call.get());
    case StmtType::filter_block:
      return visit(frame, static_cast<const FilterBlockStmt&>(statement).filter.get());
    case StmtType::with:
      for (const auto& [target, value] : static_cast<const WithStmt&>(statement).assignments) {
        visit(frame, value.get());
      }
      return;
    default:
      return;
  }
}

void visit(Frame& frame, const Body& body) {
  for (const auto& statement : body) visit_statement(frame, *statement);
}

void analyze_inner(const Frame& frame, const Body& body);

HiddenNames analyze_scope(Frame frame, const Body& body) {
  visit(frame, body);
  analyze_inner(frame, body);
  return frame.hidden();
}

void analyze_macro(const Frame& around, MacroDefinition& macro) {
  Frame frame(&around);
  for (const MacroParameter& parameter : macro.parameters) frame.parameter(parameter.symbol);
  for (const MacroParameter& parameter : macro.parameters) visit(frame, parameter.default_value.get());
  macro.hidden = analyze_scope(std::move(frame), macro.body);
}

void analyze_statement(const Frame& frame, Stmt& statement) {
  switch (statement.type) {
    case StmtType::branch: {
      auto& branch = static_cast<BranchStmt&>(statement);
      for (auto& [test, body] : branch.cases) analyze_inner(frame, body);
      return analyze_inner(frame, branch.otherwise);
    }
    case StmtType::loop: {
      auto& loop = static_cast<LoopStmt&>(statement);
      Frame inner(&frame);
      visit_target(inner, loop.target, true);
      loop.hidden = analyze_scope(std::move(inner), loop.body);
      loop.otherwise_hidden = analyze_scope(Frame(&frame), loop.otherwise);
      return;
    }
    case StmtType::set_block: {
      auto& block = static_cast<SetBlockStmt&>(statement);
      block.hidden = analyze_scope(Frame(&frame), block.body);
      return;
    }
    case StmtType::macro:
      return analyze_macro(frame, static_cast<MacroStmt&>(statement).definition);
    case StmtType::call_block:
      return analyze_macro(frame, static_cast<CallBlockStmt&>(statement).caller);
    case StmtType::filter_block: {
      auto& block = static_cast<FilterBlockStmt&>(statement);
      block.hidden = analyze_scope(Frame(&frame), block.body);
      return;
    }
    case StmtType::with: {
      auto& with = static_cast<WithStmt&>(statement);
      Frame inner(&frame);
      for (const auto& [target, value] : with.assignments) visit_target(inner, target, true);
      with.hidden = analyze_scope(std::move(inner), with.body);
      return;
    }
    case StmtType::block:
    case StmtType::scope: {
      auto& scope = static_cast<ScopeStmt&>(statement);
      const Frame* around = statement.type == StmtType::scope ? &frame : nullptr;
      scope.hidden = analyze_scope(Frame(around), scope.body);
      return;
    }
    default:
      return;
  }
}

void analyze_inner(const Frame& frame, const Body& body) {
  for (const auto& statement : body) analyze_statement(frame, *statement);
}

}  // namespace

void analyze_names(Program& program) { program.hidden = analyze_scope(Frame(nullptr), program.body); }

}  // namespace tessera::text::jinja
