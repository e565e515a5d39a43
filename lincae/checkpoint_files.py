"""The checkpoint files of a run: `step=N.ckpt` for some steps N, and `last.ckpt`, where links work."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

FOLDER = "checkpoints"
LAST = "last.ckpt"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or read; the message says what to do."""


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step goes."""
    return folder / f"step={step}.ckpt"


def steps_in(folder: Path) -> list[int]:
    """The steps of all checkpoints in a folder, in order."""
    found = (re.fullmatch(r"step=(\d+)\.ckpt", path.name) for path in folder.glob("step=*.ckpt"))
    return sorted(int(match[1]) for match in found if match)


def newest_first(folder: Path) -> list[Path]:
    """All checkpoints of a folder. A `last.ckpt` that is no link, as copying makes it, counts as the newest."""
    last = folder / LAST
    copied = [last] if last.is_file() and not last.is_symlink() else []
    return copied + [path_of(folder, step) for step in reversed(steps_in(folder))]


def last_of(run: str | Path) -> Path | None:
    """The last checkpoint of a run's folder; None if it has none.

    `last.ckpt`, or the newest `step=N.ckpt` that is whole, where the file system has no links, or a copy lost them.
    """
    folder = Path(run, FOLDER)
    if (folder / LAST).is_file():
        return folder / LAST
    held = newest_first(folder)
    return next((path for path in held if damage(path) is None), held[0] if held else None)


def newest_whole(folder: Path, report: Callable[[str], None]) -> Path:
    """The newest checkpoint that is not damaged.

    Args:
        folder: of the checkpoints.
        report: is told of each damaged one.

    Raises:
        CheckpointError: if there is none.
    """
    damaged = []
    for path in newest_first(folder):
        reason = damage(path)
        if reason is None:
            return path
        report(f"DAMAGED CHECKPOINT {path}: {reason}. It is passed over for the one before it")
        damaged.append(path.name)
    if damaged:
        raise CheckpointError(f"all checkpoints in {folder} are damaged: {', '.join(damaged)}")
    raise CheckpointError(f"there is no checkpoint in {folder}; is trainer.default_root_dir right?")


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's file; None if it is whole.

    All of it is read, and compared with the checksums that it holds, which `torch.load` does not look at.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            return f"the checksum of {broken} in it does not fit"
        torch.load(path, map_location="meta", weights_only=True, mmap=True)  # as strict with the archive, in other ways
    except pickle.UnpicklingError:
        return None  # whole, but with code in it, which whoever reads it refuses
    except (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        return str(error).split(". ")[0] or type(error).__name__
    return None


def read_tensors(path: str | Path, **options: Any) -> Any:
    """What `torch.save` wrote. No code that may be in it is run.

    Args:
        path: of the file.
        options: of `torch.load`, such as `map_location`.

    Raises:
        CheckpointError: if it holds other than tensors and plain values, or is damaged or no such file.
    """
    try:
        return torch.load(path, weights_only=True, **options)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a file that a training wrote: it holds more than tensors and plain values, and could run "
            "code when it is read. Give another"
        ) from error
    except (EOFError, ValueError, RuntimeError) as error:
        reason = str(error).split(". ")[0]
        raise CheckpointError(f"{path} is damaged, or not a file that a training wrote: {reason}") from error


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """A checkpoint as it was saved. No code that may be in it is run.

    Raises:
        CheckpointError: if the file is damaged, or asks for code.
    """
    reason = damage(Path(path)) if os.path.exists(path) else None
    if reason is not None:
        raise CheckpointError(
            f"{path} is damaged: {reason}. Take another checkpoint of the run, or --ckpt_path=last, which finds the "
            "newest that is whole"
        )
    return read_tensors(path, map_location=map_location)


def link_last(path: Path) -> None:
    """Lets `last.ckpt` beside a checkpoint mean it, from one moment to the next.

    A file system without links has none: readers take the newest `step=N.ckpt` there.
    """
    partial = path.with_name(f".{LAST}.partial")
    partial.unlink(missing_ok=True)
    try:
        partial.symlink_to(path.name)
    except OSError:
        path.with_name(LAST).unlink(missing_ok=True)  # a copy of an older one that came from elsewhere
    else:
        os.replace(partial, path.with_name(LAST))


def remove_older(folder: Path, step: int, keep: int) -> None:
    """Removes the checkpoints before a step, but for the newest.

    Later ones, which a run that went back behind damaged ones may have, are left alone.

    Args:
        folder: of the checkpoints.
        step: of the checkpoint just written.
        keep: how many to keep, that one included.
    """
    for old in [each for each in steps_in(folder) if each <= step][:-keep]:
        path_of(folder, old).unlink()


def remove_partial(folder: Path) -> None:
    """Removes what a process that was killed while it wrote has left."""
    for partial in folder.glob(".*.partial"):
        partial.unlink()
