"""Homogeneity curves and headlines of toy autoencoders."""

import math

import auraloss
import pytest
import torch

from lincae.metrics import CURVE_GAINS, HEADLINE_GAINS, DecoderHomogeneity, EncoderHomogeneity

IGNORES_GAIN_ENCODER = sum(abs(1 - a) / a for a in HEADLINE_GAINS) / 4  # 1.106
IGNORES_GAIN_DECODER = sum(abs(1 / a - 1) + abs(math.log(a)) for a in HEADLINE_GAINS) / 4  # 1.722
HEADLINE_MSS, HEADLINE_SNR = "decoder/homogeneity_mss", "decoder/homogeneity_snr"


def audio(rows=2, samples=8192):
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(0))


def normalized(x):
    return x / x.abs().amax(dim=-1, keepdim=True)


def frames(x):
    return x.unflatten(-1, (16, -1))


def decoder_metric(decode, z, **arguments):
    metric = DecoderHomogeneity(len(z), **arguments)
    metric.update(torch.stack([decode(a * z) for a in metric.gains]), decode(z), torch.arange(len(z)))
    return metric


def encoder_metric(encode, x, **arguments):
    metric = EncoderHomogeneity(len(x), **arguments)
    metric.update(torch.stack([encode(a * x) for a in metric.gains]), encode(x), torch.arange(len(x)))
    return metric


def test_the_gains():
    assert HEADLINE_GAINS == (0.25, 0.5, 0.75, 1.1)
    assert CURVE_GAINS == (0.1, 0.25, 0.5, 0.75, 1, 1.1, 1.5, 2, 3)
    assert EncoderHomogeneity(1).state_dict() == {}


def test_a_homogeneous_autoencoder_is_perfect():
    assert all(value.item() == 0 for value in encoder_metric(frames, audio()).compute().values())
    for figures in decoder_metric(lambda z: z, audio()).curve().values():
        assert figures[HEADLINE_MSS].item() == 0
        assert 100 < figures[HEADLINE_SNR].item() < math.inf


def test_the_encoder_curve_and_headline_of_an_encoder_that_ignores_gain():
    metric = encoder_metric(lambda x: frames(normalized(x)), audio())
    scores, curve = metric.compute(), metric.curve()
    assert scores["encoder/homogeneity_error"].item() == pytest.approx(IGNORES_GAIN_ENCODER, abs=1e-5)
    assert list(curve) == list(CURVE_GAINS)
    for gain in CURVE_GAINS:
        assert scores[f"encoder/homogeneity_error/a{gain:.2f}"].item() == pytest.approx(abs(1 - gain) / gain, abs=1e-5)
        assert curve[gain]["encoder/homogeneity_error"] == scores[f"encoder/homogeneity_error/a{gain:.2f}"]
    assert len(scores) == 1 + len(CURVE_GAINS)


def test_the_decoder_curve_and_headline_of_a_decoder_that_ignores_gain():
    metric = decoder_metric(normalized, audio())
    scores, curve = metric.compute(), metric.curve()
    assert scores[HEADLINE_MSS].item() == pytest.approx(IGNORES_GAIN_DECODER, abs=1e-3)
    assert scores[HEADLINE_SNR].item() == pytest.approx(5.2, abs=0.05)
    assert scores["decoder/homogeneity_mss/a0.50"].item() == pytest.approx(1 + math.log(2), abs=1e-3)
    assert scores["decoder/homogeneity_snr/a2.00"].item() == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert curve[0.5][HEADLINE_MSS] == scores["decoder/homogeneity_mss/a0.50"]
    assert curve[2.0][HEADLINE_SNR] == scores["decoder/homogeneity_snr/a2.00"]
    assert len(scores) == 2 + 2 * len(CURVE_GAINS)


def test_gain_one_is_a_control():
    figures = decoder_metric(torch.tanh, audio()).curve()[1.0]
    assert figures[HEADLINE_MSS].item() == 0
    assert 100 < figures[HEADLINE_SNR].item() < math.inf


def test_other_headline_gains():
    metric = decoder_metric(normalized, audio(), gains=(0.25, 0.5, 2.0), headline=(0.25, 0.5, 2.0))
    assert metric.compute()[HEADLINE_SNR].item() == pytest.approx(-1.2, abs=0.05)


def test_signed_gains_show_what_mss_cannot():
    """A decoder that keeps the magnitude but loses the sign."""
    scores = decoder_metric(lambda z: z * z.mean(-1, keepdim=True).sign(), audio(), gains=(-1, 0.5), headline=(0.5,))
    assert scores.compute()["decoder/homogeneity_mss/a-1.00"].item() == 0
    assert scores.compute()["decoder/homogeneity_snr/a-1.00"].item() == pytest.approx(-20 * math.log10(2), abs=1e-3)


