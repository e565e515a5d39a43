"""Files of any number of channels in a model of one or of several.

A model of one channel takes each channel of a file by itself. One of C channels takes them together; a file with one
channel is heard as C equal ones, and decoded to their mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from lincae.autoencoders.protocol import channels_of
from lincae.cli.file_jobs import Advance
from lincae.inference import Autoencoder, Progress


def fits(heard: int, channels: int) -> bool:
    """Whether a model that hears so many channels at once can take a file of so many."""
    return heard == 1 or channels in (1, heard)


def check_channels(model: Autoencoder, files: Iterable[tuple[Path, int]]) -> None:
    """Whether a model can take files of so many channels.

    Raises:
        ValueError: if it cannot: the first file.
    """
    heard = channels_of(model.autoencoder)
    for path, channels in files:
        if not fits(heard, channels):
            raise ValueError(
                f"{path} has {channels} channels, and the model hears {heard} at once: give files of {heard} or of 1"
            )


def encode_channels(model: Autoencoder, audio: Tensor, progress: Progress) -> Tensor:
    """Latents (R, D, L) of a file (C, T): a row for each channel, or one for all that the model hears at once."""
    heard = channels_of(model.autoencoder)
    return model.encode(audio if heard == 1 else audio.expand(heard, -1), progress)


def decode_channels(
    model: Autoencoder, latents: Tensor, channels: int, samples: int, options: argparse.Namespace, advance: Advance
) -> Tensor:
    """Audio (channels, samples) of latents (R, D, L), row by row; the bar moves by its seconds.

    All rows are decoded from the same noise: equal channels stay equal, and others differ by their latents alone.

    Raises:
        ValueError: if the latents are not those of so many channels.
    """
    heard = channels_of(model.autoencoder)
    if len(latents) != (channels if heard == 1 else 1) or not fits(heard, channels):
        raise ValueError(f"{len(latents)} rows of latents are not {channels} channels of a model that hears {heard}")
    audio = torch.empty(channels, samples)
    progress = advance(samples / model.sample_rate / len(latents))
    for row, z in enumerate(latents):
        generator = torch.Generator().manual_seed(options.seed)
        decoded = model.decode(z[None], samples, options.steps, generator=generator, progress=progress)[0]
        if heard == 1:
            audio[row] = decoded
        else:
            audio[:] = decoded.mean(dim=0) if channels == 1 else decoded
    return audio
