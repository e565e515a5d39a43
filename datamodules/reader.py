"""Reading crops, a batch at a time: from files by seeking, from shards by memory-map or byte ranges.

Nothing but the crop and a small margin is decoded, and it is written where the batch wants it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import soundfile
import soxr

from datamodules.index import AudioFile
from datamodules.inspection import mix_down, opened
from datamodules.rejection import BadAudioError
from datamodules.shards import FULL_SCALE, Stretch, read_samples
from datamodules.source import sure

Channels = Literal["mean", "left", "random", "stereo"]

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
    """Crops at one rate, as mono waveforms (T,) or in stereo (2, T).

    Args:
        sample_rate: of the crops, Hz.
        samples: T, of each crop.
        channels: `mean` of all channels, the `left` (first) one, or one at `random` for each crop; or `stereo`, the
            first and the last, which are the same in a mono file.
    """

    sample_rate: int
    samples: int
    channels: Channels = "mean"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a crop: (T,), or (2, T) in stereo."""
        return (2, self.samples) if self.channels == "stereo" else (self.samples,)

    def check(self, files: Iterable[AudioFile]) -> None:
        """Raises ValueError if channels are asked for one by one, and a shard holds only their mean."""
        if self.channels != "mean" and (bad := next((file for file in files if file.averaged), None)):
            raise ValueError(
                f"shards in {bad.root} hold the mean of the channels of {bad.path}, and {self.channels!r} needs each: "
                "give the audio files, or prepare these into a new folder with `lincae data prepare --channels 2`"
            )

    def __call__(self, crop: Crop) -> np.ndarray:
        """One crop, (T,), float32; (2, T) in stereo.

        Raises:
            BadAudioError: `unreadable`, `truncated`, `not_finite` or `missing`.
        """
        audio = np.empty((1, *self.shape), np.float32)
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
            rows: N arrays (T,), float32; (2, T) in stereo.

        Returns:
            For each crop, None or the reason why its row is of no use: `unreadable`, `truncated`, `not_finite` or
            `missing`.

        Raises:
            RuntimeError: if an object store does not answer.
            ValueError: if a shard has not kept the channels that are asked for.
            OSError: if the operating system refuses to read a file that is there.
        """
        self.check(crop.file for crop in crops)
        spans = [self._span(crop) for crop in crops]
        stored = iter(
            read_samples(
                [
                    Stretch(file.root, file.shard, *(file.first + file.channels * n for n in (span.first, span.last)))
                    for (file, *_), span in zip(crops, spans, strict=True)
                    if file.shard
                ]
            )
        )
        reasons: list[str | None] = []
        for crop, span, row in zip(crops, spans, rows, strict=True):
            try:
                if crop.file.shard:
                    self._convert(next(stored).reshape(-1, crop.file.channels), crop, span, row)
                else:
                    sure(partial(self._decode, crop, span, row), crop.file.location)
            except BadAudioError as error:
                reasons.append(error.reason)
            except FileNotFoundError:  # it was there at the scan
                reasons.append("missing")
            else:
                reasons.append(None)
        return reasons

    def _decode(self, crop: Crop, span: Span, row: np.ndarray) -> None:
        """A crop of an audio file into its row."""
        self._convert(decode(crop.file, span), crop, span, row)

    def _convert(self, frames: np.ndarray, crop: Crop, span: Span, row: np.ndarray) -> None:
        """Frames (n, channels) at the file's rate, float32 or int16, into a row (T,), or (2, T) in stereo."""
        if len(frames) != span.last - span.first:
            raise BadAudioError("truncated")
        if frames.dtype != np.int16 and not np.isfinite(frames).all():
            raise BadAudioError("not_finite")
        if self.channels == "stereo":
            for side, channel in zip(row, (0, -1), strict=True):
                self._convert_mono(frames[:, channel : channel + 1 or None], crop, span, side)
        else:
            self._convert_mono(frames, crop, span, row)

    def _convert_mono(self, frames: np.ndarray, crop: Crop, span: Span, row: np.ndarray) -> None:
        """The same for a row (T,), of frames that are known to be good."""
        same_rate = crop.file.rate == self.sample_rate
        mono = self._mono(frames, crop.draw, row if same_rate else np.empty(len(frames), np.float32))
        if frames.dtype == np.int16:
            mono *= np.float32(1 / FULL_SCALE / crop.file.gain)
        if not same_rate:
            audio = soxr.resample(mono, crop.file.rate, self.sample_rate, quality="HQ")
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
        if self.channels == "mean" or frames.shape[1] == 1:
            return mix_down(frames, mono)
        mono[:] = frames[:, int(draw * frames.shape[1]) if self.channels == "random" else 0]
        return mono


def decode(file: AudioFile, span: Span) -> np.ndarray:
    """Frames of an audio file, (n, channels): int16 where it holds these, which is twice as fast, else float32.

    Raises:
        BadAudioError: `unreadable`.
    """
    try:
        with opened(file.location) as sound:
            sound.seek(span.first)
            dtype = "int16" if sound.subtype == "PCM_16" else "float32"
            return sound.read(span.last - span.first, dtype, always_2d=True)
    except soundfile.SoundFileError as error:
        raise BadAudioError("unreadable") from error


def rms(audio: np.ndarray) -> float:
    """Root mean square of a waveform (T,), or of all channels (C, T), full scale 1."""
    return math.sqrt(np.vdot(audio, audio) / audio.size)
