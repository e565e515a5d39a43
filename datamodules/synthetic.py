"""A synthetic corpus: nothing to download, and every sound a pure function of its seed.

`clip` makes training material of the sources in `datamodules.synthesis`, `track` a song of four stems in MUSDB's
order, `bank` a few short sounds to learn by heart. `write_clips` and `write_tracks` put them on disk, in the layouts of
a folder of music and of MUSDB18-HQ.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from datamodules.synthesis import (
    Rng,
    Song,
    Struck,
    Sustained,
    draw,
    in_a_room,
    peaked,
    percussive,
    pitched,
    plucked,
    voice,
)
from lincae.streams import stream_seed

STEMS = ("drums", "bass", "other", "vocals")
"""The stems of a track: MUSDB's names in MUSDB's order."""

RECIPE = 2
"""Version of the sounds, kept beside written corpora. A change of any of them must raise it."""

SETTINGS_FILE = "synthetic.json"


def clip(seed: int, index: int, seconds: float, sample_rate: int, mix_probability: float = 0.3) -> np.ndarray:
    """A training clip: one source, or a mix of two to four, at a random level.

    Args:
        seed: seed of the corpus.
        index: number of the clip in it.
        seconds: length.
        sample_rate: Hz.
        mix_probability: share of clips that are mixes. Real recordings are mixes too, and an encoder learns to be
            linear from them.

    Returns:
        (T,), float32. Peaks are spread log-uniformly over 20 dB, from 0.05 to 0.5: gains up to 2 stay below full scale.
    """
    rng = _stream(seed, "clip", index)
    samples = round(seconds * sample_rate)
    families = (pitched, plucked, percussive, voice)
    sources = int(rng.integers(2, 5)) if rng.random() < mix_probability else 1
    sound = np.zeros(samples, np.float32)
    for family in rng.integers(len(families), size=sources):
        lead = int(rng.integers(sample_rate // 2))  # sources don't begin together, nor at a note
        source = families[family](rng, lead + samples, sample_rate)[lead:]
        sound += np.float32(draw(rng, 0.1, 1.0)) * source
    return peaked(in_a_room(rng, sound), draw(rng, 0.05, 0.5))


def track(seed: int, index: int, seconds: float, sample_rate: int) -> dict[str, np.ndarray]:
    """An evaluation track: four stems that play one song, in one key and one tempo.

    Args:
        seed: seed of the corpus. Clips of the same seed are other sounds.
        index: number of the track in it.
        seconds: length.
        sample_rate: Hz.

    Returns:
        `STEMS` in order, each (T,), float32. Their sum peaks at 0.9 or less.
    """
    samples = round(seconds * sample_rate)
    rng = _stream(seed, "track", index)
    song = Song.drawn(rng)
    bass, other = (pitched if sustained else plucked for sustained in rng.random(2) < 0.5)
    sounds = (
        percussive(rng, samples, sample_rate, song),
        bass(rng, samples, sample_rate, song, register=(41, 130), lines=1),
        other(rng, samples, sample_rate, song, register=(130, 620), lines=3),
        voice(rng, samples, sample_rate, song),
    )
    levels = np.array([draw(rng, 0.4, 1.0) for _ in STEMS], np.float32)
    stems = levels[:, None] * np.stack([in_a_room(rng, sound) for sound in sounds])
    stems *= draw(rng, 0.5, 0.89) / np.abs(stems.sum(0)).max()
    return dict(zip(STEMS, stems, strict=True))


def bank(sample_rate: int, samples: int, count: int = 16, seed: int = 0) -> np.ndarray:
    """Short sounds, each of its own pitch and timbre, few enough to be learned by heart in a test.

    Args:
        sample_rate: Hz.
        samples: length T of each sound, such as 0.15 s.
        count: number of sounds N.
        seed: seed of the bank.

    Returns:
        (N, T), float32, at rms 0.1 unless the peak would exceed 0.5.
    """
    rng = _stream(seed, "bank", 0)
    sounds = []
    for number, frequency in enumerate(rng.permutation(np.geomspace(110, 1760, count))):
        instrument = (Sustained, Struck)[number % 2].drawn(rng)
        sound = instrument.note(frequency, samples, sample_rate)[:samples]
        sound = sound - sound.mean()
        sounds.append(sound * min(0.1 / np.sqrt(np.mean(sound**2)), 0.5 / np.abs(sound).max()))
    return np.stack(sounds).astype(np.float32)


def _stream(seed: int, purpose: str, index: int) -> Rng:
    return np.random.Generator(np.random.Philox(stream_seed(seed, f"synthetic/{purpose}", index)))


def write_clips(folder: str | Path, count: int, seconds: float, sample_rate: int, seed: int) -> None:
    """Writes `00000.wav` ... as 16-bit PCM; files that are already there are kept.

    Args:
        folder: made where it does not exist.
        count, seconds, sample_rate, seed: as `clip`.

    Raises:
        FileExistsError: if the folder holds a corpus of other settings, or anything else.
    """
    folder = _claimed(folder, kind="clips", count=count, seconds=seconds, sample_rate=sample_rate, seed=seed)
    for index in tqdm(range(count), f"writing {folder}", disable=count <= 100):
        file = folder / f"{index:05d}.wav"
        if not file.exists():
            _write(file, clip(seed, index, seconds, sample_rate), sample_rate)


def write_tracks(folder: str | Path, count: int, seconds: float, sample_rate: int, seed: int) -> None:
    """Writes `track 000/{drums,bass,other,vocals,mixture}.wav` ... as 16-bit PCM; whole tracks already there are kept.

    Args:
        folder: made where it does not exist.
        count, seconds, sample_rate, seed: as `track`.

    Raises:
        FileExistsError: if the folder holds a corpus of other settings, or anything else.
    """
    folder = _claimed(folder, kind="tracks", count=count, seconds=seconds, sample_rate=sample_rate, seed=seed)
    for index in tqdm(range(count), f"writing {folder}", disable=5 * count <= 100):
        place = folder / f"track {index:03d}"
        if (place / "mixture.wav").exists():  # written last
            continue
        place.mkdir(exist_ok=True)
        stems = track(seed, index, seconds, sample_rate)
        for name, sound in stems.items():
            _write(place / f"{name}.wav", sound, sample_rate)
        _write(place / "mixture.wav", np.sum(list(stems.values()), axis=0), sample_rate)


def _claimed(folder: str | Path, **settings: Any) -> Path:
    """The folder, its settings written before the first sound: an interrupted corpus is then known, and completed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings["recipe"] = RECIPE
    foreign = [file.name for file in folder.iterdir() if not file.name.startswith(".")]  # before the settings are read
    file = folder / SETTINGS_FILE
    if file.exists():
        found = json.loads(file.read_text())
        if found != settings:
            raise FileExistsError(f"{folder} holds synthetic audio of {found}, not of {settings}: name another folder")
    elif foreign:
        raise FileExistsError(f"{folder} holds {foreign[0]!r} but no {SETTINGS_FILE}: name an empty folder")
    else:
        temporary = folder / f".{SETTINGS_FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(settings, indent=1))
        os.replace(temporary, file)
    return folder


def _write(file: Path, sound: np.ndarray, sample_rate: int) -> None:
    """Writes beside the target and renames, so that a file is there whole or not at all."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    soundfile.write(temporary, sound, sample_rate, subtype="PCM_16", format="WAV")
    os.replace(temporary, file)
