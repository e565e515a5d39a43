"""What an evaluation leaves: figures as JSON, CSV, Markdown and a table in the terminal."""

import csv
import json
import math
import os

import pytest

from lincae.report.results import Results, digits, write_results

NAMES = ["reconstruction/mss", "reconstruction/snr", "decoder/homogeneity_mss", "separation/bass_inactive"]
POINTS = ["decoder/homogeneity_mss/a0.50", "decoder/homogeneity_mss/a-1.00", "mixing/mix_rate/r0.10"]


@pytest.fixture
def found(made_up):
    """Two models; the first has a figure below zero, one that no excerpt has, and one that diverged."""
    models = {name: made_up([*NAMES, *POINTS], seed) for seed, name in enumerate(("lin|cae", "base [1]"))}
    first = models["lin|cae"]
    first.figures["reconstruction/snr"], first.intervals["reconstruction/snr"] = -1234.5, (-2000.25, -0.0625)
    first.figures["decoder/homogeneity_mss"] = math.nan
    first.figures["decoder/homogeneity_mss/a0.50"], first.counts["decoder/homogeneity_mss/a0.50"] = math.nan, 0
    first.intervals["decoder/homogeneity_mss/a0.50"] = (math.nan, math.nan)
    for model in models.values():
        model.figures["separation/bass_inactive"] = 3.0
        for of in (model.intervals, model.counts, model.clips):
            del of["separation/bass_inactive"]
    return models


def table(text: str) -> dict[str, list[str]]:
    """First cell -> the others, of the rows of a table in the terminal or in Markdown."""
    lines = [line.replace("┃", "│").strip("│|") for line in text.splitlines()]
    rows = [line.split("│" if "│" in line else " | ") for line in lines]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if len(row) > 1}


def test_a_csv_can_be_computed_with(found, protocol, tmp_path):
    write_results(tmp_path, found, protocol())
    results = json.loads((tmp_path / "results.json").read_text())
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["model", "figure", "value", "low", "high", "clips"]
    assert len(rows) == 2 * len(NAMES + POINTS)
    number = lambda text: float(text) if text else None  # noqa: E731
    for row in rows:
        model, name = row["model"], row["figure"]
        assert number(row["value"]) == results["models"][model][name]
        interval = results["intervals"][model].get(name, [None, None])
        assert [number(row["low"]), number(row["high"])] == interval
        assert number(row["clips"]) == results["counts"][model].get(name)


@pytest.mark.parametrize(("columns", "intervals"), [(60, False), (160, True)])
def test_a_table_has_the_intervals_that_fit_and_never_more_than_the_terminal(
    found, protocol, tmp_path, monkeypatch, capsys, columns, intervals
):
    monkeypatch.setenv("COLUMNS", str(columns))
    found["base [1]"].figures["reconstruction/mss"] = 1.0
    write_results(tmp_path, found, protocol(data="a/[bold]/b"))
    out = capsys.readouterr().out
    drawn = [line for line in out.splitlines() if line[:1] in "│┃┏┡└"]
    assert max(map(len, drawn)) <= columns
    assert "clips of a/[bold]/b" in out
    rows = table("\n".join(drawn))
    assert rows["figure"] == ["lin|cae", "base [1]"]
    assert rows["reconstruction/snr"][0] == ("-1,234 [-2,000, -0.0625]" if intervals else "-1,234")
    assert rows["decoder/homogeneity_mss"][0] == "NaN"
    assert not rows.keys() & {*POINTS, "separation/bass_inactive"}


def test_models_that_do_not_fit_beside_one_another_follow_one_another(made_up, protocol, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    names = ["a model with a long name", "another one with a long name", "short"]
    write_results(tmp_path, {name: made_up(NAMES[:2], seed) for seed, name in enumerate(names)}, protocol())
    drawn = [line for line in capsys.readouterr().out.splitlines() if line[:1] in "│┃"]
    heads = [line for line in drawn if "figure" in line]
    assert len(heads) == 2
    assert [name for line in heads for name in names if name in line] == names
    assert max(map(len, drawn)) <= 80


def test_markdown_has_a_cell_for_every_model_whatever_its_name(found, protocol, tmp_path):
    write_results(tmp_path, found, protocol())
    lines = (tmp_path / "results.md").read_text().splitlines()
    assert lines[0] == r"| figure | lin\|cae | base [1] |"
    rows = table("\n".join(lines[2:]))
    assert rows.keys() == set(NAMES)
    assert rows["reconstruction/snr"][0] == "-1,234 [-2,000, -0.0625]"
    assert rows["decoder/homogeneity_mss"][0] == "NaN"
    assert rows["separation/bass_inactive"] == ["3", "3"]
    assert all(len(cells) == 2 for cells in rows.values())


def test_a_figure_that_no_excerpt_has_is_a_dash(found, protocol, tmp_path):
    found["lin|cae"].figures["reconstruction/mss"], found["lin|cae"].counts["reconstruction/mss"] = math.nan, 0
    for of in (found["base [1]"].figures, found["base [1]"].counts):
        del of["reconstruction/mss"]
    write_results(tmp_path, found, protocol())
    assert table((tmp_path / "results.md").read_text())["reconstruction/mss"] == ["-", "-"]


@pytest.mark.parametrize("file", ["results.json", "results.md", "results.csv"])
def test_files_are_replaced_as_a_whole_or_not_at_all(found, protocol, tmp_path, monkeypatch, file):
    write_results(tmp_path, found, protocol())
    before = (tmp_path / file).read_bytes()
    replace = os.replace

    def stopped(partial, target):
        if target == tmp_path / file:
            raise KeyboardInterrupt
        replace(partial, target)

    monkeypatch.setattr("lincae.report.results.os.replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_results(tmp_path, {"other": Results("0", 1, 1, {"reconstruction/mss": 1.0})}, protocol())
    assert (tmp_path / file).read_bytes() == before


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.06159, "-0.0616"),
        (999.4, "999"),
        (-999.6, "-1,000"),
        (123456.7, "123,457"),
        (1.2e-7, "1.2e-07"),
        (2.5e6, "2.5e+06"),
    ],
)
def test_numbers_have_three_digits_and_more_before_the_point(number, text):
    assert digits(number) == text
