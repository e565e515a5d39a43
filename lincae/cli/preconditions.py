"""What is looked at before an evaluation begins, rather than after hours of work."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from lincae.cli.models import NamedModel
from lincae.report.evaluations import read_evaluation
from lincae.report.page import check_page

CALLED = ("encode", "sample_noise", "decode", "sample_rate", "margin")
"""What a model must have, see `lincae.autoencoders.protocol`."""


def check_output(folder: Path) -> None:
    """Whether results can be written to a folder, there or not yet.

    Raises:
        ValueError, FileExistsError: if they cannot, or would replace something else.
    """
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ValueError(f"-o {folder}: {place} is no folder that can be written to. Give another")
    earlier = folder / "results.json"
    if earlier.is_file():
        try:
            read_evaluation(earlier)
        except ValueError as error:
            raise ValueError(f"-o {folder} holds other results: {error}, or give another -o") from error
    check_page([earlier], folder / "report")


def check_model(named: NamedModel) -> None:
    """Whether a model can be measured.

    Raises:
        ValueError: if it lacks what is called, or has weights that are not finite.
    """
    lacks = [name for name in CALLED if not hasattr(named.model, name)]
    if lacks:
        raise ValueError(f"model {named.name!r} has no {', '.join(lacks)}, which lincae.autoencoders.protocol asks for")
    weights = named.model.named_parameters() if isinstance(named.model, nn.Module) else ()
    if broken := [name for name, value in weights if not value.isfinite().all()]:
        raise ValueError(
            f"model {named.name!r} diverged: {len(broken)} of its weights hold values that are not finite, such as "
            f"{broken[0]}. Take an earlier checkpoint"
        )
