"""Separation figures: known gains and errors on active stems, leakage on silent ones."""

import math

import pytest
import torch

from lincae.metrics import Separation, multi_scale_spectral

STEMS = ("drums", "bass", "vocals")


def gain_mss(gain):
    return abs(gain - 1) + abs(math.log(gain))


@pytest.fixture
def stems():
    """(N, K, T); the vocals of the second clip are silent."""
    audio = 0.3 * torch.randn(2, 3, 8192, generator=torch.Generator().manual_seed(0))
    audio[1, 2] = 0
    return audio


def separated(encode, decode, stems):
    """Dec(Enc(mix) - Enc(mix - s)) for each stem s."""
    mix = stems.sum(dim=1)
    return torch.stack([decode(encode(mix) - encode(mix - stem)) for stem in stems.unbind(1)], dim=1)


def compute(estimates, stems, names=STEMS, **arguments):
    metric = Separation(len(stems), names, **arguments)
    metric.update(estimates, stems, torch.arange(len(stems)))
    return {name: value.item() for name, value in metric.compute().items()}


def test_the_keys(stems):
    figures = ("mss", "si_sdr", "mss_all", "leakage_dbfs")
    expected = {f"separation/{stem}_{figure}" for stem in STEMS for figure in (*figures, "inactive")}
    assert set(compute(stems, stems)) == expected | {f"separation/{figure}" for figure in figures}
    assert "separation_sum/drums_mss" in compute(stems, stems, name="separation_sum")


def test_a_linear_autoencoder_separates_perfectly(stems):
    scores = compute(separated(lambda x: 3 * x, lambda z: z / 3, stems), stems)
    for stem in STEMS:
        assert scores[f"separation/{stem}_mss"] < 1e-3
        assert scores[f"separation/{stem}_si_sdr"] > 100


def test_tanh_separates_worse_with_drive(stems):
    audio = stems[:1]
    scores = [
        compute(separated(lambda x, drive=drive: torch.tanh(drive * x) / drive, lambda z: z, audio), audio)
        for drive in (0.01, 1, 100)
    ]
    assert scores[0]["separation/mss"] < scores[1]["separation/mss"] < scores[2]["separation/mss"]
    assert scores[0]["separation/si_sdr"] > scores[1]["separation/si_sdr"] > scores[2]["separation/si_sdr"]


def test_each_stem_has_its_own_figures_and_the_mean_is_taken_over_stems(stems):
    gains = torch.tensor([0.5, 2.0, 0.25])
    scores = compute(gains[:, None] * stems, stems)
    for stem, gain in zip(STEMS, gains.tolist(), strict=True):
        assert scores[f"separation/{stem}_mss"] == pytest.approx(gain_mss(gain), abs=1e-3)
    # One of the two vocals is silent: the mean gives the stems equal weight all the same.
    assert scores["separation/mss"] == pytest.approx(sum(map(gain_mss, gains.tolist())) / 3, abs=1e-3)


def test_si_sdr_of_an_orthogonal_error():
    time = torch.arange(8820) / 44100
    sine, cosine = torch.sin(2 * torch.pi * 50 * time), torch.cos(2 * torch.pi * 50 * time)
    stems = torch.stack([sine, cosine])[None]
    estimates = torch.stack([-2 * (sine + 0.1 * cosine), cosine + 0.01 * sine])[None]
    scores = compute(estimates, stems, ("sine", "cosine"))
    assert scores["separation/sine_si_sdr"] == pytest.approx(20, abs=1e-2)
    assert scores["separation/cosine_si_sdr"] == pytest.approx(40, abs=1e-2)
    assert scores["separation/si_sdr"] == pytest.approx(30, abs=1e-2)


def test_silent_stems_count_only_as_leakage(stems):
    estimates = 0.5 * stems
    estimates[1, 2] = 1e-2
    scores = compute(estimates, stems)
    assert [scores[f"separation/{stem}_inactive"] for stem in STEMS] == [0, 0, 1]
    assert scores["separation/vocals_mss"] == pytest.approx(gain_mss(0.5), abs=1e-3)
    assert scores["separation/vocals_leakage_dbfs"] == pytest.approx(-40, abs=1e-4)
    assert scores["separation/leakage_dbfs"] == pytest.approx(-40, abs=1e-4)
    assert math.isnan(scores["separation/drums_leakage_dbfs"])


def test_mss_all_includes_silent_stems(stems):
    estimates = 0.5 * stems
    estimates[1, 2] = 1e-2
    scores = compute(estimates, stems)
    vocals = multi_scale_spectral(estimates[:, 2], stems[:, 2]).double()
    assert vocals[1] > 100
    assert scores["separation/vocals_mss_all"] == pytest.approx(vocals.mean().item(), rel=1e-6)
    assert scores["separation/drums_mss_all"] == pytest.approx(scores["separation/drums_mss"], rel=1e-6)
    assert scores["separation/mss_all"] == pytest.approx(
        sum(scores[f"separation/{stem}_mss_all"] for stem in STEMS) / 3, rel=1e-6
    )


def test_a_stem_that_is_silent_everywhere_is_nan_and_leaves_the_mean(stems):
    stems[:, 2] = 0
    scores = compute(0.5 * stems, stems)
    assert math.isnan(scores["separation/vocals_mss"])
    assert scores["separation/vocals_inactive"] == 2
    assert scores["separation/mss"] == pytest.approx(gain_mss(0.5), abs=1e-3)


def test_all_stems_silent(stems):
    scores = compute(0 * stems, 0 * stems)
    assert math.isnan(scores["separation/mss"])
    assert math.isnan(scores["separation/si_sdr"])
    assert scores["separation/mss_all"] == 0
    assert scores["separation/leakage_dbfs"] == -140


def test_a_diverged_estimate_shows_in_the_mean(stems):
    estimates = stems.clone()
    estimates[0, 0] = torch.nan
    scores = compute(estimates, stems)
    assert math.isnan(scores["separation/drums_mss"])
    assert math.isnan(scores["separation/mss"])
    assert scores["separation/bass_mss"] == 0


def test_unnamed_sources_share_one_name(stems):
    gains = torch.tensor([0.5, 0.25, 0.1])
    scores = compute(gains[:, None] * stems, stems, ("source",) * 3)
    first, second, third = (gain_mss(gain) for gain in gains.tolist())
    # The first clip averages its three sources, the second its two active ones.
    expected = ((first + second + third) / 3 + (first + second) / 2) / 2
    assert scores["separation/source_mss"] == pytest.approx(expected, abs=1e-3)
    assert scores["separation/mss"] == scores["separation/source_mss"]
    assert scores["separation/source_inactive"] == 1


def test_a_clip_repeated_for_padding_counts_once(stems):
    gains = torch.tensor([0.5, 0.25])[:, None, None]
    metric = Separation(2, STEMS)
    rows = torch.tensor([1, 0, 1, 1])
    metric.update((gains * stems)[rows], stems[rows], rows)
    scores = metric.compute()
    expected = (gain_mss(0.5) + gain_mss(0.25)) / 2
    assert scores["separation/drums_mss"].item() == pytest.approx(expected, abs=1e-3)
    assert scores["separation/vocals_mss"].item() == pytest.approx(gain_mss(0.5), abs=1e-3)
    assert scores["separation/vocals_inactive"].item() == 1


def test_one_stem_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        Separation(1, ["drums"])


def test_a_wrong_number_of_stems_is_refused(stems):
    with pytest.raises(ValueError, match="2 stems for 3 names"):
        Separation(2, STEMS).update(stems[:, :2], stems[:, :2], torch.arange(2))
