"""A journal of finished batches, so that an evaluation that was killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lincae.metrics import ClipTable


class Journal:
    """Rows of tables, a line for each batch.

    Args:
        file: where it lies; made if missing.
        identity: what the rows depend on: model, protocol, excerpts.

    Raises:
        ValueError: if the file is of another evaluation.
    """

    def __init__(self, file: Path, identity: Mapping[str, Any]) -> None:
        self.file, first = file, json.dumps(identity, sort_keys=True)
        self._lines: list[str] = []
        if file.exists():
            lines = file.read_text().split("\n")
            if lines[0] != first:
                raise ValueError(f"{file} is of another model, protocol or data: give another -o, or remove it")
            self._lines = lines[1:-1]  # behind the last line break there may be half a line
            file.write_text("\n".join([first, *self._lines, ""]))
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(first + "\n")

    def __len__(self) -> int:
        """Finished batches."""
        return len(self._lines)

    def restore(self, tables: Sequence[ClipTable]) -> list[str]:
        """Fills tables with all finished batches; what could not be read in them."""
        unreadable: list[str] = []
        for line in map(json.loads, self._lines):
            unreadable += line["unreadable"]
            for table, rows in zip(tables, line["rows"], strict=True):
                for index, total, seen in rows:
                    table.total[index] = torch.tensor(total, dtype=torch.float64)
                    table.seen[index] = torch.tensor(seen)
        return unreadable

    def append(self, tables: Sequence[ClipTable], batch: Sequence[int], unreadable: Sequence[str]) -> None:
        """Writes the rows of a batch down, and what could not be read in it."""
        rows = [
            [[index, table.total[index].tolist(), table.seen[index].tolist()] for index in batch] for table in tables
        ]
        with self.file.open("a") as stream:
            stream.write(json.dumps({"rows": rows, "unreadable": list(unreadable)}) + "\n")
