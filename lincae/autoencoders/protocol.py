"""What an autoencoder must offer to be trained, measured and used here."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from lincae.streams import Draws


def channels_of(autoencoder: Any) -> int:
    """Channels C of the audio of an autoencoder: 1 where it does not say."""
    return getattr(autoencoder, "audio_channels", 1)


def reading_of(autoencoder: Any) -> Literal["mean", "stereo"]:
    """What a reader does with the channels of files for an autoencoder: `mean` or `stereo`."""
    return "mean" if channels_of(autoencoder) == 1 else "stereo"


def silence_for(autoencoder: Any, rows: int, samples: int, device: Any = None) -> Tensor:
    """Digital silence in the shape that an autoencoder takes, (N, T) or (N, C, T)."""
    channels = channels_of(autoencoder)
    return torch.zeros((rows, samples) if channels == 1 else (rows, channels, samples), device=device)


class LatentAutoencoder(Protocol):
    """Rows are independent of one another; noise and randomness are arguments, never hidden state.

    Audio of one channel is (N, T). A model of C channels has the attribute `audio_channels`, C, and wherever (N, T) is
    written its audio is (N, C, T): what it encodes, decodes and is trained towards. The mixing matrix acts on the first
    axis alone, so nothing else in a training changes. Figures take the channels of a clip one after the other as one
    waveform, and so are about all of them.

    A model may also have `schedules(progress) -> dict[str, float]`, values of its own that change over training, which
    are then logged, and `networks() -> list[nn.Module]`, what `compile: true` compiles. `lincae.Autoencoder` also needs
    `framing`, a `lincae.framing.Framing`, and for `features` the method `features(audio) -> (N, C, L)`.

    Attributes:
        sample_rate: Hz.
        margin: samples at either end of a decoded clip that the analysis and synthesis cannot restore (an inverse STFT
            fades there); comparisons of waveforms leave them out.
    """

    sample_rate: int
    margin: int

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T), full scale 1 -> latents (N, D, L)."""
        ...

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> Tensor | None:
        """Standard normal noise for decoding these latents in this many steps; None if decoding is deterministic.

        Shape (N, steps, ..., frames), equally many frames for each latent. Of `draws` only `normal` is used.
        """
        ...

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, T'). The same latents and noise give the same audio."""
        ...

    def training_loss(self, condition: Tensor, targets: Tensor, progress: Tensor, draws: Draws) -> Tensor:
        """Loss of each row, (N,).

        Args:
            condition: what the decoder is given, (N, D, L): mixed latents.
            targets: what it must produce, (N, T): equally mixed waveforms.
            progress: step / total steps, 0-dim.
            draws: the batch's random streams.
        """
        ...
