"""Audio that is never trained on: which files, and where they can be seen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from datamodules.corpus import Corpus
from datamodules.index import AudioFile, Demands, group_hash, scan
from datamodules.storage import is_url
from datamodules.validation import stems_of_tracks

SOURCES = 4
"""Files of one track, where tracks are made of single files."""

FEWEST = 2
"""Tracks that are held out at least."""


class Split(NamedTuple):
    """Folders of links to audio files.

    Attributes:
        train: what may be trained on, as it lies in the data.
        held_out: tracks `<track>/<stem>.<extension>`.
        seconds: of the shortest track that is held out.
        text: what was done, in a sentence.
    """

    train: Path
    held_out: Path
    seconds: float
    text: str


def hold_out(data: str, folder: Path, demands: Demands, most: int, stems: bool = False) -> Split:
    """Divides audio into some to train on and some that is held out, by links in two folders (copies, without links).

    Single files are held out, of which four make a track, or whole tracks of stems. They are chosen by a hash of their
    names, so that a second split is the same, and are a quarter of all at most. A folder that holds a split keeps it,
    though the data may have changed since.

    Args:
        data: folder of audio.
        folder: where `train`, `held-out` and `split.json` are made, wholly or not at all.
        demands: what files must meet.
        most: tracks that are held out.
        stems: whether the audio lies as `<track>/<stem>.<extension>`, the same stems in every track.

    Raises:
        ValueError: if there is too little audio, or it does not lie as it should.
    """
    done = folder / "split.json"
    if done.is_file():
        return Split(folder / "train", folder / "held-out", **json.loads(done.read_text()))
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    if is_url(data) or not os.path.isdir(data):
        raise ValueError(f"--data {data}: give a folder of audio files on this machine")
    files = scan("data", Corpus(data), demands).files
    if any(file.shard for file in files):
        raise ValueError(f"--data {data} holds shards: give the folder of audio files that they were made from")
    if stems:
        stems_of_tracks(files)  # refuses other layouts
    units: dict[str, list[AudioFile]] = {}
    for file in files:
        units.setdefault(os.path.dirname(file.path) if stems else file.path, []).append(file)
    size, what = (1, "tracks") if stems else (SOURCES, "files")
    count = min(most, len(units) // (4 * size))
    if count < FEWEST:
        raise ValueError(
            f"--data {data} has {len(units)} {what} that can be used, of which {FEWEST * size} have to be held out, a "
            f"quarter at most: give {4 * FEWEST * size} or more, or other tracks <track>/<stem>.wav with --test"
        )
    held = sorted(units, key=group_hash)[: count * size]
    if stems:
        test = {file.path: file for name in held for file in units[name]}
    else:
        test = {
            f"sum-{number % count:03d}/source-{number // count + 1}{os.path.splitext(name)[1]}": units[name][0]
            for number, name in enumerate(held)
        }
    train = {file.path: file for name in units.keys() - set(held) for file in units[name]}
    copied = link(train, partial / "train") | link(test, partial / "held-out")
    text = f"{len(held)} of {len(units)} {what} are held out" + ("" if stems else f", {size} of them make a track")
    text += f", and all are copies, as there can be no links in {folder.parent}" if copied else ""
    seconds = min(file.length(demands.sample_rate) for file in test.values()) / demands.sample_rate
    (partial / "split.json").write_text(json.dumps({"seconds": seconds, "text": text}) + "\n")
    os.replace(partial, folder)
    return Split(folder / "train", folder / "held-out", seconds, text)


def link(files: Mapping[str, AudioFile], folder: Path) -> bool:
    """Makes links to files, by their paths below a folder, or copies where there can be no links; whether it copied."""
    copied = False
    for path, file in files.items():
        place, source = folder / path, os.path.abspath(os.path.join(file.root, file.path))
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.symlink_to(source)
        except OSError:
            shutil.copyfile(source, place)
            copied = True
    return copied
