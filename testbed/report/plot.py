"""A plot of a few curves, both axes logarithmic, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 130, 20, 50


@dataclass(frozen=True)
class Series:
    """A curve.

    Attributes:
        name: shown beside its end.
        colour: of CSS.
        points: pairs of positive numbers, sorted by the first.
    """

    name: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Axis:
    """Whole powers of ten from `first` to `last`, which are places `start` and `end`."""

    first: int
    last: int
    start: float
    end: float

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float) -> _Axis:
        logs = [math.log10(value) for value in values]
        first = math.floor(min(logs))
        return cls(first, max(math.ceil(max(logs)), first + 1), start, end)

    def at(self, value: float) -> float:
        part = (math.log10(value) - self.first) / (self.last - self.first)
        return self.start + part * (self.end - self.start)

    def marks(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]


def plot_svg(series: Sequence[Series], x_title: str, y_title: str) -> Markup:
    """Return the drawing, a whole document of SVG.

    Args:
        series: at least one, each with at least one point.
        x_title: what the first numbers are.
        y_title: what the second ones are, with the unit.
    """
    points = [point for one in series for point in one.points]
    x = _Axis.of((point[0] for point in points), LEFT, WIDTH - RIGHT)
    y = _Axis.of((point[1] for point in points), HEIGHT - BOTTOM, TOP)
    parts = [
        Markup('<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}"'
               ' viewBox="0 0 {0} {1}" role="img" font-family="sans-serif" font-size="12">'
               ).format(WIDTH, HEIGHT),
        *(_vertical(x.at(mark), mark) for mark in x.marks()),
        *(_horizontal(y.at(mark), mark) for mark in y.marks()),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_title, "middle"),
        Markup('<g transform="rotate(-90 14 {0})">{1}</g>').format(
            HEIGHT / 2, _text(14, HEIGHT / 2, y_title, "middle")
        ),
        *(_curve(one, x, y) for one in series),
        Markup("</svg>"),
    ]  # fmt: skip
    return Markup("\n").join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#ddd"/>'
    ).format(x1, y1, x2, y2)


def _vertical(place: float, mark: float) -> Markup:
    return _line(place, TOP, place, HEIGHT - BOTTOM) + _text(
        place, HEIGHT - BOTTOM + 18, _number(mark), "middle"
    )


def _horizontal(place: float, mark: float) -> Markup:
    return _line(LEFT, place, WIDTH - RIGHT, place) + _text(
        LEFT - 8, place + 4, _number(mark), "end"
    )


def _curve(series: Series, x: _Axis, y: _Axis) -> Markup:
    places = [(x.at(a), y.at(b)) for a, b in series.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dots = Markup("").join(
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>').format(a, b, series.colour)
        for a, b in places
    )
    line = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(
        path, series.colour
    )
    end = places[-1]
    return line + dots + _text(end[0] + 8, end[1] + 4, series.name, "start")
