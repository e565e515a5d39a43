import os

import numpy as np
import pytest
import soundfile

from datamodules import checking
from datamodules.checking import FileCheck, Silence, check_corpus
from datamodules.corpus import Corpus
from datamodules.index import Demands
from datamodules.planning import make_plan
from datamodules.preparation import prepare

RATE = 44_100
DEMANDS = Demands(RATE, 4_410, min_sample_rate=RATE)


def checked(corpus, demands=DEMANDS, processes=1, quarantined=(), silence=1e-3):
    """What is found out about each file, by path."""
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(str(corpus))
    total, found = check_corpus(corpus, demands, silence, processes, quarantined)
    files = {file.path: file for file in found}
    assert len(files) == total
    return files


def shards_of(corpus, out, shard_bytes=10**9):
    prepare(make_plan("music", Corpus(str(corpus)), out, shard_bytes))
    return out


@pytest.mark.parametrize("processes", [1, 2])
def test_a_usable_file_is_described(tmp_path, write_noise, processes):
    expected = {}
    for number in range(70):  # several batches
        rate, channels = (RATE, 48_000)[number % 2], 1 + number % 3 % 2
        write_noise(f"music/{number}.flac", 0.1 + number / 1_000, rate, channels)
        frames = round((0.1 + number / 1_000) * rate)
        expected[f"{number}.flac"] = FileCheck(f"{number}.flac", frames / rate, rate, channels, "FLAC")
    assert checked(tmp_path / "music", processes=processes) == expected


@pytest.mark.parametrize("place", ["files", "shards"])
def test_every_kind_of_bad_file_is_found_with_its_reason(tmp_path, bad_audio, write_noise, place):
    write_noise("music/good.wav", 0.2, RATE)
    for name, bad in bad_audio.items():
        bad.build(tmp_path / "music" / name)
    corpus = tmp_path / "music" if place == "files" else shards_of(tmp_path / "music", tmp_path / "shards")
    unsuitable = {"low_rate.wav": "low_rate", "six_channels.wav": "many_channels", "zero_frames.wav": "too_short"}
    assert {path: file.reason for path, file in checked(corpus).items()} == {"good.wav": ""} | {
        name: bad.decoding or unsuitable.get(name, "") for name, bad in bad_audio.items()
    }


def test_a_file_that_does_not_last_as_long_as_its_corpus_says_is_broken(tmp_path, write_noise):
    class Promising(Corpus):
        def entries(self):
            return [entry._replace(seconds=float(entry.path[0])) for entry in super().entries()]

    for number in (1, 4):
        write_noise(f"music/{number}.wav", 1.0, RATE)
    found = checked(Promising(str(tmp_path / "music")))
    assert {path: file.reason for path, file in found.items()} == {"1.wav": "", "4.wav": "wrong_length"}


def test_files_on_the_quarantine_list_are_not_opened(tmp_path, write_noise):
    write_noise("music/a.wav", 0.2, RATE)
    (tmp_path / "music/b.wav").write_text("broken")
    found = checked(tmp_path / "music", quarantined={"b.wav": "unreadable"})
    assert found["b.wav"] == FileCheck("b.wav", reason="quarantined")
    assert found["a.wav"].reason == ""


