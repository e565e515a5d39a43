import json
import multiprocessing
import os

import pytest

from datamodules import planning
from datamodules.corpus import Corpus
from datamodules.planning import Planned, make_plan
from datamodules.rejection import QUARANTINE, write_quarantine

RATE = 44_100


@pytest.fixture
def music(tmp_path, write_noise):
    """Seven files; 0.1 s is 8,820 bytes in a shard."""
    for number, tenths in enumerate([1, 1, 1, 5, 1, 2, 1]):
        write_noise(f"music/artist {number // 2}/{number}.wav", tenths / 10, (RATE, 22_050)[number % 2], number % 2 + 1)
    return tmp_path / "music"


@pytest.fixture
def corpus(music):
    return Corpus(str(music), group_depth=1)


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_shards_are_filled_in_order_and_no_file_is_divided(corpus, music, tmp_path):
    plan = make_plan("music", corpus, tmp_path / "out", 20_000)
    assert [[os.path.basename(file.path) for file in files] for files in plan.shards] == [
        ["0.wav", "1.wav"],
        ["2.wav"],
        ["3.wav"],  # larger than a shard
        ["4.wav"],
        ["5.wav"],
        ["6.wav"],
    ]
    assert plan.files[3] == Planned(
        "artist 1/3.wav", "artist 1", "", None, (music / "artist 1/3.wav").stat().st_size, RATE // 2, 2
    )
    assert [file.path for file in plan.files] == sorted(file.path for file in plan.files)
    assert [len(files) for files in make_plan("music", corpus, tmp_path / "other", 10**6).shards] == [7]
    assert [len(files) for files in make_plan("music", corpus, tmp_path / "each", 1).shards] == [1] * 7


def test_a_file_without_a_header_takes_no_room(corpus, music, tmp_path):
    for name in ("broken.wav", "gone bad.mp3"):
        (music / "artist 0" / name).write_text("no audio")
    plan = make_plan("music", corpus, tmp_path / "out", 20_000)
    assert [len(files) for files in plan.shards] == [4, 1, 1, 1, 1, 1]
    assert {file.path: file.frames for file in plan.files}["artist 0/broken.wav"] == 0


@pytest.mark.parametrize("parts", [1, 2, 3, 10])
def test_parts_share_the_shards_among_them(corpus, tmp_path, parts):
    plan = make_plan("music", corpus, tmp_path / "out", 20_000)
    shares = [plan.numbers(part, parts) for part in range(1, parts + 1)]
    assert sorted(number for share in shares for number in share) == list(range(6))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_header_says_how_shards_are_made(corpus, tmp_path):
    header, *files = lines_of(make_plan("music", corpus, tmp_path / "out", 20_000).out / "plan.jsonl")
    assert header["decoder"].startswith("libsndfile 1.")
    assert header == {
        "format": "lincae shards 2",
        "corpus": "music",
        "licence": "its owner's",
        "sample_rate": RATE,
        "channels": 1,
        "shard_bytes": 20_000,
        "decoder": header["decoder"],
        "shards": 6,
        "files": 7,
    }
    assert len(files) == 7


def test_a_second_plan_is_the_first(corpus, tmp_path, monkeypatch):
    first = make_plan("music", corpus, tmp_path / "out", 20_000)
    file = tmp_path / "out" / "plan.jsonl"
    before = file.read_bytes(), file.stat()
    monkeypatch.setattr(planning, "read_headers", None)  # which takes long
    assert make_plan("music", corpus, tmp_path / "out", 20_000) == first
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (before[0], before[1].st_mtime_ns)
    assert os.listdir(tmp_path / "out") == ["plan.jsonl"]


def test_jobs_that_plan_at_the_same_time_agree(corpus, tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4), context.Queue()

    def job(out):
        barrier.wait()
        plan = make_plan("music", corpus, out, 20_000)
        queue.put((plan.header, plan.files, (plan.out / "plan.jsonl").stat().st_ino))

    for number in range(5):
        jobs = [context.Process(target=job, args=(tmp_path / str(number),)) for _ in range(4)]
        for process in jobs:
            process.start()
        answers = [queue.get(timeout=20) for _ in jobs]
        for process in jobs:
            process.join()
        assert all(answer == answers[0] for answer in answers)
        assert os.listdir(tmp_path / str(number)) == ["plan.jsonl"]


def test_a_plan_that_was_half_written_is_written_again(corpus, tmp_path):
    expected = make_plan("music", corpus, tmp_path / "out", 20_000)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "plan.jsonl.partial").write_text("{" * 10_000)
    assert make_plan("music", corpus, tmp_path / "again", 20_000).files == expected.files
    assert os.listdir(tmp_path / "again") == ["plan.jsonl"]


