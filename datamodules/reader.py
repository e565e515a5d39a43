"""Reading a crop: seek, decode, mix down, resample. Nothing but the crop and a small margin is decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

import numpy as np
import soundfile
import soxr

from datamodules.corpus import AudioFile

MARGIN = 256  # samples at the lower rate: twice the reach of soxr's HQ filter


class Crop(NamedTuple):
    """Where a crop is.

    Attributes:
        file: what it is cut from.
        start: first sample, counted at the rate of training.
        draw: in [0, 1), chooses the channel if channels are chosen at random.
    """

    file: AudioFile
    start: int
    draw: float = 0.0


class BadAudioError(Exception):
    """A crop that cannot be used; the argument is the reason."""

    @property
    def reason(self) -> str:
        return self.args[0]


@dataclass(frozen=True)
class CropReader:
    """Crops as mono waveforms at one rate.

    Args:
        sample_rate: of the crops, Hz.
        samples: T, of each crop.
        channels: `mean` of all channels, the `left` (first) one, or one at `random` for each crop.
    """

    sample_rate: int
    samples: int
    channels: Literal["mean", "left", "random"] = "mean"

    def __call__(self, crop: Crop) -> np.ndarray:
        """The crop, (T,), float32.

        It equals the same samples of the whole file, mixed down and resampled, to -100 dB.

        Raises:
            BadAudioError: `unreadable`, `truncated` or `not_finite`.
        """
        first, last, skip = self._span(crop)
        try:
            with soundfile.SoundFile(crop.file.location) as sound:
                sound.seek(first)
                frames = sound.read(last - first, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise BadAudioError("unreadable") from error
        if len(frames) != last - first:
            raise BadAudioError("truncated")
        if not np.isfinite(frames).all():
            raise BadAudioError("not_finite")
        audio = self._mono(frames, crop.draw)
        if crop.file.rate != self.sample_rate:
            audio = soxr.resample(audio, crop.file.rate, self.sample_rate, quality="HQ")
        return audio[skip : skip + self.samples]

    def _span(self, crop: Crop) -> tuple[int, int, int]:
        """Frames [first, last) of the file to read, and the resampled samples to skip.

        Frame 0 of a resampler's input is sample 0 of its output, so reading begins where frame and sample numbers of
        the whole file coincide: every `down` frames and `up` samples.
        """
        file = crop.file
        if file.rate == self.sample_rate:
            return crop.start, crop.start + self.samples, 0
        divisor = math.gcd(file.rate, self.sample_rate)
        up, down = self.sample_rate // divisor, file.rate // divisor
        margin = math.ceil(MARGIN * max(1, up / down))
        block = max(0, crop.start - margin) // up
        last = math.ceil((crop.start + self.samples + margin) * down / up)
        return block * down, min(last, file.frames), crop.start - block * up

    def _mono(self, frames: np.ndarray, draw: float) -> np.ndarray:
        """Frames (T, channels) -> (T,)."""
        if self.channels == "mean":  # by adding columns: numpy's mean over a short axis is ten times slower
            audio = reduce(np.add, frames.T)
            audio /= frames.shape[1]
            return audio
        return np.ascontiguousarray(frames[:, int(draw * frames.shape[1]) if self.channels == "random" else 0])


def rms(audio: np.ndarray) -> float:
    """Root mean square of a waveform (T,), full scale 1."""
    return math.sqrt(np.dot(audio, audio) / len(audio))
