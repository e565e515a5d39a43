"""Continuing a run: from which checkpoint, into which folder, and with which changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

from lincae.checkpoint_files import FOLDER, CheckpointError, damage, newest_first, newest_whole, read_tensors
from lincae.cli.command_line import refuse
from lincae.provenance import provenance

HEAD = ("config", "global_step", "provenance", "total_steps", "wandb_id")
"""What of a checkpoint is compared and printed."""


def run_folder(config: Any) -> Path:
    """The folder of a run: `trainer.default_root_dir`, or the working directory."""
    return Path(config.trainer.default_root_dir or ".")


def find_checkpoint(config: Any) -> None:
    """Puts the path of the newest checkpoint that is whole in the place of `--ckpt_path last`."""
    if config.ckpt_path == "last":
        config.ckpt_path = str(newest_whole(run_folder(config) / FOLDER, rank_zero_warn))
    elif not Path(config.ckpt_path).is_file():
        refuse(f"--ckpt_path: there is no {config.ckpt_path}")


def refuse_mixed_runs(config: Any) -> None:
    """Stop before a run would mix its files with those of another one, or with its own future."""
    folder = run_folder(config) / FOLDER
    held = newest_first(folder)
    if not held:
        return
    own = "a folder of its own with --trainer.default_root_dir"
    if config.ckpt_path is None:
        refuse(f"{folder} already holds a run. Continue it with --ckpt_path last, or give the new one {own}")
    files = [path.resolve() for path in held]
    chosen = Path(config.ckpt_path).resolve()
    if chosen not in files:
        refuse(f"{folder} already holds a run, and {config.ckpt_path} is not of it. Give what comes of that {own}")
    later = [path for path in held[: files.index(chosen)] if damage(path) is None]
    if later:
        refuse(
            f"{folder} holds {later[0].name}, which is later than {config.ckpt_path}. Continue with --ckpt_path last, "
            f"or go back in {own}"
        )


def read_head(path: str) -> dict[str, Any]:
    """What a checkpoint says of its run, without its weights.

    Raises:
        CheckpointError: if it is none.
    """
    stored = read_tensors(path, map_location="cpu", mmap=True)
    if not isinstance(stored, dict) or "state_dict" not in stored:
        raise CheckpointError(f"{path} holds no training: give a checkpoint that `lincae fit` wrote")
    return {key: stored.get(key) for key in HEAD}


def declare_changes(path: str, head: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Prints what a resumed run does otherwise than the one that wrote the checkpoint; refuses another data module.

    Args:
        path: of the checkpoint.
        head: of it.
        config: of this run.
    """
    where = f"resuming {path}, after step {head['global_step']} of {head['total_steps']}"
    if not head["config"]:
        rank_zero_info(f"{where}, which holds no configuration to compare with")
        return
    modules = [each["data"]["class_path"] for each in (head["config"], config)]
    if modules[0] != modules[1]:
        refuse(f"{path} is of a training with {modules[0]}, not {modules[1]}: resume it with --data={modules[0]}")
    old, new = ({**each, "ckpt_path": None} for each in (head["config"], config))
    changes = [*differences(old, new), *differences(head["provenance"] or {}, provenance())]
    if changes:
        lines = "".join(f"\n  {name}: {shown(before)} -> {shown(now)}" for name, before, now in changes)
        rank_zero_info(f"{where}. What differs from the run that wrote it:{lines}")
    else:
        rank_zero_info(f"{where}, as the run that wrote it")


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Key, as the command line has it, old and new value of whatever differs between two nested mappings."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            inner = name if key == "init_args" else f"{name}.{key}".removeprefix(".")
            yield from differences(old.get(key), new.get(key), inner)
    elif old != new:
        yield name, old, new


def shown(value: Any) -> str:
    """A value in one line."""
    return json.dumps(value, default=str)
