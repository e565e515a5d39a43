"""`lincae evaluate`: how linear is it, how good does it sound, against what?"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
import torch
from torch import Tensor
from tqdm import tqdm

from datamodules.excerpts import Excerpt
from datamodules.index import AudioFile, Demands, scan
from datamodules.processes import leave_with_parent
from datamodules.reader import CropReader
from datamodules.rejection import naming
from datamodules.walking import Stamp
from lincae.autoencoders.protocol import reading_of
from lincae.cli.command_line import INTERRUPTED, number, refusals
from lincae.cli.contents import audio_hashes, code_of
from lincae.cli.embeddings import load_embeddings
from lincae.cli.journal import Journal, differences, listed
from lincae.cli.locking import locked
from lincae.cli.measuring import excerpt_length, excerpts_of, measure_batch, other_than, read_all
from lincae.cli.models import NamedModel, load_model, weights_hash
from lincae.cli.preconditions import check_model, check_output
from lincae.cli.protocols import PROTOCOLS, Measured, corpus_of
from lincae.devices import usable
from lincae.evaluation import NOISE_SEED
from lincae.metrics import CURVE_GAINS, HEADLINE_GAINS, ClipTable, Embedding
from lincae.provenance import version_of
from lincae.report.differences import write_differences
from lincae.report.evaluations import read_evaluation
from lincae.report.latents import write_latents
from lincae.report.neighbours import METHODS, require
from lincae.report.page import write_report
from lincae.report.results import Results, write_results
from lincae.report.sounds import write_excerpt_sounds

SIGNED_CURVE = (-1.0, -0.5, *CURVE_GAINS)


class Example(NamedTuple):
    """Sounds (T,) of the first excerpt, by name.

    Attributes:
        heard: its stems, or the clip by itself.
        pictured: whose latents are pictured: the same stems, or the clip and another one.
    """

    heard: dict[str, Tensor]
    pictured: dict[str, Tensor]


class Tracks(NamedTuple):
    """The audio of an evaluation.

    Attributes:
        stems: names of the stems of each track; none where the tracks are single clips.
        tracks: name and files of each.
        stamps: of each file by its place, when it was found; of none in shards, which never change.
    """

    stems: list[str]
    tracks: list[tuple[str, Sequence[AudioFile]]]
    stamps: Mapping[str, Stamp]


class Work(NamedTuple):
    """What is to be measured of one model.

    Attributes:
        named: the model.
        settings: see `protocol_of`.
        measured: figures and their tables.
        excerpts: to measure on.
        data: the audio.
        reader: of the excerpts.
    """

    named: NamedModel
    settings: Mapping[str, Any]
    measured: Sequence[Measured]
    excerpts: Sequence[Excerpt]
    data: Tracks
    reader: CropReader

    def tables(self) -> list[ClipTable]:
        """What figures are collected in."""
        return [table for each in self.measured for table in each.figures.metrics]

    def journal(self, folder: Path) -> Journal:
        """The journal of finished batches.

        Raises:
            ValueError: if there is one of another model, other audio, other settings or other code.
        """
        code = code_of(self.named.modules)
        identity = {
            "model": {"sha256": self.named.sha256, "code": code.sha256, "versions": code.packages},
            "settings": apart_from_place(self.settings),
            "samples": self.reader.samples,
            "excerpts": [(excerpt.name, excerpt.start) for excerpt in self.excerpts],
            "columns": [table.columns for table in self.tables()],
        }
        return Journal(folder / "journal" / f"{self.named.name}.jsonl", identity)


def main(arguments: Sequence[str]) -> None:
    """Evaluate models, one after the other, and write what was found."""
    options = parse(arguments)
    # tables are filled from journals, too, which torchmetrics does not know of
    warnings.filterwarnings("ignore", message="The ``compute`` method of metric", module="torchmetrics")
    try:
        with refusals():
            evaluate(options)
    except KeyboardInterrupt:
        print("stopped. Finished batches are kept: run the same command again to continue", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line of `lincae evaluate`."""
    parser = argparse.ArgumentParser(prog="lincae evaluate", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a run's folder, a .ckpt, published weights, a name, or a class path; NAME=MODEL names it",
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of audio")
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, required=True, help="clips: any audio; stems: <track>/<stem>.wav"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the results")
    parser.add_argument(
        "--seconds", type=number(float, 1e-3, 3600), default=10.0, help="of an excerpt (default: %(default)s)"
    )
    parser.add_argument("--excerpts", type=number(int, 1), metavar="N", help="most excerpts of a track (default: all)")
    parser.add_argument(
        "--batch-size", type=number(int, 1), default=4, help="excerpts at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--gains", type=gain, nargs="+", default=HEADLINE_GAINS, help="whose mean is homogeneity's figure"
    )
    parser.add_argument("--curve", type=gain, nargs="+", default=SIGNED_CURVE, help="gains of homogeneity's curve")
    parser.add_argument(
        "--embedding",
        nargs="+",
        default=["logmel"],
        metavar="EMBEDDING",
        help="spaces of KAD and FAD: logmel, clap:FOLDER, or a class path; NAME=EMBEDDING names it (default: logmel)",
    )
    parser.add_argument(
        "--sample-rate", type=number(int, 1), default=44_100, help="of controls, Hz (default: %(default)s)"
    )
    parser.add_argument(
        "--maps",
        nargs="+",
        choices=METHODS,
        default=[],
        help="also place the first excerpt's latent frames on a map; needs scikit-learn or umap-learn",
    )
    parser.add_argument(
        "--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--processes",
        type=number(int, 1),
        metavar="N",
        help="models at a time, which share the cores (default: as many as torch has threads; 1 on a GPU)",
    )
    return parser.parse_args(arguments)


def gain(text: str) -> float:
    """Reads a gain, other than 0 and of two decimals at most, for figures are named by it."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value == 0 or value != round(value, 2):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no gain: give a number of at most two decimals, and not 0, where nothing can be compared"
        )
    return value


def device(text: str) -> str:
    """A device that can be used."""
    try:
        return str(usable(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def evaluate(options: argparse.Namespace) -> None:
    """Measures each model, going on where an earlier call was stopped, and adds it to the results in the folder.

    Raises:
        ValueError: before anything is measured, if something is missing, or the folder is of another evaluation.
    """
    check_output(options.output)
    require(options.maps)
    models = [load_model(source, options.sample_rate) for source in options.models]
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"models {names} have the same name: give them others with NAME=MODEL")
    for model in models:
        check_model(model)
    embeddings = load_embeddings(options.embedding)
    data = find_tracks(options, max(model.model.sample_rate for model in models))
    settings = protocol_of(options, embeddings, data)
    works = [work_of(model, options, embeddings, settings, data) for model in models]

    with locked(options.output, "an evaluation"):
        earlier = earlier_results(options.output, models, settings)
        measure_together(works, options)
        found = earlier | {work.named.name: measure(work, options) for work in works}
        write_results(options.output, found, settings)
        write_differences(options.output, found, options.seconds)
        write_examples(works, options)
        print(f"report: {write_report([options.output / 'results.json'], options.output / 'report')}")


def find_tracks(options: argparse.Namespace, sample_rate: int) -> Tracks:
    """The audio of an evaluation, of whatever length."""
    protocol = PROTOCOLS[options.protocol]
    stems, tracks = protocol.tracks(scan("data", corpus_of(options.data, protocol), Demands(sample_rate, 0)))
    places = {file.location for _, files in tracks for file in files if not file.shard}
    return Tracks(stems, tracks, {place: Stamp.of(os.stat(place)) for place in places})


def refuse_changed(stamps: Mapping[str, Stamp], excerpts: Iterable[Excerpt]) -> None:
    """Refuses to keep numbers of files that are others than those whose content was looked at.

    Raises:
        ValueError: which has changed.
        OSError: which is gone.
    """
    for place in {file.location for excerpt in excerpts for file in excerpt.files if not file.shard}:
        with naming(place):
            if Stamp.of(os.stat(place)) != stamps[place]:
                raise ValueError(f"{place} has changed while it was measured: give another -o, and leave it as it is")


def earlier_results(folder: Path, models: Sequence[NamedModel], settings: Mapping[str, Any]) -> dict[str, Results]:
    """What the folder already holds, to which models are added.

    Raises:
        ValueError: if that was measured otherwise, or a model of the same name is another one.
    """
    file = folder / "results.json"
    if not file.is_file():
        return {}
    earlier = read_evaluation(file)
    wanted = json.loads(json.dumps(apart_from_place(settings)))
    if others := differences(apart_from_place(earlier.protocol), wanted):
        raise ValueError(
            f"{file} is of an evaluation with other {listed(others)}: give another -o (lincae report makes one page of "
            f"both), or move {folder} away to measure everything again"
        )
    for model in models:
        known = earlier.models.get(model.name)
        if known is not None and known.sha256 != model.sha256:
            raise ValueError(
                f"{file} holds another model {model.name!r}: give this one another name, NAME=MODEL, or another -o"
            )
    return dict(earlier.models)


def apart_from_place(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What figures depend on: the audio, but not the folder that it lies in."""
    return {key: value for key, value in settings.items() if key != "data"}


def measure_together(works: Sequence[Work], options: argparse.Namespace) -> None:
    """Measures several models at a time, so that all that is left to do is to read their journals."""
    for work in works:
        work.journal(options.output)  # refuses that of another evaluation before anything is measured
    at_a_time, threads = shares(len(works), options.processes, options.device)
    if at_a_time == 1:
        return
    with ProcessPoolExecutor(at_a_time, get_context("spawn"), begin_process, (threads,)) as pool:
        running = [
            pool.submit(measure_one, options, work.settings, work.data.stamps, place)
            for place, work in enumerate(works)
        ]
        try:
            for each in running:
                each.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def shares(models: int, processes: int | None, device: str) -> tuple[int, int]:
    """How many models are measured at a time, and by how many threads each.

    Args:
        models: how many there are.
        processes: most at a time; by default as many as torch has threads, or 1 on a GPU.
        device: that measures.
    """
    threads = torch.get_num_threads()
    at_a_time = min(models, processes or (threads if device == "cpu" else 1))
    return at_a_time, max(1, threads // at_a_time)


def begin_process(threads: int) -> None:
    """Prepares a process to measure models."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def measure_one(
    options: argparse.Namespace, settings: Mapping[str, Any], stamps: Mapping[str, Stamp], place: int
) -> None:
    """Measures one of the models, in a process of its own."""
    model, embeddings = load_model(options.models[place], options.sample_rate), load_embeddings(options.embedding)
    data = find_tracks(options, model.model.sample_rate)._replace(stamps=stamps)
    measure(work_of(model, options, embeddings, settings, data), options, place)


def protocol_of(options: argparse.Namespace, embeddings: Sequence[Embedding], data: Tracks) -> dict[str, Any]:
    """All that figures depend on besides the model."""
    code = code_of(["lincae.cli.measuring", *(type(embedding).__module__ for embedding in embeddings)])
    return {
        "protocol": options.protocol,
        "data": options.data,
        "audio": audio_hashes(file for _, files in data.tracks for file in files),
        "seconds": options.seconds,
        "excerpts": options.excerpts,
        "batch_size": options.batch_size,
        "gains": list(options.gains),
        "curve": sorted({*options.curve, *options.gains}),
        "embeddings": {embedding.name: weights_hash(embedding) for embedding in embeddings},
        "noise_seed": NOISE_SEED,
        "device": options.device,
        "code": code.sha256,
        "versions": {
            **code.packages,
            "lincae": version_of("lincae"),
            "torch": torch.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
            "python": platform.python_version(),
        },
    }


@torch.inference_mode()
def work_of(
    named: NamedModel,
    options: argparse.Namespace,
    embeddings: Sequence[Embedding],
    settings: Mapping[str, Any],
    data: Tracks,
) -> Work:
    """All that there is to do for one model.

    Args:
        named: the model.
        options: of the command line.
        embeddings: in whose spaces sets are compared.
        settings: see `protocol_of`.
        data: the audio.

    Raises:
        ValueError: if it cannot be done.
    """
    model = named.model
    if isinstance(model, torch.nn.Module):
        model.to(options.device)
    samples = excerpt_length(model, options.seconds, options.device)
    excerpts = excerpts_of(data.tracks, model.sample_rate, options.seconds, samples, options.excerpts)
    measured = PROTOCOLS[options.protocol].measured(settings["gains"], settings["curve"], embeddings)
    for each in measured:
        each.figures.metrics = [m.to(options.device) for m in each.figures.make_metrics(len(excerpts), data.stems)]
    return Work(named, settings, measured, excerpts, data, CropReader(model.sample_rate, samples, reading_of(model)))


@torch.inference_mode()
def measure(work: Work, options: argparse.Namespace, place: int = 0) -> Results:
    """All figures of one model, of which those of finished batches are in its journal; `place` is the bar's line."""
    tables, journal = work.tables(), work.journal(options.output)
    done, unreadable = journal.restore(tables)
    numbers = list(range(len(work.excerpts)))
    batches = [numbers[first : first + options.batch_size] for first in range(0, len(numbers), options.batch_size)]
    left = [batch for batch in batches if not done.issuperset(batch)]
    title = f"evaluating {work.named.name}"
    finished = len(batches) - len(left)
    with tqdm(desc=title, total=len(batches), initial=finished, unit=" batches", position=place) as bar:
        for batch in left:
            audio, bad = read_all(work.excerpts, batch, work.reader)
            if audio:
                others = [other_than(number, audio, work.excerpts, work.reader) for number in audio]
                measure_batch(work.named.model, work.measured, audio, others, options.device)
            heard = {*batch, *(number - 1 for number in batch)}  # each beside the one before, see `other_than`
            refuse_changed(work.data.stamps, (work.excerpts[number] for number in heard))
            journal.append(tables, batch, bad)
            unreadable |= bad
            bar.update()
    told = [unreadable[number] for number in sorted(unreadable)]
    return Results.of(work.named, work.measured, work.excerpts, work.data.stems, work.reader.samples, told)


@torch.inference_mode()
def write_examples(works: Sequence[Work], options: argparse.Namespace) -> None:
    """Writes sounds and latents of the first excerpt, if it can be read."""
    examples = {work.named.name: example_of(work, options.device) for work in works}
    found = {name: example for name, example in examples.items() if example is not None}
    if found:
        excerpt, seconds = works[0].excerpts[0].name, works[0].excerpts[0].start / works[0].reader.sample_rate
        models = {work.named.name: work.named.model for work in works if work.named.name in found}
        write_excerpt_sounds(
            options.output, excerpt, seconds, models, {name: each.heard for name, each in found.items()}
        )
        sources = {name: each.pictured for name, each in found.items()}
        write_latents(options.output, excerpt, seconds, models, sources, options.maps)


def example_of(work: Work, device: str) -> Example | None:
    """The first excerpt, beside that of another clip where there are no stems; None if it cannot be read."""
    excerpts, reader = work.excerpts, work.reader
    others = [] if work.data.stems else [each for each in excerpts if each.track != excerpts[0].track] or excerpts[1:]
    shown = [excerpts[0], *others[:1]]
    audio = {place: sound.to(device) for place, sound in read_all(shown, range(len(shown)), reader)[0].items()}
    if 0 not in audio:
        return None
    heard = dict(zip(work.data.stems or ["clip"], audio[0], strict=True))
    if 1 not in audio:
        return Example(heard, heard)
    start = others[0].start / reader.sample_rate
    return Example(heard, heard | {f"{others[0].name}, from {start:.1f} s": audio[1][0]})
