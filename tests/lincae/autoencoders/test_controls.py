"""Controls: their figures, taken as an evaluation takes them, against closed forms."""

import inspect
import math

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from lincae.autoencoders.controls import (
    Identity,
    LoudnessNormalising,
    OrthogonalProjection,
    PowerLawSpectrogram,
    Saturating,
)
from lincae.autoencoders.protocol import LatentAutoencoder
from lincae.evaluation import DecodedClips, trim
from lincae.metrics import (
    HEADLINE_GAINS,
    DecoderAdditivity,
    DecoderHomogeneity,
    EncoderAdditivity,
    EncoderHomogeneity,
    Reconstruction,
    Separation,
)
from lincae.stft import Spectrogram

CONTROLS = [Identity, OrthogonalProjection, Saturating, LoudnessNormalising, PowerLawSpectrogram]
SAMPLES = 2 * 4096 + 1536
K = 4
LEVEL = 0.2


@pytest.fixture
def stems():
    """White noises (N, K, T) of equal level, orthogonal to one another."""
    noise = torch.randn(2, SAMPLES, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (LEVEL * math.sqrt(SAMPLES) * torch.linalg.qr(noise).Q.mT).float()


@pytest.fixture
def equal_stems(stems):
    """K times the same noise."""
    return stems[:, :1].expand(-1, K, -1)


def scores(model, stems):
    """All figures of a model over mixes of these stems."""
    count, index = len(stems), torch.arange(len(stems))
    clips = DecodedClips.of(model, stems.sum(dim=1), index)
    stem_latents = torch.stack([model.encode(stem) for stem in stems.unbind(1)], dim=1)
    without = [clips.latents - model.encode(stems.sum(dim=1) - stem) for stem in stems.unbind(1)]

    reconstruction = Reconstruction(count)
    reconstruction.update(clips.decoded, clips.audio, index)
    encoder_homogeneity = EncoderHomogeneity(count, HEADLINE_GAINS)
    scaled = torch.stack([model.encode(a * stems.sum(dim=1)) for a in HEADLINE_GAINS])
    encoder_homogeneity.update(scaled, clips.latents, index)
    decoder_homogeneity = DecoderHomogeneity(count, HEADLINE_GAINS)
    decoder_homogeneity.update(clips.decode_each(a * clips.latents for a in HEADLINE_GAINS), clips.decoded, index)
    encoder_additivity = EncoderAdditivity(count)
    encoder_additivity.update(stem_latents, clips.latents, index)
    decoder_additivity = DecoderAdditivity(count)
    summed = clips.decode_each(stem_latents.unbind(1)).sum(dim=0)
    decoder_additivity.update(clips.decode(stem_latents.sum(dim=1)), clips.audio, clips.decoded, summed, index)
    separation = Separation(count, ["stem"] * stems.shape[1])
    separation.update(clips.decode_each(without).transpose(0, 1), trim(stems, model.margin), index)

    metrics = [reconstruction, encoder_homogeneity, decoder_homogeneity]
    metrics += [encoder_additivity, decoder_additivity, separation]
    return {name: value.item() for metric in metrics for name, value in metric.compute().items()}


def mean_over_gains(score):
    return sum(map(score, HEADLINE_GAINS)) / len(HEADLINE_GAINS)


def gain_mss(gain):
    """MSS of a waveform against its multiple."""
    return abs(gain - 1) + abs(math.log(gain))


def gain_snr(gain):
    return -20 * math.log10(abs(gain - 1))


def test_the_identity_is_perfect(stems):
    figures = scores(Identity(), stems)
    for name in ("encoder/homogeneity_error", "encoder/additivity_error", "reconstruction/mss"):
        assert figures[name] == 0
    assert figures["decoder/homogeneity_mss"] == 0
    for target in ("additivity", "additivity_self", "additivity_sum"):
        assert figures[f"decoder/{target}_mss"] < 1e-5
        assert 100 < figures[f"decoder/{target}_snr"] < math.inf
    for name in ("reconstruction/snr", "decoder/homogeneity_snr", "separation/si_sdr"):
        assert 100 < figures[name] < math.inf
    assert figures["separation/mss"] < 1e-3


def test_an_orthogonal_projection_is_linear_and_loses_what_it_must(stems):
    """It keeps a share of a white noise's energy: SNR 1 / (1 - share), and SI-SDR share / (1 - share)."""
    share = 48 / 64
    snr, si_sdr = -10 * math.log10(1 - share), 10 * math.log10(share / (1 - share))
    figures = scores(OrthogonalProjection(64, 48), stems)
    for name in ("encoder/homogeneity_error", "encoder/additivity_error"):
        assert figures[name] < 1e-6
    for name in ("homogeneity", "additivity_self", "additivity_sum"):
        assert figures[f"decoder/{name}_mss"] < 1e-4
        assert 100 < figures[f"decoder/{name}_snr"] < math.inf
    assert figures["reconstruction/snr"] == pytest.approx(snr, abs=0.2)
    assert figures["reconstruction/si_sdr"] == pytest.approx(si_sdr, abs=0.2)
    assert figures["separation/si_sdr"] == pytest.approx(si_sdr, abs=0.2)
    for figure in ("mss", "snr"):
        assert figures[f"decoder/additivity_{figure}"] == pytest.approx(figures[f"reconstruction/{figure}"], rel=1e-4)


def test_the_projection_has_orthonormal_rows_that_its_seed_fixes(normal):
    model, again, other = OrthogonalProjection(), OrthogonalProjection(), OrthogonalProjection(seed=1)
    latents = normal(2, 64, 3)
    torch.testing.assert_close(model.encode(model.decode(latents)), latents, atol=1e-5, rtol=0)
    torch.testing.assert_close(again.decode(latents), model.decode(latents), atol=0, rtol=0)
    assert not torch.allclose(other.decode(latents), model.decode(latents))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(again.decode(latents), model.decode(latents))


def test_more_latents_than_samples_are_refused():
    with pytest.raises(ValueError, match=r"latents \(65\) must be at most frame \(64\)"):
        OrthogonalProjection(64, 65)


def test_normalised_loudness_is_deaf_to_gain(stems):
    figures = scores(LoudnessNormalising(SAMPLES), stems)
    expected = mean_over_gains(lambda a: abs(1 - a) / a)
    assert expected == pytest.approx(1.106, abs=1e-3)
    assert figures["encoder/homogeneity_error"] == pytest.approx(expected, abs=1e-5)

    expected = mean_over_gains(lambda a: abs(1 / a - 1) + abs(math.log(a)))
    assert expected == pytest.approx(1.722, abs=1e-3)
    assert figures["decoder/homogeneity_mss"] == pytest.approx(expected, abs=2e-3)
    assert figures["decoder/homogeneity_snr"] == pytest.approx(mean_over_gains(lambda a: gain_snr(1 / a)), abs=1e-3)

    loudness = math.sqrt(K) * LEVEL
    assert figures["reconstruction/mss"] == pytest.approx(gain_mss(1 / loudness), abs=2e-3)


def test_normalised_loudness_of_orthogonal_stems(stems):
    """Of latents s_k / r: their sum is mix / r, and that of the mix is mix / (sqrt(K) r)."""
    figures = scores(LoudnessNormalising(SAMPLES), stems)
    assert figures["encoder/additivity_error"] == pytest.approx(math.sqrt(K) - 1, abs=1e-5)
    assert figures["decoder/additivity_self_mss"] < 1e-4
    assert figures["decoder/additivity_self_snr"] > 100
    gain = 1 / (math.sqrt(K) * LEVEL)
    assert figures["decoder/additivity_mss"] == pytest.approx(gain_mss(gain), abs=2e-3)
    assert figures["decoder/additivity_sum_mss"] == pytest.approx(gain_mss(1 / math.sqrt(K)), abs=2e-3)
    assert figures["decoder/additivity_sum_snr"] == pytest.approx(gain_snr(1 / math.sqrt(K)), abs=1e-3)
    # What is left after the subtraction has 1 / sqrt(K) of the stem, and of all others too much was taken away.
    error = 1 / math.sqrt(K - 1) - 1 / math.sqrt(K)
    si_sdr = -10 * math.log10(K * (K - 1) * error**2)
    assert figures["separation/si_sdr"] == pytest.approx(si_sdr, abs=1e-2)


def test_normalised_loudness_of_equal_stems(equal_stems):
    """All latents are the same, as a constant encoder's would be."""
    figures = scores(LoudnessNormalising(), equal_stems)
    assert figures["encoder/additivity_error"] == pytest.approx(K - 1, abs=1e-5)


def test_silence_stays_silent():
    model = LoudnessNormalising()
    assert not model.encode(torch.zeros(1, SAMPLES)).any()
    assert not model.decode(torch.zeros(1, 4096, 3)).any()


def test_a_power_law_on_gains(stems):
    alpha = 0.65
    figures = scores(PowerLawSpectrogram(), stems)
    expected = mean_over_gains(lambda a: abs(a ** (alpha - 1) - 1))
    assert expected == pytest.approx(0.259, abs=1e-3)
    assert figures["encoder/homogeneity_error"] == pytest.approx(expected, abs=1e-5)
    expected = mean_over_gains(lambda a: gain_mss(a ** (1 / alpha - 1)))
    assert expected == pytest.approx(0.590, abs=1e-3)
    assert figures["decoder/homogeneity_mss"] == pytest.approx(expected, abs=1e-3)


def test_a_power_law_on_sums(equal_stems):
    """K equal sources: latents K^alpha times those of one, where the sum has K times; decoded, K^(1 / alpha)."""
    figures = scores(PowerLawSpectrogram(), equal_stems)
    assert figures["encoder/additivity_error"] == pytest.approx(K ** (1 - 0.65) - 1, abs=1e-5)
    gain = K ** (1 / 0.65 - 1)
    assert figures["decoder/additivity_self_mss"] == pytest.approx(gain_mss(gain), abs=2e-3)
    assert figures["decoder/additivity_sum_mss"] == pytest.approx(gain_mss(gain), abs=2e-3)
    assert figures["decoder/additivity_snr"] == pytest.approx(gain_snr(gain), abs=0.01)


def stft_snr(audio):
    """SNR of audio (T,) through the representation alone."""
    whole = audio[: len(audio) // 512 * 512]
    clips = DecodedClips.of(PowerLawSpectrogram(), whole[None], torch.tensor([0]))
    metric = Reconstruction(1, "stft", ["snr"])
    metric.update(clips.decoded, clips.audio, clips.index)
    return metric.compute()["stft/snr"].item()


def test_the_representation_costs_white_noise_its_nyquist_bin(normal):
    """Nyquist bins of frames d hops apart are correlated as their windows are; the error sums them up: 36.3 dB."""
    window = torch.hann_window(2048, dtype=torch.float64)
    shifted = torch.stack([nn.functional.pad(window, (512 * d, 0))[:2048] for d in range(4)])
    correlation = shifted @ window
    energy = 2 * correlation.square().sum() - correlation[0] ** 2
    overlap = window.square().sum() / 512
    error = energy / (512 * (2048 * overlap) ** 2)
    expected = -10 * math.log10(error)
    assert expected == pytest.approx(36.3, abs=0.05)
    assert stft_snr(0.2 * normal(1_000_000)) == pytest.approx(expected, abs=0.5)


def test_the_representation_costs_a_tone_nothing():
    assert stft_snr(0.5 * torch.sin(2 * math.pi * 440 / 44_100 * torch.arange(SAMPLES))) > 100


def saturated_noise(drive, gain):
    """MSS and SNR of tanh(drive a z) against a tanh(drive z) for Gaussian white noise z of variance 1.

    Both are white, with a ratio g of levels and a correlation rho that follow from moments of the normal distribution.
    In a bin of an STFT they are correlated complex normal variables. Of their magnitudes P and Y = 1 the mean product
    is pi / 4 2F1(-1/2, -1/2; 1; rho^2), and sinh(ln P / Y - ln g) / sqrt(1 - rho^2) is distributed as
    x / sqrt(1 - x^2) for x uniform in [-1, 1].
    """
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    z = torch.special.ndtri(uniform)
    p, t = torch.tanh(drive * gain * z), gain * torch.tanh(drive * z)
    g = (p.square().mean() / t.square().mean()).sqrt()
    rho2 = (p * t).mean() ** 2 / (p.square().mean() * t.square().mean())

    n = torch.arange(1, 100_000, dtype=torch.float64)
    product = math.pi / 4 * (1 + (torch.cumprod((n - 1.5) / n, dim=0) ** 2 * rho2**n).sum())
    convergence = (g**2 + 1 - 2 * g * product).sqrt()
    x = 2 * uniform - 1
    log_magnitude = (g.log() + torch.asinh((1 - rho2).sqrt() * x / (1 - x**2).sqrt())).abs().mean()
    snr = -10 * torch.log10((p - t).square().mean() / t.square().mean())
    return (convergence + log_magnitude).item(), snr.item()


@pytest.mark.parametrize(("drive", "known"), [(0.01, 0.00014), (1.0, 0.517), (100.0, 1.703)])
def test_saturated_white_noise(normal, drive, known):
    """A mix of white noises with a variance of 1."""
    figures = scores(Saturating(drive), normal(4, K, SAMPLES) / math.sqrt(K))
    mss = mean_over_gains(lambda a: saturated_noise(drive, a)[0])
    snr = mean_over_gains(lambda a: saturated_noise(drive, a)[1])
    assert mss == pytest.approx(known, rel=0.03)
    assert figures["decoder/homogeneity_mss"] == pytest.approx(mss, rel=0.01, abs=2e-5)
    assert figures["decoder/homogeneity_snr"] == pytest.approx(snr, abs=0.3)
    assert figures["encoder/homogeneity_error"] == figures["encoder/additivity_error"] == 0


def test_saturation_spans_from_the_identity_to_deafness(stems):
    low, middle, high = (scores(Saturating(drive), stems) for drive in (0.01, 10.0, 1e5))
    for figure in ("homogeneity", "additivity", "additivity_sum"):
        assert low[f"decoder/{figure}_mss"] < 1e-3 < 0.1 < middle[f"decoder/{figure}_mss"]
        assert middle[f"decoder/{figure}_mss"] < high[f"decoder/{figure}_mss"]
        assert low[f"decoder/{figure}_snr"] > middle[f"decoder/{figure}_snr"] > high[f"decoder/{figure}_snr"]
    assert low["reconstruction/snr"] > 60
    assert high["decoder/homogeneity_mss"] == pytest.approx(mean_over_gains(lambda a: gain_mss(1 / a)), abs=1e-3)


@pytest.mark.parametrize("drive", [0.0, -1.0])
def test_a_drive_that_is_not_positive_is_refused(drive):
    with pytest.raises(ValueError, match="drive must be above 0"):
        Saturating(drive)


@pytest.mark.parametrize("samples", [4095, 4096, 4097, SAMPLES])
def test_frames_of_the_waveform(normal, samples):
    """Sample l x frame + d is latent d of frame l; the last frame is filled with zeros."""
    audio = normal(2, samples)
    latents = Identity().encode(audio)
    assert latents.shape == (2, 4096, math.ceil(samples / 4096))
    for frame, latent in zip(audio.split(4096, dim=-1), latents.unbind(-1), strict=True):
        assert torch.equal(latent[:, : frame.shape[-1]], frame)
    decoded = Identity().decode(latents)
    assert torch.equal(decoded[:, :samples], audio)
    assert not decoded[:, samples:].any()


def test_latents_of_the_spectrogram(normal):
    model = PowerLawSpectrogram(Spectrogram(64, 256, fold=2))
    audio = normal(2, 1216)
    latents = model.encode(audio)
    assert latents.shape == (2, 256, 16)
    assert torch.equal(model.decode(latents), model.spectrogram.inverse(model.spectrogram(audio)))


@pytest.mark.parametrize("control", CONTROLS)
def test_controls_can_be_named_and_measured(control, normal):
    """By class path, as autoencoders are; with the protocol's methods but for training."""
    parser = ArgumentParser()
    parser.add_argument("--autoencoder", type=nn.Module)
    named = {"class_path": f"{control.__module__}.{control.__name__}", "init_args": {"sample_rate": 16_000}}
    model = parser.instantiate(parser.parse_object({"autoencoder": named})).autoencoder
    assert type(model) is control
    assert model.sample_rate == 16_000
    assert not list(model.parameters())
    for method in ("encode", "sample_noise", "decode"):
        asked = inspect.signature(getattr(LatentAutoencoder, method)).parameters
        assert list(inspect.signature(getattr(control, method)).parameters) == list(asked)
    audio = 0.1 * normal(2, SAMPLES)
    clips = DecodedClips.of(model, audio, torch.arange(2))
    assert clips.noise is None
    assert clips.decoded.shape == trim(audio, model.margin).shape
