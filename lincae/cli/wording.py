"""How `lincae data` prints names, amounts and tables."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from datamodules.rejection import BAD, UNSUITABLE

FIRST_NAMES = 3


def duration(seconds: float) -> str:
    """45 -> `45.0 s`, 90 -> `1.5 min`, 5,400,000 -> `1,500.0 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def counted(number: int, thing: str) -> str:
    """1 -> `1 file`, 2000 -> `2,000 files`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def tally(values: Iterable[object]) -> str:
    """`[2, 1, 2]` -> `2 (2 files), 1 (1 file)`: what is most frequent comes first."""
    return ", ".join(f"{value} ({counted(count, 'file')})" for value, count in Counter(values).most_common())


def first_names(paths: Sequence[str]) -> str:
    """The first few of many file names, in which control characters and bytes that are no text are escaped."""
    names = ", ".join(repr(path)[1:-1] for path in paths[:FIRST_NAMES])
    return f"{names} and {len(paths) - FIRST_NAMES:,} more" if len(paths) > FIRST_NAMES else names


def reason_rows(left_out: Mapping[str, str]) -> list[tuple[str, str]]:
    """A row for each reason why files, given by their paths, are left out."""
    rows = []
    for reason, words in (BAD | UNSUITABLE).items():
        paths = sorted(path for path, why in left_out.items() if why == reason)
        if paths:
            rows.append((f"{reason} ({len(paths):,})", f"{words}: {first_names(paths)}"))
    return rows


def print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Prints names and what there is to say about them, as wide as the terminal."""
    print(title)
    names = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(
            textwrap.fill(
                text,
                shutil.get_terminal_size().columns,
                initial_indent=f"  {name:{names}}  ",
                subsequent_indent=" " * (names + 4),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def tolerable(bad: int, found: int, max_bad: float) -> bool:
    """Whether no more files are broken than allowed, which is one at least; says so if there are more."""
    if bad <= max(1, max_bad * found):
        return True
    print(f"error: {bad:,} of {counted(found, 'file')} are broken, more than --max-bad={max_bad:g}", file=sys.stderr)
    return False
