"""What training costs, computed: counted arithmetic of one step, how it grows, and hours on common cards.

    python benchmarks/cost.py
    python benchmarks/cost.py --mfu 0.2 0.3 0.4

Every matrix product and convolution of the networks is counted at its real size, on tensors that hold no numbers.
Nothing here is a measurement. Prints tables and, as its last line, JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lincae.networks.encoder import Encoder
from lincae.networks.pyramid import Pyramid
from lincae.networks.sizes import NetworkSizes
from lincae.networks.unet import UNet

CLIPS, FRAMES, STEPS = 20, 64, 800_000
"""Of the reference: clips in a step, STFT frames of a clip (0.78 s), optimiser steps."""
CHANNELS, BINS = 2, 1024
CARDS = {"RTX 4090": 165, "L40S": 362, "A100": 312, "H100 SXM": 989}
"""Peak of dense bf16 products with float32 sums as NVIDIA's data sheets give it, TFLOP/s."""
PROCESSES, LINKS = (2, 4, 8), (25, 250)
"""Numbers of processes, and GB/s between them: about what PCIe 4.0 x16 and NVLink carry."""
TERA = 1e12

Cost = dict[str, tuple[float, float]]
"""Part of a step -> FLOPs forward and backward."""


def step_cost(
    clips: int = CLIPS, frames: int = FRAMES, sizes: NetworkSizes | None = None, published: bool = False
) -> Cost:
    """FLOPs of one step on so many clips and twice as many rows.

    Args:
        published: as the published training code takes it: all rows are encoded, and student and teacher each pass the
            pyramid's maps through the UNet's 1x1 convolutions.
    """
    sizes = sizes or NetworkSizes()
    rows = 2 * clips
    with torch.device("meta"):
        encoder, pyramid, unet = Encoder(sizes, CHANNELS, BINS), Pyramid(sizes, BINS), UNet(sizes, CHANNELS, BINS)
        spectrogram = torch.empty(rows, CHANNELS, BINS, frames)
        latents = torch.empty(rows, sizes.latents, frames // sizes.time_stride, requires_grad=True)
        maps = [each.detach().requires_grad_() for each in pyramid(latents)]
        with torch.no_grad():
            connections = unet.connect(maps)
        for each in flat(connections):
            each.requires_grad_()
        log_sigma = torch.empty(rows)
    encoded = count(lambda: [encoder(spectrogram if published else spectrogram[:clips])])
    decoded, connected = count(lambda: pyramid(latents)), count(lambda: flat(unet.connect(maps)))
    student = count(lambda: [unet(spectrogram, log_sigma, connections)])
    if published:
        return {
            "encoder": encoded,
            "pyramid": decoded,
            "student": added(student, connected),
            "teacher": (student[0] + connected[0], 0.0),
        }
    return {"encoder": encoded, "pyramid": added(decoded, connected), "student": student, "teacher": (student[0], 0.0)}


def count(forward: Callable[[], list[Tensor]]) -> tuple[float, float]:
    """FLOPs of some work and of its backward pass."""
    with FlopCounterMode(display=False) as counter:
        outputs = forward()
    there = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(outputs, [torch.empty_like(each) for each in outputs])
    return float(there), float(counter.get_total_flops())


def flat(connections: tuple) -> list[Tensor]:
    down, up, out = connections
    return [*down, *up, out]


def added(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return one[0] + other[0], one[1] + other[1]


def total(cost: Cost) -> float:
    """FLOPs of the whole step."""
    return sum(map(sum, cost.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mfu", type=float, nargs="+", default=[0.125, 0.25, 0.4], help="shares of a card's peak")
    options = parser.parse_args()
    ours, published = step_cost(), step_cost(published=True)
    growth = {
        "20 clips, 64 frames (0.78 s)": {},
        "40 clips": {"clips": 40},
        "80 clips": {"clips": 80},
        "160 clips": {"clips": 160},
        "128 frames (1.53 s)": {"frames": 128},
        "256 frames (3.02 s)": {"frames": 256},
        "half the widths": {"sizes": scaled(0.5)},
        "1.5 times the widths": {"sizes": scaled(1.5)},
        "twice the widths": {"sizes": scaled(2)},
    }
    grown = {name: total(step_cost(**change)) / TERA for name, change in growth.items()}
    hours = {
        card: [STEPS * total(ours) / TERA / peak / mfu / 3600 for mfu in options.mfu] for card, peak in CARDS.items()
    }
    show(
        f"one step of {CLIPS} clips, TFLOP",
        ["part", "forward", "backward", "as published: forward", "backward"],
        [[part, *(f"{f / TERA:.2f}" for f in (*ours[part], *published[part]))] for part in ours]
        + [["whole step", f"{total(ours) / TERA:.2f}", "", f"{total(published) / TERA:.2f}", ""]],
    )
    first = next(iter(grown.values()))
    show(
        "how a step grows",
        ["step", "TFLOP", "times the reference"],
        [[name, f"{each:.1f}", f"{each / first:.2f}"] for name, each in grown.items()],
    )
    show(
        f"hours on one card for {STEPS:,} steps",
        ["card, peak in TFLOP/s", *(f"at {mfu:.1%} of it" for mfu in options.mfu)],
        [[f"{card}, {CARDS[card]}", *(f"{each:.0f}" for each in row)] for card, row in hours.items()],
    )
    exchanged = {count: 2 * (count - 1) / count * 4 * parameters() for count in PROCESSES}
    show(
        "what each of several processes sends in a step: gradients in float32, as a ring adds them up",
        ["processes", "MB", *(f"ms at {speed} GB/s" for speed in LINKS)],
        [
            [str(count), f"{sent / 1e6:.0f}", *(f"{sent / 1e6 / speed:.1f}" for speed in LINKS)]
            for count, sent in exchanged.items()
        ],
    )
    print(json.dumps({"ours": ours, "published": published, "growth_tflop": grown, "mfu": options.mfu, "hours": hours}))


def parameters() -> int:
    """Of the three networks."""
    sizes = NetworkSizes()
    with torch.device("meta"):
        networks = Encoder(sizes, CHANNELS, BINS), Pyramid(sizes, BINS), UNet(sizes, CHANNELS, BINS)
    return sum(each.numel() for network in networks for each in network.parameters())


def scaled(factor: float) -> NetworkSizes:
    """The reference's sizes with all widths times a factor."""
    sizes = NetworkSizes()
    widths = tuple(round(factor * width) for width in sizes.widths)
    return replace(sizes, widths=widths, bottleneck=round(factor * sizes.bottleneck))


def show(title: str, columns: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
