"""`lincae evaluate`: how linear is it, how good does it sound, against what?"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
import torch
from torch import Tensor
from tqdm import tqdm

from datamodules.excerpts import Excerpt, cut, read
from datamodules.index import Demands, scan
from datamodules.processes import leave_with_parent
from datamodules.reader import CropReader
from datamodules.rejection import BadAudioError
from lincae.autoencoders.protocol import LatentAutoencoder, reading_of, silence_for
from lincae.cli.command_line import INTERRUPTED, number, refusals
from lincae.cli.embeddings import load_embeddings
from lincae.cli.journal import Journal
from lincae.cli.models import NamedModel, load_model, weights_hash
from lincae.cli.preconditions import check_model, check_output
from lincae.cli.protocols import PROTOCOLS, Measured, corpus_of
from lincae.evaluation import NOISE_SEED, DecodedClips
from lincae.metrics import CURVE_GAINS, HEADLINE_GAINS, Embedding
from lincae.provenance import version_of
from lincae.report.latents import write_latents
from lincae.report.neighbours import METHODS, require
from lincae.report.page import write_report
from lincae.report.results import Results, write_results
from lincae.report.sounds import write_excerpt_sounds
from lincae.streams import Draws

SIGNED_CURVE = (-1.0, -0.5, *CURVE_GAINS)


class Example(NamedTuple):
    """Sounds (T,) of the first excerpt, by name.

    Attributes:
        heard: its stems, or the clip by itself.
        pictured: whose latents are pictured: the same stems, or the clip and another one.
    """

    heard: dict[str, Tensor]
    pictured: dict[str, Tensor]


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
        help="models at a time (default: as many as torch has threads; 1 on a GPU)",
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
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:  # the latter from builds without CUDA
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return text


def evaluate(options: argparse.Namespace) -> None:
    """Measures each model, going on where an earlier call was stopped."""
    check_output(options.output)
    require(options.maps)
    models = [load_model(source, options.sample_rate) for source in options.models]
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"models {names} have the same name: give them others with NAME=MODEL")
    for model in models:
        check_model(model)
    embeddings = load_embeddings(options.embedding)
    settings = protocol_of(options, embeddings)
    processes = options.processes or (torch.get_num_threads() if options.device == "cpu" else 1)
    if processes > 1 and len(models) > 1:
        fill_journals(options, processes)
    found, examples = {}, {}
    for model in models:
        found[model.name], example = measure_model(model, options, embeddings, settings)
        if example is not None:
            examples[model.name] = example
    write_results(options.output, found, settings)
    heard = {model.name: model.model for model in models if model.name in examples}
    if heard:
        excerpt, start = found[models[0].name].excerpts[0]
        seconds = start / models[0].model.sample_rate
        with torch.inference_mode():
            stems = {name: example.heard for name, example in examples.items()}
            write_excerpt_sounds(options.output, excerpt, seconds, heard, stems)
            sources = {name: example.pictured for name, example in examples.items()}
            write_latents(options.output, excerpt, seconds, heard, sources, options.maps)
    print(f"report: {write_report([options.output / 'results.json'], options.output / 'report')}")


def fill_journals(options: argparse.Namespace, processes: int) -> None:
    """Measures several models at a time, so that all that is left to do is to read their journals."""
    threads = max(1, torch.get_num_threads() // processes)
    with ProcessPoolExecutor(processes, get_context("spawn"), begin_process, (threads,)) as pool:
        running = [pool.submit(fill_journal, options, place) for place in range(len(options.models))]
        try:
            for each in running:
                each.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def begin_process(threads: int) -> None:
    """Prepares a process to measure models."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def fill_journal(options: argparse.Namespace, place: int) -> None:
    """Measures one of the models, in a process of its own."""
    embeddings = load_embeddings(options.embedding)
    model = load_model(options.models[place], options.sample_rate)
    measure_model(model, options, embeddings, protocol_of(options, embeddings), place)


def protocol_of(options: argparse.Namespace, embeddings: Sequence[Embedding]) -> dict[str, Any]:
    """All that figures depend on besides the model."""
    return {
        "protocol": options.protocol,
        "data": options.data,
        "seconds": options.seconds,
        "excerpts": options.excerpts,
        "batch_size": options.batch_size,
        "gains": list(options.gains),
        "curve": sorted({*options.curve, *options.gains}),
        "embeddings": {embedding.name: weights_hash(embedding) for embedding in embeddings},
        "noise_seed": NOISE_SEED,
        "device": options.device,
        "versions": {
            "lincae": version_of("lincae"),
            "torch": torch.__version__,
            "libsndfile": soundfile.__libsndfile_version__,
            "python": platform.python_version(),
        },
    }


