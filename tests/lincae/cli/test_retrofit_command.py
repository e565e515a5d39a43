"""`lincae retrofit`: what is held out, what is refused, and a short one from start to page."""

import json
import os

import numpy as np
import pytest
import soundfile
import torch

from datamodules.index import Demands
from lincae import Autoencoder
from lincae.autoencoders.losses import MultiResolutionSTFT, RelativeL2
from lincae.autoencoders.oobleck import OobleckAutoencoder
from lincae.cli.held_out import hold_out
from lincae.cli.locking import locked
from lincae.cli.main import main

DEMANDS = Demands(44_100, 512)


@pytest.fixture
def audio(tmp_path):
    """A function that writes short files of noise below a folder."""

    def write(*names):
        rng = np.random.default_rng(0)
        for name in names:
            path = tmp_path / "audio" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal((8000, 2)), 44_100)
        return str(tmp_path / "audio")

    return write


def originals(folder):
    """What the links below a folder lead to, by their paths."""
    links = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_symlink()}
    return {name: os.path.realpath(path) for name, path in links.items()}


def test_single_files_are_held_out_four_to_a_track(audio, tmp_path):
    data = audio(*(f"{letter}/{number}.wav" for letter in "ab" for number in range(20)))
    split = hold_out(data, tmp_path / "one", DEMANDS, most=16)
    trained, held = originals(split.train), originals(split.held_out)
    assert sorted(held) == [f"sum-{track:03d}/source-{source}.wav" for track in range(2) for source in range(1, 5)]
    assert len({*trained.values(), *held.values()}) == len(trained) + len(held) == 40
    assert all(path == os.path.join(data, name) for name, path in trained.items())
    assert split.seconds == pytest.approx(8000 / 44_100)
    assert originals(hold_out(data, tmp_path / "two", DEMANDS, most=16).held_out) == held
    audio(*(f"c/{number}.wav" for number in range(40)))  # later files may not move a held-out one into training
    again = hold_out(data, tmp_path / "one", DEMANDS, most=16)
    assert (originals(again.train), originals(again.held_out)) == (trained, held)
    assert again == split


def test_tracks_are_held_out_with_all_their_stems(audio, tmp_path):
    names = [f"song {number}/{stem}.wav" for number in range(9) for stem in ("bass", "drums", "mixture")]
    split = hold_out(audio(*names), tmp_path / "split", DEMANDS, most=16, stems=True)
    trained, held = originals(split.train), originals(split.held_out)
    assert sorted([*trained, *held]) == sorted(names)
    assert len(held) == 6
    assert not {name.split("/")[0] for name in held} & {name.split("/")[0] for name in trained}


def test_too_little_audio_is_refused_with_how_much_there_must_be(audio, tmp_path):
    with pytest.raises(ValueError, match=r"has 31 files that can be used, of which 8 .* give 32 or more"):
        hold_out(audio(*(f"{number}.wav" for number in range(31))), tmp_path / "split", DEMANDS, most=16)
    with pytest.raises(ValueError, match=r"all tracks need the same"):
        hold_out(audio("a/b.wav"), tmp_path / "split", DEMANDS, most=16, stems=True)
    with pytest.raises(ValueError, match=r"nowhere: give a folder of audio files"):
        hold_out(str(tmp_path / "nowhere"), tmp_path / "split", DEMANDS, most=16)


def test_audio_to_measure_on_may_not_be_trained_on(audio, spectral, refused, tmp_path):
    data = audio("a/b.wav")
    out = tmp_path / "out"
    assert "overlap" in refused("retrofit", spectral, "--data", data, "--test", f"{data}/a", "-o", out)


