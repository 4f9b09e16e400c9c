"""Pictures of figures, as SVG: measures beside their baselines and goals, and lines over sizes."""

from collections.abc import Sequence
from html import escape

from bench.measure import Measure, told

WIDTH, LABELS, VALUES = 860, 280, 130
OURS, BESIDE, GOOD, BAD = "#2563eb", "#94a3b8", "#15803d", "#b91c1c"
_STYLE = "text{font:12px system-ui,sans-serif;fill:#0f172a}.title{font-weight:600;font-size:14px}.small{font-size:10px}"


def svg(height: float, said: str, parts: Sequence[str]) -> str:
    """A whole picture; ``said`` is for those who do not see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(said)}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def legend(entries: dict[str, str], y: float) -> str:
    """Colours and what they stand for."""
    return "".join(
        f'<rect x="{LABELS + 160 * number}" y="{y}" width="12" height="12" fill="{colour}"/>'
        f'<text x="{LABELS + 160 * number + 18}" y="{y + 10}">{escape(name)}</text>'
        for number, (name, colour) in enumerate(entries.items())
    )


def measures_picture(title: str, measures: Sequence[Measure]) -> str:
    """A row for each measure on a scale of its own: the median, a line from the least to the most, baseline, goal."""
    parts, y = [f'<text x="8" y="22" class="title">{escape(title)}</text>'], 34.0
    for measure in measures:
        parts.append(_row(measure, y))
        y += 40
    goals = {"goal, reached": GOOD, "goal, missed": BAD}
    parts.append(legend({"measured": OURS, "baseline": BESIDE, **goals}, y + 6))
    return svg(y + 28, title, parts)


def _row(measure: Measure, y: float) -> str:
    most = max([*measure.rounds, measure.baseline_median or 0, measure.bound or 0]) or 1
    scale = (WIDTH - LABELS - VALUES) / most

    def bar(value: float, at: float, height: float, colour: str) -> str:
        width = max(1.0, value * scale)
        return f'<rect x="{LABELS}" y="{at:.1f}" width="{width:.1f}" height="{height}" rx="2" fill="{colour}"/>'

    def line(x: float, top: float, bottom: float, colour: str) -> str:
        return f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" stroke="{colour}" stroke-width="2"/>'

    least, highest = LABELS + min(measure.rounds) * scale, LABELS + max(measure.rounds) * scale
    parts = [
        f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(measure.name)}</text>',
        f'<text x="{LABELS - 8}" y="{y + 26}" text-anchor="end" class="small">{escape(measure.baseline)}</text>',
        bar(measure.median, y + 2, 14, OURS),
        f'<path d="M{least:.1f} {y + 9}H{highest:.1f}" stroke="#0f172a"/>',
        f'<text x="{WIDTH - VALUES + 8}" y="{y + 13}">{told(measure.median, measure.unit)}</text>',
    ]
    if measure.baseline_median is not None:
        parts.append(bar(measure.baseline_median, y + 18, 8, BESIDE))
        beside = told(measure.baseline_median, measure.unit)
        parts.append(f'<text x="{WIDTH - VALUES + 8}" y="{y + 26}" class="small">{beside}</text>')
    if measure.bound is not None:
        parts.append(line(LABELS + measure.bound * scale, y, y + 28, GOOD if measure.reached else BAD))
    return "".join(parts)


def lines_picture(title: str, sizes: Sequence[int], lines: dict[str, Sequence[float]]) -> str:
    """Seconds over sizes, both from zero, a line for each name."""
    left, top, width, height = 70, 40, WIDTH - 230, 240
    most = max(value for values in lines.values() for value in values)
    colours = dict(zip(lines, (OURS, BESIDE, GOOD, BAD), strict=False))

    def place(size: float, value: float) -> str:
        return f"{left + width * size / sizes[-1]:.1f} {top + height * (1 - value / most):.1f}"

    parts = [f'<text x="8" y="22" class="title">{escape(title)}</text>']
    parts.append(f'<path d="M{left} {top}V{top + height}H{left + width}" stroke="#0f172a" fill="none"/>')
    for size in sizes:
        x = place(size, 0).split()[0]
        parts.append(f'<text x="{x}" y="{top + height + 16}" text-anchor="middle" class="small">{size:,}</text>')
    for part in (0.5, 1):
        y = place(0, most * part).split()[1]
        parts.append(f'<text x="{left - 6}" y="{y}" text-anchor="end" class="small">{told(most * part, "s")}</text>')
    for name, values in lines.items():
        points = [place(size, value) for size, value in zip(sizes, values, strict=True)]
        parts.append(f'<path d="M{"L".join(points)}" stroke="{colours[name]}" stroke-width="2" fill="none"/>')
        x, y = points[-1].split()
        parts.append(f'<text x="{float(x) + 6:.1f}" y="{float(y) + 4:.1f}">{escape(name)}</text>')
    return svg(top + height + 30, title, parts)
