#!/usr/bin/env python3
"""Draws docs/pictures/{paging,scheduling,prefix-cache}.svg, which docs/serving.md shows.

Usage: tools/draw_serving.py (writes into docs/pictures). Colours follow the reader's light or dark theme.
"""

import pathlib

STYLE = """
:root{--bg:#fff;--ink:#1f2430;--soft:#5c6370;--line:#a9b1bf;--empty:#f1f3f6;--blue:#cfe0f7;--blue-ink:#2c5c9e;
--gold:#f8e3b5;--gold-ink:#96600f;--green:#cdebdf;--green-ink:#1e6d53;--red:#f7d6d3;--red-ink:#a83c3c}
@media(prefers-color-scheme:dark){:root{--bg:#14171d;--ink:#e6e8ec;--soft:#a3abb9;--line:#566072;--empty:#20252e;
--blue:#1d3a61;--blue-ink:#8bb8f0;--gold:#4b3911;--gold-ink:#eac36c;--green:#15443a;--green-ink:#78cfb0;
--red:#562529;--red-ink:#f29a96}}
text{font:13px system-ui,sans-serif;fill:var(--ink)}.soft{fill:var(--soft)}.small{font-size:11.5px}
.title{font-size:15px;font-weight:600}.mono{font:12px ui-monospace,monospace}.bold{font-weight:600}
.mid{text-anchor:middle}.end{text-anchor:end}.bg{fill:var(--bg)}
.line{stroke:var(--line);fill:none;stroke-width:1.3}.dash{stroke-dasharray:5 4}
.empty{fill:var(--empty);stroke:var(--line)}
""" + "".join(
    f".{c}{{fill:var(--{c});stroke:var(--{c}-ink)}}.{c}-line{{stroke:var(--{c}-ink);fill:none;stroke-width:1.6}}"
    f".{c}-text{{fill:var(--{c}-ink)}}.{c}-dot{{fill:var(--{c}-ink)}}" for c in ("blue", "gold", "green", "red"))


class Picture:
    def __init__(self, width, height, label):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">',
            f"<style>{STYLE}</style>", f'<rect class="bg" width="{width}" height="{height}"/>',
            "<defs>" + "".join(
                f'<marker id="{c}-end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
                f'<path class="{c}-dot" d="M0 0L8 4L0 8z"/></marker>' for c in ("blue", "gold", "green", "red"))
            + "</defs>"]

    def text(self, x, y, text, style=""):
        self.parts.append(f'<text x="{x}" y="{y}" class="{style}">{text}</text>')

    def box(self, x, y, width, height, style, radius=4):
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" class="{style}"/>')

    def path(self, d, style, end=None):
        marker = f' marker-end="url(#{end}-end)"' if end else ""
        self.parts.append(f'<path d="{d}" class="{style}"{marker}/>')

    def dot(self, x, y, color):
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="4" class="{color}-dot"/>')

    def write(self, name):
        path = pathlib.Path(__file__).resolve().parent.parent / "docs" / "pictures" / f"{name}.svg"
        path.write_text("\n".join(self.parts) + "\n</svg>\n")


# --- Blocks, tables, a fork that copies when it writes

CELL, POOL_X = 96, 40


def pool(picture, y, cells):
    """cells: (number, tokens, color, references)"""
    for i, (number, tokens, color, references) in enumerate(cells):
        x = POOL_X + i * (CELL + 6)
        picture.box(x, y, CELL, 46, color)
        picture.text(x + CELL / 2, y + 19, tokens or "free", "mono mid" if tokens else "soft small mid")
        note = f"block {number}" + (f" · {references}×" if references else "")
        picture.text(x + CELL / 2, y + 37, note, "small soft mid")
    return [POOL_X + i * (CELL + 6) + CELL / 2 for i in range(len(cells))]


def table(picture, x, y, name, color, entries):
    picture.text(x, y + 18, name, f"bold {color}-text")
    places = []
    for i, entry in enumerate(entries):
        picture.box(x + 92 + i * 42, y, 38, 26, color)
        picture.text(x + 111 + i * 42, y + 18, entry, "mono mid")
        places.append(x + 111 + i * 42)
    return places


