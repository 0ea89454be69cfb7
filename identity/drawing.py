"""SVG out of numbers: bars, a histogram, an upset table and a curve. Text in, text out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH = 720
ROW = 22
INK, SOFT, LINE = "#1c2430", "#667085", "#d0d5dd"
PLUS, MINUS, MAIN, SECOND = "#12805c", "#b42318", "#2563a8", "#b45309"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Identity in pictures</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #f6f7f9; margin: 0; }
main { max-width: 50rem; margin: 0 auto; padding: 1.5rem 1rem; }
figure { background: #fff; border: 1px solid #e4e7ec; border-radius: .6rem; }
figure { margin: 0 0 1.25rem; padding: 1rem 1.25rem; }
h1 { font-size: 1.35rem; } h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
figcaption { color: #667085; font-size: .9rem; }
svg { max-width: 100%; height: auto; }
</style></head><body><main><h1>Identity in pictures</h1>
{figures}
</main></body></html>
"""


def _svg(height: float, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
        f' height="{height:.0f}" font-family="system-ui, sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'
    )


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}"'
        f' rx="2" fill="{fill}"/>'
    )


def _line(x: float, y: float, x2: float, y2: float, stroke: str, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{dashed}/>'
    )


def diverging(rows: Sequence[tuple[str, str, float]]) -> str:
    """Draw (group, label, value) as bars to the left and right of nought."""
    if not rows:
        return _nothing()
    low = min(0.0, *(value for _, _, value in rows))
    high = max(0.0, *(value for _, _, value in rows))
    left, right = 300.0, WIDTH - 50.0
    scale = (right - left - 50) / max(high - low, 1e-9)
    zero = left + 50 - low * scale
    body, y, before = [], 8.0, ""
    for group, label, value in rows:
        if group != before and before:
            y += 6
        if group != before:
            body.append(_text(8, y + 14, group))
        body.append(_text(110, y + 14, label[:34], fill=SOFT))
        width = abs(value) * scale
        body.append(
            _rect(
                zero if value > 0 else zero - width, y + 3, width, 14, PLUS if value > 0 else MINUS
            )
        )
        at, anchor = (zero + width + 5, "start") if value > 0 else (zero - width - 5, "end")
        body.append(_text(at, y + 14, f"{value:+.1f}", anchor=anchor))
        y, before = y + ROW, group
    body.append(_line(zero, 4, zero, y + 2, LINE))
    return _svg(y + 8, body)


def bars(rows: Sequence[tuple[str, int]], *, is_log: bool = False) -> str:
    """Draw (label, count) as horizontal bars."""
    if not rows:
        return _nothing()
    longest = max(_size(count, is_log) for _, count in rows)
    body, y = [], 8.0
    for label, count in rows:
        width = _size(count, is_log) / longest * (WIDTH - 200)
        body += [
            _text(70, y + 14, label, anchor="end"),
            _rect(80, y + 3, max(width, 2), 14, MAIN),
            _text(88 + max(width, 2), y + 14, f"{count:,}"),
        ]
        y += ROW
    return _svg(y + 8, body)


def histogram(bins: Sequence[tuple[float, int]], thresholds: Sequence[float]) -> str:
    """Draw counts (log scale) over log2 odds, with probabilities as lines across."""
    if not bins:
        return _nothing()
    low, high = min(b for b, _ in bins) - 1, max(b for b, _ in bins) + 1.5
    high = max(high, *(math.log2(t / (1 - t)) + 1 for t in thresholds if t < 1))
    left, right, top, floor = 50.0, WIDTH - 16.0, 28.0, 250.0

    def at(weight: float) -> float:
        return left + (weight - low) / (high - low) * (right - left)

    tallest = max(_size(count, True) for _, count in bins)
    body = [_line(left, floor, right, floor, LINE)]
    power = 1
    while power <= max(count for _, count in bins):
        y = floor - _size(power, True) / tallest * (floor - top)
        body += [
            _line(left, y, right, y, "#eef0f3"),
            _text(left - 6, y + 4, f"{power:,}", anchor="end", fill=SOFT),
        ]
        power *= 10
    for start, count in bins:
        height = _size(count, True) / tallest * (floor - top)
        body.append(_rect(at(start), floor - height, at(start + 0.5) - at(start) - 1, height, MAIN))
    for number, threshold in enumerate(t for t in thresholds if t < 1):
        x = at(math.log2(threshold / (1 - threshold)))
        body += [
            _line(x, top - 14, x, floor, SECOND, "4 3"),
            _text(x + 4, top - 4 - 10 * (1 - number), f"{threshold:g}", fill=SECOND),
        ]
    for probability in (0.5, 0.8, 0.99, 0.999, 0.99999):
        weight = math.log2(probability / (1 - probability))
        if low <= weight <= high:
            body.append(
                _text(at(weight), floor + 18, f"{probability:g}", anchor="middle", fill=SOFT)
            )
    body.append(_text((left + right) / 2, floor + 38, "probability", anchor="middle", fill=SOFT))
    return _svg(floor + 48, body)


