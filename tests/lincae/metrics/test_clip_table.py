"""One table for all clips: repeats, absent figures, processes, precision."""

import math
import subprocess
import sys

import pytest
import torch

from lincae.metrics import ClipTable, bootstrap

VALUES = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 60.0]], dtype=torch.float64)


def filled(rows, clips=3):
    table = ClipTable(clips, ["first", "second"])
    if rows:
        index = torch.tensor(rows)
        table.update(VALUES[index], index)
    return table


def scores(metric):
    return {name: value.item() for name, value in metric.compute().items()}


def test_columns_are_averaged_over_clips():
    assert scores(filled([0, 1, 2])) == {"first": 2, "second": 30}
    assert filled([0, 1, 2]).compute()["first"].dtype == torch.float64


def test_batches_of_any_order_fill_the_same_table():
    table = filled([2, 0])
    table.update(VALUES[1:2], torch.tensor([1]))
    torch.testing.assert_close(table.per_clip(), VALUES)


def test_a_repeated_clip_counts_once():
    assert scores(filled([0, 1, 2, 2, 2])) == {"first": 2, "second": 30}
    assert {name: int(count) for name, count in filled([0, 0, 1]).counts().items()} == {"first": 2, "second": 2}


def test_clips_never_seen_do_not_count():
    table = filled([0, 2], clips=7)
    assert scores(table) == {"first": 2, "second": 35}
    assert table.per_clip().isnan().any(dim=1).tolist() == [False, True, False, True, True, True, True]


def test_a_figure_may_be_absent_for_a_clip():
    table = ClipTable(3, ["first", "second"])
    values = VALUES.clone()
    values[1, 0] = torch.nan
    present = torch.tensor([[True, True], [False, True], [True, False]])
    table.update(values, torch.arange(3), present)
    assert scores(table) == {"first": 2, "second": 15}
    assert table.per_clip().isnan().equal(~present)
    assert {name: int(count) for name, count in table.counts().items()} == {"first": 2, "second": 2}


def test_presence_may_be_given_per_clip():
    table = ClipTable(3, ["first", "second"])
    table.update(VALUES, torch.arange(3), torch.tensor([[True], [False], [True]]))
    assert scores(table) == {"first": 2, "second": 35}


def test_a_figure_that_no_clip_has_is_nan_with_count_zero():
    table = ClipTable(3, ["first", "second"])
    table.update(VALUES, torch.arange(3), torch.tensor([[True, False]]).expand(3, -1))
    assert table.compute()["first"].item() == 2
    assert table.compute()["second"].isnan()
    assert table.counts()["second"].item() == 0


def test_a_diverged_figure_is_not_hidden():
    table = ClipTable(2, ["first"])
    table.update(torch.tensor([[1.0], [torch.nan]]), torch.arange(2))
    assert table.compute()["first"].isnan()
    assert table.counts()["first"].item() == 2


def test_reset_empties_the_table():
    table = filled([0, 1])
    table.reset()
    table.update(VALUES[2:], torch.tensor([2]))
    assert scores(table) == {"first": 3, "second": 60}


@pytest.mark.parametrize("convert", [lambda m: m.half(), lambda m: m.to(torch.float16), lambda m: m.to("cpu")])
def test_the_table_keeps_its_precision(convert):
    """70000 overflows float16; 1 + 1e-12 would be rounded in float32."""
    module = torch.nn.ModuleDict({"table": ClipTable(1, ["first", "second"])})
    module = convert(module)
    module["table"].update(torch.tensor([[70000.0, 1 + 1e-12]], dtype=torch.float64), torch.tensor([0]))
    module = convert(module)
    assert scores(module["table"]) == {"first": 70000, "second": 1 + 1e-12}
    module["table"].reset()
    assert module["table"].total.dtype == torch.float64
    assert module["table"].seen.dtype == torch.int64


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(ValueError, match="distinct"):
        ClipTable(3, ["first", "first"])


@pytest.mark.parametrize("clip", [2, -1])
def test_a_clip_outside_the_table_is_refused(clip):
    with pytest.raises((IndexError, RuntimeError), match=r"out of (bounds|range)"):
        ClipTable(2, ["first"]).update(torch.zeros(1, 1), torch.tensor([clip]))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize(
    "shares", [([0, 1, 2], []), ([], [2, 1, 0]), ([0, 2], [1]), ([0, 1], [2, 0]), ([0, 2], [1, 2])]
)
def test_processes_add_their_tables_up(shares):
    """Unequal shares, a process without clips, a sampler that pads with clips of another share."""
    tables = [filled(rows) for rows in shares]
    for own, other in (tables, tables[::-1]):
        own.distributed_available_fn = lambda: True
        own.dist_sync_fn = lambda state, group, other=other: [
            state,
            other.total if state.is_floating_point() else other.seen,
        ]
        before = own.total.clone()
        torch.testing.assert_close(own.per_clip(), VALUES)
        assert [int(count) for count in own.counts().values()] == [3, 3]
        assert scores(own) == {"first": 2, "second": 30}
        torch.testing.assert_close(own.total, before)


