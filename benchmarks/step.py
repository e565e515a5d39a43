"""Time of one optimiser step at reference size.

    python benchmarks/step.py                                   2 clips in float32 on a CPU, 20 in bf16 on a GPU
    python benchmarks/step.py --compile --channels-last --clips 40

Prints a table and, as its last line, JSON: seconds of forward, backward and optimiser (minimum and median over runs).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from itertools import pairwise

import torch
from rich.console import Console
from rich.table import Table

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.mixing import CircularShift, Mixture
from lincae.module import reference_optimizer
from lincae.streams import Draws

SAMPLES = 34_304  # 64 frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clips", type=int, help="source clips; twice as many rows")
    parser.add_argument("--precision", choices=["float32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--runs", type=int, help="timed steps, after two of warming up")
    options = parser.parse_args()
    on_gpu = torch.device(options.device).type == "cuda"
    options.clips = options.clips or (20 if on_gpu else 2)
    options.precision = options.precision or ("bf16" if on_gpu else "float32")
    options.runs = options.runs or (50 if on_gpu else 3)

    times = measure(options)
    rows = {name: (min(seconds), statistics.median(seconds)) for name, seconds in times.items()}
    table = Table(title=f"{options.clips} clips, {options.precision}, {machine(options.device)}", title_justify="left")
    for column in ("part of a step", "minimum, s", "median, s"):
        table.add_column(column, justify="left" if column[0] == "p" else "right")
    for name, (least, median) in rows.items():
        table.add_row(name, f"{least:.4f}", f"{median:.4f}")
    Console().print(table)
    results = {**vars(options), "torch": torch.__version__, "machine": machine(options.device), "seconds": rows}
    results["clips_per_second"] = options.clips / rows["whole step"][1]
    if on_gpu:
        results["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    print(json.dumps(results))


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each part, one entry a run."""
    device = torch.device(options.device)
    torch.manual_seed(0)
    model = ConsistencyAutoencoder().to(device)
    if options.channels_last:
        model.to(memory_format=torch.channels_last)
    if options.compile:
        for network in model.networks():
            network.compile()
    optimizer = reference_optimizer(model.parameters())
    draws = Draws(0, [0], device)
    mixture = Mixture(
        0.1 * draws.normal("clips", options.clips, SAMPLES), CircularShift()(options.clips, Draws(0, [0], device))
    )
    progress = torch.zeros((), device=device)
    times: dict[str, list[float]] = {"forward": [], "backward": [], "optimiser": [], "whole step": []}
    for run in range(options.runs + 2):
        marks = [now(device)]
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            latents = model.encode(mixture.sources)
            loss = model.training_loss(mixture.condition(latents), mixture.targets, progress, draws).mean()
        marks.append(now(device))
        loss.backward()
        marks.append(now(device))
        optimizer.step()
        optimizer.zero_grad()
        marks.append(now(device))
        if run >= 2:
            spans = [end - start for start, end in pairwise(marks)]
            for name, seconds in zip(times, [*spans, marks[-1] - marks[0]], strict=True):
                times[name].append(seconds)
    return times


def now(device: torch.device) -> float:
    """The clock, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def machine(device: str) -> str:
    """What runs the steps."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


if __name__ == "__main__":
    main()
