"""`lincae demo`: trains tiny autoencoders on synthetic audio and shows what implicit linearity changes."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import torch
from rich.console import Console

from datamodules.synthetic_data import corpus_folder
from lincae.cli import evaluate
from lincae.cli.trainings import Training, assert_same_but_callbacks, train
from lincae.pretrained import load_pretrained
from lincae.report.plots import plot_training
from lincae.report.runs import History, last_curve, last_figures, read_history
from lincae.report.sounds import latent_arithmetic, write_sounds
from lincae.report.tables import comparison
from lincae.yaml_files import read_yaml

Figures = dict[str, dict[str, float]]

BASELINE = ("--callbacks.gain=null", "--callbacks.materialize=callbacks.Materialize")
RUNS = {
    "lin-cae": ("demo.yaml", ()),
    "baseline": ("demo.yaml", BASELINE),
    "deterministic": ("demo-deterministic.yaml", ()),
    "deterministic-baseline": ("demo-deterministic.yaml", BASELINE),
}
"""Model -> configuration and what the command line changes in it: the callbacks alone."""

RETROFIT = "deterministic-retrofit"
RETROFITTED = "deterministic-baseline"
RETROFIT_CHANGES = ("--trainer.max_steps=600", "--model.optimizer.lr=5e-4")
"""A fifth model goes on from a trained one, for a minute, as `lincae retrofit` does."""

MODELS = (*RUNS, RETROFIT)

ROWS = [
    ("reconstruction/mss", "reconstruction, MSS ↓"),
    ("shuffled/mss", "  with another clip's latents"),
    ("reconstruction/si_sdr", "reconstruction, SI-SDR ↑"),
    ("decoder/homogeneity_snr", "decoder homogeneity, SNR ↑"),
    ("decoder/homogeneity_mss", "decoder homogeneity, MSS ↓"),
    ("encoder/homogeneity_error", "encoder homogeneity error ↓"),
    ("decoder/additivity_mss", "decoded sum vs mix, MSS ↓"),
    ("decoder/additivity_sum_snr", "decoded sum vs sum, SNR ↑"),
    ("encoder/additivity_error", "encoder additivity error ↓"),
    ("separation/mss", "latent subtraction, MSS ↓"),
    ("separation/si_sdr", "latent subtraction, SI-SDR ↑"),
]
PAIRS = {
    "consistency autoencoder": ("lin-cae", "baseline"),
    "deterministic autoencoder": ("deterministic", "deterministic-baseline", RETROFIT),
}
TRAINING_PANELS = [
    ("reconstruction/mss", "reconstruction MSS"),
    ("reconstruction/si_sdr", "reconstruction SI-SDR, dB"),
    ("decoder/homogeneity_snr", "decoder homogeneity SNR, dB"),
    ("decoder/additivity_mss", "decoded sum against the mix, MSS"),
    ("encoder/homogeneity_error", "encoder homogeneity error"),
    ("encoder/additivity_error", "encoder additivity error"),
]
GAIN_PANELS = [
    ("decoder/homogeneity_snr", "decoder homogeneity SNR, dB"),
    ("decoder/homogeneity_mss", "decoder homogeneity MSS"),
    ("encoder/homogeneity_error", "encoder homogeneity error"),
]
CAVEAT = """\
What this shows: trained on the same clips for as many steps, from the same weights and under configurations that \
differ in the callbacks alone, lin-cae and deterministic have a latent space in which volume and mixing are \
arithmetic, at the quality of their baselines' reconstruction. A trained baseline learns it too, in a minute \
(deterministic-retrofit).
What it does not show: good sound, or what the reference size reaches. The models are tiny, work at 16 kHz, see 0.14 s \
at a time and train for minutes; their noise starts at sigma 3 instead of 80, so that they learn phases, which large \
consistency models largely leave to the noise. Reconstruction in the log spectrum (MSS) is still coarse."""


@dataclass(frozen=True)
class Check:
    """One promise of the demo.

    Attributes:
        text: what is promised, with the figures.
        holds: whether it does.
    """

    text: str
    holds: bool


def main(arguments: Sequence[str]) -> None:
    """Train, compare, and leave the results in a folder; exits 1 if a run fails or the pattern does not show."""
    parser = argparse.ArgumentParser(prog="lincae demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/demo"), help="folder of the results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="repeat the whole for each seed")
    parser.add_argument("--data", type=Path, help="a folder of your own audio, instead of synthetic audio")
    parser.add_argument("overrides", nargs="*", metavar="--KEY=VALUE", help="passed to every training, after a --")
    options = parser.parse_args(arguments)
    console = Console()
    results = []
    for seed in options.seeds:
        folder = options.output if len(options.seeds) == 1 else options.output / f"seed-{seed}"
        keep_earlier(folder, console)
        extra = [f"--data.root={(options.output / 'data').resolve()}", *options.overrides]
        results.append(demonstrate(folder, seed, options.data, extra, console))
    if len(results) > 1:
        console.print(f"Mean of {len(results)} seeds")
        show(mean_figures([figures for figures, _ in results]), console)
    if options.data is None and not all(check.holds for _, checks in results for check in checks):
        raise SystemExit(1)


def demonstrate(
    folder: Path, seed: int, data: Path | None, overrides: Sequence[str], console: Console
) -> tuple[Figures, list[Check]]:
    """One demonstration: five trainings, table, picture, sounds and `results.json`."""
    start = time.monotonic()
    train_all(folder.resolve(), seed, data, overrides, console)
    histories = {name: read_history(folder / name / "csv" / "version_0" / "metrics.csv") for name in MODELS}
    figures = {name: last_figures(history) for name, history in histories.items()}
    checks = consistency_checks(figures) + deterministic_checks(figures) + retrofit_checks(figures)

    write_pictures(histories, folder)
    tracks = synthetic_tracks(folder)
    if tracks is not None:
        write_all_sounds(tracks, folder)
        write_evaluation(tracks, folder)
    write_json(folder / "results.json", seed, histories, figures, checks, time.monotonic() - start)
    show(figures, console)
    console.print(CAVEAT)
    for check in checks:
        console.print(f"[{'green' if check.holds else 'red'}]{'yes' if check.holds else 'NO '}[/] {check.text}")
    console.print(f"{time.monotonic() - start:.0f} s. Results, pictures and sounds are in {folder}", soft_wrap=True)
    page = folder / "evaluation" / "report" / "index.html"
    if page.exists():
        console.print(f"To look at and to listen to, in a browser: {page.resolve()}", soft_wrap=True)
    return figures, checks


def show(figures: Figures, console: Console) -> None:
    """A table for each pair; SNR and SI-SDR in dB, an arrow says which way is better."""
    for title, names in PAIRS.items():
        columns = {name.removeprefix(f"{names[0]}-"): figures[name] for name in names}
        console.print(comparison(columns, ROWS, title))


def keep_earlier(folder: Path, console: Console) -> None:
    """Move the results of an earlier demonstration aside."""
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}-{n}").exists())
        aside = folder.with_name(f"{folder.name}-{number}")
        folder.rename(aside)
        console.print(f"earlier results are kept in {aside}")
    folder.mkdir(parents=True)


def train_all(folder: Path, seed: int, data: Path | None, overrides: Sequence[str], console: Console) -> None:
    """Run the trainings two at a time, one core each, and then the one that goes on from another."""
    extra = [
        "--trainer.default_root_dir=.",
        f"--seed_everything={seed}",
        f"--data.seed={seed}",
    ]
    extra += [f"--data.train={data.resolve()}"] if data else []
    train(
        [
            Training(name, folder / name, ["--config", config, *changes, *extra, *overrides])
            for name, (config, changes) in RUNS.items()
        ],
        console,
    )
    config, _ = RUNS[RETROFITTED]
    start = f"--model.init_from={folder / RETROFITTED}"
    changes = ["--config", config, *RETROFIT_CHANGES, start, *extra, *overrides]
    train([Training(RETROFIT, folder / RETROFIT, changes)], console)
    for first, second, *_ in PAIRS.values():
        assert_same_but_callbacks(folder / first / "config.yaml", folder / second / "config.yaml")


def consistency_checks(figures: Figures) -> list[Check]:
    """The paper's pattern on the two consistency autoencoders."""
    lin, base = figures["lin-cae"], figures["baseline"]
    mss, shuffled = "reconstruction/mss", "shuffled/mss"
    apart = abs(lin[mss] - base[mss]) / min(lin[mss], base[mss])
    worst = max(model[mss] / model[shuffled] for model in (lin, base))
    gain = lin["decoder/homogeneity_snr"] - base["decoder/homogeneity_snr"]
    ratios = [model["decoder/additivity_mss"] / model[mss] for model in (lin, base)]
    return [
        Check(f"consistency: reconstruction MSS within 15 % of each other ({apart:.0%})", apart <= 0.15),
        Check(f"consistency: it is at least 15 % below another clip's ({1 - worst:.0%})", worst <= 0.85),
        Check(f"consistency: decoder homogeneity at least 6 dB better ({gain:+.1f} dB)", gain >= 6),
        Check(
            f"consistency: the decoded sum scores at most 1.15 times a reconstruction ({ratios[0]:.2f}), "
            f"the baseline's clearly more ({ratios[1]:.2f})",
            ratios[0] <= 1.15 < ratios[1],
        ),
        encoder_check("consistency", lin, base),
    ]