@torch.inference_mode()
def measure_model(
    named: NamedModel,
    options: argparse.Namespace,
    embeddings: Sequence[Embedding],
    settings: Mapping[str, Any],
    place: int = 0,
) -> tuple[Results, Example | None]:
    """All figures of one model.

    Args:
        named: the model.
        options: of the command line.
        embeddings: in whose spaces sets are compared.
        settings: see `protocol_of`.
        place: line of the progress bar.

    Returns:
        The figures, and the first excerpt; None where it cannot be read.
    """
    model, protocol = named.model, PROTOCOLS[options.protocol]
    if isinstance(model, torch.nn.Module):
        model.to(options.device)
    samples = excerpt_length(model, options.seconds, options.device)
    demands = Demands(model.sample_rate, samples, max_channels=2)
    index = scan("data", corpus_of(options.data, protocol), demands)
    stems, tracks = protocol.tracks(index)
    excerpts = cut(tracks, model.sample_rate, round(options.seconds * model.sample_rate), samples, options.excerpts)

    measured = protocol.measured(settings["gains"], settings["curve"], model.sample_rate, embeddings)
    for each in measured:
        each.figures.metrics = [m.to(options.device) for m in each.figures.make_metrics(len(excerpts), stems)]
    tables = [table for each in measured for table in each.figures.metrics]
    identity = {
        "model": named.sha256,
        "settings": settings,
        "samples": samples,
        "excerpts": [(excerpt.name, excerpt.start) for excerpt in excerpts],
        "columns": [table.columns for table in tables],
    }
    journal = Journal(options.output / "journal" / f"{named.name}.jsonl", identity)
    unreadable = journal.restore(tables)
    numbers = list(range(len(excerpts)))
    batches = [numbers[first : first + options.batch_size] for first in range(0, len(numbers), options.batch_size)]
    reader = CropReader(model.sample_rate, samples, reading_of(model))
    title = f"evaluating {named.name}"
    with tqdm(desc=title, total=len(batches), initial=len(journal), unit=" batches", position=place) as bar:
        for batch in batches[len(journal) :]:
            audio, bad = read_all([excerpts[number] for number in batch], reader)
            if audio:
                measure_batch(model, measured, [(batch[place], stems) for place, stems in audio], options.device)
            journal.append(tables, batch, bad)
            unreadable += bad
            bar.update()
    results = Results.of(named, measured, excerpts, stems, samples, unreadable)
    return results, example_of(excerpts, stems, reader, options.device)


def example_of(excerpts: Sequence[Excerpt], stems: Sequence[str], reader: CropReader, device: str) -> Example | None:
    """The first excerpt, beside that of another clip where there are no stems; None if it cannot be read."""
    others = [] if stems else [each for each in excerpts if each.track != excerpts[0].track] or excerpts[1:]
    audio = {place: sound.to(device) for place, sound in read_all([excerpts[0], *others[:1]], reader)[0]}
    if 0 not in audio:
        return None
    heard = dict(zip(stems or ["clip"], audio[0], strict=True))
    if 1 not in audio:
        return Example(heard, heard)
    start = others[0].start / reader.sample_rate
    return Example(heard, heard | {f"{others[0].name}, from {start:.1f} s": audio[1][0]})


def read_all(excerpts: Sequence[Excerpt], reader: CropReader) -> tuple[list[tuple[int, Tensor]], list[str]]:
    """Place and audio (K, T) of the excerpts that can be read, and the names of the others."""
    audio, bad = [], []
    for place, excerpt in enumerate(excerpts):
        try:
            audio.append((place, read(excerpt, reader)))
        except BadAudioError as error:
            bad.append(f"{excerpt.name} at sample {excerpt.start}: {error.reason}")
    return audio, bad


def measure_batch(
    model: LatentAutoencoder, measured: Sequence[Measured], excerpts: Sequence[tuple[int, Tensor]], device: str
) -> None:
    """Encodes and decodes a batch once for each origin, and measures everything on it."""
    stems = torch.stack([audio for _, audio in excerpts]).to(device)
    index = torch.tensor([number for number, _ in excerpts])
    batch = {"audio": stems.sum(dim=1), "stems": stems, "index": index}
    decoded: dict[str, DecodedClips] = {}
    for figures, wrap, suffix in measured:
        if suffix not in decoded:
            decoded[suffix] = DecodedClips.of(wrap(model), batch["audio"], index)
        figures.measure(decoded[suffix], batch)


def excerpt_length(model: LatentAutoencoder, seconds: float, device: str) -> int:
    """Samples of an excerpt: the longest up to so many seconds that decodes to its own length.

    Raises:
        ValueError: if there is none.
    """
    samples = round(seconds * model.sample_rate)
    for _ in range(3):
        latents = model.encode(silence_for(model, 1, samples, device))
        decoded = model.decode(latents, model.sample_noise(latents, Draws(0, [0], device))).shape[-1]
        if decoded >= samples:
            return samples
        samples = decoded
    raise ValueError(f"excerpts of {seconds} s do not decode to their own length: try other --seconds")
