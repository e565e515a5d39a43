"""`lincae retrofit`: the same autoencoder with a linear latent space, and a page that shows it beside a control."""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from datamodules.corpus import Corpus
from datamodules.index import Demands, scan
from lincae.autoencoders.protocol import reading_of
from lincae.checkpoint_files import last_of
from lincae.cli import evaluate
from lincae.cli.command_line import number, refusals, resumable
from lincae.cli.held_out import Split, hold_out
from lincae.cli.journal import claim
from lincae.cli.locking import locked
from lincae.cli.models import weights_hash
from lincae.cli.resuming import read_head
from lincae.cli.trained import load_model
from lincae.cli.trainings import Training, assert_same_but_callbacks, train
from lincae.inference import Autoencoder
from lincae.machine import cores
from lincae.report.evaluations import read_evaluation
from lincae.report.tables import comparison

CONTROL = ("--callbacks.gain=null", "--callbacks.materialize=callbacks.Materialize")
"""What the control does otherwise: the mixes go through the encoder as they are, and nothing is scaled."""

CROP_LATENTS, CROP_SECONDS = 8, 0.14
"""A crop of training has so many latents, or lasts so long, whichever is more."""

EXCERPT_SECONDS = 5.0
"""Most that an excerpt of the evaluation lasts, unless --seconds says otherwise."""

ROWS = [
    ("reconstruction/mss", "reconstruction, MSS ↓"),
    ("reconstruction/si_sdr", "reconstruction, SI-SDR ↑"),
    ("decoder/homogeneity_snr", "decoder homogeneity, SNR ↑"),
    ("encoder/homogeneity_error", "encoder homogeneity error ↓"),
    ("decoder/additivity_snr", "decoded sum vs mix, SNR ↑"),
    ("decoder/additivity_sum_snr", "decoded sum vs sum, SNR ↑"),
    ("encoder/additivity_error", "encoder additivity error ↓"),
    ("mixing/mix_rate", "mix rate ↓"),
    ("separation/si_sdr", "latent subtraction, SI-SDR ↑"),
    ("removal/si_sdr", "stem removal, SI-SDR ↑"),
    ("removal/tax", "linearity tax ↓"),
]


class Places(NamedTuple):
    """What a retrofit leaves in its folder.

    Attributes:
        before: the model as it was, a saved folder.
        control, after: runs.
        model: the result, a saved folder.
        audio: links to what was trained on and to what was held out.
        evaluation: results of `lincae evaluate`, with the page.
    """

    before: Path
    control: Path
    after: Path
    model: Path
    audio: Path
    evaluation: Path

    @classmethod
    def below(cls, folder: Path) -> Places:
        return cls(*(folder / name for name in cls._fields))


