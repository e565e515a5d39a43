"""Errors of linearity: maps whose scores are known in closed form."""

import math

import pytest
import torch

from lincae.metrics import (
    HEADLINE_GAINS,
    decoder_homogeneity,
    encoder_additivity_error,
    encoder_homogeneity_error,
    relative_error,
)

GAINS = torch.tensor(HEADLINE_GAINS)
ALPHA = 0.65


def audio(*shape, seed=0):
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def frames(x):
    """Waveform (N, T) -> (N, 16, T / 16), the identity in latent's clothes."""
    return x.unflatten(-1, (16, -1))


def rotated(x):
    """An orthogonal matrix on the channels."""
    matrix = torch.linalg.qr(audio(16, 16, seed=9)).Q
    return matrix @ frames(x)


def spectrum(x):
    """STFT, (N, T) -> (N, 257, L) complex."""
    return torch.stft(x, 512, 128, window=torch.hann_window(512), return_complex=True)


def as_latents(complex_frames):
    return torch.view_as_real(complex_frames).flatten(2)


def power_law(x):
    z = spectrum(x)
    return torch.polar(z.abs() ** ALPHA, z.angle())


def inverse_power_law(z):
    z = torch.polar(z.abs() ** (1 / ALPHA), z.angle())
    return torch.istft(z, 512, 128, window=torch.hann_window(512))


def normalized(x):
    """Ignores gain."""
    return x / x.abs().amax(dim=-1, keepdim=True)


def encoder_score(encode, x):
    return encoder_homogeneity_error(torch.stack([encode(a * x) for a in GAINS]), encode(x), GAINS)


def decoder_score(decode, z):
    return decoder_homogeneity(torch.stack([decode(a * z) for a in GAINS]), decode(z), GAINS)


def test_relative_error_of_small_vectors():
    target = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]])
    estimate = torch.tensor([[[3.0, 3.0]], [[0.0, 2.0]]])
    torch.testing.assert_close(relative_error(estimate, target), torch.tensor([0.2, 0.0]).double())
    torch.testing.assert_close(relative_error(1e6 * estimate, 1e6 * target), torch.tensor([0.2, 0.0]).double())


def test_relative_error_to_silence_is_finite():
    silence = torch.zeros(1, 2, 3)
    assert relative_error(silence, silence).item() == 0
    assert relative_error(torch.ones(1, 2, 2), torch.zeros(1, 2, 2)).item() == pytest.approx(2e8)


@pytest.mark.parametrize(
    "encode", [frames, rotated, lambda x: as_latents(spectrum(x))], ids=["id", "orthogonal", "stft"]
)
def test_linear_encoders_score_zero(encode):
    x, y = audio(2, 4096), audio(2, 4096, seed=1)
    assert encoder_score(encode, x).max() < 1e-6
    assert encoder_additivity_error(torch.stack([encode(x), encode(y)], dim=1), encode(x + y)).max() < 1e-6


def test_the_identity_scores_exactly_zero():
    x = audio(2, 3, 4096)
    assert encoder_score(frames, x[:, 0]).eq(0).all()
    assert encoder_additivity_error(frames(x), frames(x.sum(dim=1))).eq(0).all()
    mss, snr = decoder_score(lambda z: z, x[:, 0])
    assert mss.eq(0).all()
    assert snr.min() > 100


def test_an_encoder_that_ignores_gain():
    score = encoder_score(lambda x: frames(normalized(x)), audio(2, 4096))
    torch.testing.assert_close(score, ((1 - GAINS).abs() / GAINS).double().expand(2, -1), atol=1e-5, rtol=0)
    assert score.mean().item() == pytest.approx(1.106, abs=1e-3)


def test_a_power_law_encoder():
    score = encoder_score(lambda x: as_latents(power_law(x)), audio(2, 8192))
    torch.testing.assert_close(score, (GAINS ** (ALPHA - 1) - 1).abs().double().expand(2, -1), atol=1e-5, rtol=0)
    assert score.mean().item() == pytest.approx(0.259, abs=1e-3)


