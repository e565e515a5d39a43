"""What a training ran on: the commit of this project, and the versions of what it needs."""

from __future__ import annotations

import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch

PROJECT = Path(__file__).parents[1]


@cache
def provenance() -> dict[str, Any]:
    """`commit`, as `commit_of` gives it, and `versions` of Python, CUDA, this project and its requirements by name.

    None stands for what is not installed.
    """
    wanted = [re.match(r"[\w.-]+", each) for each in requirements() if "extra ==" not in each]
    names = ["lincae", *(match[0] for match in wanted if match)]
    versions = {"python": platform.python_version(), "cuda": torch.version.cuda}
    return {"commit": commit_of(PROJECT), "versions": {**versions, **{name: version_of(name) for name in names}}}


def requirements() -> list[str]:
    """What this project requires; nothing where it is imported without having been installed."""
    try:
        return requires("lincae") or []
    except PackageNotFoundError:
        return []


def version_of(name: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def commit_of(folder: Path) -> str | None:
    """The commit of a repository, with `-dirty` behind it if tracked files differ; None if the folder is none."""
    ask = ["git", "-C", str(folder)]
    try:
        top = subprocess.run([*ask, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True)
        if Path(top.stdout.strip()) != folder.resolve():
            return None  # installed somewhere inside of another repository
        describe = [*ask, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