def arrows(picture, sources, y, targets, y_end, color):
    for source, target in zip(sources, targets):
        middle = (y + y_end) / 2
        picture.path(f"M{source} {y}C{source} {middle} {target} {middle} {target} {y_end - 2}", f"{color}-line", color)


def paging():
    picture = Picture(880, 470, "Block tables point into one pool; a fork shares blocks and copies the one it writes to")
    picture.text(20, 28, "A fork copies no keys and values: both tables name the same blocks", "title")
    a = table(picture, 40, 50, "chat A", "blue", ["3", "5", "6"])
    b = table(picture, 480, 50, "branch B", "gold", ["3", "5", "6"])
    spots = pool(picture, 160, [("0", "", "empty", 0), ("1", "", "empty", 0), ("2", "", "empty", 0),
                                ("3", "I have a dog", "green", 2), ("4", "", "empty", 0),
                                ("5", "named Rex.", "green", 2), ("6", "And a cat", "green", 2), ("7", "", "empty", 0)])
    shared = [spots[3], spots[5], spots[6]]
    arrows(picture, a, 76, [x - 12 for x in shared], 160, "blue")
    arrows(picture, b, 76, [x + 12 for x in shared], 160, "gold")
    picture.path("M20 235H860", "line dash")
    picture.text(20, 266, "B writes another word: block 6 is shared, so B gets a copy of it first", "title")
    a = table(picture, 40, 288, "chat A", "blue", ["3", "5", "6"])
    b = table(picture, 480, 288, "branch B", "gold", ["3", "5", "4"])
    spots = pool(picture, 398, [("0", "", "empty", 0), ("1", "", "empty", 0), ("2", "", "empty", 0),
                                ("3", "I have a dog", "green", 2), ("4", "And a bird", "gold", 1),
                                ("5", "named Rex.", "green", 2), ("6", "And a cat", "blue", 1), ("7", "", "empty", 0)])
    arrows(picture, a, 314, [spots[3] - 12, spots[5] - 12, spots[6] - 8], 398, "blue")
    arrows(picture, b, 314, [spots[3] + 12, spots[5] + 12, spots[4] + 8], 398, "gold")
    picture.text(20, 462, "n× counts who holds a block; at 0 it is free, or stays as a prefix. Drawn with a few tokens "
                 "a block; there are 16.", "small soft")
    picture.write("paging")


# --- Passes: a long prompt beside streams

def passes(picture, y, widths, chunks, note):
    """One picture of three rows; `chunks`: (pass, label) of the prompt's pieces."""
    x0, unit = 110, 7.6
    names = [("stream A", "blue"), ("stream B", "green"), ("long prompt", "gold")]
    starts = [x0]
    for width in widths:
        starts.append(starts[-1] + width * unit)
    for row, (name, color) in enumerate(names):
        top = y + row * 34
        picture.text(x0 - 12, top + 19, name, f"end {color}-text bold")
        picture.path(f"M{x0} {top + 15}H{starts[-1]}", "line")
    for begin in starts:
        picture.path(f"M{begin} {y - 6}V{y + 98}", "line dash")
    for index in range(len(widths)):
        for row in range(2):
            picture.dot(starts[index + 1], y + row * 34 + 15, names[row][1])
    last = 0
    for index, label in chunks:
        picture.box(starts[index] + 2, y + 70, widths[index] * unit - 4, 26, "gold")
        picture.text((starts[index] + starts[index + 1]) / 2, y + 87, label, "small mid")
        last = index + 1
    for index in range(last, len(widths) + 1):
        picture.dot(starts[index], y + 83, "gold")
    picture.text(x0, y + 122, note, "small soft")
    return starts


