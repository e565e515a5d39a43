"""`lincae experiment`: one question, a few small trainings of two models, and a table."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from lincae.cli.command_line import number, refusals, resumable
from lincae.cli.configs import CONFIGS, find_config, load_config, overlay
from lincae.cli.journal import claim, listed
from lincae.cli.journal import differences as differences_of
from lincae.cli.locking import locked
from lincae.cli.trainings import Training, train
from lincae.report.results import finite, write
from lincae.report.runs import last_line
from lincae.report.seed_plots import plot_seeds
from lincae.report.seeds import Figures, differences, table
from lincae.yaml_files import read_yaml

EXPERIMENTS = CONFIGS / "experiments"
COMMON = EXPERIMENTS / "common.yaml"

MODELS = {
    "spectral": ("demo-deterministic.yaml", {"decoder": "[pyramid,conv_out]"}),
    "waveform": ("demo-waveform.yaml", {"decoder": "[decoder]"}),
}
"""Model -> its configuration, and what `${NAME}` stands for in the arguments of a variant."""

SEEDS = (0, 1, 2)

QUICK = [
    *("--trainer.max_steps=2", "--data.clip_count=16", "--data.track_count=2"),
    *("--data.validation_clips=2", "--data.validation_tracks=2", "--data.validation_batch_size=2"),
]
"""What makes an experiment one of seconds, which shows that it runs and nothing else."""


@dataclass(frozen=True)
class Experiment:
    """A question, as its file has it.

    Attributes:
        question: in a sentence.
        steps: of a training that does not say otherwise.
        figures: name -> label, the rows of the table.
        variants: name -> arguments of `lincae fit`, the columns; `${NAME}` is the run of another variant with the same
            model and seed, listed before.
        common: arguments of all variants.
        against: variant -> another one that it is compared with; by default each later one with the first.
    """

    question: str
    steps: int
    figures: Mapping[str, str]
    variants: Mapping[str, Sequence[str]]
    common: Sequence[str] = field(default_factory=list)
    against: Mapping[str, str] = field(default_factory=dict)

    def compared(self) -> Mapping[str, str]:
        """What is compared with what."""
        first, *others = self.variants
        return self.against or dict.fromkeys(others, first)

    def trained(self) -> dict[str, Any]:
        """What its trainings depend on, which is not how they are shown."""
        return {"steps": self.steps, "variants": self.variants, "common": self.common}


def main(arguments: Sequence[str]) -> None:
    """Train what is left to train, and write the table."""
    names = sorted(file.stem for file in EXPERIMENTS.glob("*.yaml") if file.stem != "common")
    parser = argparse.ArgumentParser(prog="lincae experiment", description=__doc__, allow_abbrev=False)
    parser.add_argument("name", choices=names, help="file in configs/experiments")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder (default: runs/experiments/NAME)")
    parser.add_argument("--seeds", type=number(int, 0, 2**32 - 1), nargs="+", default=SEEDS, help="(default: 0 1 2)")
    parser.add_argument("--models", choices=MODELS, nargs="+", default=list(MODELS), help="(default: both)")
    parser.add_argument(
        "--processes", type=number(int, 1), default=2, help="trainings at a time, one core each (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="two steps, one seed: whether it runs, and nothing else")
    options = parser.parse_args(arguments)
    options.output = options.output or Path("runs/experiments", options.name)
    with refusals(), resumable():
        run(options, Console())


def run(options: argparse.Namespace, console: Console) -> None:
    """Trains all variants of all models under all seeds, and writes `table.md`, `seeds.png` and `results.json`.

    Raises:
        ValueError: if the folder is of another experiment or configuration, or a seed is given twice.
    """
    begun = time.monotonic()
    if len({*options.seeds}) < len(options.seeds):
        raise ValueError(f"--seeds {' '.join(map(str, options.seeds))} names one twice: intervals need different ones")
    experiment = Experiment(**read_yaml(EXPERIMENTS / f"{options.name}.yaml"))
    seeds = options.seeds[:1] if options.quick else options.seeds
    identity = {"name": options.name, "quick": options.quick, **experiment.trained()}
    claim(options.output / "experiment.json", identity, "an experiment")
    with locked(options.output, "an experiment") as lock:
        root = options.output.resolve()
        for model in options.models:
            write_config(
                config_of(root, model), overlay(load_config(find_config(MODELS[model][0])), load_config(COMMON))
            )
        waiting = {
            (model, variant, seed): training(experiment, options.quick, root, model, variant, seed)
            for model in options.models
            for variant in experiment.variants
            for seed in seeds
        }
        for later in (False, True):  # those that go on from another one come after all others
            chosen = [
                each
                for (_, variant, _), each in waiting.items()
                if goes_on(experiment, variant) == later and not (each.folder / "figures.jsonl").exists()
            ]
            train(chosen, console, options.processes, descriptors=[lock])

    found = {
        model: {
            variant: [last_line(waiting[model, variant, seed].folder / "figures.jsonl")[1] for seed in seeds]
            for variant in experiment.variants
        }
        for model in options.models
    }
    figures = {model: shown(experiment, found[model]) for model in found}
    tables = []
    for model, values in figures.items():
        tables.append(table(model, experiment.figures, values))
        tables.append(differences(f"{model}, differences", experiment.figures, values, experiment.compared()))
    text = "\n".join([f"{experiment.question}\n", *tables])
    write(options.output / "table.md", text)
    write(options.output / "results.json", json.dumps(finite({"seeds": list(seeds), "models": found}), indent=1) + "\n")
    plot_seeds(figures, experiment.figures).savefig(options.output / "seeds.png", dpi=130)
    print(text)
    print(f"{time.monotonic() - begun:.0f} s. {options.output}: table.md, seeds.png; every figure: results.json")


def goes_on(experiment: Experiment, variant: str) -> bool:
    """Whether a variant begins with the weights of another."""
    return any("--model.init_from" in argument for argument in experiment.variants[variant])


def config_of(root: Path, model: str) -> Path:
    """The configuration of a model's runs."""
    return root / f"{model}.yaml"


