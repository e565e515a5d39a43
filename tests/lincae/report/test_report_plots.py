"""What plots show of the figures, and what figures are called and held against."""

import math
import re

import pytest

from lincae.metrics import HEADLINE_GAINS
from lincae.report.glossary import LOWER, describe, for_scale, stem_of
from lincae.report.inline_plots import Series, capped, curves, dots, scatter, swatch
from lincae.report.model_plots import curve
from lincae.report.results import Results

ONE, TWO = Series(0, [0.0, 1.0, 2.0], [1.0, 3.0, 2.0]), Series(1, [0.0, 1.0, 2.0], [2.0, 2.0, 2.0])


# -------------------------------------------------------------------------------------------------------------- curves


def test_a_curve_is_in_order_and_broken_at_zero():
    figures = {f"f/a{gain:.2f}": 10 + gain for gain in (2.0, -0.5, 0.25, -1.0, 1.0)}
    x, y = curve(Results("", 1, 1, figures), 3, "f/a")[1:3]
    assert x == [-1.0, -0.5, 0.0, 0.25, 1.0, 2.0]
    assert y[:2] + y[3:] == [9.0, 9.5, 10.25, 11.0, 12.0]
    assert math.isnan(y[2])


def test_a_curve_of_one_sign_is_whole_and_gain_one_can_be_left_out():
    figures = {f"f/a{gain:.2f}": gain for gain in (0.5, 1.0, 1.1)} | {"f_centered/a0.25": 7.0, "f": 8.0}
    results = Results("", 1, 1, figures, {"f/a0.50": (0.4, 0.7)})
    assert curve(results, 0, "f/a").x == [0.5, 1.0, 1.1]
    left = curve(results, 0, "f/a", without_one=True)
    assert left.x == [0.5, 1.1]
    assert (left.low[0], left.high[0]) == (0.4, 0.7)
    assert math.isnan(left.low[1])


def test_a_model_without_any_point_has_no_curve():
    assert curve(Results("", 1, 1, {"f/a0.50": math.nan}), 0, "f/a").x == []
    assert curve(Results("", 1, 1, {"g/a0.50": 1.0}), 0, "f/a").x == []


# ----------------------------------------------------------------------------------------------------------------- SVG


@pytest.mark.parametrize(
    "draw",
    [
        lambda series: curves("p", ("x", "y"), series),
        lambda series: dots("p", "y", ["a", "b", "c"], [s._replace(low=s.y, high=s.y) for s in series]),
        lambda series: scatter("p", ("x", "y"), series),
    ],
    ids=["curves", "dots", "scatter"],
)
def test_models_differ_by_colour_and_by_marker(draw):
    marks = []
    for series in (ONE, TWO._replace(x=ONE.x, y=ONE.y)):
        svg = draw([series])
        assert f"var(--series-{series.style})" in svg
        assert f"var(--series-{1 - series.style})" not in svg
        marks.append(sorted(re.findall(r' d="([^"]*)"', svg), key=len)[-1])
    assert marks[0] != marks[1]
    both = draw([ONE, TWO])
    assert "var(--series-0)" in both
    assert "var(--series-1)" in both


def test_a_swatch_shows_the_marks_of_the_plots():
    line = curves("p", ("x", "y"), [TWO])
    dashes = re.findall(r"stroke-dasharray: [^;]*", swatch(1))
    assert dashes
    assert dashes[0] in line


def test_a_reference_does_not_stretch_the_axes():
    def ticks(svg):
        return re.findall(r">([\d.]+)</text>", svg)

    plain = curves("p", ("x", "y"), [ONE])
    assert len(ticks(plain)) > 4
    assert ticks(curves("p", ("x", "y"), [ONE], lambda x: 1000 / x)) == ticks(plain)
    assert max(map(float, ticks(curves("p", ("x", "y"), [ONE], top=2.5))[-3:])) <= 2.5


@pytest.mark.parametrize(
    ("limits", "shown"), [((0, 50), (0, 50)), ((0, 170), (0, 60)), ((165, 170), (165, 170)), ((60, 70), (60, 70))]
)
def test_an_axis_ends_at_its_top_but_never_upside_down(limits, shown):
    assert capped(limits, 60) == shown


# ------------------------------------------------------------------------------------------------------------ glossary


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("reconstruction/mss", "reconstruction, MSS"),
        ("decoder/homogeneity_mss/a-0.50", "decoder homogeneity, MSS, gain -0.5"),
        (
            "decoder/homogeneity_snr_centered/a0.25",
            "decoder homogeneity, SNR, dB, relative to the latent of silence, gain 0.25",
        ),
        ("mixing/mix_rate/r0.30", "mix rate, mix ratio 0.3"),
        ("encoder/additivity_error/k3", "encoder additivity, relative error, stems: 3"),
        ("encoder/additivity_error_dcentered", "encoder additivity, relative error, relative to the decode of zero"),
        ("separation/mss", "separation of stems (mean), MSS"),
        ("separation/lead_vocals_mss_all", "separation of lead_vocals, MSS, silent ones included"),
        ("separation_sum/bass_si_sdr", "separation of bass by the sum of the others, SI-SDR, dB"),
        ("kad_logmel", "KAD, logmel"),
        ("fad_a_b", "FAD, a_b"),
        ("kad", "KAD, unknown embedding"),
        ("something/new", "something/new"),
    ],
)
def test_figures_are_put_into_words(name, label):
    assert describe(name).label == label


def test_the_way_that_is_better_survives_suffixes_and_points():
    for name in ("decoder/additivity_mss", "decoder/additivity_mss_centered", "decoder/additivity_mss/k2", "kad_x"):
        assert describe(name).better == LOWER
    assert describe("separation/bass_inactive").better == ""


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("separation/bass_mss", "bass"),
        ("separation/lead_vocals_leakage_dbfs_centered", "lead_vocals"),
        ("separation/mss_all", None),
        ("reconstruction/mss", None),
    ],
)
def test_stems_are_read_off_the_names(name, stem):
    assert stem_of(name) == stem


@pytest.mark.parametrize(
    ("name", "gains", "text"),
    [
        ("decoder/homogeneity_mss", HEADLINE_GAINS, "deaf to gain: 1.72"),
        ("encoder/homogeneity_error", HEADLINE_GAINS, "deaf to gain: 1.11"),
        ("decoder/homogeneity_snr", (0.25, 0.5, 2), "deaf to gain: -1.17"),
        ("decoder/homogeneity_mss", (-1.0,), "deaf to gain: 0"),
        ("encoder/homogeneity_error", (-1.0,), "deaf to gain: 2"),
        ("encoder/additivity_error", HEADLINE_GAINS, "constant encoder: 3"),
        ("decoder/additivity_mss", HEADLINE_GAINS, ""),
    ],
)
def test_what_figures_are_held_against(name, gains, text):
    assert for_scale(name, gains, 4) == text
