"""What stands in the plots of repeated trainings."""

import math

import pytest

from lincae.report.seed_plots import plot_seeds

LABELS = {"a/b": "first figure", "c/d": "second figure"}


def test_a_line_for_each_seed_over_the_variants_that_have_it(tmp_path):
    found = {"a/b": {"x": [1.0, 2.0], "y": [3.0, 5.0]}, "c/d": {"x": [1.0, math.nan], "y": [4.0, 6.0]}}
    picture = plot_seeds({"spectral": found, "waveform": found}, LABELS)
    panels = picture.axes
    assert [panel.get_title() for panel in panels[:2]] == ["spectral: first figure", "spectral: second figure"]
    first, second, means = panels[0].get_lines()
    assert (list(first.get_ydata()), list(second.get_ydata())) == ([1, 3], [2, 5])
    assert list(means.get_ydata()) == pytest.approx([1.5, 4])
    first, second, means = panels[1].get_lines()  # x is NaN for a seed
    assert (list(first.get_xdata()), list(first.get_ydata()), list(second.get_ydata())) == ([1], [4], [6])
    assert [label.get_text() for label in panels[1].get_xticklabels()] == ["x", "y"]
    picture.savefig(tmp_path / "seeds.png")


def test_a_figure_that_no_variant_has_leaves_its_panel_empty():
    picture = plot_seeds({"spectral": {"a/b": {"x": [None]}}}, {"a/b": "figure"})
    assert not any(len(line.get_ydata()) for line in picture.axes[0].get_lines())
