import multiprocessing
import os
import re
import runpy
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import yaml

from datamodules import checking, preparation
from datamodules.corpus import Corpus
from datamodules.index import Demands, scan
from datamodules.rejection import QUARANTINE, read_quarantine, write_quarantine
from datamodules.shards import read_manifest
from lincae.cli import data_check
from lincae.cli.main import main

BAD_FILES = runpy.run_path(str(Path(__file__).parents[2] / "datamodules" / "bad_audio.py"))["BAD_FILES"]
RATE = 44_100
pytestmark = pytest.mark.filterwarnings("ignore:corpus|.*upsampled")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def lincae_data(capsys):
    """Runs `lincae data` with arguments; returns exit `status`, what is printed (`out`) and errors (`err`)."""

    def run(*arguments):
        status = 0
        try:
            main(["data", *map(str, arguments)])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return SimpleNamespace(status=status, out=out, err=err)

    return run


def write(file, seconds=1.0, rate=RATE, channels=1, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    soundfile.write(file, noise, rate)


@pytest.fixture
def music(tmp_path):
    """Five good files of different kinds, half of one of which is silent."""
    folder = tmp_path / "music"
    write(folder / "a.wav", 2)
    write(folder / "b/c.flac", 2, 48_000, 2)
    write(folder / "日本.wav", 2)
    write(folder / "[bold]\n'.wav", 2)
    half = np.concatenate([np.zeros(4 * RATE), 0.1 * np.ones(4 * RATE)])
    soundfile.write(folder / "half.wav", half, RATE)
    return folder


@pytest.fixture
def broken(music):
    (music / "broken.wav").write_text("no audio")
    (music / "lost.mp3").touch()
    return music


def rows(text):
    """The table that a command prints, by the first column."""
    lines = [line[2:].split("  ", 1) for line in text.splitlines() if line.startswith("  ")]
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


def scanned(corpus, **demands):
    return [file.path for file in scan("music", corpus, Demands(RATE, 4_000, **demands)).files]


# check


@pytest.mark.parametrize("processes", [1, 2])
def test_check_prints_what_there_is_and_writes_nothing(lincae_data, music, tmp_path, processes):
    before = sorted(tmp_path.rglob("*"))
    done = lincae_data("check", music, "--processes", processes, "--seconds", 1)
    assert done.status == 0
    assert done.out.splitlines()[0] == f"music: {music}"
    assert rows(done.out) == {
        "files": "5",
        "usable": "5, 16.0 s, 25.0% of it silent",
        "rates": "44100 Hz (4 files), 48000 Hz (1 file)",
        "channels": "1 (4 files), 2 (1 file)",
        "formats": "WAV (4 files), FLAC (1 file)",
        "licence": "its owner's",
    }
    assert "checking music: 100%" in done.err
    assert "5/5" in done.err
    assert sorted(tmp_path.rglob("*")) == before


def test_check_names_every_reason_and_writes_the_list(lincae_data, music):
    for name, bad in BAD_FILES.items():
        bad.build(music / name)
    expected = {name: bad.decoding for name, bad in BAD_FILES.items() if bad.decoding}
    done = lincae_data("check", music, "--max-bad", 1)
    assert done.status == 0
    assert read_quarantine(music / QUARANTINE) == expected
    table = rows(done.out)
    for reason in set(expected.values()):
        paths = sorted(path for path, why in expected.items() if why == reason)
        row = table[f"{reason} ({len(paths)})"]
        assert ": " + ", ".join(paths[:3]) in row
        assert row.endswith(f"and {len(paths) - 3} more") == (len(paths) > 3)
    assert table["low_rate (1)"] == "are below the lowest sample rate allowed: low_rate.wav"
    assert table["many_channels (1)"] == "have more channels than allowed: six_channels.wav"
    assert table["too_short (1)"] == "are shorter than a crop: zero_frames.wav"
    assert f"{len(expected)} broken files put on the list {music / QUARANTINE}: training leaves them out" in done.out

    with pytest.warns(UserWarning, match=f"{len(expected)} are on the quarantine list"):
        files = scanned(Corpus(str(music)), max_bad=0)
    assert not set(files) & set(expected)
    done = lincae_data("check", music)
    assert done.status == 0
    assert rows(done.out)[f"quarantined ({len(expected)})"].startswith(f"are on the quarantine list: {min(expected)}")


def test_check_adds_to_a_list_and_prepare_honours_it(lincae_data, broken, tmp_path):
    write_quarantine(broken / QUARANTINE, {"a.wav": "not_finite", "gone.wav": "unreadable"})
    done = lincae_data("check", broken, "--max-bad", 0.5)
    assert done.status == 0
    listed = {"a.wav": "not_finite", "broken.wav": "unreadable", "gone.wav": "unreadable", "lost.mp3": "unreadable"}
    assert read_quarantine(broken / QUARANTINE) == listed
    done = lincae_data("prepare", broken, "-o", tmp_path / "out", "--max-bad", 0)
    assert done.status == 0
    tracks = read_manifest(str(tmp_path / "out/music")).tracks
    assert [track.path for track in tracks] == ["[bold]\n'.wav", "b/c.flac", "half.wav", "日本.wav"]


def test_check_puts_the_list_elsewhere(lincae_data, broken, tmp_path):
    elsewhere = tmp_path / "list.tsv"
    done = lincae_data("check", broken, "--quarantine", elsewhere, "--max-bad", 0.5)
    assert done.status == 0
    assert f"{elsewhere}: name it as `quarantine` of the corpus" in done.out
    assert not (broken / QUARANTINE).exists()
    assert scanned(Corpus(str(broken), quarantine=str(elsewhere)), max_bad=0) == sorted(
        ["[bold]\n'.wav", "a.wav", "b/c.flac", "half.wav", "日本.wav"]
    )
    done = lincae_data("check", broken, broken.parent, "--quarantine", elsewhere)
    assert done.status == 2
    assert "error: --quarantine is the list of one corpus, these are 2: check one at a time" in done.err


@pytest.mark.parametrize(
    ("more", "message"), [([], "music cannot be written to"), (["--quarantine", "/no/list"], "/no cannot be written")]
)
def test_check_of_a_place_that_cannot_be_written_says_so_before_it_decodes(
    lincae_data, broken, monkeypatch, more, message
):
    monkeypatch.setattr(data_check.os, "access", lambda path, mode: os.path.isdir(path) and path != str(broken))
    monkeypatch.setattr(checking, "true_header", lambda *_: os._exit(1))
    done = lincae_data("check", broken, *more)
    assert done.status == 2
    assert f"{message}" in done.err
    assert "name the list of broken files with --quarantine FILE" in done.err


def test_check_fails_if_too_much_is_broken_or_nothing_is_of_use(lincae_data, broken):
    done = lincae_data("check", broken)
    assert done.status == 1
    assert "error: 2 of 7 files are broken, more than --max-bad=0.01" in done.err
    (broken / QUARANTINE).unlink()
    (broken / "lost.mp3").unlink()
    assert lincae_data("check", broken).status == 0  # one is always tolerated
    done = lincae_data("check", broken, "--seconds", 100)
    assert done.status == 1
    assert "error: none of 6 files can be used" in done.err


def test_check_of_shards(lincae_data, music, tmp_path, object_store):
    lincae_data("prepare", music, "-o", tmp_path / "out")
    shards = tmp_path / "out" / "music"
    done = lincae_data("check", shards)
    assert done.status == 0
    assert rows(done.out)["formats"] == "shard (5 files)"
    assert rows(done.out)["rates"] == "44100 Hz (4 files), 48000 Hz (1 file)"
    with (shards / "00000.pcm").open("r+b") as file:
        file.write(b"\x55")
    done = lincae_data("check", shards)
    assert done.status == 0
    assert read_quarantine(shards / QUARANTINE) == {"[bold]\n'.wav": "unreadable"}
    assert rows(done.out)["unreadable (1)"] == "cannot be decoded: [bold]\\n'.wav"
    with pytest.warns(UserWarning, match="1 are on the quarantine list"):
        assert "[bold]\n'.wav" not in scanned(Corpus(str(shards)))

    url = object_store("check")
    (shards / QUARANTINE).unlink()
    object_store.upload(shards, url)
    done = lincae_data("check", url)
    assert done.status == 2
    assert f"{url} cannot be written to: name the list" in done.err
    done = lincae_data("check", url, "--quarantine", tmp_path / "list.tsv")
    assert done.status == 0
    assert rows(done.out)["unreadable (1)"]


def test_check_names_the_file_at_which_its_decoder_dies(lincae_data, music, monkeypatch):
    real = checking.mono_blocks
    monkeypatch.setattr(
        checking, "mono_blocks", lambda name, *rest: os._exit(7) if "c.flac" in name else real(name, *rest)
    )
    done = lincae_data("check", music)
    assert done.status == 2
    assert "error: the process that worked on b/c.flac died with exit status 7. Put this file aside" in done.err


# prepare


def test_prepare_says_what_it_did(lincae_data, music, tmp_path):
    soundfile.write(music / "loud.wav", np.linspace(0, 2, 2 * RATE), RATE, "FLOAT")
    (music / "broken.wav").write_text("no audio")
    command = ["prepare", music, "-o", tmp_path / "out", "--shard-megabytes", 1, "--processes", 2]
    done = lincae_data(*command)
    assert done.status == 0
    folder = tmp_path / "out" / "music"
    assert done.out.splitlines()[0] == f"music: {folder}"
    assert rows(done.out) == {
        "tracks": "6, 18.0 s, 1.6 MB in 3 shards",
        "scaled down": "1 track above full scale; reading undoes it",
        "unreadable (1)": "cannot be decoded: broken.wav",
    }
    assert done.out.splitlines()[-1] == "  finished. To train on it, give this folder in place of the source"
    assert "preparing music: 100%" in done.err
    assert "7/7" in done.err

    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    again = lincae_data(*command)
    assert again.status == 0
    assert rows(again.out) == rows(done.out)
    assert again.out.splitlines()[-1].startswith("  finished before, nothing was changed.")
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


def test_prepare_fails_if_too_much_is_broken_but_finishes(lincae_data, broken, tmp_path):
    for _ in range(2):
        done = lincae_data("prepare", broken, "-o", tmp_path / "out")
        assert done.status == 1
        assert "error: 2 of 7 files are broken, more than --max-bad=0.01" in done.err
        assert len(read_manifest(str(tmp_path / "out/music")).tracks) == 7
    assert lincae_data("prepare", broken, "-o", tmp_path / "out", "--max-bad", 0.3).status == 0


def test_prepare_keeps_channels_if_asked_to_and_files_of_too_many_are_not_broken(lincae_data, tmp_path):
    (tmp_path / "in").mkdir()
    for name, channels in (("mono", 1), ("stereo", 2), ("six", 6), ("five", 5)):
        soundfile.write(tmp_path / f"in/{name}.wav", np.full((RATE, channels), 0.1), RATE)
    done = lincae_data("prepare", tmp_path / "in", "-o", tmp_path / "out", "--channels", 2, "--max-bad", 0)
    assert done.status == 0
    assert rows(done.out)["tracks"] == "2, 2.0 s, 0.3 MB in 1 shard"
    assert rows(done.out)["many_channels (2)"].endswith(": five.wav, six.wav")
    done = lincae_data("prepare", tmp_path / "in", "-o", tmp_path / "out")
    assert done.status == 2
    assert "channels 2, not 1" in done.err
    assert lincae_data("prepare", tmp_path / "in", "-o", tmp_path / "out", "--channels", 6).status == 2


def test_prepare_in_parts(lincae_data, music, tmp_path):
    command = ["prepare", music, "-o", tmp_path / "out", "--shard-megabytes", 1, "--part"]
    done = lincae_data(*command, "2/2")
    assert done.status == 0
    assert "  part 2/2 is finished: 1 of 2 shards are ready. Prepare the other parts to use them" in done.out
    assert not (tmp_path / "out/music/manifest.jsonl").exists()
    done = lincae_data("check", tmp_path / "out/music")
    assert done.status == 2
    assert "it is unfinished: run the same `lincae data prepare` again" in done.err
    done = lincae_data(*command, "1/2")
    assert "  finished. To" in done.out
    assert len(read_manifest(str(tmp_path / "out/music")).tracks) == 5


def test_errors_of_prepare_say_that_it_can_go_on(lincae_data, music, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "append", full)
        done = lincae_data("prepare", music, "-o", tmp_path / "out")
    assert done.status == 2
    assert f"error: [Errno 28] No space left on device: '{tmp_path / 'out/music/00000.pcm'}'" in done.err
    assert "Finished tracks are kept: run the same command again" in done.err
    assert lincae_data("prepare", music, "-o", tmp_path / "out").status == 0


@pytest.mark.parametrize("command", ["check", "prepare"])
def test_an_interrupt_ends_at_once_with_one_line(music, tmp_path, monkeypatch, command):
    """The whole process group hears Ctrl-C."""
    arguments = [
        command,
        str(music),
        "--processes",
        "2",
        *(["-o", str(tmp_path / "out")] if command == "prepare" else []),
    ]

    def slow(*_):
        time.sleep(60)

    monkeypatch.setattr({"check": checking, "prepare": preparation}[command], "mono_blocks", slow)

    def job():
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests as a job
        with open(tmp_path / "err", "w") as sys.stderr:
            main(["data", *arguments])

    process = multiprocessing.get_context("fork").Process(target=job)
    process.start()
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    process.join(30)  # half of what its work would take
    assert process.exitcode == 130
    err = (tmp_path / "err").read_text()
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("stopped. ")


# Sources


class Half(Corpus):
    """Found by its class path."""

    licence = "CC0"

    def entries(self):
        return super().entries()[::2]


def test_sources_are_folders_recipes_and_configurations(lincae_data, music, tmp_path, monkeypatch):
    write(tmp_path / "jamendo/00/100.mp3", 1)
    header, row = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS", "t\tartist_1\ta\t00/100.mp3\t1.0\tx"
    (tmp_path / "jamendo/raw_30s.tsv").write_text(f"{header}\n{row}\n")
    done = lincae_data("prepare", tmp_path / "jamendo", "--recipe", "MTGJamendo", "-o", tmp_path / "out")
    assert done.status == 0
    header, (track,) = read_manifest(str(tmp_path / "out/jamendo"))
    assert (track.path, track.group) == ("00/100.mp3", "artist_1")
    assert header["licence"].startswith("Creative Commons")
    done = lincae_data("check", tmp_path / "out/jamendo")
    assert rows(done.out)["licence"].startswith("Creative Commons")

    done = lincae_data("check", music, "--recipe", f"{__name__}.Half")
    assert (rows(done.out)["files"], rows(done.out)["licence"]) == ("3", "CC0")

    train = {
        "one": {"class_path": "datamodules.MTGJamendo", "init_args": {"path": "jamendo"}},
        "two": {"path": "music", "patterns": ["*.wav"]},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"train": train, "tracks": None}}}))
    done = lincae_data("prepare", tmp_path / "mine.yaml", "--root", tmp_path, "-o", tmp_path / "all")
    assert done.status == 0
    assert sorted(os.listdir(tmp_path / "all")) == ["jamendo", "music"]
    assert {track.path for track in read_manifest(str(tmp_path / "all/music")).tracks} == {
        "a.wav",
        "half.wav",
        "日本.wav",
        "[bold]\n'.wav",
    }
    monkeypatch.chdir(music)
    assert lincae_data("prepare", ".", "-o", tmp_path / "here").status == 0
    assert os.listdir(tmp_path / "here") == ["music"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "{music}", "nowhere"], "nowhere is neither a folder nor a configuration (NAME.yaml)"),
        (["prepare", "nowhere", "-o", "{out}"], "nowhere is neither a folder nor a configuration"),
        (["check", "nowhere.yaml"], "no configuration 'nowhere.yaml'"),
        (["check", "{music}", "--recipe", "Jamendo"], "--recipe Jamendo"),
        (["check", "{music}", "--recipe", "no.such.Class"], "--recipe no.such.Class"),
        (["check", "{music}", "--recipe", "AudioDataModule"], "--recipe AudioDataModule"),
        (["check", "{music}", "--recipe", "MTGJamendo"], "raw_30s.tsv"),
        (["check", "{music}", "{music}/b/../../music"], "are both named 'music': do one at a time"),
        (["check", "demo.yaml"], "demo.yaml names no corpora"),
        (["check", "five-corpora.yaml", "--root", "{out}"], "MTG-Jamendo is not complete at {out}/mtg_jamendo"),
        (["check", "{music}/bad.yaml"], "bad.yaml"),
        (["check", "{music}/list.yaml"], "list.yaml does not hold a YAML mapping"),
        (["check", "{music}/weight.yaml"], "weight.yaml: "),
        (["prepare", "{music}", "-o", "{music}/.."], "music would hold its own shards"),
        (["prepare", "s3://bucket/music", "-o", "{out}"], "s3://bucket/music is a place of shards"),
        (["prepare", "{music}", "-o", "{music}/a.wav"], "a.wav"),
    ],
)
def test_wrong_sources_are_errors(lincae_data, music, tmp_path, arguments, message):
    (music / "bad.yaml").write_text("data: [")
    (music / "list.yaml").write_text("- data")
    (music / "weight.yaml").write_text("data: {init_args: {train: {x: {path: a, wait: 3}}}}")
    places = {"music": music, "out": tmp_path / "out"}
    done = lincae_data(*(argument.format(**places) for argument in arguments))
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert message.format(**places) in done.err
    assert not done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--processes", "0"], "'0' is not a number of 1 or more"),
        (["--processes", "two"], "'two' is not a number of 1 or more"),
        (["--max-bad", "5"], "'5' is not a number from 0 to 1"),
        (["--max-bad", "nan"], "'nan' is not a number"),
        (["--part", "0/3"], "'0/3' is not of the form I/N with 1 <= I <= N"),
        (["--part", "4/3"], "'4/3' is not of the form I/N"),
        (["--part", "3"], "'3' is not of the form I/N"),
        (["--shard-megabytes", "0"], "'0' is not a number of 1 or more"),
        (["--proc", "1"], "unrecognized arguments: --proc 1"),
    ],
)
def test_wrong_options_are_errors(lincae_data, music, tmp_path, arguments, message):
    done = lincae_data("prepare", music, "-o", tmp_path / "out", *arguments)
    assert done.status == 2
    assert message in done.err


@pytest.mark.parametrize(
    ("arguments", "options"),
    [(["--help"], set()), (["check", "--help"], {"--quarantine"}), (["prepare", "--help"], {"--part", "--output"})],
)
def test_help_says_how_a_command_ends_and_lists_its_options(lincae_data, arguments, options):
    done = lincae_data(*arguments)
    assert (done.status, done.err) == (0, "")
    assert f"usage: lincae data {' '.join(arguments[:-1])}".strip() in done.out
    if options:
        found = set(re.findall(r"--[a-z-]+", done.out))
        assert options | {"--recipe", "--max-bad"} <= found
        assert ("--quarantine" in found) == ("check" in arguments)
        assert re.search(r"exit status\s+is\s+1", done.out)
    else:
        assert {"check", "prepare"} <= set(done.out.split())


def test_a_command_of_data_has_to_be_named(lincae_data):
    done = lincae_data()
    assert (done.status, done.out) == (2, "")
    assert "check|prepare" in done.err
