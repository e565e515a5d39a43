"""Foreign autoencoders: shapes, channels, lengths, and the interface of diffusers."""

import inspect
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from lincae.autoencoders.foreign import ForeignAutoencoder, stable_audio_vae
from lincae.autoencoders.protocol import LatentAutoencoder
from lincae.evaluation import DecodedClips
from lincae.metrics import HEADLINE_GAINS, EncoderHomogeneity, Reconstruction

STRIDE = 64


class Frames:
    """Latents are whole frames of all channels, (N, C x stride, L); what is left over is dropped."""

    def __init__(self, channels: int | None = None) -> None:
        self.channels = channels

    def encode(self, audio: Tensor) -> Tensor:
        self.heard = audio
        whole = audio[..., : audio.shape[-1] // STRIDE * STRIDE]
        frames = whole.unflatten(-1, (-1, STRIDE)).transpose(-1, -2)
        return frames if self.channels is None else frames.flatten(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        frames = latents if self.channels is None else latents.unflatten(1, (self.channels, STRIDE))
        return frames.transpose(-1, -2).flatten(-2)


class Oobleck(nn.Module):
    """What `diffusers.AutoencoderOobleck` offers: a distribution of latents, and decodes inside an object."""

    sampling_rate, hop_length, config = 48_000, STRIDE, SimpleNamespace(audio_channels=2)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.dropout = nn.Dropout()
        self.frames = Frames(channels=2)

    @classmethod
    def from_pretrained(cls, path: str) -> nn.Module:
        cls.loaded_from = path
        return cls().train()

    def encode(self, audio: Tensor) -> SimpleNamespace:
        mean = self.scale * self.dropout(self.frames.encode(audio))
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: mean, sample=lambda: torch.randn_like(mean)))

    def decode(self, latents: Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=self.frames.decode(latents) / self.scale)


@pytest.fixture
def vae_folder(tmp_path, monkeypatch):
    """A folder that the stand-in for diffusers loads."""
    monkeypatch.setitem(sys.modules, "diffusers", SimpleNamespace(AutoencoderOobleck=Oobleck))
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderOobleck"}))
    return tmp_path


@pytest.mark.parametrize("channels", [None, 1, 2])
@pytest.mark.parametrize("samples", [4096, 4097, 4159])
def test_clips_of_any_length_come_back(normal, channels, samples):
    module = Frames(channels)
    audio = 0.1 * normal(3, samples)
    clips = DecodedClips.of(ForeignAutoencoder(module, 22_050, channels, stride=STRIDE), audio, torch.arange(3))
    assert torch.equal(clips.decoded, audio)
    assert clips.noise is None
    assert clips.latents.shape == (3, STRIDE * (channels or 1), -(-samples // STRIDE))
    heard = module.heard.shape[:-1]
    assert heard == ((3,) if channels is None else (3, channels))


def test_mono_is_copied_to_both_channels_and_decodes_are_averaged(normal):
    module = Frames(channels=2)
    model = ForeignAutoencoder(module, 44_100, channels=2)
    audio = normal(3, 4096)
    latents = model.encode(audio)
    assert torch.equal(module.heard, torch.stack([audio, audio], dim=1))
    gains = torch.tensor([1.0, 3.0]).repeat_interleave(STRIDE)[:, None]
    torch.testing.assert_close(model.decode(gains * latents), 2 * audio)


def test_margins_are_left_out(normal):
    audio = normal(2, 4096)
    clips = DecodedClips.of(ForeignAutoencoder(Frames(), 8000, None, STRIDE, margin=100), audio, torch.arange(2))
    assert torch.equal(clips.decoded, audio[:, 100:-100])


def test_figures_of_a_foreign_model(vae_folder, normal):
    model = stable_audio_vae(vae_folder)
    audio = 0.1 * normal(2, 4096)
    clips = DecodedClips.of(model, audio, torch.arange(2))
    reconstruction, homogeneity = Reconstruction(2), EncoderHomogeneity(2, HEADLINE_GAINS)
    reconstruction.update(clips.decoded, clips.audio, clips.index)
    homogeneity.update(torch.stack([model.encode(a * audio) for a in HEADLINE_GAINS]), clips.latents, clips.index)
    assert reconstruction.compute()["reconstruction/snr"] > 100
    assert homogeneity.compute()["encoder/homogeneity_error"] < 1e-6


def test_the_stable_audio_vae_takes_its_settings_from_the_model(vae_folder, normal):
    model = stable_audio_vae(vae_folder)
    assert Oobleck.loaded_from == vae_folder
    assert (model.sample_rate, model.channels, model.stride, model.margin) == (48_000, 2, STRIDE, 0)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    audio = normal(2, 1000)
    torch.testing.assert_close(model.decode(model.encode(audio))[:, :1000], audio)  # the mode, without dropout


def test_a_foreign_model_can_be_named(vae_folder):
    parser = ArgumentParser()
    parser.add_argument("--autoencoder", type=nn.Module)
    named = {"class_path": "lincae.autoencoders.foreign.stable_audio_vae", "init_args": {"path": str(vae_folder)}}
    model = parser.instantiate(parser.parse_object({"autoencoder": named})).autoencoder
    assert isinstance(model, ForeignAutoencoder)
    assert isinstance(model.module, Oobleck)


def test_without_diffusers_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install diffusers"):
        stable_audio_vae(tmp_path)


def test_a_folder_without_a_model_is_refused(vae_folder):
    with pytest.raises(FileNotFoundError, match=r"vae holds no config.json"):
        stable_audio_vae(vae_folder / "vae")


@pytest.mark.parametrize("channels", [0, 3])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(ValueError, match=f"channels must be 1, 2 or None, got {channels}"):
        ForeignAutoencoder(Frames(), 44_100, channels)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (torch.zeros(2, 3), r"encode gave \(2, 3\) instead of a tensor \(2, D, L\)"),
        (torch.zeros(1, 3, 4), r"encode gave \(1, 3, 4\) instead of a tensor \(2, D, L\)"),
        ((torch.zeros(2, 3, 4),), r"encode gave a tuple instead of a tensor \(2, D, L\)"),
    ],
)
def test_latents_of_another_shape_are_refused(latents, message):
    model = ForeignAutoencoder(SimpleNamespace(encode=lambda audio: latents), 44_100, channels=1)
    with pytest.raises(ValueError, match=message):
        model.encode(torch.zeros(2, 4096))


@pytest.mark.parametrize(
    ("channels", "audio", "message"),
    [
        (None, torch.zeros(2, 1, 4096), r"decode gave \(2, 1, 4096\) instead of a tensor \(2, T\): check `channels`"),
        (1, torch.zeros(2, 4096), r"decode gave \(2, 4096\) instead of a tensor \(2, 1, T\)"),
        (2, torch.zeros(2, 1, 4096), r"decode gave \(2, 1, 4096\) instead of a tensor \(2, 2, T\)"),
        (2, [0.0], r"decode gave a list instead of a tensor \(2, 2, T\)"),
    ],
)
def test_audio_of_another_shape_is_refused(channels, audio, message):
    model = ForeignAutoencoder(SimpleNamespace(decode=lambda latents: audio), 44_100, channels)
    with pytest.raises(ValueError, match=message):
        model.decode(torch.zeros(2, 3, 4))


@pytest.mark.parametrize("method", ["encode", "sample_noise", "decode"])
def test_foreign_models_can_be_called_as_the_protocol_says(method):
    asked = inspect.signature(getattr(LatentAutoencoder, method)).parameters
    assert list(inspect.signature(getattr(ForeignAutoencoder, method)).parameters) == list(asked)
