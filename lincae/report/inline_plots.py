"""Plots as SVG inside a page: text and lines take their colours from it, and so follow light and dark.

They are drawn in placeholder colours, which are then replaced by variables of the page's style: `--line` for grids and
`--series-0` and so on for models; all text is in the colour of the text around.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lincae.report.plots import COLOURS

SERIES = (*COLOURS, "#e69f00", "#56b4e9", "currentColor")
"""Okabe and Ito's, as far as they can be seen on white and on black."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")

TEXT, LINE = "#000001", "#000002"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": TEXT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "figure.facecolor": "none",
    "lines.markersize": 5,
    "svg.fonttype": "none",
}
SWATCH = 0.6, 0.2
"""Inches."""

Key = tuple[str, Markup]
"""What a mark in a plot means, and the mark."""

METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Series(NamedTuple):
    """One model in a plot.

    Attributes:
        style: its number, which gives colour, marker and dashes.
        x, y: points; NaN interrupts a line.
        low, high: an interval about each y, if there is one.
    """

    style: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@contextmanager
def panel() -> Iterator[tuple[Figure, Axes]]:
    """An empty plot in placeholder colours, to be drawn and inlined before the context ends."""
    with matplotlib.rc_context(STYLE):
        picture = Figure(figsize=(4.6, 3.2), layout="constrained")
        yield picture, picture.subplots()


def curves(
    name: str,
    labels: tuple[str, str],
    series: Sequence[Series],
    reference: Callable[[float], float] | None = None,
    top: float = math.inf,
    whole: bool = False,
) -> Markup:
    """Lines with bands for intervals.

    Args:
        name: of the plot, unique in its page; letters, digits and hyphens.
        labels: of the two axes.
        series: a line each.
        reference: a curve to compare with, dotted; it does not stretch the axes.
        top: what lies above is not shown, unless everything does.
        whole: whether x counts something.
    """
    with panel() as (picture, axes):
        for number, x, y, low, high in series:
            colour = placeholder(number)
            axes.plot(x, y, color=colour, marker=marker(number), linestyle=DASHES[number % len(DASHES)])
            if low:
                axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        if whole:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        limits = axes.get_xlim(), axes.get_ylim()
        if reference is not None:
            points = [limits[0][0] + step * (limits[0][1] - limits[0][0]) / 200 for step in range(201)]
            values = [reference(x) if abs(x) > 1e-9 else math.nan for x in points]
            axes.plot(points, values, color=TEXT, linestyle=":", linewidth=1)
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=limits[0], ylim=capped(limits[1], top))
        return inline(picture, name, f"{labels[1]} over {labels[0]}")


def dots(name: str, label: str, categories: Sequence[str], series: Sequence[Series], top: float = math.inf) -> Markup:
    """A mark for each category and model, with its interval; `x` numbers the categories. See `curves`."""
    with panel() as (picture, axes):
        for place, (number, x, y, low, high) in enumerate(series):
            shifted = [value + 0.6 * ((place + 0.5) / len(series) - 0.5) for value in x]
            axes.plot(shifted, y, color=placeholder(number), marker=marker(number), linestyle="none")
            axes.vlines(shifted, low, high, color=placeholder(number))
        axes.set_xticks(range(len(categories)), categories, parse_math=False)
        axes.grid(visible=False, axis="x")
        axes.set(ylabel=label, ylim=capped(axes.get_ylim(), top), xlim=(-0.5, len(categories) - 0.5))
        return inline(picture, name, f"{label} of {', '.join(categories)}")


def scatter(name: str, labels: tuple[str, str], series: Sequence[Series], top: float = math.inf) -> Markup:
    """A mark for each point, hollow, so that those behind can be seen. See `curves`."""
    with panel() as (picture, axes):
        for number, x, y, _, _ in series:
            axes.scatter(
                x,
                y,
                s=18,
                marker=marker(number),
                facecolors="none",
                edgecolors=placeholder(number),
                linewidths=1,
                alpha=0.7,
            )
        limits = capped(axes.get_xlim(), top), capped(axes.get_ylim(), top)
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=limits[0], ylim=limits[1])
        return inline(picture, name, f"{labels[1]} against {labels[0]}, a mark for each excerpt")


def swatch(number: int) -> Markup:
    """The line and marker of a model, for a legend; once in a page."""
    return key(
        f"swatch-{number}",
        color=placeholder(number),
        marker=marker(number),
        linestyle=DASHES[number % len(DASHES)],
    )


def key(name: str, **line: Any) -> Markup:
    """A piece of a line with a marker, for a legend.

    Args:
        name: unique in its page.
        line: matplotlib's properties of a line.
    """
    with matplotlib.rc_context(STYLE):
        picture = Figure(figsize=SWATCH)
        axes = picture.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.plot([0, 1, 2], [0, 0, 0], markevery=[1], **line)
        return inline(picture, name, "")


def swatch_again(number: int) -> Markup:
    """The same anywhere else in the page."""
    width, height = (72 * side for side in SWATCH)
    use = f'<use href="#swatch-{number}-figure_1"></use>'
    return Markup(f'<svg viewBox="0 0 {width:g} {height:g}" aria-hidden="true">{use}</svg>')


def capped(limits: tuple[float, float], top: float) -> tuple[float, float]:
    """Limits of an axis that end at the top, if they begin below."""
    low, high = limits
    return (low, high) if low >= top else (low, min(high, top))


def marker(number: int) -> str:
    """The marker of a model."""
    return MARKERS[number % len(MARKERS)]


def placeholder(number: int) -> str:
    """The colour of a model, until it is replaced."""
    return f"#0001{number % len(SERIES):02x}"


def inline(picture: Figure, name: str, title: str) -> Markup:
    """A figure as an `<svg>` element whose ids begin with a name.

    Args:
        picture: drawn in placeholder colours.
        name: of the plot, unique in its page.
        title: what is to be seen, for those who do not; without one, the picture is decoration.
    """
    stream = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, **STYLE}):
        picture.savefig(stream, format="svg", metadata=METADATA)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    role = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    svg = f"<svg {box[0]} {role}>" + svg[svg.index(">") + 1 :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # would hold for the whole page, which has its like
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # that of the text around
    svg = svg.replace(TEXT, "currentColor").replace(LINE, "var(--line)")
    for number in range(len(SERIES)):
        svg = svg.replace(placeholder(number), f"var(--series-{number})")
    return Markup(svg)
