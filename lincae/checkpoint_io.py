"""How training writes checkpoints: atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from lincae.checkpoint_files import CheckpointError, read_checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, syncs and renames, so that a checkpoint is either whole or not there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Raises:
            CheckpointError: if the disk is full, or does not take it for another reason.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            refusal = refusal_of_the_disk(error)
            if refusal is None:
                raise
            raise CheckpointError(
                f"cannot write the checkpoint {path}: {refusal.strerror}. Earlier checkpoints in {path.parent} are "
                "whole: make room there, then continue with --ckpt_path=last"
            ) from error

    def load_checkpoint(self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True) -> Any:
        """Reads a checkpoint, after its checksums.

        Raises:
            CheckpointError: if it is damaged.
        """
        return read_checkpoint(path, map_location)


def refusal_of_the_disk(error: BaseException | None) -> OSError | None:
    """The error of the operating system behind another one, as `torch.save` hides it; None if there is none."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error
