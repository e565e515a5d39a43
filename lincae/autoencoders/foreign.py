"""Autoencoders of others, to be measured beside those trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from einops import repeat
from torch import Tensor, nn
from torch.nn import functional

from lincae.streams import Draws


class ForeignAutoencoder(nn.Module):
    """Any deterministic `encode` and `decode` as a `lincae.autoencoders.protocol.LatentAutoencoder` without a loss.

    Models with the interface of `diffusers` fit as they are: where `encode` returns an object with a `latent_dist`, its
    mode are the latents, and where `decode` returns an object with a `sample`, that is the audio.

    Args:
        module: has `encode(audio) -> latents` and `decode(latents) -> audio`, latents (N, D, L). If it is an
            `nn.Module`, it is put into evaluation mode and its weights are frozen.
        sample_rate: that the module works at, Hz.
        channels: of the module's audio. 1 or 2 for (N, channels, T), where mono clips are copied to both channels and
            decodes averaged over them; None for (N, T).
        stride: clips are padded with zeros to a multiple of so many samples, for modules that would drop the rest.
        margin: samples at either end of a decode that comparisons leave out.

    Raises:
        ValueError: if `channels` is none of these.
    """

    module: Any

    def __init__(self, module: Any, sample_rate: int, channels: int | None, stride: int = 1, margin: int = 0) -> None:
        super().__init__()
        if channels not in (None, 1, 2):
            raise ValueError(f"channels must be 1, 2 or None, got {channels}")
        self.module = module.eval().requires_grad_(False) if isinstance(module, nn.Module) else module
        self.sample_rate, self.channels, self.stride, self.margin = sample_rate, channels, stride, margin

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> latents (N, D, L).

        Raises:
            ValueError: if the module's latents have another shape.
        """
        heard = functional.pad(audio, (0, -audio.shape[-1] % self.stride))
        if self.channels is not None:
            heard = repeat(heard, "n t -> n c t", c=self.channels)
        encoded = self.module.encode(heard)
        latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded
        return _checked("encode", latents, (len(audio), "D", "L"))

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        """None: decoding is deterministic."""

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, T').

        Raises:
            ValueError: if the module's audio has other axes or another number of channels.
        """
        decoded = self.module.decode(latents)
        audio = decoded.sample if hasattr(decoded, "sample") else decoded
        if self.channels is None:
            return _checked("decode", audio, (len(latents), "T"))
        return _checked("decode", audio, (len(latents), self.channels, "T")).mean(dim=1)


def stable_audio_vae(path: str | Path) -> ForeignAutoencoder:
    """The autoencoder of Stable Audio Open (arXiv 2407.14358): 64 latent channels, 2048 samples per latent, stereo.

    Args:
        path: folder with its `config.json` and weights in the format of `diffusers`: `vae` in a copy of the repository
            `stabilityai/stable-audio-open-1.0`, whose licence has to be accepted there.

    Raises:
        ModuleNotFoundError: without the package `diffusers`.
        FileNotFoundError: if the folder holds no configuration.
    """
    try:
        from diffusers import AutoencoderOobleck
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Stable Audio's VAE needs diffusers: pip install diffusers") from error
    if not (Path(path) / "config.json").is_file():
        raise FileNotFoundError(f"{path} holds no config.json: give the folder `vae` of stable-audio-open-1.0")
    vae = AutoencoderOobleck.from_pretrained(path)
    return ForeignAutoencoder(vae, vae.sampling_rate, channels=vae.config.audio_channels, stride=vae.hop_length)


def _checked(method: str, result: Any, shape: tuple[int | str, ...]) -> Tensor:
    """The result if it is a tensor of this shape, in which letters stand for any size."""
    expected = f"a tensor ({', '.join(map(str, shape))})"
    if not isinstance(result, Tensor):
        raise ValueError(f"the module's {method} gave a {type(result).__name__} instead of {expected}")
    known = all(isinstance(size, str) or size == found for size, found in zip(shape, result.shape, strict=False))
    if not known or result.dim() != len(shape):
        raise ValueError(f"the module's {method} gave {tuple(result.shape)} instead of {expected}: check `channels`")
    return result
