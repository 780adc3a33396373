"""Writes src/text/jinja/character_tables.cpp: what utf8proc does not know about Python's str methods.

Full case mappings (one character to several) and the characters whose class differs from their general category.
Usage: python3 tools/make_character_tables.py > src/text/jinja/character_tables.cpp
"""

import sys
import unicodedata


def ranges(predicate):
    found = []
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000 or not predicate(chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def escaped(text):
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def print_ranges(name, predicate):
    print(f"constexpr CharacterRange {name}[] = {{")
    for first, last in ranges(predicate):
        print(f"    {{0x{first:04X}, 0x{last:04X}}},")
    print("};")


def category(c):
    return unicodedata.category(c)


print("// Made by tools/make_character_tables.py; do not edit.")
print('#include "text/jinja/character_tables.h"\n')
print("namespace tessera::text::jinja {")
print("namespace {\n")
print_ranges("kDigits", lambda c: c.isdigit() and category(c) != "Nd")
print_ranges("kNumerics", lambda c: c.isnumeric() and category(c) not in ("Nd", "Nl", "No"))
print_ranges("kLowercase", lambda c: c.islower() and category(c) != "Ll")
print_ranges("kUppercase", lambda c: c.isupper() and category(c) != "Lu")
for name, method in (("kUpperMappings", str.upper), ("kTitleMappings", str.title), ("kLowerMappings", str.lower)):
    print(f"constexpr FullMapping {name}[] = {{")
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code < 0xE000:
            continue
        mapped = method(chr(code))
        if len(mapped) > 1:
            print(f'    {{0x{code:04X}, "{escaped(mapped)}"}},')
    print("};")
print("\n}  // namespace\n")
for function, table in (("digits_beyond_nd", "kDigits"), ("numerics_beyond_n", "kNumerics"),
                        ("lowercase_beyond_ll", "kLowercase"), ("uppercase_beyond_lu", "kUppercase")):
    print(f"std::span<const CharacterRange> {function}() {{ return {table}; }}")
for function, table in (("full_upper_mappings", "kUpperMappings"), ("full_title_mappings", "kTitleMappings"),
                        ("full_lower_mappings", "kLowerMappings")):
    print(f"std::span<const FullMapping> {function}() {{ return {table}; }}")
print("\n}  // namespace tessera::text::jinja")
