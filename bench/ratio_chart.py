"""Bars of ratios in groups, as SVG: one bar a case, how many times a peer's figure; a line marks 1."""
import pathlib

INK, QUIET, GOOD, BAD = "#1f2430", "#5c6370", "#2a7f62", "#b5542c"


def draw(groups, path, title, subtitle, peer):
    """groups: {heading: [(label, ratio, text behind the bar)]}."""
    left, width, row, top = 270, 520, 22, 64
    items = [item for group in groups.values() for item in group]
    rows = len(items) + 1.4 * len(groups)
    scale = width / max(2.0, max(ratio for _, ratio, _ in items))
    height = int(top + rows * row + 40)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 90} {height}" font-family="sans-serif" '
             f'font-size="13"><rect width="100%" height="100%" fill="#ffffff"/>',
             f'<text x="20" y="28" font-size="17" font-weight="bold" fill="{INK}">{title}</text>',
             f'<text x="20" y="48" fill="{QUIET}">{subtitle}</text>']
    y = top
    for heading, group in groups.items():
        y += int(0.9 * row)
        parts.append(f'<text x="20" y="{y}" font-weight="bold" fill="{INK}">{heading}</text>')
        y += int(0.5 * row)
        for label, ratio, text in group:
            parts.append(f'<text x="{left - 10}" y="{y + 14}" text-anchor="end" fill="{INK}">{label}</text>'
                         f'<rect x="{left}" y="{y + 3}" width="{max(1, ratio * scale):.1f}" height="{row - 7}" '
                         f'rx="2" fill="{GOOD if ratio >= 1 else BAD}"/>'
                         f'<text x="{left + ratio * scale + 6:.1f}" y="{y + 14}" fill="{INK}">{text}</text>')
            y += row
    parts.append(f'<line x1="{left + scale:.1f}" y1="{top}" x2="{left + scale:.1f}" y2="{y + 4}" stroke="{INK}" '
                 f'stroke-dasharray="4 3"/><text x="{left + scale:.1f}" y="{y + 20}" text-anchor="middle" fill="{QUIET}">'
                 f'{peer}</text></svg>')
    pathlib.Path(path).write_text("\n".join(parts) + "\n", encoding="utf-8")
