"""Pictures of latents: marks are where the file says, one unit as long to the right as upwards."""

import json
import re

import numpy as np
import pytest

from lincae.autoencoders.controls import Identity, LoudnessNormalising
from lincae.report.latent_plots import (
    draw_map,
    map_keys,
    map_plots,
    map_sources,
    plane_keys,
    plane_plots,
    read_latents,
)
from lincae.report.latents import GAINS, write_latents
from lincae.report.neighbours import Map

SIDES = [gain for gain in GAINS if 0 < gain < 1]
EQUAL = 0.006
"""Units whose lengths differ by less than 0.5 % are equal to matplotlib."""

ORDER = [  # of the marks
    *((gain, 0) for gain in GAINS[1:]),
    *((0, gain) for gain in GAINS[1:]),
    *((1, gain) for gain in SIDES),
    *((gain, 1) for gain in SIDES),
    (1, 1),
    (0, 0),
]


@pytest.fixture
def folder(tmp_path, normal):
    """Latents of two stems under a linear encoder, and one that is deaf to gain."""
    first, second = normal(2, 8000)
    sources = {"bass": 2 * first, "lead": second + 0.4 * first}
    models = {"linear": Identity(80), "deaf": LoudnessNormalising(80)}
    write_latents(tmp_path, "a track", 12.5, models, dict.fromkeys(models, sources))
    return tmp_path


@pytest.fixture
def pictured(folder):
    return read_latents(folder, {"linear": "linear (a)", "deaf": "deaf"})


def marks(svg: str, colour: str) -> np.ndarray:
    """Where marks of data in a colour are, (marks, 2), in the order in which they were drawn."""
    inside = re.findall(r'<g clip-path="[^"]*">\s*((?:<use [^>]*>\s*)+)</g>', svg.replace("></use>", ">"))
    used = [use for group in inside for use in re.findall(r"<use [^>]*>", group) if colour in use]
    return np.array([[float(re.search(rf' {axis}="([^"]*)"', use)[1]) for axis in "xy"] for use in used])


def test_marks_are_where_the_file_says_in_equal_units(pictured):
    plots = plane_plots("p", [pictured], {"linear (a)": 0, "deaf": 2})
    for plot, style, label in zip(plots, (0, 2), ("linear (a)", "deaf"), strict=True):
        plane = pictured.planes[label]
        for colour, kind in ((f"var(--series-{style})", plane.encoded), ("currentColor", plane.arithmetic)):
            expected = np.array([kind[pictured.weights.index(weights)] for weights in ORDER])
            found = marks(plot.svg, colour)
            assert found.shape == expected.shape
            scales = [np.polyfit(x, y, 1)[0] for x, y in zip(expected.T, found.T, strict=True)]
            assert scales[0] > 20
            assert scales[1] == pytest.approx(-scales[0], rel=EQUAL)  # SVG counts downwards
            for x, y in zip(expected.T, found.T, strict=True):
                np.testing.assert_allclose(np.polyval(np.polyfit(x, y, 1), x), y, atol=1e-3)


def test_both_kinds_of_marks_have_the_same_origin(pictured):
    """Zero of the latent space is in the picture, though nothing is encoded there."""
    (plot,) = plane_plots("p", [pictured._replace(planes={"deaf": pictured.planes["deaf"]})], {"deaf": 0})
    encoded, arithmetic = marks(plot.svg, "var(--series-0)"), marks(plot.svg, "currentColor")
    for weights in ((1, 0), (0, 1), (0, 0)):
        np.testing.assert_allclose(encoded[ORDER.index(weights)], arithmetic[ORDER.index(weights)], atol=1e-3)
    assert np.abs(encoded[ORDER.index((1, 1))] - arithmetic[ORDER.index((1, 1))]).max() > 10


def test_captions_say_what_is_shown_and_how_much_of_it(pictured):
    linear, deaf = plane_plots("p", [pictured], {"linear (a)": 0, "deaf": 1})
    assert linear.caption == (
        "linear (a). a track, from 12.5 s; u: bass; v: lead. "
        "The plane shows 100.0 % of the latents, for which arithmetic is exact."
    )
    assert deaf.caption.endswith("of the latents, and 100.0 % of what separates them from arithmetic.")
    bent = pictured.planes["deaf"]._replace(share=0.91234, difference_share=0.5)
    (plot,) = plane_plots("p", [pictured._replace(planes={"deaf": bent})], {"deaf": 1})
    assert plot.caption.endswith("shows 91.2 % of the latents, and 50.0 % of what separates them from arithmetic.")


def test_what_is_not_finite_has_a_caption_and_no_picture(pictured):
    nothing = pictured._replace(planes={"deaf": None}, maps={"t-SNE": {"deaf": None}})
    for plots in (plane_plots("p", [nothing], {"deaf": 0}), map_plots("p", [nothing], {"deaf": 0})):
        assert [str(plot.svg) for plot in plots] == [""]
        assert "the latents are not finite" in plots[0].caption