def write_config(file: Path, settings: Mapping[str, Any]) -> None:
    """Writes the configuration of a model's runs, or sees that it is still what those that are there were trained with.

    Raises:
        ValueError: if it is not.
    """
    if file.is_file() and (others := differences_of(read_yaml(file), settings)):
        raise ValueError(
            f"{file} has other {listed(others)} than the configuration has by now: finish the experiment with that, or "
            "give another -o"
        )
    write(file, yaml.safe_dump(settings, sort_keys=False))


def place(root: Path, model: str, variant: str, seed: int) -> Path:
    """The folder of a run."""
    return root / "runs" / model / re.sub(r"\W+", "-", variant).strip("-") / f"seed-{seed}"


def training(experiment: Experiment, quick: bool, root: Path, model: str, variant: str, seed: int) -> Training:
    """The training of a variant."""
    known = {**MODELS[model][1], **{other: str(place(root, model, other, seed)) for other in experiment.variants}}
    own = [re.sub(r"\$\{(.*?)\}", lambda name: known[name[1]], text) for text in experiment.variants[variant]]
    arguments = [
        *("--config", str(config_of(root, model)), f"--data.root={root / 'data'}"),
        *("--trainer.default_root_dir=.", f"--seed_everything={seed}", f"--data.seed={seed}"),
        *(f"--trainer.max_steps={experiment.steps}", *experiment.common, *own, *(QUICK if quick else [])),
    ]
    return Training(f"{model} {variant} {seed}", place(root, model, variant, seed), arguments)


def shown(experiment: Experiment, found: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Figures]:
    """Figure -> variant -> its value of each seed, of variant -> `val/` figures of each seed."""
    return {
        name: {variant: [of.get(f"val/{name}") for of in seeds] for variant, seeds in found.items()}
        for name in experiment.figures
    }
