#!/usr/bin/env python3
"""Writes src/text/unicode_categories.inc: the general category of every code point, as Hugging Face `tokenizers` sees it.

The library's own regular expressions (Oniguruma) are asked, so that the table has the Unicode version that the
reference ids are made with. Needs: pip install tokenizers. Usage: tools/make_unicode_categories.py
"""
import pathlib
import unicodedata

from tokenizers import Regex, pre_tokenizers

CATEGORIES = ["Cn", "Cc", "Cf", "Co", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No",
              "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp"]
# PCRE2 10.42 (Debian 12) and this script's unicodedata know Unicode 14.
PCRE2_UNICODE = "14.0.0"


def members(category, text, code_points):
    split = pre_tokenizers.Split(Regex(r"\p{%s}" % category), "removed", invert=True)
    found = set()
    for piece, (begin, _) in split.pre_tokenize_str(text):
        for index in range(len(piece)):
            found.add(code_points[begin + index])
    return found


def main():
    assert unicodedata.unidata_version == PCRE2_UNICODE, "run with a Python that has Unicode " + PCRE2_UNICODE
    code_points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    text = "".join(map(chr, code_points))
    table = [0] * 0x110000
    for index, category in enumerate(CATEGORIES[1:], start=1):
        for code_point in members(category, text, code_points):
            table[code_point] = index
    newer = [c for c in range(0x110000)
             if table[c] != 0 and unicodedata.category(chr(c)) != CATEGORIES[table[c]]]
    newer_set = set(newer)
    rows = []
    previous = None
    for code_point in range(0x110000):
        value = (table[code_point], code_point in newer_set)
        if value != previous:
            rows.append((code_point, *value))
            previous = value
    target = pathlib.Path(__file__).resolve().parent.parent / "src" / "text" / "unicode_categories.inc"
    with open(target, "w") as out:
        out.write("// Made by tools/make_unicode_categories.py; do not edit.\n")
        out.write("// first code point of a run << 8 | 0x80 when newer than Unicode %s | category\n" % PCRE2_UNICODE)
        line = ""
        for code_point, category, is_newer in rows:
            item = "0x%xU, " % (code_point << 8 | (0x80 if is_newer else 0) | category)
            if len(line) + len(item) > 108:
                out.write(line.rstrip() + "\n")
                line = ""
            line += item
        out.write(line.rstrip() + "\n")
    print(len(rows), "runs,", len(newer), "newer code points")


if __name__ == "__main__":
    main()
