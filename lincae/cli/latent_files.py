"""Latents of a sound on disk: safetensors that know what they were made from, and which model decodes them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lincae.cli.file_jobs import replacing

FORMAT = "lincae latents 1"
"""Kind and version. In version 1 latents are one sequence for each channel, or one for all channels
of a model that hears them at once (`seamless`), with `padded_edges`."""

MODE = {"seamless": "true", "padded_edges": "true"}


@dataclass(frozen=True)
class LatentHeader:
    """What is known of latents besides their values; the metadata of the file, as text.

    Attributes:
        model: source of the model, see `lincae.pretrained.load_pretrained`; paths are absolute.
        sha256: of the model's class and weights.
        scale_factor: what the latents were multiplied by.
        sample_rate: of the model, Hz.
        samples: of the sound at that rate.
        channels: of the sound.
        original_rate: of the file that was encoded, Hz.
        original_samples: of that file.
    """

    model: str
    sha256: str
    scale_factor: float
    sample_rate: int
    samples: int
    channels: int
    original_rate: int
    original_samples: int

    @property
    def seconds(self) -> float:
        """Of the sound."""
        return self.samples / self.sample_rate


def write_latents(place: Path, latents: Tensor, header: LatentHeader) -> None:
    """Writes latents (R, D, L), wholly or not at all; what is there is replaced."""
    metadata = {"format": FORMAT, **MODE, **{name: str(value) for name, value in asdict(header).items()}}
    with replacing(place) as partial:
        partial.write_bytes(save({"latents": latents.contiguous()}, metadata))  # save_file hides it from other users


def read_latent_header(path: Path) -> LatentHeader:
    """What a file of latents says of them, and whether it is whole.

    Raises:
        ValueError: if it is no such file, damaged, or of another version.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata, names = file.metadata() or {}, file.keys()
            shape = file.get_slice("latents").get_shape() if "latents" in names else []
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a damaged one: {error}") from error
    if metadata.get("format") != FORMAT or any(metadata.get(key) != value for key, value in MODE.items()):
        raise ValueError(
            f"{path} holds no latents that this version reads: its metadata say format {metadata.get('format')!r}, "
            f"and {FORMAT!r} is read, as `lincae encode` writes it"
        )
    try:
        header = LatentHeader(
            **{field.name: parsed(field.name, metadata[field.name]) for field in fields(LatentHeader)}
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} has damaged metadata: {error}") from error
    if len(shape) != 3 or shape[0] not in (1, header.channels):
        raise ValueError(
            f"{path} should hold latents (R, D, L) of {header.channels} channels, R as many or 1, and has shape {shape}"
        )
    return header


def parsed(name: str, text: str) -> Any:
    """A value of the metadata, which are text.

    Raises:
        ValueError: if it is not of its type, a whole number below 1, or a factor that is infinite or 0.
    """
    value = get_type_hints(LatentHeader)[name](text)
    good = {str: bool, int: lambda count: count > 0, float: lambda factor: math.isfinite(factor) and factor != 0}
    if not good[type(value)](value):
        raise ValueError(f"{name} is {text}")
    return value


def read_latents(path: Path) -> Tensor:
    """Latents (R, D, L) of a file whose header was read.

    Raises:
        ValueError: if they are not finite float numbers.
    """
    with safe_open(path, "pt") as file:
        latents = file.get_tensor("latents")
    if not latents.is_floating_point() or not torch.isfinite(latents).all():
        raise ValueError(f"{path} holds latents that are NaN, infinite, or whole numbers")
    return latents
