"""Mixing of latents by toy autoencoders: closed forms, auraloss and torchmetrics."""

import math

import auraloss
import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from lincae.metrics import MIX_RATIOS, Mixing, mix_pairs

TRUTH, RATE = "mixing/truth_si_sdr", "mixing/mix_rate"


def gain_mss(gain):
    return abs(gain - 1) + abs(math.log(gain))


@pytest.fixture
def pair():
    """Two sets of sounds, (N, T) each."""
    return (0.3 * torch.randn(2, 2, 8192, generator=torch.Generator().manual_seed(0))).unbind(0)


def mixed(encode, decode, pair, **arguments):
    metric = Mixing(len(pair[0]), **arguments)
    mixes = mix_pairs(*pair, metric.ratios)
    latents = mix_pairs(encode(pair[0]), encode(pair[1]), metric.ratios)
    decoded, reconstructed = (torch.stack([decode(z) for z in sets]) for sets in (latents, map(encode, mixes)))
    metric.update(decoded, reconstructed, mixes, torch.arange(len(pair[0])))
    return metric


def lossy(x):
    """A linear decoder that loses high frequencies."""
    return (x + x.roll(1, dims=-1) + x.roll(2, dims=-1)) / 3


def test_mixes_of_pairs():
    first, second = torch.tensor([[[4.0, 0.0]]]), torch.tensor([[[0.0, 8.0]]])
    mixes = mix_pairs(first, second, torch.tensor([0.0, 0.25, 1.0]))
    assert mixes.tolist() == [[[[0, 8]]], [[[1, 6]]], [[[4, 0]]]]
    assert mix_pairs(first.half(), second.half(), torch.ones(1)).dtype == torch.float32


def test_keys_and_curve(pair):
    metric = mixed(torch.tanh, lossy, pair)
    assert set(metric.compute()) == {
        *(TRUTH, RATE),
        *(f"{figure}/r{ratio:.2f}" for figure in (TRUTH, RATE) for ratio in (0.1, 0.3, 0.5, 0.7, 0.9)),
    }
    curve = metric.curve()
    assert tuple(curve) == MIX_RATIOS
    assert curve[0.5] == {TRUTH: metric.compute()[TRUTH], RATE: metric.compute()[RATE]}
    assert metric.state_dict() == {}


def test_a_linear_autoencoder_loses_nothing_by_mixing(pair):
    metric = mixed(lambda x: 2 * x, lambda z: lossy(z) / 2, pair)
    truth, rate = metric.compute()[TRUTH], metric.compute()[RATE]
    mixes = mix_pairs(*pair, torch.tensor([0.5]))[0]
    expected = scale_invariant_signal_distortion_ratio(lossy(mixes).double(), mixes.double()).mean()
    torch.testing.assert_close(truth, expected, atol=1e-4, rtol=0)
    assert rate.item() == pytest.approx(1, abs=1e-5)


def test_the_rate_of_known_gains(pair):
    """Dec(z) = 0.5 m and Dec(Enc(m)) = 0.25 m for the first pair, the other way round for the second."""
    metric = Mixing(2, ratios=(0.5,))
    mixes = mix_pairs(*pair, metric.ratios)
    gains = torch.tensor([[[0.5], [0.25]]])
    metric.update(gains * mixes, gains.flip(1) * mixes, mixes, torch.arange(2))
    rate = gain_mss(0.5) / gain_mss(0.25)
    torch.testing.assert_close(metric.per_clip()[:, 1].tolist(), [rate, 1 / rate], atol=1e-3, rtol=0)
    # The mean of the two ratios; the ratio of the means would be 1.
    assert metric.compute()[RATE].item() == pytest.approx((rate + 1 / rate) / 2, abs=1e-3)