def test_the_silent_share_is_that_of_crops(tmp_path):
    """Of ten crops of 0.1 s three are silent; the same in stereo, at another rate, and in shards."""
    (tmp_path / "music").mkdir()
    for name, rate, channels in (("a", RATE, 1), ("b", 48_000, 2)):
        audio = 0.1 * np.random.default_rng(0).standard_normal((rate, channels))
        audio[round(0.5 * rate) : round(0.8 * rate)] *= 1e-3
        soundfile.write(tmp_path / "music" / f"{name}.wav", audio, rate, "PCM_24")
    soundfile.write(tmp_path / "music" / "c.wav", np.zeros(RATE // 2), RATE)
    places = [tmp_path / "music", shards_of(tmp_path / "music", tmp_path / "shards")]
    for place in places:
        shares = {path: file.silent for path, file in checked(place).items()}
        assert shares == {"a.wav": pytest.approx(0.3), "b.wav": pytest.approx(0.3), "c.wav": 1.0}
    assert checked(tmp_path / "music", silence=1e-5)["a.wav"].silent == 0
    assert checked(tmp_path / "music", silence=0.5)["a.wav"].silent == 1


@pytest.mark.parametrize("blocks", [1, 3, 50, 1000])
def test_silence_does_not_depend_on_blocks(blocks):
    rng = np.random.default_rng(1)
    levels = np.repeat(rng.choice([1e-4, 0.1], 40), 25)
    audio = (levels * rng.choice([-1, 1], 1000)).astype(np.float32)
    heard = Silence(25, 1e-3)
    for block in np.array_split(audio, blocks):
        heard.hear(block)
    assert heard.share() == pytest.approx((levels[::25] < 1e-3).mean())


def test_silence_of_sounds_shorter_than_a_window():
    heard = Silence(100, 1e-3)
    assert heard.share() == 0
    heard.hear(np.zeros(99, np.float32))
    assert heard.share() == 1


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_flipped_bit_in_a_shard_is_found(tmp_path, write_noise, place, request):
    for number in range(6):
        write_noise(f"music/{number}.wav", 0.2, RATE, seed=number)
    shards = shards_of(tmp_path / "music", tmp_path / "shards", 40_000)
    with (shards / "00001.pcm").open("r+b") as file:
        file.seek(3 * 8_820)
        byte = file.read(1)[0]
        file.seek(3 * 8_820)
        file.write(bytes([byte ^ 1]))
    root = str(shards)
    if place == "bucket":
        object_store = request.getfixturevalue("object_store")
        root = object_store(f"checked-{os.urandom(4).hex()}")
        object_store.upload(shards, root)
    found = checked(root, processes=2)
    assert {path for path, file in found.items() if file.reason == "unreadable"} == {"3.wav"}
    assert found["2.wav"] == FileCheck("2.wav", 0.2, RATE, 1, "shard")


@pytest.mark.parametrize("channels", [1, 2])
def test_a_loud_track_of_a_shard_is_as_silent_as_its_file(tmp_path, write_noise, channels):
    noise = write_noise("music/x.wav", 2.0, RATE, 2)
    noise *= np.repeat([30.0, 0.005], len(noise) // 2)[:, None].astype(np.float32)  # the end has an rms of 5e-4
    noise[-len(noise) // 4 :] *= 4  # and at last of 1.4e-3, in the mean of both channels
    soundfile.write(tmp_path / "music/x.wav", noise, RATE, subtype="FLOAT")
    prepare(make_plan("music", Corpus(str(tmp_path / "music")), tmp_path / "shards", 10**9, channels))
    for folder in ("music", "shards"):
        assert checked(str(tmp_path / folder))["x.wav"].silent == pytest.approx(0.25, abs=0.05)


def test_folders_that_hold_nothing_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"music: no such folder"):
        checked(tmp_path / "music")
    (tmp_path / "music").mkdir()
    with pytest.raises(ValueError, match=r"music has no audio files: correct the path"):
        checked(tmp_path / "music")


def test_a_disk_that_vanishes_is_an_error_and_not_a_broken_file(tmp_path, write_noise, monkeypatch):
    for number in range(3):
        write_noise(f"music/{number}.wav", 0.2, RATE)
    real = checking.true_header

    def unmount(location, seconds):
        if location.endswith("1.wav"):
            (tmp_path / "music").rename(tmp_path / "elsewhere")
        return real(location, seconds)

    monkeypatch.setattr(checking, "true_header", unmount)
    with pytest.raises(FileNotFoundError, match=r"music/1.wav"):
        checked(tmp_path / "music")


def test_a_decoder_that_dies_is_an_error_that_names_the_file(tmp_path, write_noise, monkeypatch):
    for number in range(3):
        write_noise(f"music/{number}.wav", 0.2, RATE)
    real = checking.mono_blocks
    monkeypatch.setattr(
        checking, "mono_blocks", lambda name, *rest: os._exit(7) if "1.wav" in name else real(name, *rest)
    )
    with pytest.raises(RuntimeError, match=r"the process that worked on 1.wav died with exit status 7"):
        checked(tmp_path / "music", processes=2)