def test_a_folder_of_something_else_is_refused(audio, spectral, refused, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    line = refused("retrofit", spectral, "--data", audio("a.wav"), "-o", tmp_path / "out")
    assert "is not empty, and nothing is overwritten" in line


class Started:
    """A stand-in for a process, which ends well the second time that it is looked at."""

    def __init__(self, command, env, **_):
        self.command, self.threads, self.looks, self.returncode = command, env["OMP_NUM_THREADS"], 0, None
        self.beside = sum(other.returncode is None for other in Started.all)
        Started.all.append(self)

    def poll(self):
        self.looks += 1
        self.returncode = 0 if self.looks > 1 else None
        return self.returncode


@pytest.mark.parametrize(("there", "beside", "threads"), [(1, 0, 1), (2, 1, 1), (3, 1, 1), (8, 1, 4)])
def test_two_trainings_share_the_cores_that_there_are(
    audio, spectral, tmp_path, monkeypatch, capsys, there, beside, threads
):
    monkeypatch.setattr(Started, "all", [], raising=False)
    monkeypatch.setattr("subprocess.Popen", Started)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(there)))
    data = audio(*(f"{number}.wav" for number in range(32)))
    with pytest.raises(SystemExit):
        main(["retrofit", spectral, "--data", data, "-o", str(tmp_path / "out")])
    assert "config.yaml" in capsys.readouterr().err  # nothing was trained
    assert [each.threads for each in Started.all] == [str(threads)] * 2
    assert [each.beside for each in Started.all] == [0, beside]


def test_a_second_retrofit_in_a_folder_waits_for_the_first(audio, spectral, refused, tmp_path, monkeypatch):
    """And for its trainings, which hold the lock as long as they live."""
    data = audio(*(f"{number}.wav" for number in range(32)))
    command = ["retrofit", spectral, "--data", data, "-o", str(tmp_path / "out")]
    monkeypatch.setattr("lincae.cli.retrofit.train", lambda *arguments: None)
    with pytest.raises(SystemExit):
        main(command)
    with locked(tmp_path / "out", "a retrofit"):
        assert "at work in" in refused(*command)


@pytest.fixture
def oobleck(tmp_path):
    """Stable Audio's architecture in stereo, very small, with random weights."""
    model = OobleckAutoencoder(8, [4, 8], [1, 2], 8, 4, losses=[RelativeL2(), MultiResolutionSTFT(0.5)])
    Autoencoder(model, 2.0).save_pretrained(tmp_path / "oobleck")
    return str(tmp_path / "oobleck")


def test_a_short_retrofit_in_stereo_leaves_model_and_page_and_goes_on_where_it_was(
    audio, oobleck, refused, tmp_path, capsys
):
    data = audio(*(f"{number}.wav" for number in range(32)))
    out = tmp_path / "steps=2"
    command = ["retrofit", oobleck, "--data", data, "-o", str(out), "--steps", "2", "--excerpts", "1"]
    main([*command, "--", "--data.batch_size=2"])
    assert "Against the control: decoder homogeneity" in capsys.readouterr().out

    results = json.loads((out / "evaluation" / "results.json").read_text())
    assert list(results["models"]) == ["before", "control", "after"]
    assert len(set(results["sha256"].values())) == 3
    assert results["excerpts"]["after"] == [["sum-000", 0], ["sum-001", 0]]
    assert (out / "evaluation" / "report" / "index.html").is_file()
    model = Autoencoder.from_pretrained(out / "model", device="cpu")
    measured = torch.load(out / "after" / "checkpoints" / "last.ckpt", weights_only=True)["latent_std"]
    assert model.scale_factor * measured == pytest.approx(1)
    assert isinstance(model.autoencoder, OobleckAutoencoder)
    assert model.decode(model.encode(torch.randn(3, 2, 3200))).shape == (3, 2, 3200)
    listed = json.loads((out / "evaluation" / "sounds.json").read_text())["models"]["after"]
    assert {soundfile.info(out / "evaluation" / sound["file"]).channels for sound in listed} == {2}
    main(["encode", str(tmp_path / "audio"), "-o", str(tmp_path / "z"), "--model", str(out / "model")])
    main(["decode", str(tmp_path / "z"), "-o", str(tmp_path / "decoded")])
    assert {soundfile.info(file).channels for file in (tmp_path / "decoded").rglob("*.wav")} == {2}

    trained = (out / "after" / "log.txt").read_text()
    (out / "evaluation" / "results.json").unlink()
    main([*command, "--", "--data.batch_size=2"])  # what is there is not done again
    assert (out / "after" / "log.txt").read_text() == trained
    assert json.loads((out / "evaluation" / "results.json").read_text())["models"] == results["models"]

    command[command.index("2")] = "3"
    assert "holds a retrofit with other steps" in refused(*command, "--", "--data.batch_size=2")
