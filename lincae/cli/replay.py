"""`lincae replay`: a training step that broke, once more."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lincae.broken_step import BrokenStep
from lincae.cli.command_line import refusals, refuse
from lincae.finiteness import NotFinite
from lincae.replay import replay

SHOWN = 8
"""Most lines of a list."""


def main(arguments: Sequence[str]) -> None:
    """Take the step again and print where it breaks."""
    parser = argparse.ArgumentParser(prog="lincae replay", description=__doc__, allow_abbrev=False)
    parser.add_argument("file", type=Path, metavar="FILE", help="broken/step=N.pt in the folder of a run")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="(default: that of the run)")
    options = parser.parse_args(arguments)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with refusals():
        broken = BrokenStep.load(options.file)
        device = options.device or broken.device
        if device == "cuda" and not torch.cuda.is_available():
            refuse(
                "the step was taken on a GPU and there is none here. --device cpu repeats it with other noise, since "
                "the generators of CPU and GPU differ"
            )
        report(broken, device)


def report(broken: BrokenStep, device: str) -> None:
    """Replay on a device and print what is found."""
    found = replay(broken, device)
    print(
        f"step {broken.step}, batch {broken.micro_batch} of those it accumulates, process {broken.process}: its "
        f"{broken.what} was not finite"
    )
    print(
        f"progress {broken.progress:.4f}, gains from [{broken.gain_range[0]:g}, {broken.gain_range[1]:g}], seed "
        f"{broken.seed}, mix groups {', '.join(map(str, broken.groups))}, drawn on {broken.device}"
    )
    losses = found.losses.cpu()
    print(f"loss in the run {broken.losses.mean():.9g}, here {losses.mean():.9g}: {agreement(broken.losses, losses)}")
    print_list("not finite, in the order of the step:", map(line, found.forward))
    print_list(f"gradients, of {found.weights}, not finite, in the order of backward:", map(line, found.gradients))
    if broken.implicit and (clips := bad_clips(broken)):
        print_list("clips that are not finite:", [clip(broken, place) for place in clips])
    rows = (~losses.isfinite()).nonzero().flatten().tolist()
    print_list("rows whose loss is not finite:" if rows else "rows:", row_lines(broken, losses, rows))
    if not broken.implicit:
        print_list("clips that were mixed before the encoder:", [origin_line(*origin) for origin in broken.origins])


def agreement(run: Tensor, here: Tensor) -> str:
    """How the losses of rows compare, (N,) each."""
    if torch.equal(run.nan_to_num(), here.nan_to_num()) and torch.equal(run.isfinite(), here.isfinite()):
        return "all rows are the same, bit for bit"
    both, once = run.isfinite() & here.isfinite(), int((run.isfinite() != here.isfinite()).sum())
    apart = (run - here).abs()[both].max().item() if both.any() else 0.0
    return f"rows differ by up to {apart:.3g}, and {once} are finite in one only"


def line(entry: NotFinite) -> str:
    """One tensor."""
    rows = ", ".join(map(str, entry.rows[:SHOWN])) + (", ..." if len(entry.rows) > SHOWN else "")
    return f"{entry.name}: {entry.values:,} of {entry.size:,} values, in rows {rows}"


def row_lines(broken: BrokenStep, losses: Tensor, rows: Sequence[int]) -> list[str]:
    """What rows are mixed from: those given, or all."""
    lines = []
    for row in rows or range(len(losses)):
        weights = broken.matrix[row].tolist()
        parts = [f"{weight:+.4g} x {clip(broken, place)}" for place, weight in enumerate(weights) if weight]
        lines.append(f"row {row}: loss {losses[row]:.6g} = {' '.join(parts) or 'silence'}")
    return lines


def bad_clips(broken: BrokenStep) -> list[int]:
    """The sources that are not finite, which make every row of their batch so: 0 x NaN is NaN."""
    return [place for place, source in enumerate(broken.sources) if not source.isfinite().all()]


def clip(broken: BrokenStep, place: int) -> str:
    """Where a source comes from."""
    if not broken.implicit:  # the sources are mixes
        return f"mix {place} of the batch"
    if broken.origins and place >= len(broken.origins):
        return f"a mix of the batch, source {place}"
    return origin_line(*broken.origins[place]) if broken.origins else f"clip {place}"


def origin_line(file: str, start: int) -> str:
    """Where a clip was cut."""
    return f"{file} at sample {start:,}"


def print_list(title: str, lines: Iterable[str]) -> None:
    """A title and its first lines."""
    lines = list(lines)
    print(f"{title}{'' if lines else ' none'}")
    for text in lines[:SHOWN]:
        print(f"  {text}")
    if len(lines) > SHOWN:
        print(f"  and {len(lines) - SHOWN} more")
