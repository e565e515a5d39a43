"""`lincae report` on the command line: what it prints, and how it refuses."""

import pytest

from lincae.cli.report import main
from lincae.report.results import Results, write_results


@pytest.fixture
def results(tmp_path, capsys):
    """The smallest evaluation."""
    settings = {"protocol": "clips", "data": "music", "seconds": 1.0, "gains": [0.5], "curve": [0.5], "noise_seed": 0}
    found = {"model": Results("0" * 64, 16_000, 16_000, {"reconstruction/mss": 1.25})}
    write_results(tmp_path / "a", found, {**settings, "embeddings": {}, "versions": {"lincae": "0.1.0"}})
    capsys.readouterr()
    return tmp_path / "a" / "results.json"


def test_the_page_is_written_and_its_place_is_all_that_is_printed(results, tmp_path, capsys):
    main([str(results), "-o", str(tmp_path / "report")])
    page = tmp_path / "report" / "index.html"
    assert capsys.readouterr().out == f"{page}\n"
    assert ">1.25<" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing/results.json", "-o", "report"], r"error: missing/results\.json is no file"),
        (["{results}", "{results}", "-o", "report"], "error: given twice"),
        (["{results}", "-o", "{results}"], "error: .*results.json"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(results, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main([argument.format(results=results) for argument in arguments])
    assert not (tmp_path / "report").exists()


def test_a_page_of_somebody_else_stays(results, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(SystemExit, match=r"error: .*index\.html is not a report about these results"):
        main([str(results), "-o", str(tmp_path)])
    assert (tmp_path / "index.html").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["-o", "report"], ["a.json"], ["a.json", "--out", "report"]])
def test_both_ends_have_to_be_named_in_full(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
