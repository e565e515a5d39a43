"""Files from which files are made: which, where to, one after the other, and what happens to those that fail."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from datamodules.walking import EXTENSIONS, FOREIGN, suffix_of, walk
from lincae.cli.command_line import INTERRUPTED, refusals, refuse
from lincae.cli.wording import counted, first_names
from lincae.inference import Progress

LATENTS = ".safetensors"

KNOWN = EXTENSIONS | FOREIGN | {LATENTS}
"""Suffixes of files; what ends otherwise is taken for a folder."""


Advance = Callable[[float], Progress]
"""What is to be given to one call of the model, so that the bar has moved by so many seconds when it is done."""


class Job(NamedTuple):
    """A file and what is made of it."""

    source: Path
    target: Path


@contextmanager
def stoppable() -> Iterator[None]:
    """Refusals as of every command; Ctrl-C ends in one line and exit status 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be of any encoding
    try:
        with refusals():
            yield
    except KeyboardInterrupt:
        print("stopped. Files that were finished are kept, none is left half written", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def plan(
    inputs: Sequence[Path],
    output: Path,
    kinds: Collection[str],
    written: Collection[str],
    suffix: str | None = None,
    unreadable: Collection[str] = (),
) -> list[Job]:
    """What is to be made of files and folders.

    A folder's files keep their places in it below `output`. One file may become the file `output`, if that ends as
    files do that are written.

    Args:
        inputs: files, and folders, of which all files of the kinds are taken.
        output: a folder, or a file.
        kinds: suffixes of files that are read, in lower case.
        written: suffixes of files that can be written.
        suffix: of the files in a folder; None for the first of `written`.
        unreadable: suffixes of files that a folder should not hold; a line on standard error names them.

    Raises:
        ValueError: if an input does not exist or is an empty folder, two files would become one, or the output cannot
            be the place for them: which, and what to do.
        OSError: if a folder cannot be read, or a link in it leads nowhere.
    """
    sources = [(path, place) for given in inputs for path, place in found(given, kinds, unreadable)]
    ending = output.suffix.lower()
    if ending in KNOWN and not output.is_dir():
        check_suffix(output, written)
        if suffix not in (None, ending):
            raise ValueError(f"{output} does not end in {suffix}, which --format asks for: leave one of the two out")
        if len(inputs) > 1 or inputs[0].is_dir():
            raise ValueError(f"{output} is one file, and more may be made of these: give a folder")
        return [Job(sources[0][0], output)]
    suffix = suffix or next(iter(written))
    jobs = [Job(path, output / place.with_suffix(suffix)) for path, place in sources]
    made_of: dict[Path, Path] = {}
    for path, target in jobs:
        if target in made_of:
            raise ValueError(f"{made_of[target]} and {path} would both become {target}: give them folders of their own")
        made_of[target] = path
    return jobs


def found(given: Path, kinds: Collection[str], unreadable: Collection[str]) -> list[tuple[Path, Path]]:
    """A file, or the files in a folder and below it, each once, and their places in it."""
    if not given.exists():
        raise ValueError(f"there is no file or folder {given}")
    if not given.is_dir():
        return [(given, Path(given.name))]
    paths = walk(str(given), lambda path: suffix_of(path) in kinds or suffix_of(path) in unreadable)
    if others := [path for path in paths if suffix_of(path) not in kinds]:
        print(
            f"{given}: {counted(len(others), 'file')} left out, in formats that cannot be read: {first_names(others)}. "
            "Convert them, as with ffmpeg -i IN OUT.flac",
            file=sys.stderr,
        )
    files = [Path(path) for path in paths if suffix_of(path) in kinds]
    if not files:
        raise ValueError(f"{given} holds no files that end in {' '.join(sorted(kinds))}")
    return [(given / path, path) for path in files]


def check_suffix(output: Path, written: Collection[str]) -> None:
    """Refuses a file that ends as none does that can be written."""
    if output.suffix.lower() not in written:
        raise ValueError(f"{output} cannot be written: give a file that ends in {' or '.join(written)}")


def check_targets(targets: Sequence[Path], overwrite: bool) -> None:
    """Refuses what is there already, or cannot be written, before the work begins.

    Raises:
        ValueError: which, and what to do.
        PermissionError: if a folder does not take files.
    """
    there = [target for target in targets if target.exists()]
    if folders := [target for target in there if target.is_dir()]:
        raise ValueError(f"{folders[0]} is a folder: give another place")
    if there and not overwrite:
        more = f", and {len(there) - 1} more," if there[1:] else ""
        verb = "are" if there[1:] else "is"
        raise ValueError(f"{there[0]}{more} {verb} already there: give another place, or --overwrite")
    for folder in {target.parent for target in targets}:
        parent = next(parent for parent in [folder, *folder.parents] if parent.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise PermissionError(f"{folder} cannot be written: {parent} is no folder, or not yours to write to")


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """A file to write beside the place, which takes it if nothing fails, and is removed if something does.

    Raises:
        OSError: if writing fails, as libsndfile, too, says it: where.
    """
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, place)
    except (OSError, RuntimeError) as error:
        raise OSError(f"{place} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def run_each(jobs: Sequence[Job], seconds: float, work: Callable[[int, Advance], None], title: str) -> None:
    """Does one job after the other under one bar. Those that fail are named, and the others are done.

    Args:
        jobs: what is worked on.
        seconds: of audio in all jobs.
        work: does the job of a number, and advances the bar.
        title: of the bar.

    Raises:
        SystemExit: status 2, if any of several fails; the error, if a single one does.
    """
    failed = 0
    with bar_of(seconds, title) as advance:
        for number, job in enumerate(jobs):
            try:
                work(number, advance)
            except (ValueError, OSError, RuntimeError) as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                tqdm.write(f"error: {job.source}: {' '.join(str(error).split())}", file=sys.stderr)
    if failed:
        refuse(f"{failed} of {len(jobs)} files failed, the others are done")


@contextmanager
def bar_of(seconds: float, title: str) -> Iterator[Advance]:
    """A bar over seconds of audio, on terminals alone."""
    layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio [{elapsed}<{remaining}]"
    with tqdm(total=seconds, desc=title, bar_format=layout, disable=None, dynamic_ncols=True) as bar:

        def advance(part: float) -> Progress:
            def passing(batches: list[Any]) -> Iterable[Any]:
                for batch in batches:
                    yield batch
                    bar.update(part / len(batches))

            return passing

        yield advance
