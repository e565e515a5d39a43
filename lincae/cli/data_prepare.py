"""`lincae data prepare`: any audio to shards."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from tqdm import tqdm

from datamodules.corpus import Corpus
from datamodules.planning import Plan, make_plan
from datamodules.preparation import prepare, read_journal
from datamodules.rejection import BAD
from datamodules.shards import SAMPLE, SAMPLE_RATE, Track, journal_name
from lincae.cli.wording import counted, duration, print_table, reason_rows, tolerable

RESUMABLE = "Finished tracks are kept: run the same command again to continue"


def run_prepare(corpora: Mapping[str, Corpus], options: argparse.Namespace) -> bool:
    """Prepare corpora one after the other; whether no more is broken than allowed."""
    plans = [  # all corpora are looked for before the first is decoded
        make_plan(name, corpus, options.output / name, options.shard_megabytes * 1_000_000, options.channels)
        for name, corpus in corpora.items()
    ]
    return all([prepare_part(plan, options) for plan in plans])


def prepare_part(plan: Plan, options: argparse.Namespace) -> bool:
    """Prepare one part of a corpus; whether no more of it is broken than allowed."""
    part, parts = options.part
    name, numbers = plan.header["corpus"], plan.numbers(part, parts)
    found_finished = sum(len(plan.shards[number]) for number in numbers if plan.is_finished(number))
    total = sum(len(plan.shards[number]) for number in numbers)
    with tqdm(desc=f"preparing {name}", total=total, initial=found_finished, unit=" files", dynamic_ncols=True) as bar:
        try:
            prepare(plan, part, parts, options.processes, lambda _: bar.update())
        except (OSError, RuntimeError) as error:
            raise RuntimeError(f"{error}. {RESUMABLE}") from error
    tracks = [track for number in numbers for track in read_journal(plan.out / journal_name(number))]
    print_table(f"{name}: {plan.out}", rows(tracks, len(numbers)))
    finished = sum(plan.is_finished(number) for number in range(len(plan.shards)))
    if finished < len(plan.shards):
        shards = counted(len(plan.shards), "shard")
        print(
            f"  part {part}/{parts} is finished: {finished} of {shards} are ready. Prepare the other parts to use them"
        )
    else:
        unchanged = " before, nothing was changed" if found_finished == total else ""
        print(f"  finished{unchanged}. To train on it, give this folder in place of the source")
    return tolerable(sum(track.rejected in BAD for track in tracks), total, options.max_bad)


def rows(tracks: list[Track], shards: int) -> list[tuple[str, str]]:
    """What was prepared, and what was left out."""
    used = [track for track in tracks if not track.rejected]
    frames, values = sum(track.frames for track in used), sum(track.end - track.first for track in used)
    scaled = sum(track.gain < 1 for track in used)
    size = f"{values * SAMPLE.itemsize / 1e6:,.1f} MB in {counted(shards, 'shard')}"
    return [
        ("tracks", f"{len(used):,}, {duration(frames / SAMPLE_RATE)}, {size}"),
        *([("scaled down", f"{counted(scaled, 'track')} above full scale; reading undoes it")] if scaled else []),
        *reason_rows({track.path: track.rejected for track in tracks}),
    ]
