"""Pictures of the dashboards: one SVG for each board, drawn from what a Prometheus answers to its panels' queries."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol

from .dashboards import boards
from .dashboards.board import Board, Kind, Panel, Unit
from .slo import Slo
from .windows import Scale

WIDTH, MARGIN, GAP, HEIGHT, HEAD = 1200, 16, 10, 190, 30
COLUMN = (WIDTH - 2 * MARGIN + GAP) / 24
POINTS, LEGENDS, TABLE_ROWS = 120, 6, 6
COLOURS = ("#3b82c4", "#d9822b", "#3f9a5b", "#b8539a", "#8a6fd1", "#b89a1e", "#c94f4f", "#2a9d9d")
STEP_COLOURS = {"green": "#3f9a5b", "orange": "#d9822b", "red": "#c94f4f"}
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#24292f}.h{font-size:18px;font-weight:600}.r{font-size:13px;font-weight:600}"
    ".p{font-weight:600}.m{fill:#656d76}.n{font-size:30px;font-weight:600}.b{fill:#fff}.c{fill:#f6f8fa;stroke:#d0d7de}.g{stroke:#d0d7de}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.m{fill:#9198a1}.b{fill:#0d1117}.c{fill:#151b23;stroke:#3d444d}.g{stroke:#3d444d}}"
)
Points = list[tuple[float, float]]
Lines = list[tuple[str, Points]]


class Source(Protocol):
    """Whoever answers a range query as Prometheus does: labels under `metric`, and `values`."""

    async def series(self, promql: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """Times are seconds since the epoch."""


async def draw_all(prometheus: Source, slos: Sequence[Slo], scale: Scale, begin: float, end: float, folder: Path) -> None:
    """Writes a picture of each board, `<uid>.svg`, with the data between two moments."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    seen = [float(one["values"][0][0]) for one in await prometheus.series("up", begin, end, 1)]
    begin = max(begin, min(seen, default=begin))  # before its first scrape there is nothing to be seen
    for board in boards(slos, scale):
        data = {panel.title: await _lines(prometheus, panel, begin, end) for panel in board.panels}
        await asyncio.to_thread((folder / f"{board.uid}.svg").write_text, draw(board, data, begin, end))


async def _lines(prometheus: Source, panel: Panel, begin: float, end: float) -> Lines:
    step = max(1.0, (end - begin) / POINTS)
    window = f"{max(20, round(4 * step))}s"
    lines: Lines = []
    for query in panel.queries:
        promql = query.promql.replace("$__rate_interval", window).replace("$namespace", ".*").replace("$name", ".*")
        for one in await prometheus.series(promql, begin, end, step):
            points = [(float(at), float(value)) for at, value in one["values"]]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                lines.append((_named(query.legend, one["metric"]), points))
    return sorted(lines, key=lambda line: not any(value for _, value in line[1]))  # the legend has room for a few: not for zeros


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip()


def draw(board: Board, data: dict[str, Lines], begin: float, end: float) -> str:
    """The board's SVG; `data` holds each panel's lines by its title. Pure."""
    parts, y = [f'<text class="h" x="{MARGIN}" y="30">{escape(board.title)}</text>'], 46.0
    parts.append(f'<text class="m" x="{WIDTH - MARGIN}" y="30" text-anchor="end">{end - begin:.0f} s of a test run with faults</text>')
    for row in board.rows:
        parts.append(f'<text class="r" x="{MARGIN}" y="{y + 14}">{escape(row.title)}</text>')
        y, column = y + 22, 0
        for panel in row.panels:
            if column + panel.width > 24:
                y, column = y + HEIGHT + GAP, 0
            size = panel.width * COLUMN - GAP
            body = _panel(panel, data[panel.title], size, begin, end)
            parts.append(f'<g transform="translate({MARGIN + column * COLUMN:.1f},{y:.1f})">{body}</g>')
            column += panel.width
        y += HEIGHT + GAP + 6
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" width="{WIDTH}" height="{y:.0f}" role="img">'
    title = f"<title>{escape(board.title)}</title><style>{STYLE}</style>"
    return f'{head}{title}<rect class="b" width="100%" height="100%"/>\n' + "\n".join(parts) + "\n</svg>\n"


def _panel(panel: Panel, lines: Lines, width: float, begin: float, end: float) -> str:
    title = _short(panel.title, width - 20, 6.4)
    frame = f'<rect class="c" width="{width:.1f}" height="{HEIGHT}" rx="4"/><text class="p" x="10" y="19">{escape(title)}</text>'
    if not lines:
        return f'{frame}<text class="m" x="{width / 2:.1f}" y="{HEIGHT / 2}" text-anchor="middle">no data</text>'
    if panel.kind is Kind.NUMBER:
        return frame + _numbers(panel, lines, width)
    if panel.kind is Kind.TABLE:
        return frame + _table(lines, width)
    return frame + _curves(panel, lines, width, begin, end)


def _numbers(panel: Panel, lines: Lines, width: float) -> str:
    shown, each = lines[:4], (HEIGHT - HEAD - 8) / min(len(lines), 4)
    parts = []
    for number, (legend, points) in enumerate(shown):
        value = points[-1][1]
        colour = next((colour for floor, colour in reversed(panel.steps) if value >= floor), "green")
        y, size = HEAD + each * (number + 0.5), min(30, each * 0.6)
        style = f"font-size:{size:.0f}px;fill:{STEP_COLOURS.get(colour, colour)}"
        parts.append(f'<text class="n" style="{style}" x="{width - 12:.1f}" y="{y + size / 3:.1f}" text-anchor="end">')
        parts.append(f'{tell(value, panel.unit)}</text><text class="m" x="12" y="{y + 4:.1f}">{escape(_short(legend, width * 0.6))}</text>')
    return "".join(parts)


