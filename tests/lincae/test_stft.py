"""The spectrogram against a discrete Fourier transform written out in float64."""

import math

import numpy as np
import pytest
import torch

from lincae.stft import Spectrogram, compress, expand

ALPHA, BETA = 0.65, 0.34


def tone(samples, frequency=1000.0, rate=44_100):
    return 0.5 * torch.sin(2 * math.pi * frequency / rate * torch.arange(samples, dtype=torch.float64)).float()[None]


def snr(estimate, reference):
    error = (estimate - reference).double()
    return 10 * torch.log10(reference.double().square().sum() / error.square().sum()).item()


def hann(window):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


def reference_map(audio, hop, window):
    """(T,) -> (2, F, L): every frame times a matrix of complex exponentials, then beta |X|^alpha exp(j arg X)."""
    audio = audio.double().numpy()
    starts = range(0, len(audio) - window + 1, hop)
    frames = np.stack([audio[s : s + window] * hann(window) for s in starts], axis=1)
    bins, n = np.arange(window // 2)[:, None], np.arange(window)[None]
    spectrum = np.exp(-2j * np.pi * bins * n / window) @ frames
    compressed = BETA * np.abs(spectrum) ** ALPHA * np.exp(1j * np.angle(spectrum))
    return np.stack([compressed.real, compressed.imag])


def reference_audio(spectrogram, hop, window):
    """(2, F, L) -> (T,): power law undone, inverse DFT, overlap-add over the steady-state sum of squares."""
    compressed = spectrogram[0] + 1j * spectrogram[1]
    spectrum = (np.abs(compressed) / BETA) ** (1 / ALPHA) * np.exp(1j * np.angle(compressed))
    n, bins = np.arange(window)[:, None], np.arange(window // 2)[None]
    weights = np.where(bins == 0, 1, 2) / window
    frames = (weights * np.exp(2j * np.pi * bins * n / window) @ spectrum).real * hann(window)[:, None]
    audio = np.zeros((frames.shape[1] - 1) * hop + window)
    for index, frame in enumerate(frames.T):
        audio[index * hop : index * hop + window] += frame
    return audio / (np.square(hann(window)).sum() / hop)


@pytest.mark.parametrize(("hop", "window"), [(64, 256), (32, 256), (128, 256)])
def test_forward_is_the_compressed_dft(normal, hop, window):
    audio = 0.1 * normal(2, 1000)
    got = Spectrogram(hop, window)(audio)
    expected = np.stack([reference_map(row, hop, window) for row in audio])
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize(("hop", "window"), [(64, 256), (32, 256)])
def test_inverse_is_overlap_add_over_the_steady_state(normal, hop, window):
    compressed = normal(2, 2, window // 2, 7)
    got = Spectrogram(hop, window).inverse(compressed)
    expected = np.stack([reference_audio(row, hop, window) for row in compressed.double().numpy()])
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


def test_reference_sizes():
    spectrogram = Spectrogram()
    assert (spectrogram.channels, spectrogram.bins, spectrogram.margin) == (2, 1024, 1536)
    assert (spectrogram.alpha, spectrogram.beta) == (ALPHA, BETA)
    assert [spectrogram.samples(frames) for frames in (1, 64, 168)] == [2048, 34304, 87552]
    assert [spectrogram.frames(samples) for samples in (0, 2047, 2048, 34303, 34304, 34815)] == [0, 0, 1, 63, 64, 64]


def test_lengths_agree_with_the_maps(spectrogram, normal):
    for samples in (256, 319, 320, 1000):
        audio = normal(1, samples)
        frames = spectrogram(audio).shape[-1]
        assert frames == spectrogram.frames(samples)
        assert spectrogram.inverse(spectrogram(audio)).shape[-1] == spectrogram.samples(frames)


def test_samples_after_the_last_whole_frame_are_not_seen(spectrogram, normal):
    audio = normal(1, 300)
    torch.testing.assert_close(spectrogram(audio), spectrogram(audio[:, :256]), rtol=0, atol=0)


def test_a_tone_survives_a_round_trip_inside_the_margins():
    spectrogram = Spectrogram()
    audio = tone(34304)
    restored = spectrogram.inverse(spectrogram(audio))
    inside = slice(spectrogram.margin, -spectrogram.margin)
    assert snr(restored[:, inside], audio[:, inside]) > 90
    assert snr(restored, audio) == pytest.approx(14, abs=1)  # with the fading ends


def test_white_noise_loses_only_the_nyquist_bin(normal):
    """Mean energy of the lost bin: sum_k r(k hop)^2 / hop / (1.5 window)^2, r the window's correlation."""
    spectrogram = Spectrogram()
    audio = 0.1 * normal(20, 34304)
    restored = spectrogram.inverse(spectrogram(audio))
    inside = slice(spectrogram.margin, -spectrogram.margin)
    correlation = np.correlate(hann(2048), hann(2048), "full")[2047 % 512 :: 512]
    lost = np.square(correlation).sum() / 512 / (1.5 * 2048) ** 2
    assert snr(restored[:, inside], audio[:, inside]) == pytest.approx(-10 * np.log10(lost), abs=0.5)


def test_the_margins_fade_with_the_missing_windows():
    """Where only the first k of window / hop frames overlap, a round trip scales by their share of squared windows."""
    spectrogram = Spectrogram()
    audio = tone(34304)
    squares = np.square(hann(2048))
    overlapping = np.stack([np.pad(squares, (512 * k, 0))[:1536] for k in range(3)]).sum(0)
    fade = torch.from_numpy(overlapping / (squares.sum() / 512)).float()
    restored = spectrogram.inverse(spectrogram(audio))
    torch.testing.assert_close(restored[0, :1536], fade * audio[0, :1536], rtol=0, atol=1e-4)
    # the first sample of a periodic window is zero but the last is not: the end fades like the start, one sample later
    torch.testing.assert_close(restored[0, -1535:], fade[1:].flip(0) * audio[0, -1535:], rtol=0, atol=1e-4)


def test_silence_maps_to_silence_with_finite_gradients(spectrogram):
    audio = torch.zeros(1, 512, requires_grad=True)
    compressed = spectrogram(audio)
    assert not compressed.any()
    compressed.sum().backward()
    assert audio.grad.isfinite().all()

    empty = torch.zeros(1, 2, 128, 4, requires_grad=True)
    restored = spectrogram.inverse(empty)
    assert not restored.any()
    restored.sum().backward()
    assert empty.grad.isfinite().all()


def test_power_law_and_its_inverse_over_six_decades():
    magnitude, phase = np.logspace(-4, 2, 25), np.linspace(-3, 3, 25)
    z = magnitude * np.exp(1j * phase)
    parts = torch.tensor(np.stack([z.real, z.imag]), dtype=torch.float32)[None, :, :, None]
    compressed = compress(parts, ALPHA, BETA)
    expected = BETA * magnitude**ALPHA * np.exp(1j * phase)
    np.testing.assert_allclose(compressed[0, 0, :, 0], expected.real, rtol=1e-5)
    np.testing.assert_allclose(compressed[0, 1, :, 0], expected.imag, rtol=1e-5)
    torch.testing.assert_close(expand(compressed, ALPHA, BETA), parts, rtol=1e-5, atol=0)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_power_law_is_configurable(normal, alpha):
    parts = normal(1, 2, 5, 3)
    magnitude = parts.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(compress(parts, alpha, 0.1).square().sum(1, keepdim=True).sqrt(), 0.1 * magnitude**alpha)


def test_gradient_of_the_power_law(normal):
    parts = normal(1, 2, 3, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: compress(x, ALPHA, BETA), parts)
    assert torch.autograd.gradcheck(lambda x: expand(x, ALPHA, BETA), parts)


def test_fold_only_moves_bins_to_channels(normal):
    audio = normal(2, 1000)
    plain, folded = Spectrogram(64, 256), Spectrogram(64, 256, fold=4)
    a, b = plain(audio), folded(audio)
    assert (folded.channels, folded.bins) == (8, 32)
    assert b.shape == (2, 8, 32, plain.frames(1000))
    for channel in range(2):
        for k in range(4):  # bin 4 f + k is bin f of channel (channel, k)
            torch.testing.assert_close(b[:, 4 * channel + k], a[:, channel, k::4], rtol=0, atol=0)
    torch.testing.assert_close(folded.inverse(b), plain.inverse(a), rtol=0, atol=0)


def test_autocast_changes_nothing(spectrogram, normal):
    audio = normal(2, 1000)
    plain = spectrogram(audio)
    restored = spectrogram.inverse(plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = spectrogram(audio)
        restored_under_autocast = spectrogram.inverse(plain)
    for got, expected in ((under_autocast, plain), (restored_under_autocast, restored)):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_half_precision_input_is_computed_in_float32(spectrogram, normal):
    audio = normal(1, 512).bfloat16()
    torch.testing.assert_close(spectrogram(audio), spectrogram(audio.float()), rtol=0, atol=0)
    compressed = normal(1, 2, 128, 4).bfloat16()
    torch.testing.assert_close(spectrogram.inverse(compressed), spectrogram.inverse(compressed.float()), rtol=0, atol=0)


def test_too_short_audio_is_an_error(spectrogram):
    with pytest.raises(ValueError, match=r"255 samples .* one window \(256 samples\)"):
        spectrogram(torch.zeros(1, 255))


def test_sizes_that_do_not_divide_are_errors():
    with pytest.raises(ValueError, match=r"window \(256\) must be a multiple of hop \(60\)"):
        Spectrogram(hop=60, window=256)
    with pytest.raises(ValueError, match=r"fold \(3\) must divide the number of bins \(128\)"):
        Spectrogram(hop=64, window=256, fold=3)


def test_window_is_not_a_weight(spectrogram):
    assert not spectrogram.state_dict()
