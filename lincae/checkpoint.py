"""Checkpoints on disk: written atomically, read without executing code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch import nn


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs and renames, so that a checkpoint is either whole or not there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        try:
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True) -> Any:
        return torch.load(path, map_location=map_location, weights_only=True)


def load_autoencoder(path: str | Path) -> Any:
    """The autoencoder of a training checkpoint, with averaged weights, in evaluation mode on the CPU.

    It is rebuilt from the configuration that the checkpoint holds, which names classes but runs no code of its own.

    Args:
        path: of a `.ckpt` file.

    Returns:
        A module with the methods of `lincae.autoencoders.protocol.LatentAutoencoder`.

    Raises:
        ValueError: if the checkpoint holds no configuration, which those made without the command line lack.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if not checkpoint.get("config"):
        raise ValueError(f"{path} holds no configuration: it was not written by `lincae fit`")
    parser = ArgumentParser()
    parser.add_argument("--autoencoder", type=nn.Module)
    settings = checkpoint["config"]["model"]["init_args"]["autoencoder"]
    autoencoder = parser.instantiate(parser.parse_object({"autoencoder": settings})).autoencoder
    prefix = "autoencoder."
    weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    autoencoder.load_state_dict(weights)
    return autoencoder.eval()
