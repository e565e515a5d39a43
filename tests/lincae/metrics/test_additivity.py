"""Additivity of toy autoencoders."""

import math

import pytest
import torch

from lincae.metrics import DecoderAdditivity, EncoderAdditivity


@pytest.fixture
def stems():
    """(N, K, T)."""
    return 0.3 * torch.randn(2, 4, 8192, generator=torch.Generator().manual_seed(0))


def encoder_score(encode, stems):
    metric = EncoderAdditivity(len(stems))
    sources = torch.stack([encode(stem) for stem in stems.unbind(1)], dim=1)
    metric.update(sources, encode(stems.sum(dim=1)), torch.arange(len(stems)))
    return metric.compute()["encoder/additivity_error"].item()


def decoder_scores(decode, stems, encode=lambda x: x):
    metric = DecoderAdditivity(len(stems))
    mix = stems.sum(dim=1)
    latents = [encode(stem) for stem in stems.unbind(1)]
    decodes = torch.stack([decode(z) for z in latents])
    metric.update(
        decode(torch.stack(latents).sum(dim=0)), mix, decode(encode(mix)), decodes.sum(dim=0), torch.arange(len(stems))
    )
    return {name.removeprefix("decoder/additivity_"): value.item() for name, value in metric.compute().items()}


def frames(x):
    return x.unflatten(-1, (16, -1))


def test_an_additive_encoder_is_perfect(stems):
    assert encoder_score(frames, stems) < 1e-6


def test_a_constant_encoder_scores_the_number_of_surplus_sources(stems):
    assert encoder_score(lambda x: torch.ones(len(x), 2, 3), stems) == pytest.approx(3, abs=1e-6)


def test_tanh_encoders_get_worse_with_drive(stems):
    scores = [encoder_score(lambda x, drive=drive: frames(torch.tanh(drive * x)), stems) for drive in (0.01, 1, 100)]
    assert scores[0] < 1e-3 < scores[1] < scores[2]


def test_the_closed_list_of_keys(stems):
    figures = {f"{target}{figure}" for target in ("", "self_", "sum_") for figure in ("mss", "snr")}
    assert set(decoder_scores(lambda z: z, stems)) == figures


def test_an_additive_autoencoder_is_perfect(stems):
    for name, score in decoder_scores(lambda z: z, stems).items():
        if name.endswith("mss"):
            assert score < 1e-4
        else:
            assert 100 < score < math.inf


def test_each_target_is_compared_with_its_own_figures(stems):
    """Enc = x, Dec = 2 z, but the mix's own latents are 4 times too large: known gains on each target."""
    metric = DecoderAdditivity(2)
    mix = stems.sum(dim=1)
    metric.update(2 * mix, mix, 8 * mix, 4 * mix, torch.arange(2))
    scores = {name: value.item() for name, value in metric.compute().items()}
    for target, gain in (("additivity", 2), ("additivity_self", 1 / 4), ("additivity_sum", 1 / 2)):
        assert scores[f"decoder/{target}_mss"] == pytest.approx(abs(gain - 1) + abs(math.log(gain)), abs=1e-3)
        assert scores[f"decoder/{target}_snr"] == pytest.approx(-20 * math.log10(abs(1 - gain)), abs=1e-3)


def test_a_decoder_that_ignores_its_latents_is_perfect_on_self_only(stems):
    constant = torch.randn(1, 8192, generator=torch.Generator().manual_seed(1)).expand(2, -1)
    scores = decoder_scores(lambda z: constant, stems)
    assert scores["self_mss"] == 0
    assert scores["self_snr"] > 100
    assert scores["sum_mss"] == pytest.approx(0.75 + math.log(4), abs=1e-3)
    assert scores["mss"] > 1
    assert scores["snr"] < 0


def test_tanh_decoders_get_worse_with_drive(stems):
    levels = [decoder_scores(lambda z, drive=drive: torch.tanh(drive * z) / drive, stems) for drive in (0.01, 1, 100)]
    for figure in ("mss", "sum_mss"):
        assert levels[0][figure] < levels[1][figure] < levels[2][figure]
    for figure in ("snr", "sum_snr"):
        assert levels[0][figure] > levels[1][figure] > levels[2][figure]


def test_silent_targets_do_not_count(stems):
    metric = DecoderAdditivity(2)
    mix = stems.sum(dim=1)
    quiet = torch.stack([torch.zeros(8192), mix[1]])
    metric.update(mix, mix, quiet, torch.zeros_like(mix), torch.arange(2))
    counts = {name: int(count) for name, count in metric.counts().items()}
    assert [counts[f"decoder/{target}_mss"] for target in ("additivity", "additivity_self", "additivity_sum")] == [
        2,
        1,
        0,
    ]
    assert [counts[f"decoder/{target}_snr"] for target in ("additivity", "additivity_self", "additivity_sum")] == [
        2,
        1,
        0,
    ]
    scores = metric.compute()
    assert scores["decoder/additivity_self_mss"].item() == 0
    assert scores["decoder/additivity_sum_mss"].isnan()


def test_one_source_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        EncoderAdditivity(1).update(torch.zeros(1, 1, 3, 4), torch.zeros(1, 3, 4), torch.tensor([0]))