def _table(lines: Lines, width: float) -> str:
    """Those that hold at the end come first; with more than fit, the rest is counted."""
    last = max(points[-1][0] for _, points in lines)
    rows = sorted(lines, key=lambda line: (line[1][-1][0] < last or not line[1][-1][1], line[0]))
    columns = 3 if width > 900 else 1
    fit = TABLE_ROWS * columns
    cells = []
    for number, (legend, points) in enumerate(rows[:fit]):
        x, y = 12 + number % columns * width / columns, HEAD + 22 + number // columns * 20
        now = "" if points[-1][0] == last and points[-1][1] else ' class="m"'
        cells.append(f'<text{now} x="{x:.1f}" y="{y}">{escape(_short(legend, width / columns - 20))}</text>')
    if len(rows) > fit:
        cells.append(f'<text class="m" x="12" y="{HEIGHT - 10}">and {len(rows) - fit} more</text>')
    return "".join(cells)


def _curves(panel: Panel, lines: Lines, width: float, begin: float, end: float) -> str:
    lines = sorted(lines, key=lambda line: -max(value for _, value in line[1]))
    left, right, top, bottom = 54.0, width - 12, HEAD + 4.0, HEIGHT - 50.0
    stacked = _stacked(lines) if panel.kind is Kind.STACKED else None
    highest = max(value for points in (stacked or [points for _, points in lines]) for _, value in points)
    ceiling = _ceiling(highest)

    def at(moment: float, value: float) -> str:
        x = left + (moment - begin) / max(end - begin, 1e-9) * (right - left)
        return f"{x:.1f},{bottom - min(max(value, 0) / ceiling, 1) * (bottom - top):.1f}"

    parts = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        parts.append(f'<line class="g" x1="{left}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="m" x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{tell(ceiling * share, panel.unit)}</text>')
    order = range(len(lines) - 1, -1, -1)
    for number in order:
        colour = COLOURS[number % len(COLOURS)]
        if stacked is not None:
            area = [at(*point) for point in stacked[number]]
            ground = [at(moment, 0) for moment in (stacked[number][-1][0], stacked[number][0][0])]
            parts.append(f'<polygon points="{" ".join([*area, *ground])}" fill="{colour}"/>')
            continue
        for piece in _pieces(lines[number][1], (end - begin) / POINTS * 2.5 + 2):
            if len(piece) == 1:
                x, y_text = at(*piece[0]).split(",")
                parts.append(f'<circle cx="{x}" cy="{y_text}" r="1.8" fill="{colour}"/>')
            else:
                parts.append(
                    f'<polyline points="{" ".join(at(*point) for point in piece)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
                )
    return "".join(parts) + _legend([legend for legend, _ in lines], width)


def _legend(legends: list[str], width: float) -> str:
    """Six at most, three in a line, and how many are left out."""
    parts, room = [], (width - 22) / 3
    names = legends[:LEGENDS] if len(legends) <= LEGENDS else legends[: LEGENDS - 1]
    for number, legend in enumerate(names):
        x, y = 12 + number % 3 * room, HEIGHT - 27 + number // 3 * 16
        parts.append(f'<rect x="{x:.1f}" y="{y - 8}" width="9" height="9" rx="2" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 13:.1f}" y="{y}">{escape(_short(legend, room - 22, 6.2))}</text>')
    if len(names) < len(legends):
        parts.append(f'<text class="m" x="{12 + 2 * room:.1f}" y="{HEIGHT - 11}">and {len(legends) - len(names)} more</text>')
    return "".join(parts)


def _stacked(lines: Lines) -> list[Points]:
    """Each line's upper edge over those before it; a line without a value at a moment adds nothing there."""
    moments = sorted({moment for _, points in lines for moment, _ in points})
    height, edges = dict.fromkeys(moments, 0.0), []
    for _, points in lines:
        for moment, value in points:
            height[moment] += max(value, 0.0)
        edges.append([(moment, height[moment]) for moment in moments])
    return edges


def _pieces(points: Points, gap: float) -> list[Points]:
    pieces: list[Points] = [[points[0]]]
    for before, point in itertools.pairwise(points):
        if point[0] - before[0] > gap:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _ceiling(highest: float) -> float:
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(power * step for step in (1, 2, 4, 5, 10) if power * step >= highest * 0.999)


def _short(text: str, width: float, letter: float = 5.7) -> str:
    most = max(4, int(width / letter))
    return text if len(text) <= most else text[: most - 1] + "…"


def tell(value: float, unit: Unit) -> str:
    """A value with its unit, as short as an axis wants it."""
    match unit:
        case Unit.PERCENT:
            return f"{value * 100:.3g} %"
        case Unit.DOLLARS:
            return f"${value:.3g}"
        case Unit.SECONDS if 0 < value < 0.001:
            return f"{value * 1e6:.3g} µs"
        case Unit.SECONDS if 0 < value < 1:
            return f"{value * 1e3:.3g} ms"
        case Unit.SECONDS:
            return f"{value:.3g} s"
        case Unit.BYTES if value >= 1e6:
            return f"{value / 1e6:.4g} MB"
        case Unit.PER_SECOND:
            return f"{_count(value)}/s"
    return _count(value)


def _count(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
