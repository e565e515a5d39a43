"""What is measured on a batch of excerpts, and how long an excerpt is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from datamodules.excerpts import Excerpt, cut, read
from datamodules.index import AudioFile
from datamodules.reader import CropReader
from datamodules.rejection import BadAudioError
from lincae.autoencoders.protocol import LatentAutoencoder, silence_for
from lincae.cli.protocols import Measured
from lincae.evaluation import DecodedClips
from lincae.metrics.spectral import SHORTEST
from lincae.streams import Draws


def read_all(
    excerpts: Sequence[Excerpt], numbers: Sequence[int], reader: CropReader
) -> tuple[dict[int, Tensor], dict[int, str]]:
    """Number and audio (K, T) of those of the excerpts that can be read, and what is wrong with the others."""
    audio, bad = {}, {}
    for number in numbers:
        try:
            audio[number] = read(excerpts[number], reader)
        except BadAudioError as error:
            bad[number] = f"{excerpts[number].name} at sample {excerpts[number].start}: {error.reason}"
    return audio, bad


def other_than(
    number: int, heard: Mapping[int, Tensor], excerpts: Sequence[Excerpt], reader: CropReader
) -> Tensor | None:
    """Audio (K, T) of the excerpt before one, for the first the last, of those that can be read; None if none can.

    So what an excerpt is compared and mixed with does not depend on its batch, which was `heard`.
    """
    for place in range(number - 1, number - len(excerpts), -1):
        try:
            return heard[place] if place in heard else read(excerpts[place], reader)
        except BadAudioError:
            continue
    return None


def measure_batch(
    model: LatentAutoencoder,
    measured: Sequence[Measured],
    excerpts: Mapping[int, Tensor],
    others: Sequence[Tensor | None],
    device: str,
) -> None:
    """Encodes and decodes a batch once for each origin, and measures everything on it.

    Args:
        model: what is measured.
        measured: the figures.
        excerpts: number -> audio (K, T).
        others: another excerpt's audio for each, where there is one.
        device: where everything is computed.
    """
    stems = torch.stack(list(excerpts.values())).to(device)
    index = torch.tensor(list(excerpts))
    batch = {"audio": stems.sum(dim=1), "stems": stems, "index": index}
    if found := [other for other in others if other is not None]:  # all of them, or none
        batch["other"] = torch.stack(found).to(device).sum(dim=1)
    decoded: dict[str, DecodedClips] = {}
    for figures, wrap, suffix in measured:
        if suffix not in decoded:
            decoded[suffix] = DecodedClips.of(wrap(model), batch["audio"], index)
        figures.measure(decoded[suffix], batch)


def excerpt_length(model: LatentAutoencoder, seconds: float, device: str) -> int:
    """Samples of an excerpt: the longest up to so many seconds that decodes to its own length.

    Raises:
        ValueError: if there is none, or it is too short to measure.
    """
    samples, least = round(seconds * model.sample_rate), SHORTEST + 2 * model.margin
    if samples < least:
        raise ValueError(
            f"--seconds {seconds:g} are {samples} samples at {model.sample_rate} Hz, and figures need {least}: use "
            f"--seconds {math.ceil(1000 * least / model.sample_rate) / 1000:g} or more"
        )
    for _ in range(3):
        latents = model.encode(silence_for(model, 1, samples, device))
        decoded = model.decode(latents, model.sample_noise(latents, Draws(0, [0], device))).shape[-1]
        if decoded >= samples:
            return samples
        samples = decoded
    raise ValueError(f"excerpts of {seconds} s do not decode to their own length: try other --seconds")


def excerpts_of(
    tracks: Sequence[tuple[str, Sequence[AudioFile]]], sample_rate: int, seconds: float, samples: int, most: int | None
) -> list[Excerpt]:
    """The excerpts of all tracks that last as long as one; the others are named in a warning.

    Args:
        tracks: name and files of each.
        sample_rate: Hz.
        seconds: from one excerpt to the next.
        samples: of an excerpt.
        most: excerpts of a track.

    Raises:
        ValueError: if no track lasts as long.
    """
    lengths = {name: min(file.length(sample_rate) for file in files) for name, files in tracks}
    short = [name for name, length in lengths.items() if length < samples]
    if short:
        best = max(lengths.values()) if len(short) == len(lengths) else min(lengths.values())
        cure = f"--seconds {math.floor(1000 * best / sample_rate) / 1000:g}"
        if len(short) == len(lengths):
            raise ValueError(
                f"excerpts are {samples / sample_rate:g} s long, and all {len(short)} tracks are shorter, such as "
                f"{short[0]}: use {cure} or less"
            )
        warnings.warn(
            f"{len(short)} of {len(lengths)} tracks are shorter than an excerpt and left out: {', '.join(short[:3])}"
            f"{', ...' if len(short) > 3 else ''}. {cure} or less would use them all",
            stacklevel=2,
        )
    return cut(tracks, sample_rate, round(seconds * sample_rate), samples, most)
