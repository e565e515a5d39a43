"""The deterministic autoencoder: its loss in closed form, its lengths, its gradients."""

import math

import pytest
import torch

from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.mixing import Mixture
from lincae.stft import Spectrogram
from lincae.streams import Draws

SAMPLES = 1216  # 16 frames, 2 latents
DRAWS = Draws(11, [4, 7])
PROGRESS = torch.tensor(0.3)


@pytest.fixture
def model(spectrogram, sizes, awaken):
    torch.manual_seed(0)
    return awaken(SpectralAutoencoder(spectrogram, sizes))


def loss_of(model, monkeypatch, estimate, targets):
    monkeypatch.setattr(model, "_estimate", lambda latents: estimate)
    return model.training_loss(None, targets, PROGRESS, DRAWS)


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
def test_loss_of_a_scaled_estimate(model, monkeypatch, normal, factor):
    """Relative L2: |a X - X| / |X| = |a - 1|, whatever the level of the target."""
    targets = torch.tensor([[0.3], [0.03]]) * normal(2, SAMPLES)
    losses = loss_of(model, monkeypatch, factor * model.spectrogram(targets), targets)
    torch.testing.assert_close(losses, torch.full((2,), abs(factor - 1)), rtol=0.02, atol=0)


def test_loss_with_its_floors(model, monkeypatch, normal):
    """sqrt(|e|^2 + (f / 1000)^2) / sqrt(|X|^2 + f^2), f = silence sqrt(dimension); here for a target near the floor."""
    targets = 1e-5 * normal(2, SAMPLES)
    estimate = 0.02 * normal(2, 2, 128, 16, seed=1)
    target = model.spectrogram(targets).double()
    floor = 0.01 * math.sqrt(2 * 128 * 16)
    error = ((estimate - target) ** 2).sum(dim=(1, 2, 3)) + (floor / 1000) ** 2
    expected = (error / ((target**2).sum(dim=(1, 2, 3)) + floor**2)).sqrt()
    torch.testing.assert_close(loss_of(model, monkeypatch, estimate, targets), expected.float())


def test_silent_targets_have_a_finite_loss_and_gradient(model, monkeypatch, normal):
    """Relative to the floor: an estimate of root mean square 2 silence costs 2; a perfect one costs its own floor."""
    silence = torch.zeros(1, SAMPLES)
    noise = normal(1, 2, 128, 16)
    estimate = (0.02 * noise / noise.square().mean().sqrt()).requires_grad_()
    loss = loss_of(model, monkeypatch, estimate, silence)
    assert loss.item() == pytest.approx(2, rel=1e-4)
    loss.backward()
    assert estimate.grad.isfinite().all()

    perfect = torch.zeros(1, 2, 128, 16, requires_grad=True)
    loss = loss_of(model, monkeypatch, perfect, silence)
    assert loss.item() == pytest.approx(1e-3, rel=1e-4)
    loss.backward()
    assert not perfect.grad.any()


def test_silent_clips_have_finite_gradients(model):
    silence = torch.zeros(2, SAMPLES)
    model.training_loss(model.encode(silence), silence, PROGRESS, DRAWS).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_estimate_is_a_convolution_of_the_finest_map(model, normal):
    condition, targets = normal(2, 3, 2), 0.3 * normal(2, SAMPLES, seed=1)
    estimate = model.conv_out(model.pyramid(condition)[0])
    target = model.spectrogram(targets)
    expected = (estimate - target).flatten(1).norm(dim=1) / target.flatten(1).norm(dim=1)
    losses = model.training_loss(condition, targets, PROGRESS, DRAWS)
    torch.testing.assert_close(losses, expected, rtol=0.02, atol=0)
    torch.testing.assert_close(model.decode(condition), model.spectrogram.inverse(estimate), rtol=0, atol=0)


def test_rows_do_not_mix(model, normal):
    condition, targets = normal(4, 3, 2), 0.3 * normal(4, SAMPLES, seed=1)
    together = model.training_loss(condition, targets, PROGRESS, DRAWS)
    alone = model.training_loss(condition[2:], targets[2:], PROGRESS, DRAWS)
    torch.testing.assert_close(together[2:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_parameter_learns(model, normal, precision):
    mixture = Mixture(0.3 * normal(2, SAMPLES), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.7, 0.3], [0.0, 0.5]]))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        latents = model.encode(mixture.sources)
        losses = model.training_loss(mixture.condition(latents), mixture.targets, PROGRESS, DRAWS)
    assert latents.dtype == losses.dtype == torch.float32
    losses.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("frames", [1, 8, 11, 16])
def test_lengths(model, normal, frames):
    """A decode spans 8 frames per latent: at least as long as a clip of whole frames."""
    audio = 0.3 * normal(1, model.spectrogram.samples(frames))
    latents = model.encode(audio)
    assert latents.shape == (1, 3, math.ceil(frames / 8))
    decoded = model.decode(latents, model.sample_noise(latents, DRAWS))
    assert decoded.shape == (1, model.spectrogram.samples(8 * math.ceil(frames / 8)))
    assert decoded.shape[1] >= audio.shape[1]


def test_folded_spectrogram_fits_the_networks(sizes, normal):
    model = SpectralAutoencoder(Spectrogram(64, 256, fold=2), sizes)
    audio = 0.3 * normal(1, SAMPLES)
    assert model.decode(model.encode(audio)).shape == audio.shape
    assert model.training_loss(model.encode(audio), audio, PROGRESS, Draws(0, [0])).shape == (1,)


def test_margin_and_rate(model, spectrogram):
    assert (model.margin, model.sample_rate) == (spectrogram.margin, 44_100)
