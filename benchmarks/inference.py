"""Encoding and decoding at reference size, beside the authors' package.

    python benchmarks/inference.py                            2 s of audio on a CPU, 10 on a GPU, three times in turn
    python benchmarks/inference.py --compile                  compiled ways beside the others
    python benchmarks/inference.py --seconds 1 --bf16         bf16 also on a CPU that has to emulate it
    python benchmarks/inference.py --keep-memory              in a process that keeps its memory

All ways have the same random weights, hear the same noise and decode under the same draws; `linear-cae` is the authors'
package (pip install --no-deps linear-cae==0.1.4). Prints a table and, as its last line, JSON: seconds (minimum and
median over runs), how many times as fast as the authors' package, and the SNR of decodes against float32's.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from hardware import machine, now
from linear_cae import Autoencoder as Authors
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from lincae import Autoencoder
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.host_memory import keep_freed_memory
from lincae.machine import has_bf16
from lincae.metrics.ratios import signal_to_noise
from lincae.published import write_published

AUTHORS, PLAIN = "linear-cae, float32", "float32"
PARTS = ("frontend", "generator", "diffusion")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, help="of audio")
    parser.add_argument("--runs", type=int, default=3, help="timed runs, after one of warming up")
    parser.add_argument("--compile", action="store_true", help="also measure compiled networks")
    parser.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        help="also measure bf16 (default: where there are instructions for it)",
    )
    parser.add_argument("--keep-memory", action="store_true", help="`keep_freed_memory`, for all ways")
    options = parser.parse_args()
    options.seconds = options.seconds or (2.0 if options.device == "cpu" else 10.0)
    if options.bf16 is None:
        options.bf16 = options.device != "cpu" or has_bf16()
    if options.keep_memory:
        keep_freed_memory()

    ways = ways_of(options)
    times, sounds = measure(ways, options)
    rows = {name: summary(times[name], times[AUTHORS]) for name in ways}
    for name, row in rows.items():
        row["snr"] = float(signal_to_noise(sounds[name], sounds[PLAIN])[0]) if name != PLAIN else None
    show(rows, f"{options.seconds:g} s of audio, {machine(options.device)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    results = {**vars(options), "torch": torch.__version__, "machine": machine(options.device), "peak_gib": peak}
    print(json.dumps({**results, "ways": rows}))


def ways_of(options: argparse.Namespace) -> dict[str, Any]:
    """Name -> model with the authors' `encode(audio)` and `decode(latents)`."""
    torch.manual_seed(0)
    network = awake(ConsistencyAutoencoder())
    ways: dict[str, Any] = {AUTHORS: authors(network)}
    precisions = {PLAIN: torch.float32} | ({"bf16": torch.bfloat16} if options.bf16 else {})
    for name, dtype in precisions.items():
        ways[name] = ours(network, dtype)
        if options.compile:
            ways[f"{name}, compiled"] = ours(network, dtype, compiled=True)
    return {name: model.to(options.device) for name, model in ways.items()}


def awake(network: ConsistencyAutoencoder) -> ConsistencyAutoencoder:
    """The network with random numbers where it starts at zero, so that no path is dead."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return network


def authors(network: ConsistencyAutoencoder) -> nn.Module:
    """The authors' classes with these weights."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "weights")
        write_published(network, place)
        settings = {part: yaml.safe_load((place / f"{part}_kwargs_last.yaml").read_text()) for part in PARTS}
        model = Authors(**settings)
        model.load_state_dict(torch.load(place / "autoencoder_inference_model_last.pth"))
    return model.eval()


def ours(network: ConsistencyAutoencoder, dtype: torch.dtype = torch.float32, compiled: bool = False) -> Autoencoder:
    """This project's with these weights."""
    copy = ConsistencyAutoencoder()
    copy.load_state_dict(network.state_dict())
    if compiled:
        for each in copy.networks():
            each.compile()
    return Autoencoder(copy, dtype=dtype)


@torch.inference_mode()
def measure(
    ways: dict[str, Any], options: argparse.Namespace
) -> tuple[dict[str, dict[str, list[float]]], dict[str, Tensor]]:
    """Seconds of encoding and decoding of each way, one entry a run; and what was decoded."""
    audio = 0.1 * torch.randn(1, round(options.seconds * ways[PLAIN].sample_rate), device=options.device)
    times: dict[str, dict[str, list[float]]] = {name: {"encode": [], "decode": []} for name in ways}
    sounds: dict[str, Tensor] = {}
    for run in range(options.runs + 1):
        for name, model in ways.items():  # in turn, so that all meet the same other work on the machine
            latents, encoding = timed(lambda model=model: model.encode(audio), options.device)
            torch.manual_seed(0)
            sounds[name], decoding = timed(lambda model=model, z=latents: model.decode(z), options.device)
            if run:
                times[name]["encode"].append(encoding)
                times[name]["decode"].append(decoding)
    return times, sounds


def timed(work: Callable[[], Tensor], device: str) -> tuple[Tensor, float]:
    """What some work gives, and how many seconds it takes."""
    begin = now(device)
    result = work()
    return result, now(device) - begin


def summary(times: dict[str, list[float]], beside: dict[str, list[float]]) -> dict[str, Any]:
    """Minimum and median of each task, and how many times as fast it is as another way, by the minima."""
    return {
        task: {"min": min(seconds), "median": statistics.median(seconds), "ratio": min(beside[task]) / min(seconds)}
        for task, seconds in times.items()
    }


def show(rows: dict[str, dict[str, Any]], title: str) -> None:
    """The table."""
    table = Table(title=title, title_justify="left")
    table.add_column("way")
    for task in ("encode", "decode"):
        for column in (f"{task}, min, s", "median, s", "times as fast"):
            table.add_column(column, justify="right")
    table.add_column("SNR against float32, dB", justify="right")
    for name, row in rows.items():
        cells = [f"{row[task][key]:.3f}" for task in ("encode", "decode") for key in ("min", "median", "ratio")]
        table.add_row(name, *cells, "-" if row["snr"] is None else f"{row['snr']:.1f}")
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