def test_tanh_against_other_implementations(pair):
    encode, decode = lambda x: torch.tanh(3 * x), lambda z: lossy(z) / 3
    metric, oracle = mixed(encode, decode, pair, ratios=(0.3, 0.5)), auraloss.freq.MultiResolutionSTFTLoss()
    for a in (0.3, 0.5):
        truths, rates = [], []
        for x, y in zip(*pair, strict=True):
            m, p = a * x + (1 - a) * y, decode(a * encode(x) + (1 - a) * encode(y))
            truths.append(scale_invariant_signal_distortion_ratio(p.double(), m.double()))
            rates.append(oracle(p[None, None], m[None, None]) / oracle(decode(encode(m))[None, None], m[None, None]))
        figures = metric.curve()[a]
        assert figures[TRUTH].item() == pytest.approx(torch.stack(truths).mean().item(), abs=1e-3)
        assert figures[RATE].item() == pytest.approx(torch.stack(rates).mean().item(), rel=1e-4)
        assert figures[RATE].item() > 1.01


def test_one_sound_alone_is_a_control(pair):
    """At a = 0 and a = 1 both decodes are the same."""
    curve = mixed(torch.tanh, lossy, pair, ratios=(0.0, 0.5, 1.0)).curve()
    assert curve[0.0][RATE].item() == curve[1.0][RATE].item() == 1
    assert curve[0.5][RATE].item() != 1


def test_a_decoder_that_ignores_its_latents_shows_in_the_truth_only(pair):
    constant = 0.2 * torch.randn(1, 8192, generator=torch.Generator().manual_seed(1)).expand(2, -1)
    scores = mixed(torch.tanh, lambda z: constant, pair).compute()
    assert scores[RATE].item() == 1
    assert scores[TRUTH].item() < -20


def test_a_lossless_autoencoder_has_no_rate(pair):
    """Nor has one whose reconstruction is exact up to rounding."""
    for gain in (1.0, 1 + 1e-4):
        metric = mixed(lambda x: x, lambda z, gain=gain: gain * z, pair)
        assert 100 < metric.compute()[TRUTH].item() < math.inf
        assert metric.compute()[RATE].isnan()
        assert metric.counts()[RATE] == 0


def test_a_diverged_reconstruction_shows(pair):
    metric = Mixing(2)
    mixes = mix_pairs(*pair, metric.ratios)
    broken = 0.5 * mixes
    broken[:, 0] = torch.nan
    metric.update(mixes, broken, mixes, torch.arange(2))
    assert metric.compute()[RATE].isnan()
    assert metric.counts()[RATE] == 2


def test_pairs_count_where_they_are_active_at_every_ratio(pair):
    """The first pair cancels at 0.5; the second is quiet but for its first sound."""
    first, second = pair[0].clone(), pair[1].clone()
    second[0] = -first[0]
    second[1] = 0
    assert {int(n) for n in mixed(torch.tanh, lossy, (first, second)).counts().values()} == {1}
    assert {int(n) for n in mixed(torch.tanh, lossy, (first, second), ratios=(0.0, 0.5)).counts().values()} == {0}


def test_pairs_go_to_their_rows(pair):
    expected = mixed(torch.tanh, lossy, pair).per_clip()
    metric = Mixing(2)
    for row in (1, 0):
        x, y = (sounds[[row]] for sounds in pair)
        mixes = mix_pairs(x, y, metric.ratios)
        decoded = lossy(mix_pairs(torch.tanh(x), torch.tanh(y), metric.ratios))
        metric.update(decoded, lossy(torch.tanh(mixes)), mixes, torch.tensor([row]))
    torch.testing.assert_close(metric.per_clip(), expected)


@pytest.mark.parametrize(
    ("ratios", "message"), [((0.5, 1.5), r"\[1\.5\]"), ((-0.1, 0.5), r"\[-0\.1\]"), ((0.1, 0.9), r"headline.*0\.5")]
)
def test_ratios_that_make_no_sense_are_refused(ratios, message):
    with pytest.raises(ValueError, match=message):
        Mixing(1, ratios)


def test_a_wrong_number_of_mixes_is_refused():
    with pytest.raises(ValueError, match="2 mixes of each pair for 5 ratios"):
        Mixing(1).update(*torch.zeros(3, 2, 1, 4096), torch.tensor([0]))
