// Python's view of single characters: classes (str.isalpha and friends) and full case mapping.
#pragma once
#include <string>
#include <string_view>

namespace tessera::text::jinja {

bool is_space(char32_t c);         // str.isspace, also the \s of Python's re
bool is_alphabetic(char32_t c);    // str.isalpha
bool is_decimal(char32_t c);       // str.isdecimal
int decimal_value(char32_t c);     // 0-9 of any script; -1 for what is no decimal digit
bool is_digit(char32_t c);         // str.isdigit
bool is_numeric(char32_t c);       // str.isnumeric
bool is_alphanumeric(char32_t c);  // str.isalnum
bool is_lowercase(char32_t c);
bool is_uppercase(char32_t c);
bool is_titlecase(char32_t c);
bool is_cased(char32_t c);
bool is_printable(char32_t c);  // what repr() shows as it is
bool is_identifier_start(char32_t c);
bool is_identifier_part(char32_t c);

enum class LetterCase { lower, upper, title, folded };
// Appends the mapped character, which may be several (ß in upper case is SS).
void append_mapped(std::string& out, char32_t c, LetterCase letter_case);

}  // namespace tessera::text::jinja
