"""Audio files in and out: all channels at the model's rate, and decodes as files that nothing clips."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor

from datamodules.inspection import BLOCK, Header, decode_blocks, resampled
from datamodules.rejection import BadAudioError
from datamodules.source import sure, true_header
from lincae.cli.file_jobs import replacing

FORMATS = {".wav": "FLOAT", ".flac": "PCM_24"}
"""Formats that are written, and what their samples are."""

FULL_SCALE = 1 - 2**-23
"""Largest sample of a 24-bit file."""

LARGEST_WAV = 2**32 - 2**16
"""Bytes of samples; longer files are RF64, which a wav's 32-bit sizes cannot be."""

REFUSED = {
    "format": "is in a format that cannot be read: convert it, as with ffmpeg -i IN OUT.flac",
    "unreadable": "is no audio file that can be read, or a damaged one",
    "truncated": "holds less audio than its header says",
    "wrong_length": "lasts longer than its header says",
    "chained": "holds several streams one after the other, of which only the first would be read: make one of them, as "
    "`ffmpeg -i IN OUT.wav` does",
    "not_finite": "holds NaN or infinite samples",
}
"""What is said of a file, by the reason of a `BadAudioError`."""


class Sound(NamedTuple):
    """What an audio file holds.

    Attributes:
        audio: all channels at the model's rate, (C, T), float32, full scale 1.
        frames: samples per channel at the file's own rate.
    """

    audio: Tensor
    frames: int


def read_headers(paths: list[Path]) -> list[Header]:
    """What files say of themselves, with the lengths that they have.

    Raises:
        ValueError: if any is missing, cannot be read, or holds no samples: the first, and how many more.
        OSError: if the operating system refuses to read one.
    """
    headers, bad = [], []
    for path in paths:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        try:
            headers.append(sure(partial(true_header, str(path), None), str(path)))
            if not headers[-1].frames:
                bad.append(f"{path} holds no samples")
        except BadAudioError as error:
            bad.append(f"{path} {REFUSED[error.reason] if path.stat().st_size else 'is empty'}")
    if bad:
        more = f"; {len(bad) - 1} more of {len(paths)} files cannot be used either" if bad[1:] else ""
        raise ValueError(f"{bad[0]}{more}. Nothing was written")
    return headers


def length_at(frames: int, rate: int, sample_rate: int) -> int:
    """Samples of a file at the model's rate: so many that, back at its own rate, they are no fewer than it has."""
    return math.ceil(frames * sample_rate / rate)


def read_sound(path: Path, header: Header, sample_rate: int) -> Sound:
    """Decodes and resamples a whole file, in blocks; the memory is that of what is returned.

    Raises:
        ValueError: if the file turns out to be damaged.
        OSError: if the operating system refuses to read it.
    """

    def decode() -> tuple[Tensor, int]:
        decoded = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal decoded
            for block in decode_blocks(str(path), header):
                decoded += len(block)
                yield block

        blocks = resampled(counted(), header.rate, sample_rate, header.channels)
        return gathered(blocks, header.channels, length_at(header.frames, header.rate, sample_rate)), decoded

    try:
        audio, decoded = sure(decode, str(path))
    except BadAudioError as error:
        raise ValueError(f"{path} {REFUSED[error.reason]}") from error
    if not decoded:
        raise ValueError(f"{path} holds no samples")
    return Sound(audio[:, : length_at(decoded, header.rate, sample_rate)], decoded)


def gathered(blocks: Iterator[np.ndarray], channels: int, most: int) -> Tensor:
    """Blocks (n, C) as (C, most); zeros where they end before.

    Raises:
        BadAudioError: `wrong_length` if they are longer.
    """
    audio, done = torch.zeros(channels, most), 0
    for block in blocks:
        if done + len(block) > most:
            raise BadAudioError("wrong_length")
        audio[:, done : done + len(block)] = torch.from_numpy(block.T)
        done += len(block)
    return audio


def write_sound(place: Path, sound: Sound, sample_rate: int, rate: int) -> float:
    """Writes audio as the suffix says, wholly or not at all: wav in 32-bit float, flac in 24 bits.

    Args:
        place: where to; what is there is replaced.
        sound: audio (C, T) at `sample_rate`, and the samples of the file.
        sample_rate: of the audio, Hz.
        rate: of the file, Hz.

    Returns:
        What the audio was multiplied by, so that nothing in it is clipped: 1 for wav, which has no largest sample.

    Raises:
        ValueError: if the audio is not finite.
    """
    if not all(part.isfinite().all() for part in sound.audio.split(BLOCK, dim=-1)):  # at once it takes memory for two
        raise ValueError(f"{place} was not written: the audio holds NaN or infinite samples")
    channels, suffix = len(sound.audio), place.suffix.lower()

    def blocks() -> Iterator[np.ndarray]:
        left = sound.frames
        parts = (part.T.contiguous().numpy() for part in sound.audio.split(BLOCK, dim=-1))
        for block in resampled(parts, sample_rate, rate, channels):
            yield block[:left]
            left -= min(left, len(block))

    gain = 1.0
    if suffix == ".flac":
        peak = max(float(np.abs(block).max(initial=0)) for block in blocks())
        gain = min(1.0, FULL_SCALE / peak) if peak else 1.0
    container = wav_container(sound.frames * channels) if suffix == ".wav" else suffix[1:].upper()
    with (
        replacing(place) as partial,
        soundfile.SoundFile(os.fsencode(partial), "w", rate, channels, FORMATS[suffix], format=container) as file,
    ):
        for block in blocks():
            file.write(block if gain == 1 else gain * block)
    return gain


def wav_container(values: int) -> str:
    """Which kind of wav holds so many float samples of all channels."""
    return "WAV" if 4 * values <= LARGEST_WAV else "RF64"


def scaled_down(place: Path, gain: float) -> str:
    """What is said of a file whose level was changed."""
    return (
        f"{place}: multiplied by {gain:.3f} ({20 * math.log10(gain):.1f} dB), since {place.suffix[1:]} holds nothing "
        "beyond full scale; wav does"
    )
