"""Numbers of latents and samples against counting, and against what autoencoders return."""

import pytest
import torch

from lincae.autoencoders.controls import Identity, PowerLawSpectrogram
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.framing import Framing

REFERENCE = Framing(hop=512, window=2048, time_stride=8)


def counted(samples, framing):
    """Frames that end inside so many samples, and each group of them that begins."""
    frames = [start for start in range(0, samples, framing.hop) if start + framing.window <= samples]
    return len(frames), len(frames[:: framing.time_stride])


@pytest.mark.parametrize("framing", [Framing(4, 16, 8), Framing(4, 4, 3), Framing(3, 12)])
def test_lengths_are_those_that_counting_gives(framing):
    for samples in range(1, 400):
        frames, latents = counted(samples, framing)
        assert framing.latents(samples) == latents
        assert framing.seen(samples) == ((frames - 1) * framing.hop + framing.window if frames else 0)
        assert framing.latents(framing.seen(samples)) == latents
    for latents in range(1, 9):
        assert framing.latents(framing.samples(latents)) == latents
        assert framing.latents(framing.samples(latents) + framing.hop) == latents + 1


def test_reference_lengths():
    """Published: L = ceil((floor((T - 2048) / 512) + 1) / 8), and (8 L - 1) 512 + 2048 samples back."""
    assert (REFERENCE.margin, REFERENCE.period) == (1536, 4096)
    assert [REFERENCE.latents(samples) for samples in (2047, 2048, 34304, 34815, 34816)] == [0, 1, 8, 8, 9]
    assert [REFERENCE.samples(latents) for latents in (1, 8, 21)] == [5632, 34304, 87552]


def test_autoencoders_have_these_lengths(spectrogram, sizes, normal):
    models = [SpectralAutoencoder(spectrogram, sizes), PowerLawSpectrogram(spectrogram), Identity(256)]
    for model in models:
        for samples in (256, 320, 767, 768, 1216, 2000):
            audio = normal(1, model.framing.seen(samples))
            with torch.no_grad():
                latents = model.encode(audio)
                decoded = model.decode(latents)
            assert latents.shape[-1] == model.framing.latents(samples)
            assert decoded.shape[-1] == model.framing.samples(latents.shape[-1])
        assert model.framing.margin == model.margin
