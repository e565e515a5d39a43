"""How long a training on many files takes to start, and what it hands to loader workers.

Makes a folder of tiny wav files, whose first scan opens all of them, and starts a second time from the headers that are
remembered. Every figure is of CPU time of one process. An eighth of the files is too short, so that there are files
that every step might go through.

    python benchmarks/start.py --files 300000
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import struct
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from callbacks import RejectedAudio
from datamodules import AudioDataModule

RATE = 44_100
FRAMES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        music = Path(folder, "music")
        make(music, options.files)
        found = {}
        for start in ("first start, s", "second start, s"):
            data = AudioDataModule(train=str(music), samples=FRAMES, group_size=2, validation_clips=8, num_workers=0)
            found[start] = cpu(lambda data=data: data.setup("fit"))
        dataset = data._crops
        content = pickle.dumps(dataset)
        trainer = SimpleNamespace(world_size=1, datamodule=data)
        module = SimpleNamespace(log=lambda *_: None)

        def step() -> None:
            data.tally.count([], trainer)
            RejectedAudio().on_train_batch_start(trainer, module, None, 0)

        found |= {
            "for a worker, MB": len(content) / 1e6,
            "to a worker, s": cpu(lambda: pickle.loads(pickle.dumps(dataset))),
            "checkpoint, s": cpu(data.state_dict),
            "step, s": cpu(lambda: [step() for _ in range(1_000)]) / 1_000,
        }
    print(json.dumps({"files": options.files, **{name: float(f"{value:.3g}") for name, value in found.items()}}))


def make(folder: Path, count: int) -> None:
    """Writes 16-bit mono wav files in folders of artists and albums; each eighth one is a frame too short."""
    for number in range(count):
        place = folder / f"artist {number // 300:04d}" / f"album {number // 12 % 25:02d}"
        if number % 12 == 0:
            place.mkdir(parents=True)
        size = 2 * (FRAMES - (number % 8 == 0))
        riff = struct.pack("<4sI8sIHH", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1)
        head = riff + struct.pack("<IIHH4sI", RATE, 2 * RATE, 2, 16, b"data", size)
        (place / f"{number:06d} - a title of some length.wav").write_bytes(head + bytes(size))


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU time that it takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    main()
