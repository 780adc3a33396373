#!/usr/bin/env python3
"""Writes src/text/unicode_categories.inc and unicode_lowercase.inc: the properties of every code point, as Hugging Face
`tokenizers` sees them.

The library itself is asked, so that the tables have the Unicode versions that the reference ids are made with: its
regular expressions know a newer one than its punctuation, marks and control characters.
Needs: pip install tokenizers. Usage: tools/make_unicode_categories.py
"""
import pathlib
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = ["Cn", "Cc", "Cf", "Co", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No",
              "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp"]
# PCRE2 10.42 (Debian 12) and this script's unicodedata know Unicode 14.
PCRE2_UNICODE = "14.0.0"
PUNCTUATION, MARK, NEWER, NONSPACING, OTHER, NUMBER = 0x20, 0x40, 0x80, 0x100, 0x200, 0x400
SHIFT = 11
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def regex_members(category):
    split = pre_tokenizers.Split(Regex(r"\p{%s}" % category), "removed", invert=True)
    return split_members(split)


def split_members(split):
    """Characters that a pre-tokenizer which removes everything else keeps."""
    found = set()
    for _, (begin, end) in split.pre_tokenize_str("".join(map(chr, CODE_POINTS))):
        found.update(CODE_POINTS[begin:end])
    return found


def removed_members(normalizer):
    return {c for c in CODE_POINTS if normalizer.normalize_str("-" + chr(c) + "-") == "--"}


def numbers():
    pieces = pre_tokenizers.Digits(True).pre_tokenize_str("".join(chr(c) + "--" for c in CODE_POINTS))
    return {ord(piece) for piece, _ in pieces if len(piece) == 1 and piece != "-"}


def write(name, comment, items):
    target = pathlib.Path(__file__).resolve().parent.parent / "src" / "text" / name
    with open(target, "w") as out:
        out.write("// Made by tools/make_unicode_categories.py; do not edit.\n// %s\n" % comment)
        line = ""
        for item in items:
            if len(line) + len(item) > 108:
                out.write(line.rstrip() + "\n")
                line = ""
            line += item + " "
        out.write(line.rstrip() + "\n")


def main():
    assert unicodedata.unidata_version == PCRE2_UNICODE, "run with a Python that has Unicode " + PCRE2_UNICODE
    table = [0] * 0x110000
    for index, category in enumerate(CATEGORIES[1:], start=1):
        for code_point in regex_members(category):
            table[code_point] = index
    name = [CATEGORIES[index] for index in table]
    flags = [NEWER if table[c] and unicodedata.category(chr(c)) != name[c] else 0 for c in range(0x110000)]
    # Where another part of the library disagrees with its regular expressions.
    bert = normalizers.BertNormalizer
    cleaned = removed_members(bert(True, False, False, False)) | {9, 10, 13}
    kept = split_members(pre_tokenizers.Punctuation("removed"))
    punctuation = set(CODE_POINTS) - kept
    for bit, found, expected in [
            (PUNCTUATION, punctuation, lambda c: name[c][0] == "P" or (c < 0x80 and name[c][0] == "S")),
            (MARK, removed_members(normalizers.StripAccents()), lambda c: name[c][0] == "M"),
            (NONSPACING, removed_members(bert(False, False, True, False)), lambda c: name[c] == "Mn"),
            (OTHER, cleaned, lambda c: name[c] in ("Cc", "Cf", "Co") or c == 0xFFFD),
            (NUMBER, numbers(), lambda c: name[c][0] == "N")]:
        for c in CODE_POINTS:
            if (c in found) != expected(c):
                flags[c] |= bit
    rows = []
    previous = None
    for c in range(0x110000):
        value = table[c] | flags[c]
        if value != previous:
            rows.append("0x%xU," % (c << SHIFT | value))
            previous = value
    write("unicode_categories.inc", "First code point of a run << 11 | category | flags (unicode.cpp).", rows)
    lowercase = normalizers.Lowercase()
    pairs = [(c, lowercase.normalize_str(chr(c))) for c in CODE_POINTS if c >= 0x80]
    pairs = ["{0x%x, 0x%x}," % (c, ord(to)) for c, to in pairs if to != chr(c) and len(to) == 1]
    write("unicode_lowercase.inc", "Letter and its small letter; U+0130 alone has two.", pairs)
    print(len(rows), "runs,", len(pairs), "lowercase pairs")


if __name__ == "__main__":
    main()
