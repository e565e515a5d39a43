"""One optimiser step at reference size, by its parts, beside the same step as the published code takes it.

    python benchmarks/step.py                                     2 clips on a CPU, 20 on a GPU
    python benchmarks/step.py --ways published bf16 --clips 40
    python benchmarks/step.py --profile                           and what takes the time
    python benchmarks/step.py --small                             in seconds, at the sizes of a test

Each way runs in a process of its own, all from the same weights, on the same clips, mixes and noise. They take turns:
in each round every way takes a step to warm up and then the timed ones. The first losses and gradients show that all
compute the same thing. Prints tables and, as its last line, JSON.

`published` is the authors' network (pip install --no-deps linear-cae==0.1.4) in the loop of `published_step.py`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import statistics
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from typing import Any

import torch
from cost import show, step_cost, total
from hardware import machine, now, peak_flops
from inference import authors, awake
from published_step import PublishedStep
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.profiler import profile

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.host_memory import keep_freed_memory
from lincae.mixing import CircularShift, Mixture
from lincae.module import reference_optimizer
from lincae.networks.blocks import recompute_blocks
from lincae.networks.sizes import NetworkSizes
from lincae.stft import Spectrogram
from lincae.streams import Draws
from lincae.weight_order import order_weights

FRAMES = 64
PARTS = ("data", "encoder", "pyramid", "student", "teacher", "backward", "optimiser")
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Way:
    """One way of taking a step.

    Attributes:
        precision: of the networks' arithmetic.
        published: the authors' network in the published loop, in place of this project's.
        compiled: by `torch.compile`.
        channels_last: weights in that order; None for the order that training chooses.
        keep_memory: on a CPU, `lincae.host_memory.keep_freed_memory`.
        recompute: residual blocks in the backward pass, as `--model.recompute=true`.
    """

    precision: str = "float32"
    published: bool = False
    compiled: bool = False
    channels_last: bool | None = None
    keep_memory: bool = True
    recompute: bool = False


PUBLISHED = Way(published=True, channels_last=False, keep_memory=False)
WAYS = {
    "published": PUBLISHED,
    "published, memory kept": Way(published=True, channels_last=False),
    "published, bf16": Way("bf16", published=True, channels_last=False, keep_memory=False),
    "published, bf16, compiled": Way("bf16", published=True, compiled=True, channels_last=False, keep_memory=False),
    "plain": Way(channels_last=False, keep_memory=False),
    "float32": Way(),
    "float32, recomputed": Way(recompute=True),
    "float32, channels-last": Way(channels_last=True),
    "float32, compiled": Way(compiled=True),
    "bf16": Way("bf16"),
    "bf16, contiguous": Way("bf16", channels_last=False),
    "bf16, channels-last": Way("bf16", channels_last=True),
    "bf16, recomputed": Way("bf16", recompute=True),
    "bf16, compiled": Way("bf16", compiled=True),
    "bf16, compiled, recomputed": Way("bf16", compiled=True, recompute=True),
    "bf16, compiled, contiguous": Way("bf16", compiled=True, channels_last=False),
}
DEFAULTS = {
    "cpu": ["published", "float32", "bf16"],
    "cuda": ["published, bf16, compiled", "bf16, compiled", "bf16, compiled, contiguous"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--ways", nargs="+", choices=WAYS, metavar="WAY", help=f"of: {'; '.join(WAYS)}")
    parser.add_argument("--clips", type=int, help="source clips; twice as many rows")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, help="timed steps of a way in a round")
    parser.add_argument("--profile", action="store_true", help="the operations of one more step of each way")
    parser.add_argument("--cudnn-benchmark", action="store_true", help="as --trainer.benchmark=true sets it")
    parser.add_argument("--small", action="store_true", help="small networks: figures mean nothing, but all code runs")
    options = parser.parse_args()
    kind = torch.device(options.device).type
    options.ways = options.ways or DEFAULTS[kind]
    options.clips = options.clips or (20 if kind == "cuda" else 2)
    options.steps = options.steps or (20 if kind == "cuda" else 1)

    precisions = {WAYS[way].precision for way in options.ways}
    before = {name: peak_flops(options.device, DTYPES[name]) for name in precisions}
    turns, profiles = take_turns(options)
    peaks = {name: max(before[name], peak_flops(options.device, DTYPES[name])) for name in precisions}
    rows = {way: summary(turns[way], WAYS[way], options, peaks) for way in options.ways}
    title = f"{options.clips} clips, {machine(options.device)}"
    print_tables(rows, title)
    for way, operations in profiles.items():
        show(f"what takes the time: {way}", ["operation", "calls", "seconds", "share"], operations)
    versions = {"torch": torch.__version__}
    if any(WAYS[way].published for way in options.ways):
        versions["linear-cae"] = version("linear-cae")
    print(json.dumps({**vars(options), **versions, "machine": machine(options.device), "peak": peaks, "results": rows}))


def take_turns(options: argparse.Namespace) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[list[str]]]]:
    """Way -> what each of its steps gave, those of warming up as well; and the rows of its profile, if asked for."""
    context = get_context("spawn")
    pipes, processes = {}, []
    for way in options.ways:
        pipes[way], theirs = context.Pipe()
        processes.append(context.Process(target=work, args=(theirs, WAYS[way], options), daemon=True))
        processes[-1].start()
        pipes[way].recv()  # one after another: each builds its networks
    turns: dict[str, list[dict[str, Any]]] = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        for way, pipe in pipes.items():
            pipe.send("go")
            turns[way] += pipe.recv()
    profiles = {}
    for way, pipe in pipes.items() if options.profile else ():
        pipe.send("profile")
        profiles[way] = pipe.recv()
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send("stop")
        process.join()
    return turns, profiles


def work(pipe: Any, way: Way, options: argparse.Namespace) -> None:
    """A process that takes the steps of one way whenever it is its turn."""
    if way.keep_memory and options.device == "cpu":
        keep_freed_memory()
    torch.backends.cudnn.benchmark = options.cudnn_benchmark
    steps = Steps(way, options)
    pipe.send("ready")
    while (order := pipe.recv()) != "stop":
        warming_up = {**steps.take(), "timed": False}
        if order == "profile":
            pipe.send(steps.profile())
        else:
            pipe.send([warming_up, *({**steps.take(), "timed": True} for _ in range(options.steps))])
        make_room(options.device)


def make_room(device: str) -> None:
    """Give the memory that is kept to the ways whose turn comes."""
    if device == "cpu":
        ctypes.CDLL(None).malloc_trim(0)
    else:
        torch.cuda.empty_cache()


class Steps:
    """The optimiser steps of one way."""

    def __init__(self, way: Way, options: argparse.Namespace) -> None:
        self.device, self.dtype = options.device, DTYPES[way.precision]
        torch.manual_seed(0)
        ours = awake(reference(options.small))
        self.model: Any = PublishedStep(authors(ours).train(), ours) if way.published else ours
        self.model.to(self.device)
        if way.recompute:
            recompute_blocks(self.model)
        order_weights(self.model, way.channels_last, torch.device(self.device))
        self.optimizer = reference_optimizer(self.model.parameters())
        self.watch = Watch(self.device)
        if way.compiled:
            for network in self.model.networks():
                network.compile()
        for name, parts in (("encoder", ["encoder"]), ("pyramid", ["pyramid"]), ("denoiser", self.passes(way))):
            setattr(self.model, name, Timed(getattr(self.model, name), self.watch, parts))
        draws = Draws(0, [0])
        self.clips = 0.1 * draws.normal("clips", options.clips, ours.spectrogram.samples(FRAMES))
        self.progress = torch.zeros((), device=self.device)

    @staticmethod
    def passes(way: Way) -> list[str]:
        """In the order in which the loop calls the denoiser."""
        return ["teacher", "student"] if way.published else ["student", "teacher"]

    def take(self) -> dict[str, Any]:
        """One step: seconds of each part, loss and norm of the gradient."""
        self.watch.start()
        draws = Draws(0, [0], self.device)
        sources = self.clips.to(self.device, non_blocking=True)
        mixture = Mixture(sources, CircularShift()(len(sources), draws))
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            loss = self.loss(mixture, draws)
        self.watch.mark("data")  # and the loss itself
        loss.backward()
        self.watch.mark("backward")
        norm = get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.watch.mark("optimiser")
        seconds = self.watch.stop()
        return {"seconds": seconds, "loss": loss.item(), "gradient": norm.item(), "gib": self.peak_gib()}

    def loss(self, mixture: Mixture, draws: Draws) -> Tensor:
        if isinstance(self.model, PublishedStep):
            return self.model.loss(mixture, self.progress, draws)
        latents = self.model.encode(mixture.sources)
        return self.model.training_loss(mixture.condition(latents), mixture.targets, self.progress, draws).mean()

    def profile(self, longest: int = 12) -> list[list[str]]:
        """Rows of a table: the operations of one step that take longest, and the others in a line."""
        with profile() as profiler:
            self.take()
        on_gpu = self.device != "cpu"
        spent = [
            (event.key, event.count, (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6)
            for event in profiler.key_averages()
        ]
        spent.sort(key=lambda each: -each[2])
        whole = sum(seconds for *_, seconds in spent)
        rows = [
            [name, str(calls), f"{seconds:.2f}", f"{seconds / whole:.1%}"] for name, calls, seconds in spent[:longest]
        ]
        rest = sum(seconds for *_, seconds in spent[longest:])
        return [*rows, ["others", "", f"{rest:.2f}", f"{rest / whole:.1%}"]]

    def peak_gib(self) -> float:
        """Peak memory so far: of the device, or of the process."""
        if self.device == "cpu":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return torch.cuda.max_memory_allocated(self.device) / 2**30


class Watch:
    """Time of the parts of a step, on the device's own clock, so that nothing waits."""

    def __init__(self, device: str) -> None:
        self.device = device

    def start(self) -> None:
        self.begin, self.marks = now(self.device), [("", self.tick())]

    def mark(self, part: str) -> None:
        """The time since the mark before belongs to this part."""
        self.marks.append((part, self.tick()))

    def tick(self) -> Any:
        if self.device == "cpu":
            return now(self.device)
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def stop(self) -> dict[str, float]:
        """Seconds of each part and of the step."""
        seconds = dict.fromkeys(PARTS, 0.0)
        seconds["step"] = now(self.device) - self.begin
        for (_, before), (part, after) in zip(self.marks[:-1], self.marks[1:], strict=True):
            seconds[part] += after - before if self.device == "cpu" else before.elapsed_time(after) / 1000
        return seconds


