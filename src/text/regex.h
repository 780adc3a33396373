// Regular expressions of tokenizer files. They are written for Oniguruma (Ruby syntax, UTF-8); this
// translates what means something else in PCRE2 and matches with PCRE2's JIT, within bounds on stack, heap
// and steps.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace tessera::text {

class Regex {
 public:
  // Error bad_input: not a regular expression; unsupported: one that PCRE2 would understand differently.
  // `where` names the file and key.
  Regex(std::string_view pattern, const std::string& where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // The first match in `text` (valid UTF-8) at or after byte `from`; nullopt when there is none. Error limit:
  // the pattern needs too many steps on this text.
  std::optional<TextRange> find(std::string_view text, std::size_t from) const;

  // A text in which PCRE2 sees the categories of the reference: characters younger than its Unicode tables
  // are exchanged for older ones of the same category and length. Returns `text` itself when there is nothing
  // to do.
  static std::string_view with_known_characters(std::string_view text, std::string& storage);

 private:
  void count_steps(std::string_view text, std::size_t from) const;

  struct Program;
  std::unique_ptr<Program> program_;
};

// Oniguruma's syntax in PCRE2's; for tests.
std::string translate_pattern(std::string_view pattern, const std::string& where);

}  // namespace tessera::text