def upset(sets: Sequence[tuple[tuple[str, ...], int]]) -> str:
    """Draw sets as columns of dots, one row a member, with the size of each as a bar above."""
    if not sets:
        return _nothing()
    members = sorted({name for names, _ in sets for name in names})
    left, top = 130.0, 150.0
    step = min(40.0, (WIDTH - left - 20) / len(sets))
    largest = max(count for _, count in sets)
    body = []
    for row, name in enumerate(members):
        y = top + 20 + row * ROW
        if row % 2 == 0:
            body.append(_rect(0, y - 11, WIDTH, ROW, "#f6f7f9"))
        body.append(_text(left - 14, y + 4, name.replace("_", " "), anchor="end"))
    for column, (names, count) in enumerate(sets):
        x = left + step / 2 + column * step
        height = count / largest * (top - 30)
        body += [
            _rect(x - step * 0.32, top - height, step * 0.64, height, MAIN),
            _text(x, top - height - 6, f"{count:,}", anchor="middle", fill=SOFT),
        ]
        rows = [members.index(name) for name in names]
        first, last = (top + 20 + r * ROW for r in (min(rows), max(rows)))
        body.append(
            f'<line x1="{x:.1f}" y1="{first:.1f}" x2="{x:.1f}" y2="{last:.1f}" stroke="{MAIN}" stroke-width="2"/>'
        )
        for row in range(len(members)):
            fill = MAIN if row in rows else "#d9dee6"
            body.append(
                f'<circle cx="{x:.1f}" cy="{top + 20 + row * ROW:.1f}" r="5" fill="{fill}"/>'
            )
    return _svg(top + 20 + len(members) * ROW, body)


Known = tuple[float, float | None, float, float, float | None, float, float]


def curve(points: Sequence[Known]) -> str:
    """Draw precision and recall with their intervals over thresholds: (threshold, precision, low,
    high, recall, low, high), evenly spaced.
    """
    left, right, top, floor = 50.0, WIDTH - 90.0, 20.0, 260.0
    step = (right - left) / max(1, len(points) - 1)

    def y(share: float) -> float:
        return floor - share * (floor - top)

    body = []
    for tick in (0, 0.25, 0.5, 0.75, 1.0):
        body += [
            _line(left, y(tick), right, y(tick), "#eef0f3"),
            _text(left - 6, y(tick) + 4, f"{tick:g}", anchor="end", fill=SOFT),
        ]
    for name, colour, at in (("precision", MAIN, 1), ("recall", SECOND, 4)):
        seen = [(left + i * step, p[at], p[at + 1], p[at + 2]) for i, p in enumerate(points)]
        known = [
            (x, v, lo, hi)
            for x, v, lo, hi in seen
            if v is not None and lo is not None and hi is not None
        ]
        if not known:
            continue
        band = [f"{x:.1f},{y(hi):.1f}" for x, _, _, hi in known]
        band += [f"{x:.1f},{y(lo):.1f}" for x, _, lo, _ in reversed(known)]
        body.append(f'<polygon points="{" ".join(band)}" fill="{colour}" opacity="0.15"/>')
        way = " ".join(f"{x:.1f},{y(v):.1f}" for x, v, _, _ in known)
        body.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        offset = 4 if at == 1 else 16
        body.append(_text(right + 8, y(known[-1][1]) + offset, name, fill=colour))
    for i, point in enumerate(points):
        body.append(_text(left + i * step, floor + 18, f"{point[0]:g}", anchor="middle", fill=SOFT))
    body.append(_text((left + right) / 2, floor + 38, "threshold", anchor="middle", fill=SOFT))
    return _svg(floor + 48, body)


def _size(count: int, is_log: bool) -> float:
    return math.log10(count) + 0.3 if is_log else float(count)


def _nothing() -> str:
    return _svg(40, [_text(8, 24, "nothing to show yet", fill=SOFT)])
