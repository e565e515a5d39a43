"""Latents of sources and mixes in two dimensions, as `lincae.report.latents` wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes

from lincae.report.inline_plots import TEXT, Key, inline, key, marker, panel, placeholder
from lincae.report.latents import LINES, Plane, Weights
from lincae.report.model_plots import Plot
from lincae.report.neighbours import METHODS, Map

ARITHMETIC: dict[str, Any] = {"color": TEXT, "linestyle": (0, (4, 3)), "linewidth": 1, "markerfacecolor": "none"}
"""How what arithmetic on latents gives is drawn: hollow and dashed."""

MARKERS = {"u": "o", "v": "s", "sum": "D", "silence": "*"}
CORNERS = {"u": (1.0, 0.0), "v": (0.0, 1.0), "u + v": (1.0, 1.0)}
SILENCE = (0.0, 0.0)

MIX: dict[str, Any] = {"color": TEXT, "marker": "x", "markersize": 4, "linestyle": "none"}

NOT_FINITE = "There is no picture: the latents are not finite."

Points = Mapping[Weights, tuple[float, float]]
"""Weights of a sound -> where its latent is."""


class Pictured(NamedTuple):
    """What `latents.json` holds.

    Attributes:
        excerpt: name of the clip or track.
        start: of the excerpt, s.
        u, v: the two sources; v is None if there is only one.
        weights: how much of each the sounds hold.
        planes: label of a model -> its plane; None if its latents are not finite.
        maps: title of a method -> label -> its map, likewise.
    """

    excerpt: str
    start: float
    u: str
    v: str | None
    weights: list[Weights]
    planes: dict[str, Plane | None]
    maps: dict[str, dict[str, Map | None]]

    @property
    def place(self) -> str:
        """Where the sounds are from."""
        return f"{self.excerpt}, from {self.start:.1f} s"


def read_latents(folder: Path, labels: Mapping[str, str]) -> Pictured | None:
    """What `latents.json` holds, or None if there is none.

    Args:
        folder: of the evaluation.
        labels: name of a model in the evaluation -> label in the report; other models are left out.

    Raises:
        ValueError: if the file is damaged.
    """
    file = folder / "latents.json"
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Pictured(
            found["excerpt"]["name"],
            found["excerpt"]["start"],
            found["u"],
            found["v"],
            [(a, b) for a, b in found["weights"]],
            {labels[name]: plane and Plane(**plane) for name, plane in found["planes"].items() if name in labels},
            {
                METHODS[method].title: {
                    labels[name]: each and Map(**each) for name, each in maps.items() if name in labels
                }
                for method, maps in found["maps"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the latents of {file} cannot be read, evaluate again or remove it: {error!r}") from error


def plane_plots(ident: str, pictured: Sequence[Pictured], styles: Mapping[str, int]) -> list[Plot]:
    """A picture for each model: multiples as lines, sums as parallelograms.

    Args:
        ident: what the names of plots begin with.
        pictured: of each evaluation.
        styles: number of each model.
    """
    plots = []
    for of in pictured:
        for label, plane in of.planes.items():
            what = f"{label}. {of.place}; u: {of.u}" + (f"; v: {of.v}." if of.v else ".")
            if plane is None:
                plots.append(Plot(Markup(), f"{what} {NOT_FINITE}"))
            else:
                encoded, arithmetic = by_weights(of, plane.encoded), by_weights(of, plane.arithmetic)
                svg = draw_plane(f"{ident}-plane-{styles[label]}", label, encoded, arithmetic, styles[label])
                plots.append(Plot(svg, f"{what} {shares(plane)}"))
    return plots


def by_weights(of: Pictured, coordinates: Sequence[Sequence[float]]) -> Points:
    """Coordinates by the weights of their sounds."""
    return {weights: (x, y) for weights, (x, y) in zip(of.weights, coordinates, strict=True)}


def shares(plane: Plane) -> str:
    """How much of the latents a picture shows."""
    shown = f"The plane shows {100 * plane.share:.1f} % of the latents"
    if plane.difference_share is None:
        return f"{shown}, for which arithmetic is exact."
    return f"{shown}, and {100 * plane.difference_share:.1f} % of what separates them from arithmetic."


def draw_plane(name: str, label: str, encoded: Points, arithmetic: Points, style: int) -> Markup:
    """Latents and what arithmetic makes them, one unit as long to the right as upwards.

    Args:
        name: of the plot, unique in its page; letters, digits and hyphens.
        label: of the model.
        encoded, arithmetic: the points.
        style: number of the model, which gives its colour.
    """
    with panel() as (picture, axes):
        draw_points(axes, encoded, {"color": placeholder(style)})
        draw_points(axes, arithmetic, ARITHMETIC)
        for corner, weights in CORNERS.items():
            if weights in encoded:
                axes.annotate(corner, encoded[weights], xytext=(5, 5), textcoords="offset points")
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.08)
        axes.axhline(0, color=TEXT, linewidth=0.6)
        axes.axvline(0, color=TEXT, linewidth=0.6)
        axes.set(xlabel="along Enc(u), in lengths of it", ylabel="across")
        return inline(picture, name, f"Latents of {label} in two dimensions")


def draw_points(axes: Axes, points: Points, look: Mapping[str, Any]) -> None:
    """Multiples of u and of v on lines, the far sides of their parallelogram, the sum and silence."""
    for line, pairs in LINES.items():
        if points.keys() >= set(pairs):
            x, y = zip(*(points[pair] for pair in pairs), strict=True)
            ends = slice(1, None if line in MARKERS else -1)
            axes.plot(x, y, **look, marker=MARKERS.get(line, "."), markevery=ends)
    if CORNERS["u + v"] in points:
        axes.plot(*points[CORNERS["u + v"]], **look, marker=MARKERS["sum"])
    axes.plot(*points[SILENCE], **look, marker=MARKERS["silence"], markersize=9)


def plane_keys(ident: str) -> list[Key]:
    """What marks of `draw_plane` mean."""
    marks: dict[str, dict[str, Any]] = {
        "multiples of u": {"color": TEXT, "marker": MARKERS["u"]},
        "multiples of v": {"color": TEXT, "marker": MARKERS["v"]},
        "from u and from v to their sum": {"color": TEXT, "marker": "."},
        "u + v": {"color": TEXT, "marker": MARKERS["sum"], "linestyle": "none"},
        "silence": {"color": TEXT, "marker": MARKERS["silence"], "linestyle": "none", "markersize": 9},
        "hollow, dashed: by arithmetic from Enc(u) and Enc(v)": ARITHMETIC | {"marker": MARKERS["u"]},
    }
    return [(title, key(f"{ident}-plane-key-{place}", **mark)) for place, (title, mark) in enumerate(marks.items())]


def map_plots(ident: str, pictured: Sequence[Pictured], styles: Mapping[str, int]) -> list[Plot]:
    """A picture for each method and model: frames as marks; see `plane_plots`."""
    numbers = {source: number for number, source in enumerate(map_sources(pictured))}
    plots = []
    for of in pictured:
        for place, (title, maps) in enumerate(of.maps.items()):
            for label, each in maps.items():
                what = f"{label}, {title}. {of.place}."
                if each is None:
                    plots.append(Plot(Markup(), f"{what} {NOT_FINITE}"))
                else:
                    svg = draw_map(f"{ident}-map-{place}-{styles[label]}", f"{title} of {label}", each, numbers)
                    plots.append(Plot(svg, what))
    return plots


def draw_map(name: str, title: str, of: Map, numbers: Mapping[str, int]) -> Markup:
    """Frames as marks: each source in its colour and with its marker, the mix as crosses.

    Args:
        name: of the plot, unique in its page; letters, digits and hyphens.
        title: what is to be seen.
        of: the frames.
        numbers: of the sources, which give colours and markers.
    """
    with panel() as (picture, axes):
        looks = [*((points, source_look(numbers[source])) for source, points in of.sources.items()), (of.mix, MIX)]
        for points, look in looks:
            axes.plot([x for x, _ in points], [y for _, y in points], **look)
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        return inline(picture, name, title)


def source_look(number: int) -> dict[str, Any]:
    """How frames of a source are drawn."""
    return {"color": placeholder(number), "marker": marker(number), "markersize": 3.5, "linestyle": "none"}


def map_sources(pictured: Sequence[Pictured]) -> list[str]:
    """Names of all sources that are on maps."""
    maps = [each for of in pictured for named in of.maps.values() for each in named.values() if each is not None]
    return list(dict.fromkeys(source for each in maps for source in each.sources))


def map_keys(ident: str, pictured: Sequence[Pictured]) -> list[Key]:
    """What marks of `draw_map` mean."""
    sources = [(source, source_look(number)) for number, source in enumerate(map_sources(pictured))]
    return [
        (title, key(f"{ident}-map-key-{place}", **look))
        for place, (title, look) in enumerate([*sources, ("their mix", MIX)])
    ]
