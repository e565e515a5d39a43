from collections import defaultdict

import pytest
from entries import unstamped

from datamodules.corpora import EGMD
from datamodules.corpus import Entry

HEADER = "drummer,session,id,style,bpm,beat_type,time_signature,duration,split,midi_filename,audio_filename,kit_name"
PERFORMANCES = {
    "drummer1/eval_session/1": ("1_funk-groove1_138_beat_4-4", 27.872308, "test"),
    "drummer1/session1/10": ("10_jazz_120_fill_4-4", 1.5, "validation"),
    "drummer1/session1/1": ("1_rock_105_beat_4-4", 33.25, "train"),
}
KITS = ("Acoustic Kit", '"Kit, with a comma"')


def recordings():
    """Path, performance, split and seconds, in the order of the table."""
    for kit in (1, 2):
        for performance, (name, seconds, split) in PERFORMANCES.items():
            yield f"{performance.rsplit('/', 1)[0]}/{name}_{kit}.wav", performance, split, seconds


@pytest.fixture
def egmd(lay_out):
    """The unpacked folder, inside another."""
    names = [path for path, *_ in recordings()]
    root = lay_out([f"e-gmd-v1.0.0/{name}" for name in names]) / "e-gmd-v1.0.0"
    lay_out([f"e-gmd-v1.0.0/{name.replace('.wav', '.midi')}" for name in names])
    rows = []
    for number, (path, performance, split, seconds) in enumerate(recordings()):
        drummer, session, _ = performance.split("/")
        rows.append([drummer, f"{drummer}/{session}", performance, "funk", "138", "beat", "4-4", str(seconds)])
        rows[-1] += [split, path.replace(".wav", ".midi"), path, KITS[number // len(PERFORMANCES)]]
    (root / "e-gmd-v1.0.0.csv").write_text("\n".join([HEADER, *map(",".join, rows)]) + "\n")
    return root


def test_recordings_keep_the_split_of_the_table_and_their_performance(egmd):
    entries = unstamped(EGMD(str(egmd)).entries())
    assert entries == sorted(Entry(*recording[:3]) for recording in recordings())
    splits = defaultdict(set)
    for entry in entries:
        splits[entry.group].add(entry.split)
    assert len(splits) == len(PERFORMANCES)
    assert all(len(parts) == 1 for parts in splits.values())


def test_the_folder_may_be_the_one_around_it(egmd):
    within = [entry._replace(path=f"e-gmd-v1.0.0/{entry.path}") for entry in unstamped(EGMD(str(egmd)).entries())]
    assert unstamped(EGMD(str(egmd.parent)).entries()) == within


def test_without_the_table_the_parts_are_not_known(egmd):
    (egmd / "e-gmd-v1.0.0.csv").unlink()
    with pytest.raises(ValueError, match=r"e-gmd-v1.0.0.csv or e-gmd-v1.0.0/e-gmd-v1.0.0.csv is missing"):
        EGMD(str(egmd)).entries()


def test_missing_recordings_are_counted_and_without_any_there_is_no_corpus(egmd):
    names = [path for path, *_ in recordings()]
    for name in names[1:]:
        (egmd / name).unlink()
    with pytest.warns(UserWarning, match="5 of 6 files in its list are missing"):
        assert [entry.path for entry in EGMD(str(egmd)).entries()] == names[:1]
    (egmd / names[0]).unlink()
    with pytest.raises(ValueError, match="of 6 files in its list none is there"):
        EGMD(str(egmd)).entries()
