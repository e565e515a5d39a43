import errno
import hashlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from contextlib import suppress
from itertools import islice, permutations
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from datamodules import preparation
from datamodules.corpus import Corpus
from datamodules.index import Demands, scan
from datamodules.planning import make_plan
from datamodules.preparation import prepare, write_shard
from datamodules.reader import Crop, CropReader
from datamodules.rejection import BadAudioError
from datamodules.shards import FULL_SCALE, read_manifest

RATE = 44_100
LSB = 1 / FULL_SCALE
pytestmark = pytest.mark.filterwarnings("ignore:corpus|.*upsampled")


def prepared(source, out, shard_bytes=10**9, channels=1, **arguments):
    """Prepares a folder and returns its manifest."""
    corpus = source if isinstance(source, Corpus) else Corpus(str(source))
    prepare(make_plan("music", corpus, out, shard_bytes, channels), **arguments)
    return read_manifest(str(out))


def samples_of(out, track):
    """Read by other means than the loader's; of a mono track."""
    return np.fromfile(out / f"{track.shard:05d}.pcm", "<i2", track.frames, offset=2 * track.first)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What the samples are


@pytest.fixture
def one_file(tmp_path):
    """Writes a file, prepares it, and returns its track and samples."""
    count = iter(range(100))

    def run(audio, rate=RATE, extension="wav", subtype="PCM_16"):
        number = next(count)
        (tmp_path / f"in{number}").mkdir()
        soundfile.write(tmp_path / f"in{number}" / f"x.{extension}", audio, rate, subtype)
        (track,) = prepared(tmp_path / f"in{number}", tmp_path / f"out{number}").tracks
        return track, samples_of(tmp_path / f"out{number}", track)

    return run


def noise16(frames, channels, seed=0):
    audio = np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, channels), np.int16)
    audio[:4] = [[-(2**15)], [2**15 - 1], [0], [-1]]
    return audio


@pytest.mark.parametrize("extension", ["wav", "flac"])
def test_mono_16_bit_audio_is_kept_bit_for_bit(one_file, extension):
    audio = noise16(70_000, 1)  # more than one block
    track, samples = one_file(audio, extension=extension)
    np.testing.assert_array_equal(samples, audio[:, 0])
    assert (track.rate, track.channels, track.frames, track.gain) == (RATE, 1, 70_000, 1.0)


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged_and_rounded(one_file, channels):
    audio = noise16(70_000, channels)
    track, samples = one_file(audio)
    mean = audio.sum(1, dtype=np.int64) / channels
    assert np.abs(samples - mean).max() <= 0.5 + (0.01 if channels == 6 else 0)
    if channels == 2:
        np.testing.assert_array_equal(samples, np.rint(mean))
    assert track.channels == channels


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (22_050, 1), (8_000, 1), (96_000, 1), (44_099, 2)])
def test_other_rates_equal_the_file_resampled_at_once_to_half_a_step(one_file, rate, channels):
    audio = 0.1 * np.random.default_rng(0).standard_normal((rate * 2 + 77, channels)).astype(np.float32)
    track, samples = one_file(audio, rate, subtype="FLOAT")
    expected = soxr.resample(audio.sum(1) / channels, rate, RATE, quality="HQ")
    assert track.frames == len(audio) * RATE // rate
    assert np.abs(samples * LSB - expected[: track.frames]).max() <= 0.501 * LSB
    assert track.rate == rate


@pytest.mark.parametrize("peak", [1.0001, 2.83, 1e6])
def test_peaks_above_full_scale_scale_the_file_down(one_file, peak):
    audio = np.random.default_rng(0).uniform(-1, 1, 5_000).astype(np.float32)
    audio *= np.float32(peak) / np.abs(audio).max()
    track, samples = one_file(audio, subtype="FLOAT")
    assert track.gain == pytest.approx((1 - LSB) / peak, rel=1e-6)
    assert np.abs(samples * LSB - audio * track.gain).max() <= 0.51 * LSB
    assert np.abs(samples.astype(int)).max() == FULL_SCALE - 1


def test_peaks_within_16_bits_are_left_as_they_are(one_file):
    audio = np.array([-1.0, 0.5, 32767.4 * LSB, 0.4 * LSB, -0.6 * LSB], np.float32)
    track, samples = one_file(audio, subtype="FLOAT")
    assert track.gain == 1.0
    assert samples.tolist() == [-32768, 16384, 32767, 0, -1]


