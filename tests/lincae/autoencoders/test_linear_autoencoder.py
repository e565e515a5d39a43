"""The linear upper bound: exactly linear, and no linear map of its rank does better on what it was fitted to."""

import pytest
import torch
from sklearn.decomposition import PCA

from lincae import Autoencoder
from lincae.autoencoders.linear import LinearAutoencoder
from lincae.autoencoders.oobleck import OobleckAutoencoder
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.cli.main import main
from lincae.metrics import signal_to_noise

SIZES = {"hop": 16, "window": 64, "latents": 5, "time_stride": 2, "sample_rate": 8_000}


@pytest.fixture
def tones():
    """Clips (N, T) of three tones and some noise."""
    time = torch.arange(2000) / 8_000
    hertz = torch.tensor([[300.0], [900.0], [1500.0], [450.0]])
    return (2 * torch.pi * hertz * time).sin() + 0.1 * torch.randn(4, 2000, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def fitted(tones):
    model = LinearAutoencoder(**SIZES)
    model.kept, model.std = model.fit([tones[:2], tones[2:]])
    return model


def error(patches, basis):
    """Squared error of projecting patches (P, numbers) onto the rows of a basis, by least squares."""
    q = torch.linalg.qr(basis.mT).Q
    return float((patches - patches @ q @ q.mT).square().sum())


def test_no_linear_map_of_its_rank_has_a_smaller_error(fitted, tones, normal):
    patches = fitted.patches(tones).mT.flatten(0, 1)
    least = error(patches, fitted.components)
    pca = PCA(SIZES["latents"], svd_solver="full").fit(torch.cat([patches, -patches]).numpy())  # of mean zero
    assert least == pytest.approx(error(patches, torch.from_numpy(pca.components_)), rel=1e-9)
    assert fitted.kept == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-9)
    for seed in range(5):
        near = fitted.components + 0.05 * normal(*fitted.components.shape, seed=seed)
        assert least < error(patches, near)
    assert least < error(patches, patches[: SIZES["latents"]])


def test_the_spread_of_what_it_was_fitted_on_is_known(fitted, tones):
    assert fitted.std == pytest.approx(fitted.encode(tones).std(correction=0).item(), rel=1e-5)


def test_it_is_linear_up_to_rounding(fitted, tones):
    u, v = tones[:1], tones[1:2]
    mixed = fitted.encode(0.3 * u - 2 * v)
    torch.testing.assert_close(mixed, 0.3 * fitted.encode(u) - 2 * fitted.encode(v), atol=1e-5, rtol=1e-5)
    decoded = fitted.decode(mixed)
    expected = 0.3 * fitted.decode(fitted.encode(u)) - 2 * fitted.decode(fitted.encode(v))
    assert signal_to_noise(decoded, expected) > 110


def test_all_components_lose_nothing_but_the_nyquist_bin(tones):
    model = LinearAutoencoder(16, 64, latents=64, sample_rate=8_000)
    assert model.fit([tones])[0] == pytest.approx(1)
    round_trip = model.spectrogram.inverse(model.spectrogram(tones))
    assert (signal_to_noise(model.decode(model.encode(tones)), round_trip) > 110).all()


def test_equal_channels_cost_no_more_than_one(fitted, tones):
    stereo = LinearAutoencoder(**SIZES, audio_channels=2)
    both = tones[:, None].expand(-1, 2, -1)
    assert stereo.fit([both])[0] == pytest.approx(fitted.kept, rel=1e-9)
    decoded = stereo.decode(stereo.encode(both))
    assert stereo.encode(both).shape == fitted.encode(tones).shape
    for channel in decoded.unbind(1):
        torch.testing.assert_close(channel, fitted.decode(fitted.encode(tones)), rtol=1e-4, atol=1e-5)


def test_channels_that_differ_are_restored_in_their_order(tones):
    stereo = LinearAutoencoder(16, 64, latents=128, sample_rate=8_000, audio_channels=2)  # all components
    both = torch.stack([tones, tones.flip(0)], dim=1)
    stereo.fit([both])
    channels = both.flatten(0, 1)
    round_trip = stereo.spectrogram.inverse(stereo.spectrogram(channels))
    assert (signal_to_noise(stereo.decode(stereo.encode(both)).flatten(0, 1), round_trip) > 110).all()


def test_silence_is_refused():
    with pytest.raises(ValueError, match="nothing to fit"):
        LinearAutoencoder(**SIZES).fit([torch.zeros(1, 2000)])
    with pytest.raises(ValueError, match=r"latents \(65\) must be at most the numbers of a patch \(64\)"):
        LinearAutoencoder(16, 64, latents=65)


def test_the_command_makes_one_like_a_model(music, tmp_path, spectrogram, sizes, capsys):
    Autoencoder(SpectralAutoencoder(spectrogram, sizes)).save_pretrained(tmp_path / "model")
    main(["linear", "--like", str(tmp_path / "model"), "--data", str(music), "-o", str(tmp_path / "linear")])
    assert "3 latents for 8 x 64 samples" in capsys.readouterr().out  # as many as the model has
    made = Autoencoder.from_pretrained(tmp_path / "linear", device="cpu")
    assert made.latent_length(44_100) == Autoencoder.from_pretrained(tmp_path / "model").latent_length(44_100)
    assert made.scale_factor != 1
    gram = made.autoencoder.components @ made.autoencoder.components.mT
    torch.testing.assert_close(gram, torch.eye(3, dtype=torch.float64))


def test_the_command_makes_a_stereo_one_like_a_stereo_model(music, tmp_path, capsys):
    Autoencoder(OobleckAutoencoder(8, [4, 8], [1, 2], 8, 4)).save_pretrained(tmp_path / "model")
    main(["linear", "--like", str(tmp_path / "model"), "--data", str(music), "-o", str(tmp_path / "linear")])
    assert "4 latents for 1 x 32 samples" in capsys.readouterr().out
    made = Autoencoder.from_pretrained(tmp_path / "linear", device="cpu")
    assert made.decode(made.encode(torch.randn(1, 2, 3200))).shape == (1, 2, 3200)
