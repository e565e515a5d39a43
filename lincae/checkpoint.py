"""Autoencoders from the checkpoints of a training, without executing code that is in them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from lincae.checkpoint_files import read_checkpoint
from lincae.settings import build


def load_autoencoder(path: str | Path) -> Any:
    """The autoencoder of a training checkpoint alone, see `load_scaled`."""
    return load_scaled(path)[0]


def load_scaled(path: str | Path) -> tuple[Any, float | None]:
    """The autoencoder of a training checkpoint, with averaged weights, in evaluation mode on the CPU.

    It is rebuilt from the configuration that the checkpoint holds, of the classes that `lincae.settings.build` lets it
    name.

    Args:
        path: of a `.ckpt` file.

    Returns:
        A module with the methods of `lincae.autoencoders.protocol.LatentAutoencoder`, and the scale factor that gives
        its latents of training clips a standard deviation of 1; None if that was not measured, or the latents have
        collapsed.

    Raises:
        ValueError: if the file is no checkpoint, or a part of one, or it holds no configuration, which those made
            without the command line lack, or one that names other classes.
        CheckpointError: if it is damaged.
    """
    if not is_zipfile(path):  # torch's own errors are then of any kind, and do not name the file
        raise ValueError(f"{path} is no checkpoint, or only a part of one")
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint, dict) or not checkpoint.get("config"):
        raise ValueError(f"{path} holds no configuration: it was not written by `lincae fit`")
    try:
        autoencoder = build(checkpoint["config"]["model"]["init_args"]["autoencoder"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    prefix = "autoencoder."
    weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    autoencoder.load_state_dict(weights)
    std = checkpoint.get("latent_std", math.nan)  # which checkpoints of before do not have
    return autoencoder.eval(), 1 / std if 0 < std < math.inf else None