def test_the_quarantine_list_is_honoured_and_may_grow_later(corpus, music, tmp_path):
    write_quarantine(music / QUARANTINE, {"artist 0/1.wav": "not_finite"})
    plan = make_plan("music", corpus, tmp_path / "out", 20_000)
    assert "artist 0/1.wav" not in {file.path for file in plan.files}
    assert plan.header["files"] == 6
    write_quarantine(music / QUARANTINE, {"artist 0/1.wav": "not_finite", "artist 1/2.wav": "unreadable"})
    assert make_plan("music", corpus, tmp_path / "out", 20_000) == plan
    (music / QUARANTINE).unlink()
    with pytest.raises(ValueError, match=r"music: artist 0/1.wav: new, gone or changed .*Prepare into a new folder"):
        make_plan("music", corpus, tmp_path / "out", 20_000)


class Parted(Corpus):
    def entries(self):
        return [entry._replace(split="train", seconds=0.1) for entry in super().entries()]


def test_a_folder_planned_for_something_else_is_refused_with_a_cure(corpus, music, tmp_path, monkeypatch, write_noise):
    out = tmp_path / "out"
    make_plan("music", corpus, out, 20_000)
    cure = "prepare into a new folder"
    with pytest.raises(ValueError, match=rf"plan.jsonl was made for shard_bytes 20000, not 30000: {cure}"):
        make_plan("music", corpus, out, 30_000)
    with pytest.raises(ValueError, match=rf"corpus 'music', not 'speech': {cure}"):
        make_plan("speech", corpus, out, 20_000)
    with pytest.raises(ValueError, match=r"music: artist 0/0.wav and 6 more: new, gone or changed since"):
        make_plan("music", Parted(str(music)), out, 20_000)
    with pytest.raises(ValueError, match=r"artist 0/0.wav and 6 more: new"):
        make_plan("music", Corpus(str(music)), out, 20_000)  # without its groups
    monkeypatch.setattr(planning.soundfile, "__libsndfile_version__", "9.9")
    with pytest.raises(ValueError, match=rf"was made for decoder 'libsndfile 1.*, not 'libsndfile 9.9.*: {cure}"):
        make_plan("music", corpus, out, 20_000)
    monkeypatch.undo()
    write_noise("music/new.wav")
    with pytest.raises(ValueError, match=r"music: new.wav: new, gone"):
        make_plan("music", corpus, out, 20_000)
    (music / "new.wav").unlink()
    write_noise("music/artist 1/3.wav", 0.3)
    with pytest.raises(ValueError, match=r"artist 1/3.wav: new, gone"):
        make_plan("music", corpus, out, 20_000)
    (music / "artist 1/3.wav").unlink()
    with pytest.raises(ValueError, match=r"artist 1/3.wav: new, gone"):
        make_plan("music", corpus, out, 20_000)


def test_a_moved_source_is_the_same_source(corpus, music, tmp_path):
    plan = make_plan("music", corpus, tmp_path / "out", 20_000)
    moved = music.rename(tmp_path / "moved")
    again = make_plan("music", Corpus(str(moved), group_depth=1), tmp_path / "out", 20_000)
    assert again.files == plan.files
    assert again.source == str(moved)


def test_what_cannot_be_prepared_is_refused_with_a_cure(corpus, music, tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        make_plan("music", Corpus(str(tmp_path / "nowhere")), tmp_path / "out", 20_000)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"corpus 'x' \(.*empty\) has no audio files: correct the path"):
        make_plan("x", Corpus(str(tmp_path / "empty")), tmp_path / "out", 20_000)
    with pytest.raises(ValueError, match="music would hold its own shards: prepare into another folder"):
        make_plan("music", corpus, tmp_path / "empty" / ".." / "music", 20_000)
    with pytest.raises(ValueError, match=r"s3://bucket/music is a place of shards, .*: give the folder of the audio"):
        make_plan("music", Corpus("s3://bucket/music"), tmp_path / "out", 20_000)
    assert not (tmp_path / "out").exists()
    make_plan("music", corpus, tmp_path / "out", 20_000)
    with pytest.raises(ValueError, match=r"out is a place of shards, .*: give the folder of the audio"):
        make_plan("out", Corpus(str(tmp_path / "out")), tmp_path / "out2", 20_000)
    write_quarantine(music / QUARANTINE, {entry.path: "unreadable" for entry in corpus.entries()})
    with pytest.raises(ValueError, match="has no audio files but 7 on its quarantine list"):
        make_plan("music", corpus, tmp_path / "third", 20_000)


def test_shards_without_their_plan_are_not_taken_for_those_of_a_new_one(corpus, tmp_path):
    plan = make_plan("music", corpus, tmp_path / "out", 20_000)
    (plan.out / "00000.jsonl").touch()
    (plan.out / "plan.jsonl").unlink()
    with pytest.raises(ValueError, match=r"has no plan.jsonl but holds 00000.jsonl: prepare into a new folder"):
        make_plan("music", corpus, tmp_path / "out", 20_000)