PROCESS = """
import sys
import torch
from lincae.metrics import ClipTable, bootstrap
torch.set_num_threads(1)
rank, file = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
table = ClipTable(3, ["first"])
if rank == 0:
    table.update(torch.tensor([[1.0], [2.0], [6.0], [6.0]]), torch.tensor([0, 1, 2, 2]))
print(table.compute()["first"].item(), int(table.counts()["first"]), table.per_clip()[:, 0].tolist())
torch.distributed.destroy_process_group()
"""


def test_a_real_process_without_clips_gets_the_same_result(tmp_path):
    arguments = [[sys.executable, "-c", PROCESS, str(rank), str(tmp_path / "store")] for rank in range(2)]
    processes = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for line in arguments]
    for process in processes:
        assert process.communicate(timeout=120)[0].split("\n")[0] == "3.0 3 [1.0, 2.0, 6.0]"
        assert process.returncode == 0


# ----------------------------------------------------------------------------------------------- averages and intervals


def averaging(values, present=None):
    """A table of two columns whose means are averaged."""
    table = ClipTable(len(values), ["first", "second"])
    table.averages = {"both": ["first", "second"]}
    table.update(values, torch.arange(len(values)), present)
    return table


def test_an_average_is_of_the_columns_means_that_some_clip_has():
    present = torch.tensor([[True, True], [False, True], [True, False]])
    assert scores(averaging(VALUES, present)) == {"first": 2, "second": 15, "both": 8.5}
    present[:, 0] = False
    assert scores(averaging(VALUES, present))["both"] == 15
    assert math.isnan(scores(averaging(VALUES, 0 * present > 0))["both"])


def test_a_summary_holds_what_single_clips_have():
    present = torch.tensor([[True, True], [False, True], [False, False]])
    summary = averaging(VALUES, present).summaries()
    assert {name: figure.number for name, figure in summary.items()} == {"first": 1, "second": 2, "both": 2}
    torch.testing.assert_close(summary["both"].clips, torch.tensor([5.5, 20, torch.nan]).double(), equal_nan=True)
    for name, column in (("first", 0), ("second", 1)):
        expected = VALUES[:, column].where(present[:, column], torch.nan)
        torch.testing.assert_close(summary[name].clips, expected, equal_nan=True)


def test_the_average_of_two_tracks_lies_between_their_own():
    """Two tracks are drawn twice, or once each, with chances of 1/4 and 1/2: all resamples lie within the bounds."""
    values = torch.tensor([[1.0, 10.0], [3.0, torch.nan], [torch.nan, 14.0], [5.0, 30.0]])
    summary = averaging(values, ~values.isnan()).summaries(groups=torch.tensor([7, 7, 7, 2]))
    assert summary["both"].value == (3 + 18) / 2
    assert [summary["both"].low, summary["both"].high] == [(2 + 12) / 2, (5 + 30) / 2]


def test_averages_of_many_clips_have_the_normal_interval_of_a_sum_of_ratios():
    """Half of the clips lack the second figure; the error is that of the estimate's linear part, clip by clip."""
    normal = torch.randn(400, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = torch.stack([normal[:, 0] + 2, 0.8 * normal[:, 0] + normal[:, 1]], dim=1)
    present = torch.ones(400, 2, dtype=torch.bool)
    present[::2, 1] = False
    both = averaging(values, present).summaries()["both"]
    means = [values[present[:, column], column].mean() for column in (0, 1)]
    parts = [present[:, c] / present[:, c].double().mean() * (values[:, c] - means[c]) / 2 for c in (0, 1)]
    error = 1.96 * sum(parts).square().mean().sqrt() / 400**0.5
    assert both.value.item() == pytest.approx(sum(means).item() / 2)
    assert both.low.item() == pytest.approx((both.value - error).item(), abs=0.06 * error.item())
    assert both.high.item() == pytest.approx((both.value + error).item(), abs=0.06 * error.item())


def test_an_average_is_resampled_from_the_same_draws_as_its_columns():
    """Where all clips have all figures, it is the mean of the clips' own averages, resampled."""
    values = torch.randn(30, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    groups = torch.arange(30) // 4
    both = averaging(values).summaries(groups)["both"]
    low, high = bootstrap(values.mean(dim=1, keepdim=True), groups)
    torch.testing.assert_close(torch.stack([both.low, both.high]), torch.cat([low, high]))


def test_an_average_has_no_interval_where_a_column_has_none():
    present = torch.tensor([[True, True], [True, False], [True, False]])
    summary = averaging(VALUES, present).summaries()
    assert not summary["first"].low.isnan()
    assert summary["second"].low.isnan()
    assert summary["both"].low.isnan()


def test_a_diverged_clip_counts_and_shows_in_the_value():
    values = VALUES.clone()
    values[1, 0] = torch.nan
    summary = averaging(values).summaries()
    assert summary["first"].value.isnan()
    assert summary["both"].value.isnan()
    assert summary["first"].number == summary["both"].number == 3