class Timed(nn.Module):
    """A network whose calls are timed; what happened before a call belongs to the data."""

    def __init__(self, inner: nn.Module, watch: Watch, parts: list[str]) -> None:
        super().__init__()
        self.inner, self.watch, self.parts, self.calls = inner, watch, parts, 0

    def forward(self, *arguments: Any) -> Any:
        self.watch.mark("data")
        result = self.inner(*arguments)
        self.watch.mark(self.parts[self.calls % len(self.parts)])
        self.calls += 1
        return result

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inner, name)


def reference(small: bool) -> ConsistencyAutoencoder:
    """The network of the paper, or one with the same parts."""
    if not small:
        return ConsistencyAutoencoder()
    sizes = NetworkSizes(widths=(16, 32, 32, 32, 32), latents=8, bottleneck=32, bottleneck_blocks=1, embedding=32)
    return ConsistencyAutoencoder(Spectrogram(hop=64, window=256), sizes)


def summary(taken: list[dict[str, Any]], way: Way, options: argparse.Namespace, peaks: dict[str, float]) -> dict:
    """Minimum and median of each part; speed; what the first step computed."""
    timed = [each["seconds"] for each in taken if each["timed"]]
    seconds = {part: [step[part] for step in timed] for part in (*PARTS, "step")}
    least = min(seconds["step"])  # what other work on the machine slows least
    speed = None if options.small else total(step_cost(options.clips, published=way.published)) / least
    return {
        "seconds": {part: {"min": min(each), "median": statistics.median(each)} for part, each in seconds.items()},
        "steps_per_second": 1 / least,
        "clips_per_second": options.clips / least,
        "flops_per_second": speed,
        "mfu": speed and speed / peaks[way.precision],
        "peak_memory_gib": taken[-1]["gib"],
        "losses": [each["loss"] for each in taken],
        "gradient": taken[0]["gradient"],
    }


def print_tables(rows: dict[str, dict], title: str) -> None:
    names = list(rows)
    first = rows[names[0]]
    show(
        f"seconds of a step, minimum / median: {title}",
        ["part", *names],
        [
            [part, *("{min:.3f} / {median:.3f}".format(**row["seconds"][part]) for row in rows.values())]
            for part in (*PARTS, "step")
        ],
    )
    show(
        f"speed by the minima, and what the first step computed: {title}",
        ["way", "times as fast", "steps/s", "clips/s", "GFLOP/s", "MFU", "GiB", "loss", "gradient"],
        [
            [
                name,
                f"{first['seconds']['step']['min'] / row['seconds']['step']['min']:.2f}",
                f"{row['steps_per_second']:.4g}",
                f"{row['clips_per_second']:.4g}",
                "-" if row["mfu"] is None else f"{row['flops_per_second'] / 1e9:,.0f}",
                "-" if row["mfu"] is None else f"{row['mfu']:.0%}",
                f"{row['peak_memory_gib']:.1f}",
                f"{row['losses'][0]:.6g}",
                f"{row['gradient']:.6g}",
            ]
            for name, row in rows.items()
        ],
    )


if __name__ == "__main__":
    main()