def test_a_single_source_is_a_line(tmp_path, normal):
    write_latents(tmp_path, "a clip", 0.0, {"m": Identity(80)}, {"m": {"clip": normal(8000)}})
    (plot,) = plane_plots("p", [read_latents(tmp_path, {"m": "m"})], {"m": 0})
    found = marks(plot.svg, "var(--series-0)")
    assert len(found) == len(GAINS)
    assert np.ptp(found[:, 1]) < 1e-3
    assert "; v:" not in plot.caption


def test_models_that_are_not_asked_for_are_left_out_and_no_file_is_no_picture(folder, tmp_path):
    assert list(read_latents(folder, {"deaf": "x"}).planes) == ["x"]
    assert read_latents(tmp_path / "elsewhere", {"deaf": "x"}) is None


@pytest.mark.parametrize("damage", ["{", "[]", "u", "planes", "difference_share", "weights", "excerpt", "maps"])
def test_a_damaged_file_is_named_with_its_cure(folder, damage):
    file = folder / "latents.json"
    found = json.loads(file.read_text())
    if damage in found:
        del found[damage]
    for plane in found.get("planes", {}).values():
        plane.pop(damage, None)
    file.write_text(damage if damage in "{[]" else json.dumps(found))
    with pytest.raises(ValueError, match=r"latents\.json cannot be read, evaluate again or remove it"):
        read_latents(folder, {"deaf": "deaf"})


def test_a_map_that_is_not_known_is_damage(folder):
    file = folder / "latents.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"maps": {"of the future": {}}}))
    with pytest.raises(ValueError, match="of the future"):
        read_latents(folder, {"deaf": "deaf"})


# --------------------------------------------------------------------------------------------------------------- maps


def test_frames_of_a_map_are_where_it_says_in_the_colour_of_their_source(normal):
    frames = dict(zip(("bass", "lead", "mix"), (50 * normal(3, 30, 2)).tolist(), strict=True))
    of = Map({"bass": frames["bass"], "lead": frames["lead"]}, frames["mix"])
    svg = draw_map("m", "a map", of, {"lead": 0, "bass": 1})
    every = [marks(svg, colour) for colour in ("var(--series-1)", "var(--series-0)", "currentColor")]
    expected = np.concatenate([np.array(points) for points in frames.values()])
    found = np.concatenate(every)
    assert [len(each) for each in every] == [30, 30, 30]
    scales = [np.polyfit(x, y, 1)[0] for x, y in zip(expected.T, found.T, strict=True)]
    assert scales[1] == pytest.approx(-scales[0], rel=EQUAL)
    np.testing.assert_allclose(found - found[0], scales * (expected - expected[0]), atol=1e-2)


def test_sources_of_all_evaluations_share_their_marks(pictured):
    one = Map({"bass": [[0.0, 1.0]], "lead": [[1.0, 1.0]]}, [[0.5, 0.5]])
    other = Map({"drums": [[0.0, 1.0]], "lead": [[1.0, 1.0]]}, [[0.5, 0.5]])
    both = [pictured._replace(maps={"t-SNE": {name: each}}) for name, each in (("a", one), ("b", other))]
    assert map_sources(both) == ["bass", "lead", "drums"]
    assert [title for title, _ in map_keys("p", both)] == ["bass", "lead", "drums", "their mix"]
    plots = map_plots("p", both, {"a": 0, "b": 1})
    assert [plot.caption for plot in plots] == [f"{name}, t-SNE. a track, from 12.5 s." for name in "ab"]
    keys = dict(map_keys("q", both))
    for plot, names in zip(plots, (("bass", "lead"), ("drums", "lead")), strict=True):
        for name in names:
            (colour,) = set(re.findall(r"var\(--series-\d\)", keys[name]))
            assert len(marks(plot.svg, colour)) == 1


def test_marks_can_be_told_apart_without_colour(pictured):
    """The shapes in a legend differ, hollow ones aside, which are dashed."""
    one = Map({name: [[0.0, 1.0]] for name in "abcdefgh"}, [[0.5, 0.5]])
    for keys in (plane_keys("p"), map_keys("p", [pictured._replace(maps={"t-SNE": {"m": one}})])):
        shapes = [re.findall(r' d="([^"]*)"', svg)[-1] for title, svg in keys if "hollow" not in title]
        assert len(set(shapes)) == len(shapes)
    (arithmetic,) = [svg for title, svg in plane_keys("p") if "hollow" in title]
    assert "stroke-dasharray" in arithmetic
    assert "fill: none" in arithmetic or "fill-opacity: 0" in arithmetic
