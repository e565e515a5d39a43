"""`lincae data`: check audio before a training, and prepare it as shards."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from datamodules.audio import named_corpora
from datamodules.checking import FileCheck, check_corpus
from datamodules.corpus import Corpus
from datamodules.index import Demands
from datamodules.planning import make_plan
from datamodules.preparation import prepare
from datamodules.rejection import BAD, QUARANTINE, UNSUITABLE, read_quarantine, write_quarantine
from datamodules.shards import SAMPLE_RATE, Track
from datamodules.storage import is_url
from lincae.cli.configs import find_config, load_config

FIRST_NAMES = 3


def main(arguments: Sequence[str]) -> None:
    """Run `lincae data check` or `lincae data prepare`."""
    options = parse(arguments)
    try:
        corpora = sources(options.source, options.recipe, options.root)
        good = [options.run(name, corpus, options) for name, corpus in corpora.items()]
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from error
    if not all(good):
        raise SystemExit(1)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line of `lincae data`."""
    parser = argparse.ArgumentParser(prog="lincae data", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="check|prepare")
    checking = commands.add_parser(
        "check",
        allow_abbrev=False,
        help="decode everything, print what there is, list broken files",
        description="Decode every file to its end, or compare every shard with its hashes; print a table for each "
        "corpus, and put broken files on its quarantine list, which training reads. The exit status is 1 if nothing "
        "can be used, or more is broken than --max-bad.",
    )
    checking.set_defaults(run=run_check)
    preparing = commands.add_parser(
        "prepare",
        allow_abbrev=False,
        help="turn any audio into shards",
        description="Decode every file once, to mono 16-bit shards at 44.1 kHz in DIR/NAME. Run it again to continue "
        "what was interrupted. The exit status is 1 if more is broken than --max-bad.",
    )
    preparing.set_defaults(run=run_prepare)
    for command in (checking, preparing):
        command.add_argument(
            "source",
            nargs="+",
            help="a folder, or a configuration, for all corpora of its data",
        )
        command.add_argument("--recipe", default="Corpus", help="class of the folders, such as MTGJamendo")
        command.add_argument("--root", help="folder at which relative paths in configurations begin")
        command.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="(default: %(default)s)")
        command.add_argument(
            "--max-bad", type=float, default=0.01, help="share of files that may be broken (default: %(default)s)"
        )
    checking.add_argument("--quarantine", type=Path, help=f"where the list goes (default: {QUARANTINE} in the folder)")
    checking.add_argument("--seconds", type=float, default=0.78, help="of a crop: shorter files are no use (0.78)")
    checking.add_argument("--min-sample-rate", type=int, default=SAMPLE_RATE, help="Hz (default: %(default)s)")
    checking.add_argument("--max-channels", type=int, default=2, help="(default: %(default)s)")
    checking.add_argument("--silence", type=float, default=1e-3, help="rms of a silent crop (default: %(default)s)")
    preparing.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of all shards")
    preparing.add_argument("--part", type=part, default=(1, 1), metavar="I/N", help="do share I of N")
    preparing.add_argument("--shard-megabytes", type=int, default=512, help="size of a shard (default: %(default)s)")
    return parser.parse_args(arguments)


