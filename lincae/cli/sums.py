"""Weighted sums of sounds, made of their latents, and how far they are from the same sums in audio."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.inspection import Header
from lincae.cli.audio_files import FORMATS, Sound, read_headers, read_sound, scaled_down, write_sound
from lincae.cli.channels import check_channels, decode_channels, encode_channels
from lincae.cli.file_jobs import bar_of, check_suffix, check_targets
from lincae.cli.trained import add_decoding_options, add_working_options, load_trained
from lincae.cli.wording import print_table
from lincae.inference import Autoencoder, Progress
from lincae.metrics import is_active, leakage_dbfs, multi_scale_spectral, signal_to_noise
from lincae.metrics.spectral import SHORTEST

EXCERPT = 10.0
"""Seconds that are compared at a time, at most, as `lincae evaluate` does by default."""


class Term(NamedTuple):
    """An audio file and its gain."""

    path: Path
    gain: float


class Figures(NamedTuple):
    """How far audio is from what it should be; means over excerpts and channels, NaN where there is none.

    Attributes:
        snr: signal-to-noise ratio where the target is active, dB; higher is better.
        mss: multi-scale spectral distance there; lower is better.
        leakage: level where the target is silent, below -60 dBFS, in dBFS; lower is better.
    """

    snr: float
    mss: float
    leakage: float

    def __str__(self) -> str:
        units = {"SNR {:.2f} dB": self.snr, "MSS {:.4f}": self.mss, "{:.1f} dBFS where it is silent": self.leakage}
        told = [unit.format(value) for unit, value in units.items() if not math.isnan(value)]
        return ", ".join(told) or f"fewer than {SHORTEST} samples cannot be compared"


def add_sum_options(parser: argparse.ArgumentParser) -> None:
    """Options of all commands that make a sum."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="FILE.wav (32-bit float) or FILE.flac"
    )
    parser.add_argument("--model", required=True, metavar="SOURCE", help="a run, a saved folder, a .ckpt, or a name")
    add_decoding_options(parser)
    add_working_options(parser)


def write_sum(terms: Sequence[Term], options: argparse.Namespace) -> None:
    """Writes the decoded sum of latents, and prints how far it is from the sum of the sounds.

    Beside it stands how far that sum is when it is encoded as one sound and decoded: what the model loses without any
    arithmetic.

    Raises:
        ValueError: if the files differ in length, rate or channels, or cannot be used.
    """
    output: Path = options.output
    check_suffix(output, FORMATS)
    check_targets([output], options.overwrite)
    headers = read_headers([term.path for term in terms])
    check_alike(terms, [(header.frames, header.rate, header.channels) for header in headers])
    model = load_trained(options.model, options).model
    check_channels(model, [(term.path, header.channels) for term, header in zip(terms, headers, strict=True)])
    rate, seconds = headers[0].rate, headers[0].frames / headers[0].rate

    with bar_of((len(terms) + 3) * seconds, output.name) as advance:
        latents, wanted = summed(terms, headers, model, lambda: advance(seconds))
        channels, samples = wanted.audio.shape
        decoded = decode_channels(model, latents, channels, samples, options, advance)
        gain = write_sound(output, wanted._replace(audio=decoded), model.sample_rate, rate)
        found = compare(decoded, wanted.audio, model.sample_rate)
        latents = encode_channels(model, wanted.audio, advance(seconds))
        decoded = decode_channels(model, latents, channels, samples, options, advance)
        usual = compare(decoded, wanted.audio, model.sample_rate)

    if gain < 1:
        print(scaled_down(output, gain))
    formula = " ".join(f"{term.gain:+g} {term.path.name}" for term in terms)
    rows = [("sum of latents, decoded", str(found)), ("sum of sounds, encoded and decoded", str(usual))]
    print_table(f"{output}, against {formula} in audio:", rows)


def summed(
    terms: Sequence[Term], headers: Sequence[Header], model: Autoencoder, progress: Callable[[], Progress]
) -> tuple[Tensor, Sound]:
    """The weighted sums of latents (R, D, L) and of sounds; one sound is held beside its sum."""
    latents, total = [], torch.zeros(())
    shapes = []
    for (path, gain), header in zip(terms, headers, strict=True):
        sound = read_sound(path, header, model.sample_rate)
        shapes.append((sound.frames, header.rate, len(sound.audio)))
        check_alike(terms[: len(shapes)], shapes)
        latents.append(gain * encode_channels(model, sound.audio, progress()))
        total = total + sound.audio.mul_(gain)
    return torch.stack(latents).sum(dim=0), Sound(total, shapes[0][0])


def compare(estimate: Tensor, target: Tensor, sample_rate: int) -> Figures:
    """How far estimates (C, T) are from targets (C, T), over excerpts of equal length.

    A target counts where it is active: `lincae.metrics.waveforms.is_active`.
    """
    samples = target.shape[-1]
    ratios, distances, levels = [], [], []
    if samples >= SHORTEST:
        count = math.ceil(samples / (EXCERPT * sample_rate))
        for p, t in zip(estimate.tensor_split(count, -1), target.tensor_split(count, -1), strict=True):
            active = is_active(t)
            ratios.append(signal_to_noise(p, t)[active])
            distances.append(multi_scale_spectral(p, t)[active])
            levels.append(leakage_dbfs(p)[~active])
    return Figures(*(float(torch.cat([torch.zeros(0), *each]).mean()) for each in (ratios, distances, levels)))


def check_alike(terms: Sequence[Term], shapes: Sequence[tuple[int, int, int]]) -> None:
    """Refuses files that differ in samples, rate or channels."""
    words = "{:,} samples at {} Hz in {} channels"
    for (path, _), shape in zip(terms, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"{terms[0].path} has {words.format(*shapes[0])}, {path} has {words.format(*shape)}: a sum needs files "
                "that agree in all three"
            )