def scheduling():
    picture = Picture(880, 500, "Cutting a long prompt into pieces keeps the gap between tokens of running streams short")
    picture.text(20, 28, "All of the prompt in one pass: the streams stand still", "title")
    starts = passes(picture, 52, [4, 4, 64, 4, 4, 4, 4], [(2, "2,000 tokens of the prompt")],
                    "A dot is a token that a reader sees; a dashed line ends a pass. Time goes to the right.")
    picture.path(f"M{starts[2] + 4} 59H{starts[3] - 4}", "red-line", "red")
    picture.text((starts[2] + starts[3]) / 2, 55, "a gap of a whole prompt", "small red-text mid")
    picture.text(20, 218, "In pieces beside the streams: every pass has a token for each of them", "title")
    starts = passes(picture, 244, [4, 4, 14, 14, 14, 14, 14, 4, 4, 4],
                    [(2, "430"), (3, "430"), (4, "430"), (5, "430"), (6, "280")],
                    "The pieces are cut so that a pass takes about 0.1 s, whatever the machine.")
    picture.path(f"M{starts[3] + 4} 250H{starts[4] - 4}", "green-line", "green")
    picture.text(20, 410, "What a pass holds", "title")
    x = 110
    for width, color, label in [(30, "blue", "A"), (30, "green", "B"), (390, "gold", "a piece of the prompt")]:
        picture.box(x, 424, width, 30, color)
        picture.text(x + width / 2, 444, label, "small mid")
        x += width + 4
    picture.box(x, 424, 216, 30, "empty")
    picture.text(x + 108, 444, "guesses, if there is room", "small soft mid")
    picture.path(f"M{x + 222} 416V462", "red-line")
    picture.text(x + 222, 478, "token budget", "small red-text mid")
    picture.text(110, 478, "who decodes: always in", "small soft")
    picture.write("scheduling")


# --- The tree of prefixes, and its tier on disk

def node(picture, x, y, text, color, note):
    picture.box(x, y, 128, 44, color)
    picture.text(x + 64, y + 18, text, "mono mid")
    picture.text(x + 64, y + 36, note, "small soft mid")


def prefix_cache():
    picture = Picture(880, 500, "A tree of blocks by their tokens, in memory and on disk; a new request takes what it finds")
    picture.text(20, 28, "A new request walks down the tree with its own tokens", "title")
    parts = [(170, "green", "the system prompt", "in memory: taken"), (170, "blue", "two turns of last week", "on disk: read, checked"),
             (120, "gold", "the new message", "computed")]
    x = 150
    picture.text(138, 68, "prompt", "end bold")
    for width, color, text, note in parts:
        picture.box(x, 50, width, 28, color)
        picture.text(x + width / 2, 69, text, "small mid")
        picture.text(x + width / 2, 96, note, f"small mid {color}-text")
        x += width + 4
    picture.text(x + 10, 69, "cached_tokens: how many were found", "small soft")
    picture.path("M20 114H860", "line dash")
    picture.text(20, 142, "In memory: blocks of the pool", "bold")
    picture.text(600, 142, "On disk: files with checksums", "bold")
    picture.box(590, 156, 270, 286, "empty", 8)
    picture.box(30, 270, 92, 44, "empty")
    picture.text(76, 288, "API key", "small mid")
    picture.text(76, 305, "(salt)", "small soft mid")
    node(picture, 152, 270, "system…", "green", "held by 2 chats")
    node(picture, 310, 190, "…Paris.", "green", "held by chat A")
    node(picture, 310, 350, "…Hello!", "empty", "held by nobody")
    picture.path("M122 292H150", "line")
    picture.path("M280 285C296 285 294 212 308 212", "line")
    picture.path("M280 299C296 299 294 372 308 372", "line")
    node(picture, 626, 180, "system…", "blue", "name: hash so far")
    node(picture, 626, 254, "…last week", "blue", "read when needed")
    node(picture, 626, 328, "…Hello!", "blue", "written when at rest")
    picture.path("M690 224V252", "line")
    picture.path("M660 224C604 250 604 330 624 346", "line")
    picture.path("M438 366C510 366 540 350 622 350", "blue-line", "blue")
    picture.text(452, 384, "rests for 0.5 s", "small blue-text")
    picture.path("M624 280C540 280 470 250 440 300C420 330 300 330 284 306", "gold-line", "gold")
    picture.text(470, 262, "a request needs it", "small gold-text")
    picture.text(606, 396, "If a byte or the model differs, the file", "small soft")
    picture.text(606, 412, "goes and its tokens are computed again.", "small soft")
    picture.text(606, 432, "Least recently used files go first.", "small soft")
    picture.text(20, 470, "A block is found by its parent and its tokens, so a conversation, its branches and its undone turns share "
                 "beginnings; another key has another root", "small soft")
    picture.text(20, 488, "and finds nothing of it. After an undo or a restart only the new message is computed.", "small soft")
    picture.write("prefix-cache")


paging()
scheduling()
prefix_cache()
