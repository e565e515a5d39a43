"""Journals of what is done, so that a command that was killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lincae.metrics import ClipTable
from lincae.report.results import write


class Lines:
    """A file of JSON objects, one a line, behind a line that says what they depend on.

    Args:
        file: where it lies; made with the first entry.
        identity: what the entries depend on.
        what: they belong to, for errors.

    Attributes:
        entries: what is in the file.

    Raises:
        ValueError: if the file has another identity.
    """

    def __init__(self, file: Path, identity: Mapping[str, Any], what: str) -> None:
        self.file, self._first = file, json.dumps(identity, sort_keys=True)
        self.entries: list[Any] = []
        if file.exists():
            first, *lines = file.read_text().split("\n")
            if first != self._first:
                raise ValueError(f"{file} is of {other_than(first, self._first, what)}: give another -o, or remove it")
            del lines[-1]  # behind the last line break there may be half a line
            write(file, "\n".join([first, *lines, ""]))
            for number, line in enumerate(lines, start=2):
                try:
                    self.entries.append(json.loads(line))
                except ValueError as error:
                    raise ValueError(f"line {number} of {file} is damaged: delete that line, or the file") from error

    def add(self, entry: Any) -> None:
        """Writes an entry down."""
        if not self.file.exists():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write(self.file, self._first + "\n")
        with self.file.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")
        self.entries.append(entry)


class Journal:
    """Rows of tables, a line for each batch.

    Args:
        file: where it lies; made with the first batch.
        identity: what the rows depend on: model, protocol, audio, code.

    Raises:
        ValueError: if the file is of another evaluation.
    """

    def __init__(self, file: Path, identity: Mapping[str, Any]) -> None:
        self._lines = Lines(file, identity, "an evaluation")

    def restore(self, tables: Sequence[ClipTable]) -> tuple[set[int], dict[int, str]]:
        """Fills tables with what was measured; an excerpt counts once, however many lines have it.

        Returns:
            The numbers of these excerpts, and which of them cannot be read, and why.
        """
        done: set[int] = set()
        unreadable: dict[int, str] = {}
        for line in self._lines.entries:
            done.update(line["excerpts"])
            unreadable.update(line["unreadable"])
            for table, (totals, seen) in zip(tables, line["rows"], strict=True):
                table.total[line["excerpts"]] = torch.tensor(totals, dtype=torch.float64, device=table.total.device)
                table.seen[line["excerpts"]] = torch.tensor(seen, device=table.seen.device)
        return done, unreadable

    def append(self, tables: Sequence[ClipTable], batch: Sequence[int], unreadable: Mapping[int, str]) -> None:
        """Writes down the rows of a batch of excerpts, and which of them cannot be read, and why."""
        rows = [(table.total[batch].tolist(), table.seen[batch].tolist()) for table in tables]
        self._lines.add({"excerpts": batch, "rows": rows, "unreadable": list(unreadable.items())})


def claim(file: Path, identity: Mapping[str, Any], what: str) -> None:
    """Writes down, in a new or empty folder, what is done there, or sees that it is what was begun there.

    Args:
        file: where it is written.
        identity: what the results in the folder depend on.
        what: they belong to, for errors.

    Raises:
        ValueError: if the folder holds something else.
    """
    folder = file.parent
    if file.is_file():
        if others := differences(json.loads(file.read_text()), json.loads(json.dumps(identity))):
            raise ValueError(f"-o {folder} holds {what} with other {listed(others)}: give another -o")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"-o {folder} is not empty, and nothing is overwritten: give another")
    folder.mkdir(parents=True, exist_ok=True)
    write(file, json.dumps(identity, indent=1) + "\n")


def other_than(first: str, wanted: str, what: str) -> str:
    """What a journal's first line says, if it is not the one that is wanted."""
    try:
        return f"{what} with other {listed(differences(json.loads(first), json.loads(wanted)))}"
    except json.JSONDecodeError:
        return "something else"


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two trees of mappings differ, as `settings.gains`."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [place]
    return [
        found
        for key in [*one, *(other.keys() - one.keys())]
        for found in differences(one.get(key), other.get(key), f"{place}.{key}" if place else str(key))
    ]


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
