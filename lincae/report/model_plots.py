"""Which figures are drawn, and how: curves over gains and ratios, stems, and excerpt by excerpt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from lincae.report.evaluations import Comparison
from lincae.report.glossary import deaf_decoder_mss, deaf_decoder_snr, deaf_encoder_error
from lincae.report.inline_plots import Series, curves, dots, scatter
from lincae.report.results import Results

TOP = 60.0
"""dB above which nothing is drawn: there both sides agree but for rounding."""

GAINS: list[tuple[str, str, Callable[[float], float], float]] = [
    ("decoder/homogeneity_mss", "decoder, MSS", deaf_decoder_mss, math.inf),
    ("decoder/homogeneity_snr", "decoder, SNR, dB", deaf_decoder_snr, TOP),
    ("encoder/homogeneity_error", "encoder, relative error", deaf_encoder_error, math.inf),
]
COUNTS: list[tuple[str, str, Callable[[float], float] | None, float]] = [
    ("decoder/additivity_mss", "decoder against the mix, MSS", None, math.inf),
    ("decoder/additivity_snr", "decoder against the mix, SNR, dB", None, TOP),
    ("encoder/additivity_error", "encoder, relative error", lambda stems: stems - 1, math.inf),
]
RATIOS: list[tuple[str, str, Callable[[float], float] | None, float]] = [
    ("mixing/truth_si_sdr", "against the mix, SI-SDR, dB", None, TOP),
    ("mixing/mix_rate", "mix rate", lambda ratio: 1.0, math.inf),
]
TARGETS = {"the mix": "additivity", "its decode": "additivity_self", "sum of decodes": "additivity_sum"}
WAVEFORMS = [("mss", "MSS", math.inf), ("snr", "SNR, dB", TOP)]
SEPARATION = [("mss", "MSS", math.inf), ("si_sdr", "SI-SDR, dB", TOP)]
EXCERPTS = [
    (("reconstruction/mss", "reconstruction, MSS"), ("decoder/homogeneity_mss", "decoder homogeneity, MSS"), math.inf),
    (("reconstruction/mss", "reconstruction, MSS"), ("decoder/additivity_mss", "decoder additivity, MSS"), math.inf),
    (
        ("reconstruction/si_sdr", "reconstruction, SI-SDR, dB"),
        ("mixing/truth_si_sdr", "mixed latents, SI-SDR, dB"),
        TOP,
    ),
]


class Plot(NamedTuple):
    """A picture and what it shows.

    Attributes:
        svg: the picture.
        caption: one sentence.
    """

    svg: Markup
    caption: str


def gain_plots(ident: str, comparison: Comparison, styles: Mapping[str, int]) -> list[Plot]:
    """Homogeneity over gains.

    Args:
        ident: what the names of plots begin with.
        comparison: the models.
        styles: number of each.
    """
    plots = []
    for name, label, deaf, top in GAINS:
        series = [curve(model, styles[m], f"{name}/a", name.endswith("snr")) for m, model in comparison.models.items()]
        if any(each.x for each in series):
            svg = curves(f"{ident}-{slug(name)}", ("gain", label), series, deaf, top)
            plots.append(Plot(svg, f"Homogeneity of the {label}{shown_to(top)}. Dotted: deaf to gain."))
    return plots


def ratio_plots(ident: str, comparison: Comparison, styles: Mapping[str, int]) -> list[Plot]:
    """Mixing over ratios; see `gain_plots`."""
    plots = []
    for name, label, reference, top in RATIOS:
        series = [curve(model, styles[m], f"{name}/r") for m, model in comparison.models.items()]
        if any(each.x for each in series):
            svg = curves(f"{ident}-{slug(name)}", ("mix ratio", label), series, reference, top)
            dotted = " Dotted: as good as encoding the mix." if reference else ""
            plots.append(Plot(svg, f"Mixed latents, {label}{shown_to(top)}.{dotted}"))
    return plots


def count_plots(ident: str, comparison: Comparison, styles: Mapping[str, int]) -> list[Plot]:
    """Additivity over the number of stems; see `gain_plots`."""
    plots = []
    for name, label, reference, top in COUNTS:
        series = [curve(model, styles[m], f"{name}/k") for m, model in comparison.models.items()]
        if any(each.x for each in series):
            svg = curves(f"{ident}-{slug(name)}", ("stems", label), series, reference, top, whole=True)
            dotted = " Dotted: a constant encoder." if reference else ""
            plots.append(Plot(svg, f"The first stems of each track, {label}{shown_to(top)}.{dotted}"))
    return plots


def additivity_plots(ident: str, comparison: Comparison, styles: Mapping[str, int]) -> list[Plot]:
    """The decoded sum of latents against its three targets; see `gain_plots`."""
    return category_plots(
        ident,
        comparison,
        styles,
        [
            (
                f"additivity-{figure}",
                f"decoded sum, {label}",
                top,
                {c: f"decoder/{t}_{figure}" for c, t in TARGETS.items()},
            )
            for figure, label, top in WAVEFORMS
        ],
    )


def stem_plots(ident: str, comparison: Comparison, styles: Mapping[str, int], stems: Sequence[str]) -> list[Plot]:
    """Separation of each stem; see `gain_plots`."""
    return category_plots(
        ident,
        comparison,
        styles,
        [
            (
                f"separation-{figure}",
                f"separation, {label}",
                top,
                {stem: f"separation/{stem}_{figure}" for stem in stems},
            )
            for figure, label, top in SEPARATION
        ],
    )


def category_plots(
    ident: str,
    comparison: Comparison,
    styles: Mapping[str, int],
    pictures: Sequence[tuple[str, str, float, Mapping[str, str]]],
) -> list[Plot]:
    """Pictures, given by name, label of the axis, its top, and category -> figure; see `gain_plots`."""
    plots = []
    for name, label, top, figures in pictures:
        series = [
            intervals(model, styles[m], list(enumerate(figures.values()))) for m, model in comparison.models.items()
        ]
        if any(each.x for each in series):
            svg = dots(f"{ident}-{name}", label, list(figures), series, top)
            plots.append(Plot(svg, f"{label[0].upper()}{label[1:]}{shown_to(top)}."))
    return plots


def clip_plots(ident: str, comparison: Comparison, styles: Mapping[str, int]) -> list[Plot]:
    """Linearity against reconstruction, excerpt by excerpt; see `gain_plots`."""
    plots = []
    for number, ((x, x_label), (y, y_label), top) in enumerate(EXCERPTS):
        series = []
        for label, model in comparison.models.items():
            pairs = zip(model.clips.get(x, []), model.clips.get(y, []), strict=False)
            finite = [pair for pair in pairs if all(map(math.isfinite, pair))]
            series.append(Series(styles[label], [u for u, _ in finite], [v for _, v in finite]))
        if any(each.x for each in series):
            svg = scatter(f"{ident}-excerpts-{number}", (x_label, y_label), series, top)
            plots.append(Plot(svg, f"A mark for each excerpt and model{shown_to(top)}."))
    return plots


def curve(model: Results, style: int, prefix: str, without_one: bool = False) -> Series:
    """The points whose names begin with a prefix, interrupted where their numbers change sign.

    Args:
        model: the figures.
        style: its number.
        prefix: of the names, which go on with the number.
        without_one: leave the point 1 out.
    """
    points = {float(name.removeprefix(prefix)): name for name in model.figures if name.startswith(prefix)}
    if without_one:
        points.pop(1.0, None)
    named: list[tuple[float, str]] = sorted(points.items())
    if named and named[0][0] < 0 < named[-1][0]:
        named = sorted([*named, (0.0, "")])
    return intervals(model, style, named)


def intervals(model: Results, style: int, named: Sequence[tuple[float, str]]) -> Series:
    """Figures and their intervals at places; none at all if the model has none of them."""
    values = [model.figures.get(name, math.nan) for _, name in named]
    if not any(map(math.isfinite, values)):
        return Series(style, [], [])
    ends = [model.intervals.get(name, (math.nan, math.nan)) for _, name in named]
    return Series(style, [x for x, _ in named], values, [low for low, _ in ends], [high for _, high in ends])


def shown_to(top: float) -> str:
    """Where a picture ends."""
    return "" if math.isinf(top) else f" (up to {top:g} dB)"


def slug(name: str) -> str:
    """A figure's name as part of an id."""
    return name.replace("/", "-").replace("_", "-")
