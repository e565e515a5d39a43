"""`lincae export`: a trained model as a folder to keep, share, and load here or in the authors' package."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.cli.command_line import number, refusals
from lincae.cli.trained import load_model
from lincae.inference import Autoencoder
from lincae.published import write_published


def main(arguments: Sequence[str]) -> None:
    """Write the folder, and print what takes it."""
    parser = argparse.ArgumentParser(
        prog="lincae export",
        allow_abbrev=False,
        description="Write a trained model, with averaged weights and without what training needs.",
    )
    parser.add_argument("source", metavar="CKPT", help="a run, a .ckpt, or anything else that --model takes")
    parser.add_argument("folder", type=Path, metavar="DIR", help="new or empty")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="lincae",
        help="lincae: for `lincae.Autoencoder`, with the scale factor; linear-cae: for the authors' package "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--scale-factor",
        type=number(float, 1e-9),
        metavar="S",
        help="that latents are multiplied by (default: the one measured in training, or published)",
    )
    options = parser.parse_args(arguments)
    with refusals():
        model = load_model(options.source, "cpu", options.scale_factor)
        print(FORMATS[options.format](model, options.folder))


def write_ours(model: Autoencoder, folder: Path) -> str:
    """Writes what `lincae.Autoencoder.from_pretrained` reads.

    Raises:
        ValueError: if the autoencoder cannot be described by its settings.
    """
    try:
        model.save_pretrained(folder)
    except TypeError as error:
        raise ValueError(str(error)) from error
    return f'{folder}: for --model {folder}, or lincae.Autoencoder.from_pretrained("{folder}")'


def write_theirs(model: Autoencoder, folder: Path) -> str:
    """Writes what the authors' package reads.

    Raises:
        ValueError: if its classes cannot express the autoencoder.
    """
    if not isinstance(model.autoencoder, ConsistencyAutoencoder):
        raise ValueError(
            f"{type(model.autoencoder).__name__} is not the authors' model, and their package cannot load it: use "
            "--format lincae"
        )
    write_published(model.autoencoder, folder, model.scale_factor)
    return (
        f"{folder}: for linear_cae.Autoencoder(..., scale_factor={model.scale_factor:g}), see docs/published-weights.md"
    )


FORMATS: dict[str, Callable[[Autoencoder, Path], str]] = {"lincae": write_ours, "linear-cae": write_theirs}
