"""Reading crops, a batch at a time: from files by seeking, from shards by memory-map or byte ranges.

Nothing but the crop and a small margin is decoded, and it is written where the batch wants it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import soundfile
import soxr

from datamodules.index import AudioFile
from datamodules.inspection import mix_down
from datamodules.rejection import BadAudioError
from datamodules.shards import FULL_SCALE, Stretch, read_samples

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


class Span(NamedTuple):
    """Frames [first, last) of a file, at its own rate, and the resampled samples to skip."""

    first: int
    last: int
    skip: int


@dataclass(frozen=True)
class CropReader:
    """Crops as mono waveforms at one rate.

    Args:
        sample_rate: of the crops, Hz.
        samples: T, of each crop.
        channels: `mean` of all channels, the `left` (first) one, or one at `random` for each crop. Shards are mono.
    """

    sample_rate: int
    samples: int
    channels: Literal["mean", "left", "random"] = "mean"

    def __call__(self, crop: Crop) -> np.ndarray:
        """One crop, (T,), float32.

        Raises:
            BadAudioError: `unreadable`, `truncated` or `not_finite`.
        """
        audio = np.empty((1, self.samples), np.float32)
        (reason,) = self.read([crop], audio)
        if reason is not None:
            raise BadAudioError(reason)
        return audio[0]

    def read(self, crops: Sequence[Crop], rows: Sequence[np.ndarray] | np.ndarray) -> list[str | None]:
        """Writes each crop into its row.

        A crop equals the same samples of the whole file, mixed down and resampled, to -100 dB, and exactly where
        nothing is resampled.

        Args:
            crops: N places.
            rows: N arrays (T,), float32.

        Returns:
            For each crop, None or the reason why its row is of no use: `unreadable`, `truncated` or `not_finite`.

        Raises:
            RuntimeError: if an object store does not answer.
        """
        spans = [self._span(crop) for crop in crops]
        stored = iter(
            read_samples(
                [
                    Stretch(file.root, file.shard, file.first + span.first, file.first + span.last)
                    for (file, *_), span in zip(crops, spans, strict=True)
                    if file.shard
                ]
            )
        )
        reasons: list[str | None] = []
        for crop, span, row in zip(crops, spans, rows, strict=True):
            try:
                if crop.file.shard:
                    self._from_shard(crop, span, next(stored), row)
                else:
                    self._from_file(crop, span, row)
            except BadAudioError as error:
                reasons.append(error.reason)
            else:
                reasons.append(None)
        return reasons

    def _from_shard(self, crop: Crop, span: Span, samples: np.ndarray, row: np.ndarray) -> None:
        if len(samples) != span.last - span.first:
            raise BadAudioError("truncated")
        if crop.file.rate == self.sample_rate:
            np.multiply(samples, np.float32(1 / FULL_SCALE), out=row)
        else:
            self._resample(samples * np.float32(1 / FULL_SCALE), crop, span, row)

    def _from_file(self, crop: Crop, span: Span, row: np.ndarray) -> None:
        file, length = crop.file, span.last - span.first
        in_place = file.channels == 1 and file.rate == self.sample_rate
        try:
            with soundfile.SoundFile(file.location) as sound:
                sound.seek(span.first)
                target = {"out": row} if in_place else {"frames": length, "dtype": "float32", "always_2d": True}
                frames = sound.read(**target)
        except (soundfile.SoundFileError, ValueError) as error:  # a ValueError: no longer as many channels
            raise BadAudioError("unreadable") from error
        if len(frames) != length:
            raise BadAudioError("truncated")
        if not np.isfinite(frames).all():
            raise BadAudioError("not_finite")
        if in_place:
            return
        if file.rate == self.sample_rate:
            self._mono(frames, crop.draw, row)
        else:
            self._resample(self._mono(frames, crop.draw, np.empty(length, np.float32)), crop, span, row)

    def _resample(self, audio: np.ndarray, crop: Crop, span: Span, row: np.ndarray) -> None:
        """Audio of a span at the file's rate, (n,), into a row (T,)."""
        audio = soxr.resample(audio, crop.file.rate, self.sample_rate, quality="HQ")
        row[:] = audio[span.skip : span.skip + self.samples]

    def _span(self, crop: Crop) -> Span:
        """What to read for a crop.

        Frame 0 of a resampler's input is sample 0 of its output, so reading begins where frame and sample numbers of
        the whole file coincide: every `down` frames and `up` samples.
        """
        file = crop.file
        if file.rate == self.sample_rate:
            return Span(crop.start, crop.start + self.samples, 0)
        divisor = math.gcd(file.rate, self.sample_rate)
        up, down = self.sample_rate // divisor, file.rate // divisor
        margin = math.ceil(MARGIN * max(1, up / down))
        block = max(0, crop.start - margin) // up
        last = math.ceil((crop.start + self.samples + margin) * down / up)
        return Span(block * down, min(last, file.frames), crop.start - block * up)

    def _mono(self, frames: np.ndarray, draw: float, mono: np.ndarray) -> np.ndarray:
        """Frames (n, channels) into `mono` (n,), which is returned."""
        if self.channels == "mean":
            return mix_down(frames, mono)
        mono[:] = frames[:, int(draw * frames.shape[1]) if self.channels == "random" else 0]
        return mono


def rms(audio: np.ndarray) -> float:
    """Root mean square of a waveform (T,), full scale 1."""
    return math.sqrt(np.dot(audio, audio) / len(audio))