def deterministic_checks(figures: Figures) -> list[Check]:
    """The same pattern on the two deterministic autoencoders."""
    lin, base = figures["deterministic"], figures["deterministic-baseline"]
    gain, additivity, apart = (
        lin[figure] - base[figure]
        for figure in ("decoder/homogeneity_snr", "decoder/additivity_sum_snr", "reconstruction/si_sdr")
    )
    return [
        Check(f"deterministic: decoder homogeneity at least 10 dB better ({gain:+.1f} dB)", gain >= 10),
        Check(f"deterministic: decoded sums at least 1 dB nearer to sums ({additivity:+.1f} dB)", additivity >= 1),
        Check(f"deterministic: reconstruction SI-SDR within 3 dB ({apart:+.1f} dB)", abs(apart) <= 3),
        encoder_check("deterministic", lin, base),
    ]


def retrofit_checks(figures: Figures) -> list[Check]:
    """A trained baseline becomes linear without losing quality."""
    after, before = figures[RETROFIT], figures[RETROFITTED]
    gain, apart = (after[name] - before[name] for name in ("decoder/homogeneity_snr", "reconstruction/si_sdr"))
    return [
        Check(f"retrofit: decoder homogeneity at least 8 dB better than before ({gain:+.1f} dB)", gain >= 8),
        Check(f"retrofit: reconstruction SI-SDR within 1 dB ({apart:+.1f} dB)", abs(apart) <= 1),
        encoder_check("retrofit", after, before),
    ]


