#!/usr/bin/env python3
"""Draws captured terminal text (ANSI colours kept) as an SVG picture for the README.

Usage: tmux capture-pane -p -e -t SESSION | tools/terminal_to_svg.py "title" > docs/pictures/chat.svg
"""
import html
import re
import sys
import unicodedata

CELL_WIDTH, LINE_HEIGHT, MARGIN, TITLE_BAR = 8.4, 19, 16, 34
FOREGROUND, BACKGROUND = "#d7dae0", "#16181d"
COLOURS = ["#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0"]


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def apply_codes(style, codes):
    style = dict(style)
    for code in [int(c) for c in codes.split(";") if c] or [0]:
        if code == 0:
            style = {}
        elif code == 1:
            style["bold"] = True
        elif code == 2:
            style["dim"] = True
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style["colour"] = COLOURS[code % 10]
        elif code == 39:
            style.pop("colour", None)
        elif code == 22:
            style.pop("bold", None)
            style.pop("dim", None)
    return style


def spans(line):
    """(column, text, style) of each piece; tmux begins every captured line without a style."""
    style, column, result = {}, 0, []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            style = apply_codes(style, part[2:-1])
        elif part:
            result.append((column, part, style))
            column += width(part)
    return result


def main():
    title = sys.argv[1] if len(sys.argv) > 1 else "tessera"
    lines = sys.stdin.read().rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    columns = max(60, max(width(line) for line in plain))
    picture_width = columns * CELL_WIDTH + 2 * MARGIN
    picture_height = len(lines) * LINE_HEIGHT + TITLE_BAR + MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture_width:.0f}" height="{picture_height}" '
          f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">')
    print(f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>')
    for index, colour in enumerate(["#e06c75", "#e5c07b", "#98c379"]):
        print(f'<circle cx="{20 + 18 * index}" cy="17" r="5.5" fill="{colour}"/>')
    print(f'<text x="50%" y="22" text-anchor="middle" fill="#8b919d" font-size="12">{html.escape(title)}</text>')
    for row, line in enumerate(lines):
        pieces = spans(line)
        y = TITLE_BAR + (row + 0.8) * LINE_HEIGHT
        for column, text, look in pieces:
            if not text.strip():
                continue
            fill = look.get("colour", "#7d838f" if look.get("dim") else FOREGROUND)
            weight = ' font-weight="bold"' if look.get("bold") else ""
            print(f'<text x="{MARGIN + column * CELL_WIDTH:.1f}" y="{y:.1f}" fill="{fill}"{weight} '
                  f'textLength="{width(text) * CELL_WIDTH:.1f}" xml:space="preserve">{html.escape(text)}</text>')
    print("</svg>")


if __name__ == "__main__":
    main()
