import hashlib
import json
import os

import numpy as np
import pytest

from datamodules.corpus import Corpus
from datamodules.shards import (
    FORMAT,
    Stretch,
    Track,
    is_prepared,
    line_of,
    parse_list,
    read_manifest,
    read_samples,
)

NAMES = ["a/b.wav", "new\nline\r.wav", "quote'\".wav", "日本 é.wav", os.fsdecode(b"no \xff text.wav"), "\u2028.wav"]


def samples_of(seed, frames):
    return np.random.default_rng(seed).integers(-(2**15), 2**15, frames, np.int16).astype("<i2")


@pytest.fixture
def shards(tmp_path):
    """Two shards of three tracks each, one of them rejected, written by hand."""
    folder = tmp_path / "shards"
    folder.mkdir()
    lines = [{"format": FORMAT, "corpus": "music", "shards": 2, "files": 6, "licence": "", "sample_rate": 44_100}]
    for shard in range(2):
        first, content = 0, b""
        for number in range(3):
            frames = 0 if (shard, number) == (1, 2) else 100 + 10 * number + shard
            pcm = samples_of(3 * shard + number, frames).tobytes()
            track = Track(NAMES[3 * shard + number], "artist", "train", 48_000, 2, shard, first, frames)
            track = track._replace(pcm_sha256=hashlib.sha256(pcm).hexdigest() if frames else "")
            lines.append(track._replace(rejected="" if frames else "truncated")._asdict())
            first, content = first + frames, content + pcm
        (folder / f"0000{shard}.pcm").write_bytes(content)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(params=["folder", "bucket"])
def place(request, shards):
    """The folder, and a URL of the same; a function that brings the latter up to date."""
    if request.param == "folder":
        return str(shards), lambda: None
    object_store = request.getfixturevalue("object_store")
    url = f"{object_store(f'shards-{os.urandom(4).hex()}')}/music"
    object_store.upload(shards, url)
    return url, lambda: object_store.upload(shards, url)


def test_a_manifest_gives_back_tracks_and_their_samples(place):
    root, _ = place
    tracks = read_manifest(root).tracks
    assert [track.path for track in tracks] == NAMES
    assert [track.rejected for track in tracks] == [""] * 5 + ["truncated"]
    assert tracks[4] == Track(
        NAMES[4], "artist", "train", 48_000, 2, 1, 101, 111, pcm_sha256=hashlib.sha256(samples_of(4, 111)).hexdigest()
    )
    stretches = [Stretch(root, f"0000{t.shard}.pcm", t.first + 2, t.first + 50) for t in tracks[:5]]
    for number, samples in enumerate(read_samples(stretches[::-1])):
        seed = 4 - number
        np.testing.assert_array_equal(samples, samples_of(seed, 100 + 10 * (seed % 3) + seed // 3)[2:50])


def test_lines_are_ascii_and_keep_any_name():
    for name in NAMES:
        line = line_of({"path": name})
        assert line.isascii()
        assert line.count("\n") == 1
        assert json.loads(line)["path"] == name


def damages():
    def lines(change):
        def damage(folder):
            file = folder / "manifest.jsonl"
            file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))

        return damage

    yield "half a line", lines(lambda content: [*content[:-1], content[-1][:30]]), "manifest.jsonl is damaged"
    yield "a line less", lines(lambda content: content[:-1]), r"damaged \(it lists 5 of 6 files\): copy"
    yield "zeros", lines(lambda content: [content[0], bytes(500), b"\n", *content[3:]]), "manifest.jsonl is damaged"
    yield "empty", lines(lambda content: []), "manifest.jsonl is damaged"
    yield "no object", lines(lambda content: [b"3\n", *content[1:]]), "manifest.jsonl is damaged"
    yield "a strange field", lines(lambda content: [*content[:-1], b'{"x": 1}\n']), "manifest.jsonl is damaged"
    newer = lines(lambda content: [content[0].replace(FORMAT.encode(), b"lincae shards 9"), *content[1:]])
    yield "another format", newer, "'lincae shards 9'.*: prepare the corpus again"
    yield (
        "a shard cut",
        lambda folder: os.truncate(folder / "00001.pcm", 400),
        r"00001.pcm holds 400 bytes of 424: copy",
    )
    yield "a shard lost", lambda folder: os.truncate(folder / "00000.pcm", 0), r"00000.pcm holds 0 bytes of 660: copy"


@pytest.mark.parametrize(("damage", "message"), [pytest.param(*case, id=name) for name, *case in damages()])
def test_a_damaged_folder_is_refused_with_a_cure(place, shards, damage, message):
    root, update = place
    damage(shards)
    update()
    with pytest.raises(ValueError, match=message) as caught:
        read_manifest(root)
    assert root in str(caught.value)


def test_an_unfinished_or_missing_folder_is_refused_with_a_cure(shards, tmp_path):
    os.rename(shards / "manifest.jsonl", shards / "plan.jsonl")
    with pytest.raises(
        ValueError, match=r"shards has no manifest.jsonl: it is unfinished: run the same `lincae data p"
    ):
        read_manifest(str(shards))
    with pytest.raises(ValueError, match=r"there are no shards\. Shards are made by `lincae data prepare SOURCE"):
        read_manifest(str(tmp_path / "nowhere"))


def test_places_of_shards_are_told_from_folders_of_audio(shards, tmp_path):
    assert is_prepared(Corpus("s3://bucket/music"))
    assert is_prepared(Corpus(str(shards)))
    os.rename(shards / "manifest.jsonl", shards / "plan.jsonl")
    assert is_prepared(Corpus(str(shards)))
    os.remove(shards / "plan.jsonl")
    assert not is_prepared(Corpus(str(shards)))
    assert not is_prepared(Corpus(str(tmp_path / "nowhere")))


def test_a_list_without_items_is_a_list():
    header = {"format": FORMAT, "files": 0}
    assert parse_list(line_of(header).encode(), Track, "list") == (header, [])
