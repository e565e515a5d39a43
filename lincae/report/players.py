"""Sounds inside a page: players and spectrograms as data URIs."""

from __future__ import annotations

import io
import json
import math
from base64 import b64encode
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib.image
import numpy as np
import soundfile

WIDTH, HEIGHT = 240, 72
"""Pixels of a spectrogram."""

WINDOW = 2048
FLOOR, CEILING = -100.0, -10.0
"""Levels that are black and white, dB relative to a sine at full scale."""


class Player(NamedTuple):
    """One sound.

    Attributes:
        uri: the file.
        picture: its spectrogram.
        seconds: how long it is.
        turned_down: by how much it was, to fit into full scale, dB.
    """

    uri: str
    picture: str
    seconds: float
    turned_down: float


class Listening(NamedTuple):
    """The sounds of one excerpt.

    Attributes:
        excerpt: name of the clip or track.
        start: of the excerpt, s.
        original: title -> player.
        models: label -> title -> player.
    """

    excerpt: str
    start: float
    original: dict[str, Player]
    models: dict[str, dict[str, Player]]

    def rows(self) -> list[tuple[str, str | None]]:
        """Title of each row, and of the original to compare it with, if that was not in a row before."""
        titles = dict.fromkeys(title for sounds in self.models.values() for title in sounds)
        beside = {f"{title} by subtraction": title for title in self.original} | {"reconstruction": "original"}
        return [(title, name if (name := beside.get(title)) in self.original else None) for title in titles]


def read_listening(folder: Path, labels: Mapping[str, str]) -> Listening | None:
    """The sounds that `sounds.json` lists, or None if there is none.

    Args:
        folder: of the evaluation.
        labels: name of a model in the evaluation -> label in the report; sounds of other models are left out.

    Raises:
        ValueError: if the list is damaged or a sound cannot be read.
    """
    listed = folder / "sounds.json"
    if not listed.exists():
        return None
    try:
        found = json.loads(listed.read_text(encoding="utf-8"))
        return Listening(
            found["excerpt"]["name"],
            found["excerpt"]["start"],
            {sound["title"]: read_player(folder, sound) for sound in found["original"]},
            {
                labels[name]: {sound["title"]: read_player(folder, sound) for sound in sounds}
                for name, sounds in found["models"].items()
                if name in labels
            },
        )
    except (KeyError, TypeError, json.JSONDecodeError, soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"the sounds of {listed} cannot be read, evaluate again or remove it: {error!r}") from error


def read_player(folder: Path, sound: Mapping[str, object]) -> Player:
    """One sound of the list."""
    file, gain = folder / str(sound["file"]), float(str(sound.get("gain", 1)))
    content = file.read_bytes()
    audio, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    picture = spectrogram(audio.mean(axis=1) / gain, rate)  # of the middle, in stereo
    return Player(data_uri("audio/flac", content), picture, len(audio) / rate, -20 * math.log10(gain))


def spectrogram(audio: np.ndarray, sample_rate: int) -> str:
    """A picture of a waveform (T,): time to the right, frequency upwards on a logarithmic axis, level as brightness."""
    padded = np.pad(audio, (0, max(0, WINDOW - len(audio))))
    starts = np.linspace(0, len(padded) - WINDOW, WIDTH).astype(int)
    window = np.hanning(WINDOW)
    frames = padded[starts[:, None] + np.arange(WINDOW)] * window
    magnitude = np.abs(np.fft.rfft(frames)) / (window.sum() / 2)
    edges = np.geomspace(40, sample_rate / 2, HEIGHT + 1) * WINDOW / sample_rate
    bins = [slice(int(low), max(int(low) + 1, int(high))) for low, high in pairwise(edges)]
    level = 20 * np.log10(np.stack([magnitude[:, rows].max(axis=1) for rows in bins]) + 1e-9)
    stream = io.BytesIO()
    matplotlib.image.imsave(stream, level, vmin=FLOOR, vmax=CEILING, cmap="magma", origin="lower", format="png")
    return data_uri("image/png", stream.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """A file as an address."""
    return f"data:{kind};base64,{b64encode(content).decode()}"