def test_samples_that_resampling_carries_beyond_float32_are_no_track(tmp_path):
    (tmp_path / "in").mkdir()
    for rate in (RATE, 22_050):
        audio = 3.4e38 * np.sign(np.random.default_rng(0).standard_normal((4_000, 1)))
        soundfile.write(tmp_path / f"in/{rate}.wav", audio, rate, "FLOAT")
    low, same = prepared(tmp_path / "in", tmp_path / "out").tracks
    assert (low.rejected, same.rejected) == ("not_finite", "")


# What a training hears: the crops of the files


def files_of(path, **demands):
    return scan("music", Corpus(str(path)), Demands(RATE, 2_000, **demands)).files


@pytest.mark.parametrize("peak", [2.0, 1.0, 0.3])
@pytest.mark.parametrize(("source", "stored"), [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("extension", ["wav", "mp3"])
def test_a_crop_of_a_shard_is_the_crop_of_its_file_to_half_a_step_of_the_scaled_samples(
    tmp_path, peak, source, stored, extension
):
    (tmp_path / "in").mkdir()
    audio = np.random.default_rng(0).uniform(-1, 1, (9_000, source))
    kind = {"subtype": "FLOAT"} if extension == "wav" else {}
    soundfile.write(
        tmp_path / f"in/x.{extension}", np.clip(peak * audio / np.abs(audio).max(), -peak, peak), RATE, **kind
    )
    (track,) = prepared(tmp_path / "in", tmp_path / "out", channels=stored).tracks
    whole = soundfile.read(tmp_path / f"in/x.{extension}", dtype="float32", always_2d=True)[0]
    heard = whole if track.stored == source else whole.mean(axis=1)
    assert track.gain == pytest.approx(min(1, (1 - LSB) / np.abs(heard).max()), rel=1e-6)
    (file,), (shard,) = files_of(tmp_path / "in"), files_of(tmp_path / "out")
    for channels in ("mean", "left", "random", "stereo") if track.stored == source else ("mean",):
        reader = CropReader(RATE, 2_000, channels)
        for start, draw in ((0, 0.2), (1234, 0.7), (7_000, 0.0)):
            crops = [reader(Crop(each, start, draw)) for each in (file, shard)]
            assert np.abs(crops[0] - crops[1]).max() <= 0.51 * LSB / track.gain


def test_a_resampled_stereo_shard_is_its_file_at_any_rate(tmp_path, write_noise):
    noise = 20 * write_noise("in/x.wav", 0.5, 48_000, 2)
    soundfile.write(tmp_path / "in/x.wav", noise, 48_000, "FLOAT")
    (track,) = prepared(tmp_path / "in", tmp_path / "out", channels=2).tracks
    assert track.gain < 0.2
    (file,), (shard,) = files_of(tmp_path / "in"), files_of(tmp_path / "out")
    for channels in ("mean", "stereo"):
        reader = CropReader(RATE, 2_000, channels)
        assert np.abs(reader(Crop(file, 999)) - reader(Crop(shard, 999))).max() <= 0.6 * LSB / track.gain


def test_tracks_of_one_and_two_channels_share_shards_and_others_are_left_out(tmp_path, write_noise):
    for number, channels in enumerate((2, 1, 6, 2)):
        write_noise(f"in/{number}.wav", 0.1, RATE, channels, seed=number)
    header, tracks = prepared(tmp_path / "in", tmp_path / "out", 30_000, channels=2)
    assert header["channels"] == 2
    assert [(t.shard, t.first, t.frames, t.stored, t.channels) for t in tracks if not t.rejected] == [
        (0, 0, 4410, 2, 2),
        (0, 8820, 4410, 1, 1),
        (1, 0, 4410, 2, 2),
    ]
    assert [track.rejected for track in tracks] == ["", "", "many_channels", ""]
    assert [(tmp_path / f"out/0000{shard}.pcm").stat().st_size for shard in range(2)] == [26_460, 17_640]
    found = scan("music", Corpus(str(tmp_path / "out")), Demands(RATE, 4_000))
    assert [file.path for file in found.files] == ["0.wav", "1.wav", "3.wav"]
    assert found.unused == {"2.wav": "many_channels"}


@pytest.mark.parametrize("channels", ["left", "random", "stereo"])
def test_channels_that_shards_have_not_kept_are_refused_with_the_cure(tmp_path, write_noise, channels):
    write_noise("in/x.wav", 0.1, RATE, 2)
    prepared(tmp_path / "in", tmp_path / "out")
    (file,) = files_of(tmp_path / "out")
    with pytest.raises(ValueError, match=r"x\.wav.*--channels 2") as caught:
        CropReader(RATE, 2_000, channels)(Crop(file, 0))
    assert str(tmp_path / "out") in str(caught.value)
    assert channels in str(caught.value)


def test_mono_shards_of_the_first_format_are_read_at_the_level_of_their_files(tmp_path, write_noise):
    soundfile.write(tmp_path / "x.wav", 20 * write_noise("x.wav", 0.1, RATE), RATE, "FLOAT")
    (tmp_path / "in").mkdir()
    (tmp_path / "x.wav").rename(tmp_path / "in/x.wav")
    (track,) = prepared(tmp_path / "in", tmp_path / "out").tracks
    manifest = tmp_path / "out/manifest.jsonl"
    header, line = map(json.loads, manifest.read_text().splitlines())
    del header["channels"], line["stored"]
    header["format"] = "lincae shards 1"
    manifest.write_text(f"{json.dumps(header)}\n{json.dumps(line)}\n")
    (file,), (shard,) = files_of(tmp_path / "in"), files_of(tmp_path / "out")
    reader = CropReader(RATE, 2_000)
    assert np.abs(reader(Crop(file, 9)) - reader(Crop(shard, 9))).max() <= 0.51 * LSB / track.gain
    assert track.gain < 0.2


def test_a_file_without_samples_is_a_track_without_samples(one_file):
    track, samples = one_file(np.zeros((0, 1)))
    assert (track.frames, track.rejected, len(samples)) == (0, "", 0)
    assert track.pcm_sha256 == hashlib.sha256(b"").hexdigest()


# What the manifest says


class Artists(Corpus):
    """Folders are artists; files named by a part belong to it."""

    licence = "CC BY 4.0"

    def entries(self):
        return [
            entry._replace(group=entry.path.split("/")[0], split="validation" if "valid" in entry.path else "train")
            for entry in super().entries()
        ]


@pytest.fixture
def mixed(tmp_path, write_noise):
    """Twelve short files of many formats, two of them broken, with names that are hard to write down."""
    formats = [("wav", RATE, 1), ("flac", 48_000, 2), ("ogg", 22_050, 1), ("mp3", RATE, 2), ("wav", 8_000, 6)]
    names = ["new\nline", "quote'\" {brace}", "日本 é", "tab\t\\", "valid"]
    for artist in ("Ana", "Bø, \u2028"):
        for (extension, rate, channels), name in zip(formats, names, strict=True):
            write_noise(f"music/{artist}/{name}.{extension}", 0.2, rate, channels, seed=len(name))
        (tmp_path / f"music/{artist}/broken.wav").write_text("no audio")
    with open(os.fsencode(tmp_path) + b"/music/Ana/no text \xff.wav", "wb") as file:
        soundfile.write(file, np.zeros(4_000), RATE, format="WAV")
    return tmp_path / "music"


def test_the_manifest_describes_sources_and_tracks(mixed, tmp_path):
    header, tracks = prepared(Artists(str(mixed)), tmp_path / "out", 40_000)
    assert header["licence"] == "CC BY 4.0"
    assert header["corpus"] == "music"
    assert header["shards"] > 3
    assert [track.path for track in tracks] == [entry.path for entry in Artists(str(mixed)).entries()]
    assert os.fsdecode(b"Ana/no text \xff.wav") in {track.path for track in tracks}
    for track in tracks:
        assert track.source_sha256 == hashlib.sha256((mixed / track.path).read_bytes()).hexdigest()
        assert track.group == track.path.split("/")[0]
        assert track.split == ("validation" if "valid" in track.path else "train")
        if track.rejected:
            assert track.frames == 0
        else:
            info = soundfile.info(os.fsencode(mixed / track.path))
            assert (track.rate, track.channels) == (info.samplerate, info.channels)
            assert track.frames == info.frames * RATE // info.samplerate
            assert track.pcm_sha256 == hashlib.sha256(samples_of(tmp_path / "out", track).tobytes()).hexdigest()
    assert {track.path: track.rejected for track in tracks if track.path.endswith("broken.wav")} == {
        "Ana/broken.wav": "unreadable",
        "Bø, \u2028/broken.wav": "unreadable",
    }


def test_training_sees_the_same_files_as_in_the_source(mixed, tmp_path):
    prepared(Artists(str(mixed)), tmp_path / "out", 40_000)
    demands = Demands(RATE, 4_000, max_bad=1.0)

    def seen(path):
        index = scan("music", Artists(str(path)), demands)
        return [(file.path, file.group, file.split, file.length(RATE)) for file in index.files], index.unused

    files, unused = seen(tmp_path / "out")
    assert (files, unused) == seen(mixed)
    assert len(files) >= 8
    assert set(unused.values()) >= {"unreadable", "many_channels"}


def test_tracks_lie_one_after_the_other_and_none_is_divided(tmp_path, write_noise):
    for number, seconds in enumerate([0.1, 0.1, 0.9, 0.1, 0.2, 0.1]):
        write_noise(f"music/{number}.wav", seconds, RATE)
    _, tracks = prepared(tmp_path / "music", tmp_path / "out", 20_000)
    assert [(track.shard, track.first, track.frames) for track in tracks] == [
        (0, 0, 4410),
        (0, 4410, 4410),
        (1, 0, 39_690),
        (2, 0, 4410),
        (3, 0, 8820),
        (4, 0, 4410),
    ]
    assert [(tmp_path / f"out/0000{shard}.pcm").stat().st_size for shard in range(5)] == [
        17_640,
        79_380,
        8_820,
        17_640,
        8_820,
    ]


def test_every_kind_of_bad_file_is_left_out_with_its_reason(tmp_path, bad_audio, write_noise):
    write_noise("music/a.wav", 0.2, RATE)
    write_noise("music/z.wav", 0.2, RATE, seed=1)
    for name, bad in bad_audio.items():
        bad.build(tmp_path / "music" / name)
    _, tracks = prepared(tmp_path / "music", tmp_path / "out")
    found = {track.path: track.rejected for track in tracks}
    assert found == {"a.wav": "", "z.wav": ""} | {name: bad.decoding or "" for name, bad in bad_audio.items()}
    ends = np.cumsum([track.frames for track in tracks])
    assert [track.first for track in tracks] == [0, *ends[:-1]]  # what is rejected leaves nothing behind
    assert (tmp_path / "out/00000.pcm").stat().st_size == 2 * ends[-1]


def test_a_file_that_does_not_last_as_long_as_its_corpus_says_is_left_out(tmp_path, write_noise):
    class Promising(Corpus):
        def entries(self):
            return [entry._replace(seconds=float(entry.path[0])) for entry in super().entries()]

    for number in (1, 4):
        write_noise(f"music/{number}.wav", 1.0, RATE)
    _, tracks = prepared(Promising(str(tmp_path / "music")), tmp_path / "out")
    assert [track.rejected for track in tracks] == ["", "wrong_length"]


# What interruptions change: nothing


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Ten files in three shards of 20 kB; two files are broken."""
    folder = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    for number in range(9):
        audio = rng.integers(-(2**15), 2**15, 3_000 + number, np.int16)
        soundfile.write(folder / f"{number}.wav", audio, RATE, "PCM_16")
    (folder / "1.wav").write_text("no audio")
    (folder / "4.flac").write_bytes(b"fLaC")
    return folder


SHARD = 20_000


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The files that an uninterrupted preparation leaves."""
    out = tmp_path_factory.mktemp("whole")
    prepared(source, out, SHARD)
    found = contents(out)
    assert sorted(found) == [
        *(f"0000{number}.{kind}" for number in range(3) for kind in ("jsonl", "pcm")),
        "manifest.jsonl",
        "plan.jsonl",
    ]
    return found


@pytest.fixture
def plan(source, tmp_path):
    return make_plan("music", Corpus(str(source)), tmp_path / "out", SHARD)


@pytest.fixture
def decoded(tmp_path, monkeypatch):
    """The names of the files that were decoded since, in any process."""
    log = tmp_path / "decoded"
    log.touch()
    real = preparation.true_header

    def logged(location, seconds):
        with log.open("a") as file:
            file.write(Path(location).name + "\n")
        return real(location, seconds)

    monkeypatch.setattr(preparation, "true_header", logged)

    def names():
        found = log.read_text().split()
        log.write_text("")
        return sorted(found)

    return names


def finished_sources(out):
    """Sources with a whole line in a journal."""
    lines = [line for file in out.glob("0*.jsonl*") for line in file.read_bytes().split(b"\n")[:-1]]
    return {json.loads(line)["path"] for line in lines}


def in_fork(function):
    """Runs a function in a process group of its own, and returns how it ended."""

    def run():
        os.setsid()
        function()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(30)
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_the_number_of_processes_changes_no_byte(plan, whole, processes):
    told = []
    prepare(plan, processes=processes, progress=told.append)
    assert contents(plan.out) == whole
    assert sorted(told) == plan.files


def kill_parent():
    """Only the one that started this process, which goes on as long as it can."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)


def kill_group():
    os.killpg(0, signal.SIGKILL)


def kill_half_way_through_the_samples(monkeypatch, kill):
    def half(decoded, gain, samples):
        samples.write(decoded.read(4_002)[:2_001])
        samples.flush()
        kill()

    monkeypatch.setattr(preparation, "append", half)


def kill_before_the_journal(monkeypatch, kill):
    monkeypatch.setattr(preparation, "line_of", lambda track: kill())


def kill_half_way_through_a_line(monkeypatch, kill):
    class Line(str):
        def encode(self):
            return b'{"path": "2.w'

    real = os.fsync
    monkeypatch.setattr(preparation, "line_of", lambda track: Line())
    monkeypatch.setattr(preparation.os, "fsync", lambda stream: kill() or real(stream))


def kill_before_the_journal_is_named(monkeypatch, kill):
    monkeypatch.setattr(preparation.os, "rename", lambda old, new: kill())


def kill_after_the_journal_is_named(monkeypatch, kill):
    real = os.rename
    monkeypatch.setattr(preparation.os, "rename", lambda old, new: real(old, new) or kill())


@pytest.mark.parametrize("kill", [kill_group, kill_parent])
@pytest.mark.parametrize(
    "where",
    [
        kill_half_way_through_the_samples,
        kill_before_the_journal,
        kill_half_way_through_a_line,
        kill_before_the_journal_is_named,
        kill_after_the_journal_is_named,
    ],
)
def test_killed_anywhere_and_started_again(plan, whole, decoded, monkeypatch, where, kill):
    with monkeypatch.context() as patch:
        where(patch, kill)
        assert in_fork(lambda: prepare(plan, processes=2)) == -signal.SIGKILL
    assert "manifest.jsonl" not in contents(plan.out)
    time.sleep(0.05)
    decoded()
    finished = finished_sources(plan.out) if where is not kill_half_way_through_a_line else set()
    prepare(plan, processes=2)
    assert contents(plan.out) == whole
    assert decoded() == sorted({file.path for file in plan.files} - finished)


def test_killed_before_the_manifest_is_named(plan, whole, decoded, monkeypatch):
    real = os.rename
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", lambda old, new: real(old, new) if "manifest" not in new.name else kill_group())
        assert in_fork(lambda: prepare(plan)) == -signal.SIGKILL
    decoded()
    prepare(plan)
    assert contents(plan.out) == whole
    assert not decoded()


@pytest.mark.parametrize("number", range(1, 9, 2))
def test_killed_after_any_file(plan, whole, decoded, number):
    done = []

    def progress(file):
        done.append(file)
        if len(done) == number:
            kill_group()

    assert in_fork(lambda: prepare(plan, processes=2, progress=progress)) == -signal.SIGKILL
    decoded()
    finished = finished_sources(plan.out)
    assert len(finished) >= number
    prepare(plan, processes=2)
    assert contents(plan.out) == whole
    assert decoded() == sorted({file.path for file in plan.files} - finished)


def test_killed_again_and_again_at_random_moments(plan, whole):
    rng = random.Random(0)
    for _ in range(12):
        job = multiprocessing.get_context("fork").Process(target=prepare, args=(plan, 1, 1, 3))
        job.start()
        time.sleep(rng.uniform(0.005, 0.06))
        job.kill()
        job.join()
    prepare(plan, processes=2)
    assert contents(plan.out) == whole


def lose_half_a_line(shard, journal):
    journal.write_bytes(journal.read_bytes()[:-40])


def lose_a_line_end(shard, journal):
    journal.write_bytes(journal.read_bytes()[:-1])


def append_half_a_line(shard, journal):
    journal.write_bytes(journal.read_bytes() + b'{"path": "')


def append_samples(shard, journal):
    shard.write_bytes(shard.read_bytes() + b"abc" * 999)


def zero_the_last_track(shard, journal):
    content = shard.read_bytes()
    shard.write_bytes(content[:-100] + bytes(100))


def zero_the_first_track(shard, journal):
    shard.write_bytes(bytes(100) + shard.read_bytes()[100:])


def cut_the_shard(shard, journal):
    os.truncate(shard, shard.stat().st_size - 10)


def zero_the_journal(shard, journal):
    content = journal.read_bytes()
    journal.write_bytes(content[:50] + bytes(len(content) - 60) + content[-10:])


def fill_the_journal_with_json(shard, journal):
    journal.write_bytes(b'[]\n3\n{"path": 3}\n')


def lose_the_journal(shard, journal):
    journal.unlink()


def lose_the_shard(shard, journal):
    shard.unlink()


def exchange_lines(shard, journal):
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[::-1]))


DAMAGES = {
    lose_half_a_line: 2,
    lose_a_line_end: 2,
    append_half_a_line: 3,
    append_samples: 3,
    zero_the_last_track: 2,
    zero_the_first_track: 0,
    cut_the_shard: 2,
    zero_the_journal: 0,
    fill_the_journal_with_json: 0,
    lose_the_journal: 0,
    lose_the_shard: 0,
    exchange_lines: 0,
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_a_crash_leaves_behind_is_mended(plan, source, whole, decoded, damage):
    """The first three tracks of the first shard are finished, the second of them rejected, before the crash."""
    unfinished = write_shard(str(source), plan.out, 1, plan.shards[0])
    assert len(list(islice(unfinished, 3))) == 3
    unfinished.close()
    decoded()
    damage(plan.out / "00000.pcm", plan.out / "00000.jsonl.partial")
    prepare(plan)
    assert contents(plan.out) == whole
    assert len(decoded()) == len(plan.files) - DAMAGES[damage]


def test_a_finished_folder_is_left_alone(plan, whole, decoded):
    prepare(plan)
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in plan.out.iterdir()}
    folder = plan.out.stat().st_mtime_ns
    decoded()
    told = []
    prepare(plan, progress=told.append)
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in plan.out.iterdir()} == before
    assert plan.out.stat().st_mtime_ns == folder
    assert not told
    assert not decoded()


def test_a_finished_shard_is_never_opened_again(plan, whole, monkeypatch):
    prepare(plan, part=2, parts=3)
    stat = (plan.out / "00001.pcm").stat()
    opened = []
    real = open
    monkeypatch.setattr(preparation, "open", lambda *names, **how: opened.append(names) or real(*names, **how), False)
    for files in plan.shards:  # here, so that it is seen what is opened
        assert list(write_shard(plan.source, plan.out, 1, files)) == files
    prepare(plan)
    assert contents(plan.out) == whole
    assert (plan.out / "00001.pcm").stat().st_mtime_ns == stat.st_mtime_ns
    assert {os.path.basename(name) for name, mode in opened} == {
        "00000.pcm",
        "00002.pcm",
        "00000.jsonl.partial",
        "00002.jsonl.partial",
    }


def test_a_lost_shard_is_noticed_and_prepared_again(plan, whole):
    prepare(plan)
    (plan.out / "00001.pcm").unlink()
    with pytest.raises(ValueError, match=r"00001.pcm holds 0 bytes of .* delete it and 00001.jsonl and run the same"):
        prepare(plan)
    (plan.out / "00001.jsonl").unlink()
    prepare(plan)
    assert contents(plan.out) == whole


# Several jobs


@pytest.mark.parametrize("order", permutations([1, 2, 3]))
def test_parts_in_any_order_are_the_whole(plan, whole, order):
    for part in order:
        assert not (plan.out / "manifest.jsonl").exists()
        prepare(plan, part, 3)
    assert contents(plan.out) == whole


def run_together(*functions):
    """Runs functions at the same time, each in a process; the text of what each raises."""
    context = multiprocessing.get_context("fork")
    queue, barrier = context.Queue(), context.Barrier(len(functions))

    def run(function):
        barrier.wait()
        try:
            function()
        except Exception as error:
            queue.put(f"{type(error).__name__}: {error}")
        else:
            queue.put("")

    jobs = [context.Process(target=run, args=(function,)) for function in functions]
    for job in jobs:
        job.start()
    ends = [queue.get(timeout=30) for _ in jobs]
    for job in jobs:
        job.join()
    return sorted(ends)


def test_parts_at_the_same_time_are_the_whole(source, tmp_path, whole):
    def job(part):
        prepare(make_plan("music", Corpus(str(source)), tmp_path / "out", SHARD), part, 3)

    assert run_together(*(lambda part=part: job(part) for part in (1, 2, 3))) == ["", "", ""]
    assert contents(tmp_path / "out") == whole


def slowly(monkeypatch, seconds):
    real = preparation.mono_blocks

    def slow(*arguments):
        time.sleep(seconds)
        yield from real(*arguments)

    monkeypatch.setattr(preparation, "mono_blocks", slow)


def test_two_jobs_on_the_same_shards_do_not_write_together(plan, whole, decoded, monkeypatch):
    slowly(monkeypatch, 0.05)
    assert run_together(*[lambda: prepare(plan)] * 3) == ["", "", ""]  # those that come late find it done
    assert contents(plan.out) == whole
    assert decoded() == sorted(file.path for file in plan.files)


def test_a_job_does_not_wait_for_long_for_another_one(plan, whole, decoded, monkeypatch):
    slowly(monkeypatch, 0.2)
    monkeypatch.setattr(preparation, "LOCK_SECONDS", 0.2)
    done, refused = run_together(*[lambda: prepare(plan)] * 2)
    assert not done
    assert "RuntimeError: another process is writing" in refused
    assert "wait for it, or give each job a --part of its own" in refused
    assert contents(plan.out) == whole
    assert decoded() == sorted(file.path for file in plan.files)


# What stops a preparation


def test_a_full_disk_is_an_error_that_keeps_what_is_finished(plan, whole, decoded):
    def job():
        resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))
        prepare(plan)

    (end,) = run_together(job)
    assert end == f"OSError: [Errno {errno.EFBIG}] File too large: '{plan.out / '00000.pcm'}'"
    finished = finished_sources(plan.out)
    assert finished == {"0.wav", "1.wav", "2.wav"}
    decoded()
    prepare(plan)
    assert contents(plan.out) == whole
    assert decoded() == sorted({file.path for file in plan.files} - finished)


def test_a_disk_that_vanishes_is_an_error_and_not_a_broken_file(source, tmp_path, whole, monkeypatch):
    disk = shutil.copytree(source, tmp_path / "disk")
    plan = make_plan("music", Corpus(str(disk)), tmp_path / "out", SHARD)
    real = preparation.mono_blocks

    def unmount(location, *arguments):
        if location.endswith("3.wav"):
            disk.rename(tmp_path / "elsewhere")
            raise BadAudioError("unreadable")
        return real(location, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "mono_blocks", unmount)
        with pytest.raises(FileNotFoundError, match=r"disk/3.wav"):
            prepare(plan)
    (tmp_path / "elsewhere").rename(disk)
    prepare(plan)
    assert contents(plan.out) == whole


def test_a_disk_that_cannot_be_read_is_named(plan, monkeypatch):
    def fail(stream, name):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(preparation.hashlib, "file_digest", fail)
    with pytest.raises(OSError, match=r"Input/output error.*disk.*0\.wav'"):
        prepare(plan)


def test_a_source_that_changes_is_an_error(source, tmp_path):
    music = shutil.copytree(source, tmp_path / "music")
    plan = make_plan("music", Corpus(str(music)), tmp_path / "out", SHARD)
    with (music / "2.wav").open("ab") as file:
        file.write(b"more")
    with pytest.raises(RuntimeError, match=r"2.wav has changed since the plan was made: prepare into a new folder"):
        prepare(plan)


def test_a_decoder_that_dies_is_an_error_that_names_the_file(plan, whole, monkeypatch):
    real = preparation.mono_blocks
    with monkeypatch.context() as patch:
        patch.setattr(
            preparation, "mono_blocks", lambda name, *rest: os._exit(7) if "3.wav" in name else real(name, *rest)
        )
        with pytest.raises(RuntimeError, match=r"worked on 3.wav died with exit status 7"):
            prepare(plan, processes=2)
    prepare(plan)
    assert contents(plan.out) == whole


def test_an_interrupt_leaves_no_process_behind(plan, whole, monkeypatch):
    slowly(monkeypatch, 0.2)

    def interrupt(file):
        raise KeyboardInterrupt

    start = time.monotonic()
    with suppress(KeyboardInterrupt):
        prepare(plan, processes=3, progress=interrupt)
    assert time.monotonic() - start < 2
    assert not multiprocessing.active_children()
    monkeypatch.undo()
    prepare(plan)
    assert contents(plan.out) == whole