@pytest.mark.parametrize("gain", [-1.0, -0.5])
def test_negative_gains(gain):
    """An odd map passes; one that hears neither gain nor sign scores the closed forms for |a|, and 1 - a in the SNR."""
    arguments = {"gains": (gain, 0.5), "headline": (0.5,)}
    passed = decoder_metric(lambda z: z, audio(), **arguments).curve()[gain]
    assert passed[HEADLINE_MSS].item() == 0
    assert passed[HEADLINE_SNR].item() > 100
    assert encoder_metric(frames, audio(), **arguments).curve()[gain]["encoder/homogeneity_error"].item() == 0

    constant = audio()
    deaf = decoder_metric(lambda z: constant, audio(), **arguments)
    distance, ratio = 1 / abs(gain) - 1 - math.log(abs(gain)), 20 * math.log10(abs(gain) / (1 - gain))
    assert deaf.compute()[f"{HEADLINE_MSS}/a{gain:.2f}"].item() == pytest.approx(distance, abs=1e-3)
    assert deaf.compute()[f"{HEADLINE_SNR}/a{gain:.2f}"].item() == pytest.approx(ratio, abs=1e-3)
    errors = encoder_metric(lambda x: frames(constant), audio(), **arguments).curve()[gain]
    assert errors["encoder/homogeneity_error"].item() == pytest.approx((1 - gain) / abs(gain), abs=1e-5)


def test_tanh_gets_worse_with_drive():
    z = audio()
    drives = (0.01, 0.02, 1.0, 100.0, 1e4)
    scores = [
        decoder_metric(lambda z, drive=drive: torch.tanh(drive * z), z).compute()[HEADLINE_MSS] for drive in drives
    ]
    assert scores == sorted(scores)
    assert scores[0].item() < 5e-4
    assert (scores[1] / scores[0]).item() == pytest.approx(4, rel=0.02)  # the cubic term of tanh
    assert scores[2].item() > 0.3
    assert scores[-1].item() == pytest.approx(IGNORES_GAIN_DECODER, abs=2e-3)


def test_tanh_equals_auraloss():
    z = audio()
    oracle = auraloss.freq.MultiResolutionSTFTLoss()
    expected = [
        oracle(torch.tanh(a * clip)[None, None], a * torch.tanh(clip)[None, None]) for a in HEADLINE_GAINS for clip in z
    ]
    assert decoder_metric(torch.tanh, z).compute()[HEADLINE_MSS].item() == pytest.approx(
        torch.stack(expected).mean().item(), rel=1e-5
    )


def test_silent_decodes_do_not_count():
    z = audio()
    z[0] = 0
    metric = decoder_metric(torch.tanh, z)
    assert {int(count) for count in metric.counts().values()} == {1}
    assert metric.compute()[HEADLINE_MSS] == decoder_metric(torch.tanh, z[1:]).compute()[HEADLINE_MSS]


def test_quiet_clips_count_at_every_gain():
    """Activity is judged on Dec(z), not on a Dec(z), so that all gains see the same clips."""
    assert {int(count) for count in decoder_metric(torch.tanh, 2e-3 * audio()).counts().values()} == {2}


def test_rows_go_to_their_clips():
    x = audio(4, 4096)
    metric = encoder_metric(lambda x: frames(torch.tanh(x)), x)
    shuffled = EncoderHomogeneity(4)
    for rows in ([2, 0], [3, 1]):
        latents = [frames(torch.tanh(a * x[rows])) for a in shuffled.gains]
        shuffled.update(torch.stack(latents), frames(torch.tanh(x[rows])), torch.tensor(rows))
    torch.testing.assert_close(shuffled.per_clip(), metric.per_clip())


@pytest.mark.parametrize("metric", [EncoderHomogeneity, DecoderHomogeneity])
@pytest.mark.parametrize(
    ("gains", "headline", "message"),
    [
        ((0.5, 1.0), (0.25,), "0.25"),
        ((0.5, 1.0), (), "headline"),
        ((0.0, 1.0), (1.0,), "gain 0"),
        ((0.5, 0.501), (0.5,), "distinct"),
        ((0.5, 0.5), (0.5,), "distinct"),
    ],
)
def test_gains_that_make_no_sense_are_refused(metric, gains, headline, message):
    with pytest.raises(ValueError, match=message):
        metric(1, gains=gains, headline=headline)
