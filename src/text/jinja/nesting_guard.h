// Counts how deep the parser has gone; an Error where hostile source goes too deep.
#pragma once
#include <fmt/core.h>

#include "base/error.h"
#include "text/jinja/parser.h"

namespace tessera::text::jinja {

class Parser::NestingGuard {
 public:
  explicit NestingGuard(Parser& parser) : parser_(parser) {
    if (++parser_.nesting_ > kMaxNesting) {
      throw_error(ErrorKind::limit,
                  fmt::format("{}:{}: expected source nested at most {} deep, found deeper nesting",
                              parser_.name_, parser_.current().line, kMaxNesting));
    }
  }
  ~NestingGuard() { --parser_.nesting_; }
  NestingGuard(const NestingGuard&) = delete;
  NestingGuard& operator=(const NestingGuard&) = delete;

 private:
  Parser& parser_;
};

}  // namespace tessera::text::jinja
