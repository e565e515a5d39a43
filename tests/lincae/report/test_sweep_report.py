"""The report of a sweep of known outcome."""

import json
import math

import pytest
from matplotlib.figure import Figure

from lincae.report.sweeps import RANGE, SweptRun, plot_ranges, plot_values, shown_figures, terminal_table, write_sweep

METRIC = "val/decoder/homogeneity_snr"


def swept(number, low, high, anneal, snr, finished=True):
    return SweptRun(
        name=f"{number:03d}",
        folder=f"out/runs/{number:03d}",
        parameters={RANGE[0]: low, RANGE[1]: high, "model.gain_schedule.anneal": anneal},
        finished=finished,
        seconds=1.0,
        step=10,
        figures={METRIC: snr, "val/reconstruction/mss": 2.0},
        gain_range=(low, high),
    )


RUNS = [
    swept(0, 0.0, 3.0, True, 12.0),
    swept(1, 0.5, 1.5, False, 15.0),
    swept(2, 0.0, 2.0, True, math.nan),
    swept(3, 0.0, 1.0, True, 99.0, finished=False),
]


@pytest.mark.parametrize(("maximize", "order"), [(True, ["001", "000"]), (False, ["000", "001"])])
def test_the_best_run_comes_first_and_those_without_a_figure_last(tmp_path, capsys, maximize, order):
    write_sweep(tmp_path, RUNS, METRIC, maximize)
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("│ 0")]
    assert names == [*order, "002", "003"]
    content = json.loads((tmp_path / "results.json").read_text())
    assert [run["figures"][METRIC] for run in content["runs"]] == [12.0, 15.0, None, 99.0]
    assert (tmp_path / "sweep.png").exists()


def test_a_sweep_that_failed_as_a_whole_has_a_table_and_no_picture(tmp_path):
    write_sweep(tmp_path, RUNS[3:], METRIC, True)
    assert not (tmp_path / "sweep.png").exists()
    assert (tmp_path / "results.csv").read_text().count("\n") == 2


def test_the_optimised_figure_is_shown_first():
    assert next(iter(shown_figures("val/other"))) == "val/other"
    assert next(iter(shown_figures("val/reconstruction/mss"))) == "val/reconstruction/mss"
    assert len(shown_figures(METRIC)) == 3


def test_what_is_drawn():
    axis, other = Figure().subplots(1, 2)
    plot_ranges(axis, RUNS[:2], METRIC)
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines] == [
        ([0.0, 3.0], [12.0, 12.0]),
        ([0.5, 1.5], [15.0, 15.0]),
    ]
    plot_values(other, RUNS[:2], "model.gain_schedule.anneal", METRIC)
    (points,) = other.lines
    assert (list(points.get_xdata()), list(points.get_ydata())) == ([1, 0], [12.0, 15.0])
    assert [label.get_text() for label in other.get_xticklabels()] == ["False", "True"]


def test_the_table_has_no_figure_of_a_failed_run():
    table = terminal_table(RUNS, shown_figures(METRIC))
    cells = list(table.columns[1].cells)
    assert cells == ["12", "15", "-", "-"]