def test_a_power_law_is_not_additive():
    x, y = audio(1, 8192), audio(1, 8192, seed=1)
    latents = [as_latents(power_law(signal)) for signal in (x, y, x + y)]
    assert encoder_additivity_error(torch.stack(latents[:2], dim=1), latents[2]).item() > 0.1


@pytest.mark.parametrize("sources", [2, 4])
def test_a_constant_encoder(sources):
    constant = audio(2, 16, 8)
    score = encoder_additivity_error(constant[:, None].expand(-1, sources, -1, -1), constant)
    torch.testing.assert_close(score, torch.full((2,), sources - 1.0, dtype=torch.float64), atol=1e-5, rtol=0)


def test_an_affine_encoder():
    offset = audio(16, 1, seed=5)
    encode = lambda x: rotated(x) + offset  # noqa: E731
    sources = audio(2, 3, 4096)
    x, mix = sources[:, 0], sources.sum(dim=1)
    norm = lambda z: z.double().norm(dim=(-2, -1))  # noqa: E731
    size = norm(offset.expand(16, 256))

    expected = (1 - GAINS).abs() * size / (GAINS * norm(encode(x))[:, None])
    torch.testing.assert_close(encoder_score(encode, x), expected, atol=1e-6, rtol=1e-5)

    score = encoder_additivity_error(torch.stack([encode(s) for s in sources.unbind(1)], dim=1), encode(mix))
    torch.testing.assert_close(score, 2 * size / norm(encode(mix)), atol=1e-6, rtol=1e-5)


def test_a_decoder_that_ignores_gain():
    mss, snr = decoder_score(normalized, audio(2, 8192))
    torch.testing.assert_close(mss, ((1 / GAINS - 1).abs() + GAINS.log().abs()).expand(2, -1), atol=1e-3, rtol=0)
    torch.testing.assert_close(snr, 20 * (GAINS / (1 - GAINS).abs()).log10().double().expand(2, -1), atol=1e-3, rtol=0)
    assert mss.mean().item() == pytest.approx(1.722, abs=1e-3)


def test_a_power_law_decoder():
    mss, _ = decoder_score(inverse_power_law, power_law(audio(2, 8192)))
    b = 1 / ALPHA - 1
    torch.testing.assert_close(mss, ((GAINS**b - 1).abs() + b * GAINS.log().abs()).expand(2, -1), atol=1e-3, rtol=0)
    assert mss.mean().item() == pytest.approx(0.590, abs=1e-3)


def test_decodes_must_share_their_noise():
    """Dec(z) = z + 0.7 n at a = 1: shared noise scores 0, independent noise does not."""
    z, first, second = audio(3, 1, 16384) / 0.3
    one = torch.ones(1)
    decoded = z + 0.7 * first
    assert decoder_homogeneity(decoded[None], decoded, one)[0].item() == 0
    mss, snr = decoder_homogeneity((z + 0.7 * second)[None], decoded, one)
    assert mss.item() == pytest.approx(1.06, abs=0.03)
    assert snr.item() == pytest.approx(10 * math.log10(1.49 / 0.98), abs=0.2)


@pytest.mark.parametrize("figure", [encoder_homogeneity_error, decoder_homogeneity])
def test_gain_zero_is_refused(figure):
    with pytest.raises(ValueError, match="gain 0"):
        figure(torch.zeros(2, 1, 4096), torch.zeros(1, 4096), torch.tensor([0.5, 0.0]))


def test_one_source_is_refused():
    with pytest.raises(ValueError, match="at least 2 sources, got 1"):
        encoder_additivity_error(torch.zeros(2, 1, 3, 4), torch.zeros(2, 3, 4))


def test_half_precision_latents_are_summed_in_float32():
    """In bfloat16 the sum 256 + 1 would stay at 256."""
    sources = torch.tensor([256.0, 1.0], dtype=torch.bfloat16).view(1, 2, 1, 1)
    assert encoder_additivity_error(sources, torch.full((1, 1, 1), 257.0)).item() == 0
