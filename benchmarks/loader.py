"""Random crops per second: this project's loader beside the published module's way of reading.

    python benchmarks/loader.py                                 wav, flac, mp3 and shards, with 0, 1 and 2 workers
    python benchmarks/loader.py --samples 34304 87552          crops of the reference and of two seconds, too
    python benchmarks/loader.py --formats wav --samples 34304 --workers 0 --folder /tmp/audio

Audio is made first: copies of one stereo piece at 44.1 kHz as 16-bit wav, flac and mp3 at 320 kbit/s, and shards of the
wav files. All of it is read from the page cache, in batches of 20, by the two ways in turns, with one thread a process.

Prints tables and, as its last line, JSON: crops per CPU-second of one core (of main process and workers together,
their start and end included) and per second of the clock, minimum and median over runs; ratios of medians of the
first; and the share of time that training steps wait for data. A step is a sleep: it leaves all cores to the loader.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from datamodules.corpus import Corpus
from datamodules.dataset import CropDataset, as_it_is
from datamodules.index import Demands, scan
from datamodules.planning import make_plan
from datamodules.preparation import prepare
from datamodules.reader import CropReader
from datamodules.sampling import RandomCrops, StepSampler

SAMPLE_RATE = 44_100
BATCH = 20
SILENCE = 1e-3  # to look for silent crops is work of ours that counts
MANY = 1 << 20  # batches: more than a measurement takes
SHARD_BYTES = 512_000_000
ENCODERS = {
    "wav": {"subtype": "PCM_16"},
    "flac": {"subtype": "PCM_16"},
    "mp3": {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": 0.0},
}
MP3_RATE = 320_000  # bit/s
FORMATS = [*ENCODERS, "shards"]


class Case(NamedTuple):
    """What is measured: a way of reading, `ours` or `published`, on crops of one length."""

    format: str
    samples: int
    workers: int
    way: str


class Rate(NamedTuple):
    """Crops per CPU-second of one core, and per second of the clock."""

    per_core: float
    per_second: float


RATIOS = {  # (format, way) over (format, way)
    "wav, ours / published": (("wav", "ours"), ("wav", "published")),
    "flac, ours / published": (("flac", "ours"), ("flac", "published")),
    "mp3, ours / published": (("mp3", "ours"), ("mp3", "published")),
    "ours, shards / wav": (("shards", "ours"), ("wav", "ours")),
    "ours, shards / mp3": (("shards", "ours"), ("mp3", "ours")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--samples", nargs="+", type=int, default=[34_304], help="of a crop")
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=int, default=5, help="measurements of each case")
    parser.add_argument("--seconds", type=float, default=0.7, help="of a measurement, which takes at least one batch")
    parser.add_argument("--steps", type=int, default=6, help="that wait for data, at the first of --samples")
    parser.add_argument("--step-seconds", type=float, default=0.43, help="sleep in place of a step")
    parser.add_argument("--files", type=int, default=6, help="of each format")
    parser.add_argument("--minutes", type=float, default=4.0, help="length of a file")
    parser.add_argument("--folder", help="where audio is kept, and found the next time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = temporary  # where headers are remembered
        folder = Path(options.folder or temporary, f"{options.files}-files-of-{options.minutes:g}-minutes")
        audio = {name: make_audio(folder / name, options.files, options.minutes) for name in options.formats}
        rates, waits = measure(audio, options)
    results = {
        **vars(options),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {"python": platform.python_version(), "libsndfile": soundfile.__libsndfile_version__}
        | {package.__name__: package.__version__ for package in (np, soundfile, torch)},
        "rates": [case._asdict() | spread(found) for case, found in rates.items()],
        "ratios": ratios(rates),
        "waits": [case._asdict() | {"share": share} for case, share in waits.items()],
    }
    show(results)
    print(json.dumps(results))


def measure(audio: dict[str, Path], options: argparse.Namespace) -> tuple[dict[Case, list[Rate]], dict[Case, float]]:
    """Rates of each case, one a run, and the share of time that steps wait for data, at the first of the lengths."""
    cases = [
        Case(*case)
        for case in product(audio, options.samples, options.workers, ("ours", "published"))
        if case[0] in ENCODERS or case[3] == "ours"
    ]
    datasets = {case: dataset(audio[case.format], case.samples, case.way) for case in cases}
    rates: dict[Case, list[Rate]] = {case: [] for case in cases}
    turns = list(product(range(options.runs), cases))  # the two ways in turns, so that a slower spell meets both
    for run, case in tqdm(turns, "reading"):  # each run other crops: late ones take longer in mp3
        first, last = run * MANY, (run + 1) * MANY
        batches = until(options.seconds, StepSampler(BATCH, first, last, MANY))
        rates[case].append(rate(loader(datasets[case], case.workers, batches)))
    waiting = [case for case in cases if case.samples == options.samples[0]]
    batches = StepSampler(BATCH, 0, options.steps + 1, options.steps + 1)
    waits = {
        case: waited(loader(datasets[case], case.workers, batches), options.step_seconds)
        for case in tqdm(waiting, "waiting")
    }
    return rates, waits


def dataset(folder: Path, samples: int, way: str) -> Dataset:
    """The crops of a folder, read in one of the two ways."""
    if way == "published":
        return PublishedCrops(folder, samples)
    files = {"music": scan("music", Corpus(str(folder)), Demands(SAMPLE_RATE, samples)).files}
    rule = RandomCrops(files, {"music": 1.0}, 0, SAMPLE_RATE, samples)
    return CropDataset(rule, CropReader(SAMPLE_RATE, samples), SILENCE)


class PublishedCrops(Dataset):
    """The published module's way: a file is opened for a crop and all its channels are read and averaged, in torch.

    The mean is doubled to stereo, from which one channel is drawn and copied. Silent crops are drawn anew.

    Args:
        folder: audio files.
        samples: T, of a crop.
    """

    def __init__(self, folder: Path, samples: int) -> None:
        self.files, self.samples = sorted(folder.iterdir()), samples

    def __getitem__(self, index: int) -> torch.Tensor:
        """A crop (T,), float32, whatever the index: each worker has a generator of its own, which torch has seeded."""
        file = self.files[draw(len(self.files))]
        with soundfile.SoundFile(file) as sound:
            sound.seek(draw(sound.frames - self.samples + 1))
            frames = sound.read(self.samples, dtype="float32", always_2d=True)
        mono = torch.from_numpy(frames).T.mean(0)
        crop = torch.stack([mono, mono])[draw(2)]
        return crop.clone() if crop.square().mean().sqrt() >= SILENCE else self[index]


def draw(bound: int) -> int:
    """A random integer from 0 to bound - 1."""
    return int(torch.randint(bound, ()))


def loader(crops: Dataset, workers: int, batches: Iterable[list[int]]) -> DataLoader:
    """Batches of either way. Workers are forks, since CPU time is counted of a process and its children."""
    return DataLoader(
        crops,
        batch_sampler=batches,
        collate_fn=as_it_is if isinstance(crops, CropDataset) else None,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )


def until(seconds: float, batches: Iterable[list[int]]) -> Iterator[list[int]]:
    """The batches that are asked for within so many seconds of the first."""
    start = time.perf_counter()
    for batch in batches:
        yield batch
        if time.perf_counter() - start > seconds:
            return


def rate(batches: DataLoader) -> Rate:
    """How fast all batches of a loader are read; its workers have ended with the last."""
    start, cpu_start = time.perf_counter(), cpu_seconds()
    crops = BATCH * sum(1 for _ in batches)
    return Rate(crops / (cpu_seconds() - cpu_start), crops / (time.perf_counter() - start))


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def waited(batches: DataLoader, step_seconds: float) -> float:
    """The share of time that steps wait for their batches, of which the first, while workers start, is not counted."""
    iterator = iter(batches)
    next(iterator)
    time.sleep(step_seconds)
    waiting, start = 0.0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        if next(iterator, None) is None:
            return waiting / (asked - start)
        waiting += time.perf_counter() - asked
        time.sleep(step_seconds)


def make_audio(folder: Path, files: int, minutes: float) -> Path:
    """A folder named by a format, with its files, all in the page cache."""
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        if folder.name == "shards":
            source = make_audio(folder.with_name("wav"), files, minutes)
            prepare(make_plan("music", Corpus(str(source)), partial, SHARD_BYTES))
        else:
            write_copies(partial, folder.name, files, minutes)
        partial.rename(folder)
    for file in folder.iterdir():
        file.read_bytes()
    return folder


def write_copies(folder: Path, name: str, files: int, minutes: float) -> None:
    """Encodes a piece of music once, and copies the file."""
    folder.mkdir(parents=True)
    first = folder / f"0.{name}"
    soundfile.write(first, piece(round(60 * minutes * SAMPLE_RATE)), SAMPLE_RATE, **ENCODERS[name])
    bits = 8 * first.stat().st_size / (60 * minutes)
    if name == "mp3" and abs(bits / MP3_RATE - 1) > 0.05:
        raise RuntimeError(f"libsndfile wrote mp3 at {bits:.0f} bit/s, not {MP3_RATE}: use libsndfile 1.2 or later")
    for number in range(1, files):
        shutil.copyfile(first, folder / f"{number}.{name}")


def piece(samples: int) -> np.ndarray:
    """Something like music, (T, 2), float32, of peak 0.9: a chord under slow beats, in pink noise of each channel."""
    rng = np.random.default_rng(0)
    noise = np.fft.rfft(rng.standard_normal((2, samples), np.float32))
    noise = np.fft.irfft(noise / np.sqrt(np.arange(1, noise.shape[1] + 1, dtype=np.float32)), samples)
    seconds = np.arange(samples) / SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * pitch * seconds) / pitch for pitch in (55, 110, 138.6, 164.8, 220.5, 440.7, 1_761))
    audio = (noise / noise.std() + chord / chord.std()).T
    return (0.9 * audio / np.abs(audio).max()).astype(np.float32)


def spread(rates: list[Rate]) -> dict[str, tuple[float, float]]:
    """Minimum and median of each kind of rate."""
    kinds = Rate(*zip(*rates, strict=True))._asdict()
    return {kind: (min(found), statistics.median(found)) for kind, found in kinds.items()}


def ratios(rates: dict[Case, list[Rate]]) -> list[dict[str, float]]:
    """Quotients of median rates per core, for each length of crops and number of workers."""
    medians = {case: spread(found)["per_core"][1] for case, found in rates.items()}
    rows = []
    for samples, workers in sorted({(case.samples, case.workers) for case in rates}):
        row: dict[str, float] = {"samples": samples, "workers": workers}
        for name, sides in RATIOS.items():
            over, under = (medians.get(Case(kind, samples, workers, way)) for kind, way in sides)
            if over and under:
                row[name] = over / under
        rows.append(row)
    return rows


def show(results: dict[str, Any]) -> None:
    """Prints what `main` found as tables."""
    rates = Table(title=f"crops per second, {results['machine']}", title_justify="left")
    waits = Table(title=f"share of time that steps of {results['step_seconds']:g} s wait", title_justify="left")
    for table, figures in (
        (rates, ("a core, minimum", "median", "by the clock, minimum", "median")),
        (waits, ("waited",)),
    ):
        for name in (*Case._fields, *figures):
            table.add_column(name, justify="left" if name in ("format", "way") else "right", no_wrap=name == "way")
    for row in results["rates"]:
        figures = [*row["per_core"], *row["per_second"]]
        rates.add_row(*(str(row[name]) for name in Case._fields), *(f"{figure:,.0f}" for figure in figures))
    for row in results["waits"]:
        waits.add_row(*(str(row[name]) for name in Case._fields), f"{row['share']:.1%}")
    quotients = Table("samples, workers", title="ratios of medians, a core", title_justify="left")
    for row in results["ratios"]:
        quotients.add_column(f"{row['samples']}, {row['workers']}", justify="right")
    for name in RATIOS:
        quotients.add_row(name, *(f"{row[name]:.2f}" if name in row else "" for row in results["ratios"]))
    for table in (rates, quotients, waits):
        Console().print(table)


if __name__ == "__main__":
    main()