def main(arguments: Sequence[str]) -> None:
    """Retrofit, or go on with what was stopped."""
    options = parse(arguments)
    with refusals(), resumable():
        retrofit(options, Console())


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line of `lincae retrofit`."""
    parser = argparse.ArgumentParser(
        prog="lincae retrofit",
        description=__doc__,
        usage="%(prog)s SOURCE --data DIR -o OUT [OPTION ...] [-- --KEY=VALUE ...]",
        epilog="What stands behind a -- is passed to both trainings, `lincae fit`.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="a run, a .ckpt, a saved folder, published weights, a name, or a class path"
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of audio")
    parser.add_argument("--stems", action="store_true", help="--data lies as <track>/<stem>.wav: hold out whole tracks")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="new folder of all results")
    parser.add_argument(
        "--test", metavar="DIR", help="tracks <track>/<stem>.wav to measure on; then --data is all trained on"
    )
    parser.add_argument(
        "--tracks", type=number(int, 2), default=16, help="most that are held out (default: %(default)s)"
    )
    parser.add_argument("--steps", type=number(int, 1), default=1000, help="of either training (default: %(default)s)")
    parser.add_argument(
        "--seed", type=number(int, 0, 2**32 - 1), default=0, help="of both trainings (default: %(default)s)"
    )
    parser.add_argument(
        "--config", default="retrofit.yaml", help="of both trainings, without the model (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=number(float, 1e-3, 3600),
        help=f"of an excerpt of the evaluation (default: the shortest track, {EXCERPT_SECONDS:g} at most)",
    )
    parser.add_argument(
        "--excerpts",
        type=number(int, 1),
        default=2,
        metavar="N",
        help="most excerpts of a track (default: %(default)s)",
    )
    own = list(itertools.takewhile(lambda text: text != "--", arguments))
    options = parser.parse_args(own)
    options.extra = list(arguments[len(own) + 1 :])
    return options


def retrofit(options: argparse.Namespace, console: Console) -> None:
    """Split the audio, train result and control, measure both beside the start, and write it all down.

    Raises:
        ValueError: if the folder holds something else, or there is too little audio.
    """
    begun = time.monotonic()
    places = Places.below(options.output)
    model = load_model(options.source, "cpu")
    claim(options.output / "retrofit.json", identity_of(options, weights_hash(model.autoencoder)), "a retrofit")
    with locked(options.output, "a retrofit") as lock:
        samples = crop_samples(model)
        split = split_audio(options, places.audio, Demands(model.sample_rate, samples, model.sample_rate))
        console.print(f"{split.text}: {split.held_out}", soft_wrap=True)
        save(model, places.before)
        both = trainings(options, places, split, model, samples)
        train(both, console, min(2, cores()), max(1, cores() // 2), [lock])
        assert_same_but_callbacks(places.control / "config.yaml", places.after / "config.yaml")
        save(load_model(str(places.after), "cpu"), places.model)
    seconds = options.seconds or math.floor(100 * min(split.seconds, EXCERPT_SECONDS)) / 100
    evaluate.main(
        [
            *(f"{name}={place}" for name, place in compared(places).items()),
            *("--data", str(split.held_out), "--protocol", "stems", "-o", str(places.evaluation)),
            *("--seconds", str(seconds), "--excerpts", str(options.excerpts)),
        ]
    )
    show(places, console)
    console.print(f"{time.monotonic() - begun:.0f} s. The model: {places.model}", soft_wrap=True)
    console.print(
        f"All figures, curves and sounds: {(places.evaluation / 'report' / 'index.html').resolve()}", soft_wrap=True
    )


def identity_of(options: argparse.Namespace, sha256: str) -> dict[str, Any]:
    """What the results of a retrofit depend on."""
    keys = ("data", "stems", "test", "tracks", "steps", "seed", "config", "extra")
    return {"model": sha256, **{key: getattr(options, key) for key in keys}}


def crop_samples(model: Autoencoder) -> int:
    """Samples of a crop of training, which decodes to its own length."""
    framing = model.framing
    latents = max(CROP_LATENTS, math.ceil((CROP_SECONDS * model.sample_rate - framing.margin) / framing.period))
    return framing.samples(latents)


def split_audio(options: argparse.Namespace, folder: Path, demands: Demands) -> Split:
    """What is trained on, and what is measured on."""
    if options.test is None:
        return hold_out(options.data, folder, demands, options.tracks, options.stems)
    train_on, test = Path(options.data).resolve(), Path(options.test).resolve()
    if test == train_on or train_on in test.parents or test in train_on.parents:
        raise ValueError(f"--test {options.test} and --data {options.data} overlap: measure on audio of its own")
    files = scan("test", Corpus(options.test, patterns=["**/*/*"]), demands).files
    seconds = min(file.length(demands.sample_rate) for file in files) / demands.sample_rate
    return Split(Path(options.data), Path(options.test), seconds, "measured on other tracks than trained on")


def save(model: Autoencoder, folder: Path) -> None:
    """Writes a model, unless it is there.

    Raises:
        ValueError: if it cannot be described by its settings.
    """
    if not (folder / "config.json").is_file():
        try:
            model.save_pretrained(folder)
        except TypeError as error:
            raise ValueError(str(error)) from error


def trainings(
    options: argparse.Namespace, places: Places, split: Split, model: Autoencoder, samples: int
) -> list[Training]:
    """Result and control, where they are not finished yet: they differ in callbacks alone."""
    common = [
        *("--config", options.config),
        f"--model.init_from={places.before.resolve()}",
        f"--data.train={split.train.resolve()}",
        f"--data.sample_rate={model.sample_rate}",
        f"--data.samples={samples}",
        f"--data.channels={reading_of(model.autoencoder)}",
        f"--data.seed={options.seed}",
        f"--seed_everything={options.seed}",
        f"--trainer.max_steps={options.steps}",
        "--trainer.limit_val_batches=0",
        "--trainer.default_root_dir=.",
        *options.extra,
    ]
    wanted = [Training("control", places.control, [*common, *CONTROL]), Training("after", places.after, common)]
    return [training for training in wanted if steps_taken(training.folder) < options.steps]


def steps_taken(run: Path) -> int:
    """Optimiser steps of a run's last checkpoint, 0 if there is none."""
    file = last_of(run)
    return read_head(str(file))["global_step"] if file else 0


def compared(places: Places) -> dict[str, Path]:
    """The models of the table, by name."""
    return {"before": places.before, "control": places.control, "after": places.after}


def show(places: Places, console: Console) -> None:
    """The main figures of the three models, and what the retrofit changed over its control."""
    models = read_evaluation(places.evaluation / "results.json").models
    figures: dict[str, dict[str, Any]] = {name: dict(models[name].figures) for name in compared(places)}
    console.print(
        comparison(figures, ROWS, "before, after as long a training without gains and mixes, and after the retrofit")
    )
    homogeneity, quality = (
        figures["after"][name] - figures["control"][name]
        for name in ("decoder/homogeneity_snr", "reconstruction/si_sdr")
    )
    console.print(
        f"Against the control: decoder homogeneity {homogeneity:+.1f} dB, reconstruction {quality:+.1f} dB SI-SDR"
    )
