"""Tables of metadata that come with corpora."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import Any


def read_table(file: str, columns: Mapping[str, Callable[[str], Any]], delimiter: str = ",") -> list[tuple[Any, ...]]:
    """Some columns of a table with a header; rows may be longer than that.

    Args:
        file: where it is.
        columns: names of the columns, and what reads their values.
        delimiter: between columns.

    Returns:
        The values of each row, in the order of `columns`.

    Raises:
        ValueError: if a column is missing, a row is too short, or a value cannot be read.
    """
    with open(file, newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        try:
            header = next(reader, [])
            readers = [(header.index(name), read) for name, read in columns.items()]
            return [tuple(read(row[column]) for column, read in readers) for row in reader]
        except (ValueError, IndexError, csv.Error) as error:
            raise ValueError(
                f"{file}, line {reader.line_num}: {error}. Expected columns {', '.join(columns)}: fetch the file again"
            ) from error
