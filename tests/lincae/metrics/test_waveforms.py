"""Lengths, activity and level of waveforms."""

import pytest
import torch

from lincae.metrics.waveforms import common_prefix, is_active, leakage_dbfs


@pytest.mark.parametrize("difference", [0, 1, 511])
def test_waveforms_are_cut_to_the_shorter_one(difference):
    long, short = torch.arange(1000.0).expand(2, -1), torch.arange(1000.0 - difference).expand(2, -1)
    for pair in (common_prefix(long, short), common_prefix(short, long)):
        for audio in pair:
            torch.testing.assert_close(audio, short)


@pytest.mark.parametrize("lengths", [(1000, 488), (488, 1000)])
def test_lengths_that_differ_by_512_are_refused(lengths):
    with pytest.raises(ValueError, match=f"{lengths[0]}.*{lengths[1]}"):
        common_prefix(torch.zeros(2, lengths[0]), torch.zeros(2, lengths[1]))


def test_rows_that_would_only_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 100\).*\(2, 100\)"):
        common_prefix(torch.zeros(1, 100), torch.zeros(2, 100))


def test_activity_starts_at_minus_60_dbfs():
    signs = torch.tensor([1.0, -1.0]).repeat(50)
    levels = torch.tensor([0.0, 0.99e-3, 1.01e-3, 1.0])
    assert is_active(levels[:, None] * signs).tolist() == [False, False, True, True]


def test_activity_is_judged_by_rms_not_by_peak():
    click = torch.zeros(1, 10_000)
    click[0, 0] = 0.09
    assert not is_active(click)
    click[0, 0] = 0.11
    assert is_active(click)


def test_leakage_is_the_rms_in_dbfs_down_to_a_floor():
    sine = torch.sin(2 * torch.pi * torch.arange(1000) / 100)
    levels = torch.tensor([2**0.5, 1e-2 * 2**0.5, 0.0, 1e-9])
    expected = torch.tensor([0.0, -40.0, -140.0, -140.0], dtype=torch.float64)
    torch.testing.assert_close(leakage_dbfs(levels[:, None] * sine), expected, atol=1e-4, rtol=0)
