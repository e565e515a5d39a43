"""The trained model that a command line names, and how it is to work."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from lincae.cli.command_line import number
from lincae.cli.models import weights_hash
from lincae.inference import Autoencoder


class Trained(NamedTuple):
    """A model, and how it is told from others.

    Attributes:
        model: with seamless chunks and padded edges.
        source: where it was read from; paths are absolute.
        sha256: of its class and weights.
    """

    model: Autoencoder
    source: str
    sha256: str


def add_working_options(parser: argparse.ArgumentParser) -> None:
    """Options of all commands that run a model."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    parser.add_argument(
        "--chunk",
        type=number(float, 0.01),
        default=10.0,
        metavar="SECONDS",
        help="longer audio goes through the model in chunks; less takes less memory (default: %(default)g)",
    )
    parser.add_argument(
        "--batch-size", type=number(int, 1), default=1, metavar="N", help="chunks at a time (default: %(default)s)"
    )
    parser.add_argument("--device", help="as cpu or cuda:1 (default: a GPU where there is one)")


def add_decoding_options(parser: argparse.ArgumentParser) -> None:
    """Options of all commands that decode."""
    parser.add_argument("--steps", type=number(int, 1), default=1, help="of decoding (default: %(default)s)")
    parser.add_argument(
        "--seed", type=number(int, 0, 2**63 - 1), default=0, help="of the decoder's noise (default: %(default)s)"
    )


def load_trained(source: str, options: argparse.Namespace) -> Trained:
    """The model that a source names, which works as the options say.

    Raises:
        ValueError: if there is none in it, or it cannot work so.
        OSError: if it cannot be found.
    """
    model = load_model(source, options.device)
    model.max_batch_size = options.batch_size
    model.max_chunk_size = round(options.chunk * model.sample_rate)
    try:
        _ = model.plan
    except ValueError as error:
        raise ValueError(f"--chunk {options.chunk:g} is too short for this model: {error}") from error
    place = Path(source).expanduser()
    return Trained(model, str(place.resolve()) if place.exists() else source, weights_hash(model.autoencoder))


def load_model(source: str, device: str | None = None, scale_factor: float | None = None) -> Autoencoder:
    """The model that a source names, with seamless chunks and padded edges.

    Raises:
        ValueError: if there is none in it.
        OSError: if it cannot be found.
    """
    try:
        return Autoencoder.from_pretrained(source, scale_factor, device=device, seamless=True, padded_edges=True)
    except TypeError as error:
        raise ValueError(f"{source} holds no model that can be used: {error}") from error
