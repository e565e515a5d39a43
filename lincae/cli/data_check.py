"""`lincae data check`: what a corpus holds, and which of its files are broken."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from datamodules.checking import FileCheck, check_corpus
from datamodules.corpus import Corpus
from datamodules.index import Demands
from datamodules.rejection import BAD, QUARANTINE, read_quarantine, write_quarantine
from datamodules.shards import SAMPLE_RATE, is_prepared, read_manifest
from datamodules.storage import is_url
from lincae.cli.wording import counted, duration, print_table, reason_rows, tally, tolerable


def run_check(corpora: Mapping[str, Corpus], options: argparse.Namespace) -> bool:
    """Check corpora one after the other; whether all of them may be trained on."""
    if options.quarantine and len(corpora) > 1:
        raise ValueError(f"--quarantine is the list of one corpus, these are {len(corpora)}: check one at a time")
    samples = round(options.seconds * SAMPLE_RATE)
    demands = Demands(SAMPLE_RATE, samples, options.min_sample_rate, options.max_channels, options.max_bad)
    lists = {name: quarantine_list(corpus, options.quarantine) for name, corpus in corpora.items()}
    known = {name: read_quarantine(file) if file.is_file() else {} for name, file in lists.items()}
    checks = {  # all corpora are looked for before the first is decoded
        name: check_corpus(corpus, demands, options.silence, options.processes, known[name])
        for name, corpus in corpora.items()
    }
    good = True
    for name, corpus in corpora.items():
        total, results = checks[name]
        with closing(results):
            found = sorted(tqdm(results, f"checking {name}", total, unit=" files", dynamic_ncols=True))
        print_table(f"{name}: {corpus.path}", rows(corpus, found))
        bad = {file.path: file.reason for file in found if file.reason in BAD}
        if bad:
            write_quarantine(lists[name], known[name] | bad)
            use = "name it as `quarantine` of the corpus" if options.quarantine else "training leaves them out"
            print(f"  {counted(len(bad), 'broken file')} put on the list {lists[name]}: {use}")
        if all(file.reason for file in found):
            print(f"error: none of {counted(len(found), 'file')} can be used", file=sys.stderr)
            good = False
        good &= tolerable(len(bad), len(found), options.max_bad)
    return good


def quarantine_list(corpus: Corpus, chosen: Path | None) -> Path:
    """Where the list of a corpus is, or goes.

    Raises:
        PermissionError: if it cannot be written there, which is better known before hours of decoding.
    """
    named = chosen or corpus.quarantine
    place = (os.path.dirname(named) or ".") if named else corpus.path
    if not os.access(place, os.W_OK) and (named or is_url(place) or os.path.isdir(place)):
        raise PermissionError(f"{place} cannot be written to: name the list of broken files with --quarantine FILE")
    return Path(named or os.path.join(place, QUARANTINE))


def rows(corpus: Corpus, found: Sequence[FileCheck]) -> list[tuple[str, str]]:
    """What a corpus holds, and what of it is of no use."""
    usable = [file for file in found if not file.reason]
    seconds = sum(file.seconds for file in usable)
    silent = sum(file.silent * file.seconds for file in usable) / seconds if seconds else 0.0
    return [
        ("files", f"{len(found):,}"),
        ("usable", f"{len(usable):,}, {duration(seconds)}, {silent:.1%} of it silent"),
        ("rates", tally(f"{file.rate} Hz" for file in usable)),
        ("channels", tally(file.channels for file in usable)),
        ("formats", tally(file.format for file in usable)),
        ("licence", read_manifest(corpus.path).header["licence"] if is_prepared(corpus) else corpus.licence),
        *reason_rows({file.path: file.reason for file in found}),
    ]