def part(text: str) -> tuple[int, int]:
    """`3/16` -> (3, 16)."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N with 1 <= I <= N, such as 3/16")
    return int(number), int(count)


def sources(texts: Sequence[str], recipe: str, root: str | None) -> dict[str, Corpus]:
    """The corpora that a command line names.

    Args:
        texts: folders, or configurations.
        recipe: class of the folders, in `datamodules` or by its path.
        root: folder at which relative paths in configurations begin.

    Raises:
        ValueError: if a name is taken twice, or neither a folder nor a configuration.
    """
    corpora: dict[str, Corpus] = {}
    for text in texts:
        found = configured(text, root) if is_config(text) else {folder_name(text): build(recipe, text)}
        for name, corpus in found.items():
            if name in corpora:
                raise ValueError(f"{corpus.path} and {corpora[name].path} are both named {name!r}: do one at a time")
            corpora[name] = corpus
    return corpora


def is_config(text: str) -> bool:
    """Whether a source is meant as a configuration."""
    return not is_url(text) and not os.path.isdir(text) and text.endswith(".yaml")


def folder_name(text: str) -> str:
    """The last part of a path or URL."""
    return os.path.basename(text.rstrip("/") if is_url(text) else os.path.abspath(os.path.expanduser(text)))


def build(recipe: str, path: str) -> Corpus:
    """A corpus of a class, at a folder or URL."""
    class_path = recipe if "." in recipe else f"datamodules.{recipe}"
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Corpus, "corpus", required=True)
    try:
        return parser.instantiate_classes(
            parser.parse_object({"corpus": {"class_path": class_path, "init_args": {"path": path}}})
        ).corpus
    except argparse.ArgumentError as error:
        raise ValueError(f"--recipe {recipe}: there is no such class of corpora. {error}") from error


def configured(text: str, root: str | None) -> dict[str, Corpus]:
    """All corpora of a configuration, which is found as by `--config`, by the names of their folders."""
    settings = load_config(find_config(text)).get("data", {}).get("init_args", {})
    root = root or settings.get("root")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(gather)
    given = {key: settings[key] for key in ("train", "validation", "tracks") if settings.get(key)}
    corpora = gather(**parser.instantiate_classes(parser.parse_object(given)))
    if not corpora:
        raise ValueError(f"{text} names no corpora in data.train, data.validation or data.tracks")
    return {folder_name(corpus.path): corpus.below(root) for corpus in corpora}


def gather(
    train: str | dict[str, Corpus] | None = None,
    validation: str | dict[str, Corpus] | None = None,
    tracks: str | Corpus | None = None,
) -> list[Corpus]:
    """The corpora of a data module."""
    return [corpus for source in (train, validation, tracks) for corpus in named_corpora(source, "", None).values()]


def run_check(name: str, corpus: Corpus, options: argparse.Namespace) -> bool:
    """Check one corpus; whether it may be trained on."""
    samples = round(options.seconds * SAMPLE_RATE)
    demands = Demands(SAMPLE_RATE, samples, options.min_sample_rate, options.max_channels, options.max_bad)
    total, checks = check_corpus(corpus, demands, options.silence, options.processes)
    found = list(tqdm(checks, f"checking {corpus.path}", total, unit="file"))
    Console().print(check_table(name, corpus, found))
    bad = {file.path: file.reason for file in found if file.reason in BAD}
    if bad and (options.quarantine or not is_url(corpus.path)):
        list_file = options.quarantine or Path(corpus.path, QUARANTINE)
        write_quarantine(list_file, (read_quarantine(list_file) if list_file.is_file() else {}) | bad)
        print(f"{len(bad)} broken files are on the list {list_file}; training leaves them out")
    return any(not file.reason for file in found) and tolerable(name, len(bad), len(found), options.max_bad)


def tolerable(name: str, bad: int, found: int, max_bad: float) -> bool:
    """Whether no more files are broken than allowed; one always may be."""
    if bad <= max(1, max_bad * found):
        return True
    print(f"{name}: {bad} of {found} files are broken, which is more than --max-bad {max_bad}")
    return False


def check_table(name: str, corpus: Corpus, found: Sequence[FileCheck]) -> Table:
    """What a corpus holds, and what of it is of no use."""
    usable = [file for file in found if not file.reason]
    seconds = sum(file.seconds for file in usable)
    table = Table("", "", title=f"{name}: {corpus.path}", title_justify="left", show_header=False)
    table.add_row("licence", corpus.licence)
    table.add_row("files", str(len(found)))
    table.add_row("usable", f"{len(usable)}, {seconds / 3600:.2f} h")
    for attribute, unit in (("rate", " Hz"), ("channels", ""), ("format", "")):
        counts = Counter(getattr(file, attribute) for file in usable)
        table.add_row(attribute, ", ".join(f"{value}{unit}: {count}" for value, count in sorted(counts.items())))
    silent = sum(file.silent * file.seconds for file in usable) / seconds if seconds else 0
    table.add_row("silent", f"{silent:.1%}")
    for reason, words in (BAD | UNSUITABLE).items():
        paths = [file.path for file in found if file.reason == reason]
        if paths:
            names = ", ".join(paths[:FIRST_NAMES]) + (", ..." if len(paths) > FIRST_NAMES else "")
            table.add_row(f"rejected: {reason}", f"{len(paths)} {words}: {names}")
    return table


def run_prepare(name: str, corpus: Corpus, options: argparse.Namespace) -> bool:
    """Prepare one corpus; whether no more is broken than allowed."""
    plan = make_plan(name, corpus, options.output / name, options.shard_megabytes * 1_000_000)
    number, parts = options.part
    mine = plan.numbers(number, parts)
    files = sum(len(plan.shards[shard]) for shard in mine)
    samples = sum(file.frames for shard in mine for file in plan.shards[shard])
    done: list[Track] = []
    with tqdm(total=round(samples / SAMPLE_RATE), desc=f"preparing {corpus.path}", unit="s", unit_scale=True) as bar:

        def progress(track: Track, planned: int) -> None:
            done.append(track)
            bar.update(planned / SAMPLE_RATE)

        prepare(plan, number, parts, options.processes, progress)
    rejected = Counter(track.rejected for track in done if track.rejected)
    scaled = sum(track.gain < 1 for track in done)
    hours = sum(track.frames for track in done) / SAMPLE_RATE / 3600
    print(
        f"{plan.out}: {len(mine)} shards, {len(done)} of {files} files, {hours:.2f} h; {scaled} scaled down from above "
        f"full scale; rejected: {dict(rejected) or 'none'}"
    )
    return tolerable(name, rejected.total(), files, options.max_bad)