def encoder_check(kind: str, lin: dict[str, float], base: dict[str, float]) -> Check:
    """Encoder linearity emerges, although nothing asks for it."""
    names = ("encoder/homogeneity_error", "encoder/additivity_error")
    shown = ", ".join(f"{lin[name]:.2f} against {base[name]:.2f}" for name in names)
    return Check(f"{kind}: both encoder errors lower ({shown})", all(lin[name] < base[name] for name in names))


def write_pictures(histories: dict[str, History], folder: Path) -> None:
    for title, names in PAIRS.items():
        shown = {name: histories[name] for name in names}
        plot_training(shown, TRAINING_PANELS, GAIN_PANELS, folder / f"curves-{title.split()[0]}.png")


def synthetic_tracks(folder: Path) -> Path | None:
    """Where the tracks lie that the models were validated on; None if they were trained on audio of the user's."""
    data = run_config(folder / "lin-cae")["data"]["init_args"]
    if data["train"] is not None:
        return None
    settings = (data[key] for key in ("track_count", "track_seconds", "sample_rate", "corpus_seed"))
    return corpus_folder(data["root"], "tracks", *settings)


def run_config(folder: Path) -> Mapping[str, Any]:
    """The resolved configuration of a run."""
    return read_yaml(folder / "config.yaml")


def write_all_sounds(tracks: Path, folder: Path) -> None:
    """The first track through each model."""
    first = min(path for path in tracks.iterdir() if path.is_dir())
    stems = {
        path.stem: torch.from_numpy(soundfile.read(path, dtype="float32")[0])
        for path in sorted(first.glob("*.wav"))
        if path.stem != "mixture"
    }
    for name in MODELS:
        autoencoder = load_pretrained(folder / name).autoencoder
        write_sounds(latent_arithmetic(autoencoder, stems), autoencoder.sample_rate, folder / name / "sounds")


def write_evaluation(tracks: Path, folder: Path) -> None:
    """The two consistency autoencoders on the middle of every track, as `lincae evaluate` does it, and the report."""
    models = PAIRS["consistency autoencoder"]
    config = run_config(folder / models[0])
    gains = config["callbacks"]["homogeneity"]["init_args"]["headline"]
    evaluate.main(
        [
            *(str(folder / name) for name in models),
            *("--data", str(tracks), "--protocol", "stems", "-o", str(folder / "evaluation"), "--gains"),
            *(str(gain) for gain in gains),
            *("--seconds", str(config["data"]["init_args"]["track_seconds"] / 2), "--excerpts", "1"),
        ]
    )


def write_json(
    path: Path, seed: int, histories: dict[str, History], figures: Figures, checks: list[Check], seconds: float
) -> None:
    """Everything a program may want to read: figures by model, curves over gains, checks."""
    results = {
        "models": {name: {key: finite(value) for key, value in model.items()} for name, model in figures.items()},
        "curves": {
            name: {
                figure: {gain: finite(value) for gain, value in last_curve(history, figure).items()}
                for figure, _ in GAIN_PANELS
            }
            for name, history in histories.items()
        },
        "checks": [{"text": check.text, "holds": check.holds} for check in checks],
        "protocol": {"seed": seed, "seconds": round(seconds), "torch": torch.__version__},
    }
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def finite(value: float) -> float | None:
    """The value, or None for a figure that no clip has: JSON knows no NaN."""
    return value if math.isfinite(value) else None


def mean_figures(results: list[Figures]) -> Figures:
    """The mean over seeds of every figure."""
    return {
        name: {figure: statistics.mean(result[name][figure] for result in results) for figure, _ in ROWS}
        for name in MODELS
    }
