"""Paired differences between models, in the file and on the page."""

import re
import statistics

import pytest
import torch

from lincae.report.differences import differences, write_differences
from lincae.report.page import write_report
from lincae.report.results import Results, write_results

MSS, MEAN, STEMS = "reconstruction/mss", "separation/mss", ["separation/bass_mss", "separation/lead-vocals_mss"]


def noise(seed, count=40):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def results(values, stems=(), rate=8_000):
    """Figures of excerpts of 2 s, two of each track; stems that few excerpts have, and their mean of means."""
    clips = {MSS: values.tolist(), **{name: of.tolist() for name, of in zip(STEMS, stems, strict=False)}}
    found = Results("0" * 64, rate, 2 * rate - 100, clips=clips)
    if stems:
        clips[MEAN] = torch.stack([*stems]).nanmean(dim=0).tolist()
    found.excerpts = [(f"track {place // 2}", 2 * rate * (place % 2)) for place in range(len(values))]
    found.figures = {name: float(torch.tensor(of, dtype=torch.float64).nanmean()) for name, of in clips.items()}
    if stems:
        found.figures[MEAN] = statistics.mean(found.figures[name] for name in STEMS)
    found.intervals = {name: (mean - 1, mean + 1) for name, mean in found.figures.items()}
    found.counts = dict.fromkeys(clips, len(values))
    return found


@pytest.fixture
def alike():
    """Excerpts differ by 3, models by 0.05, which of two means with intervals of 2 says nothing."""
    hard = 10 + 3 * noise(0)
    return {"good": results(hard - 0.05 + 0.01 * noise(1)), "bad": results(hard, rate=16_000)}


def test_models_whose_intervals_overlap_are_told_apart_on_the_same_excerpts(alike):
    found = differences(alike, [MSS], 2.0)["good", "bad"][MSS]
    assert found.mean == pytest.approx(alike["good"].figures[MSS] - alike["bad"].figures[MSS])
    assert found.low < found.mean < found.high < 0
    assert found.high - found.low == pytest.approx(4 * 0.01 / 40**0.5, rel=0.5)
    assert found.remark == "good is better, intervals overlap"


def test_excerpts_are_matched_by_place_not_by_order(alike):
    expected = differences(alike, [MSS], 2.0)["good", "bad"][MSS]
    good = alike["good"]
    good.excerpts, good.clips[MSS] = good.excerpts[::-1], good.clips[MSS][::-1]
    reversed_ = differences(alike, [MSS], 2.0)["good", "bad"][MSS]
    assert reversed_[:3] == pytest.approx(expected[:3], rel=0.1)
    good.excerpts, good.clips[MSS] = good.excerpts[10:], good.clips[MSS][10:]
    few = differences(alike, [MSS], 2.0)["good", "bad"][MSS]
    assert few.mean == pytest.approx(-0.05, abs=0.01)


def test_models_that_are_alike_are_not_told_apart(alike):
    alike["good"] = results(torch.tensor(alike["bad"].clips[MSS]) + 0.1 * noise(1))
    assert "not told apart" in differences(alike, [MSS], 2.0)["good", "bad"][MSS].remark


def test_the_difference_of_a_mean_over_stems_is_that_of_the_means():
    models = {}
    for seed, name in enumerate(("one", "other")):
        rare = noise(seed + 10) + 5 * seed
        rare[8:] = torch.nan
        models[name] = results(noise(seed), [noise(seed + 20), rare])
    found = differences(models, [MEAN, *STEMS], 2.0)["one", "other"]
    for name in (MEAN, *STEMS):
        assert found[name].mean == pytest.approx(models["one"].figures[name] - models["other"].figures[name])
    assert found[MEAN].low < found[MEAN].mean < found[MEAN].high < 0


def test_a_model_that_diverged_has_no_difference(alike):
    alike["bad"].figures[MSS] = torch.nan
    assert differences(alike, [MSS], 2.0)["good", "bad"] == {}


def test_the_page_and_a_table_show_the_differences(alike, protocol, tmp_path):
    alike["third"] = results(torch.tensor(alike["bad"].clips[MSS]) + 1)
    write_results(tmp_path, alike, protocol(seconds=2.0))
    write_differences(tmp_path, alike, 2.0)
    head, _, row = (tmp_path / "differences.md").read_text().splitlines()
    assert head.count(" less ") == 3
    assert "good is better, intervals overlap" in row
    page = write_report([tmp_path / "results.json"], tmp_path / "report").read_text()
    cells = dict(re.findall(r'data-difference="reconstruction/mss" data-pair="([^"]*)">(.*?)</td>', page))
    assert set(cells) == {"good less bad", "good less third", "bad less third"}
    assert "<strong>-0.05" in cells["good less bad"]
    assert "good is better" in cells["good less bad"]


def test_one_model_has_no_differences(alike, protocol, tmp_path):
    alone = {"good": alike["good"]}
    write_results(tmp_path, alone, protocol(seconds=2.0))
    write_differences(tmp_path, alone, 2.0)
    assert not (tmp_path / "differences.md").exists()
    page = write_report([tmp_path / "results.json"], tmp_path / "report").read_text()
    assert "data-difference" not in page
