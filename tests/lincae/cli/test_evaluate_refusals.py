"""`lincae evaluate` on bad input: one line that says what is wrong, exit status 2, and nothing left behind."""

import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from lincae.autoencoders.controls import OrthogonalProjection
from lincae.cli import evaluate
from lincae.cli.main import main

RATE = 8_000

pytestmark = pytest.mark.filterwarnings("ignore:FAD of", "ignore:corpus 'data'", "ignore:The ``compute``")


def noise(seconds=2.0, channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * RATE), channels))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips, one of them stereo."""
    folder = tmp_path_factory.mktemp("clips")
    soundfile.write(folder / "mono.wav", noise(), RATE, subtype="FLOAT")
    soundfile.write(folder / "stereo.wav", noise(channels=2, seed=1), RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def run(clips, tmp_path, capsys):
    """Runs `lincae evaluate` on the clips; what is not the default can be given. Returns the exit status and errors."""

    def call(*more, model="identity", data=clips, protocol="clips", output=tmp_path / "out", seconds="1"):
        arguments = ["--data", data, "--protocol", protocol, "-o", output, "--seconds", seconds]
        arguments += ["--sample-rate", RATE, "--device", "cpu", "--curve", "0.5", *more]
        status = 0
        try:
            main(["evaluate", model, *map(str, arguments)])
        except SystemExit as end:
            status = end.code
        return SimpleNamespace(status=status, err=capsys.readouterr().err)

    return call


@pytest.fixture
def refused(run, tmp_path):
    """The same; the last line of errors, once the status is 2 and there is no output."""

    def call(*more, **settings):
        done = run(*more, **settings)
        *before, line = done.err.splitlines()
        assert done.status == 2
        assert "Traceback" not in done.err
        assert not any("error:" in other for other in before)
        assert not (tmp_path / "out").exists()
        return line

    return call


def made(monkeypatch, model):
    """The class path of a model."""
    monkeypatch.setitem(sys.modules, "of_mine", SimpleNamespace(Model=model))
    return "of_mine.Model"


# -------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seconds", "0", "'0' is not a number from 0.001 to 3600"),
        ("--seconds", "-1", "'-1' is not a number from 0.001 to 3600"),
        ("--seconds", "inf", "'inf' is not a number from 0.001 to 3600"),
        ("--batch-size", "0", "'0' is not a number of 1 or more"),
        ("--excerpts", "0", "'0' is not a number of 1 or more"),
        ("--sample-rate", "0", "'0' is not a number of 1 or more"),
        ("--gains", "0", "'0' is no gain: give a number of at most two decimals, and not 0"),
        ("--gains", "0.501", "'0.501' is no gain"),
        ("--curve", "loud", "'loud' is no gain"),
        ("--device", "abacus", "'abacus' cannot be used here"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_option(refused, option, value, message):
    assert f"lincae evaluate: error: argument {option}: {message}" in refused(option, value)


@pytest.mark.parametrize("seconds", ["0.01", "3"])
def test_excerpts_that_are_too_short_to_measure_or_longer_than_all_files_are_refused_with_a_length_that_works(
    run, refused, seconds
):
    works = re.search(r"--seconds ([\d.]+) or", refused(seconds=seconds))
    assert run(seconds=works[1]).status == 0


def test_tracks_shorter_than_an_excerpt_are_named_with_a_length_that_uses_them(run, tmp_path):
    for track, seconds in (("long", 2.0), ("short", 1.5)):
        (tmp_path / "tracks" / track).mkdir(parents=True)
        for seed, stem in enumerate(("bass", "drums")):
            audio = noise(seconds if stem == "bass" else 2.0, seed=seed)
            soundfile.write(tmp_path / "tracks" / track / f"{stem}.wav", audio, RATE, subtype="FLOAT")
    with pytest.warns(UserWarning, match=r"short.*--seconds 1\.5 "):
        assert run(data=tmp_path / "tracks", protocol="stems", seconds="2").status == 0
    run(data=tmp_path / "tracks", protocol="stems", seconds="1.5", output=tmp_path / "all")
    for folder, count in (("out", 1), ("all", 2)):
        results = json.loads((tmp_path / folder / "results.json").read_text())
        assert len(results["excerpts"]["identity"]) == count


def test_an_embedding_that_does_not_exist_is_refused(refused, tmp_path):
    assert refused("--embedding", "vggish").startswith("error: 'vggish' names no embedding: give logmel, clap:FOLDER")


# ----------------------------------------------------------------------------------------------------------------- data


def test_a_folder_that_does_not_exist_is_refused(refused, tmp_path):
    assert (
        refused(data=tmp_path / "none")
        == f"error: corpus 'data': {tmp_path / 'none'}: no such folder. Correct the path"
    )


def test_a_folder_without_audio_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no audio")
    assert refused(data=tmp_path / "empty") == f"error: --data {tmp_path / 'empty'} holds no audio: correct it"


def test_stems_in_a_flat_folder_are_refused(refused, clips):
    line = refused(data=clips, protocol="stems")
    assert line == f"error: --data {clips} holds no <track>/<stem>.wav: correct it, or give --protocol clips"


def test_tracks_of_a_single_stem_are_refused(refused, clips, tmp_path):
    (tmp_path / "data" / "track").mkdir(parents=True)
    soundfile.write(tmp_path / "data" / "track" / "mono.wav", noise(), RATE)
    line = refused(data=tmp_path / "data", protocol="stems")
    assert line == "error: separation needs a mix of at least 2 stems, got ['mono']"
    (tmp_path / "data" / "wider").symlink_to(clips)
    line = refused(data=tmp_path / "data", protocol="stems")
    assert "track 'wider'" in line
    assert "has stems ['mono', 'stereo'], but 'track' has ['mono']: all tracks need the same" in line


def test_text_that_is_named_as_audio_is_refused(refused, tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.wav").write_text("no audio")
    assert "none of 1 audio files can be used. 1 cannot be decoded (notes.wav)" in refused(data=tmp_path / "text")


def test_mono_and_stereo_go_together(run, tmp_path):
    assert run().status == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["counts"]["identity"]["reconstruction/mss"] == 4


def test_stems_of_unequal_length_are_cut_to_the_shortest(run, tmp_path):
    track = tmp_path / "tracks" / "one"
    track.mkdir(parents=True)
    for seed, (stem, seconds) in enumerate({"bass": 3.5, "drums": 2.2, "vocals": 1.1}.items()):
        soundfile.write(track / f"{stem}.wav", noise(seconds, channels=1 + seed % 2, seed=seed), RATE, subtype="FLOAT")
    assert run(data=track.parent, protocol="stems").status == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["excerpts"]["identity"] == [["one", 0]]
    assert results["models"]["identity"]["encoder/additivity_error"] < 1e-6


# --------------------------------------------------------------------------------------------------------------- models


def test_a_name_that_is_no_model_is_refused(refused):
    assert refused(model="nonsense").startswith("error: 'nonsense' names no model: give a checkpoint")


def test_a_class_that_is_no_autoencoder_is_refused(refused):
    line = refused(model="torch.nn.Identity")
    assert line.startswith("error: model 'Identity' has no encode, sample_noise, decode, sample_rate, margin, which")


def test_weights_that_are_not_finite_are_refused(refused, monkeypatch):
    class Diverged(OrthogonalProjection):
        def __init__(self):
            super().__init__(sample_rate=RATE)
            self.scale = torch.nn.Parameter(torch.tensor([1.0, torch.nan]))

    line = refused(model=made(monkeypatch, Diverged))
    assert line == (
        "error: model 'Model' diverged: 1 of its weights hold values that are not finite, such as scale. Take an "
        "earlier checkpoint"
    )


def test_a_model_that_diverges_on_one_excerpt_is_measured_all_the_same(run, tmp_path, monkeypatch):
    class Diverging(OrthogonalProjection):
        def decode(self, latents, noise=None, steps=1):
            audio = super().decode(latents)
            return torch.where(audio.abs().sum(1, keepdim=True) == 0, torch.nan, audio)

    (tmp_path / "data").mkdir()
    for name in ("loud", "also", "third"):
        soundfile.write(tmp_path / "data" / f"{name}.wav", noise(seed=len(name)), RATE, subtype="FLOAT")
    half = noise()
    half[RATE:] = 0
    soundfile.write(tmp_path / "data" / "half.wav", half, RATE, subtype="FLOAT")
    model = made(monkeypatch, lambda: Diverging(sample_rate=RATE))
    assert run(data=tmp_path / "data", model=model).status == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    figures, counts = results["models"]["Model"], results["counts"]["Model"]
    assert figures["reconstruction/mss"] > 0  # silence does not count there
    assert counts["reconstruction/mss"] == 7
    assert figures["kad_logmel"] is None
    assert counts["kad_logmel"] == 8
    assert "| kad_logmel | NaN |" in (tmp_path / "out" / "results.md").read_text()


# --------------------------------------------------------------------------------------------------------------- output


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_an_output_that_is_a_file_is_refused(refused, tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")
    assert f"{file} is no folder that can be written to. Give another" in refused(output=file / below)
    assert file.read_text() == "mine"


def test_results_of_something_else_stay(refused, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "results.json").write_text('{"models": {}, "checks": []}')
    line = refused(output=tmp_path / "demo")
    assert line.startswith(f"error: -o {tmp_path / 'demo'} holds other results: ")
    assert line.endswith("or give another -o")
    assert (tmp_path / "demo" / "results.json").read_text() == '{"models": {}, "checks": []}'


def test_an_evaluation_in_other_spaces_is_another(run, tmp_path):
    assert run().status == 0
    before = (tmp_path / "out" / "results.json").read_bytes()
    done = run("--embedding", "logmel", "second=logmel")
    assert done.status == 2
    assert "results.json is of an evaluation with other" in done.err
    assert "embeddings.second" in done.err
    assert "another -o" in done.err
    assert (tmp_path / "out" / "results.json").read_bytes() == before
    assert run("--embedding", "logmel", "second=logmel", output=tmp_path / "other").status == 0
    results = json.loads((tmp_path / "other" / "results.json").read_text())
    figures = results["models"]["identity"]
    assert figures["kad_second"] == figures["kad_logmel"] == json.loads(before)["models"]["identity"]["kad_logmel"]
    assert results["protocol"]["embeddings"].keys() == {"logmel", "second"}
    assert len(set(results["protocol"]["embeddings"].values())) == 1


def test_a_journal_that_is_none_stays(run, tmp_path):
    journal = tmp_path / "out" / "journal" / "identity.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text("mine")
    done = run()
    assert done.status == 2
    assert f"error: {journal} is of something else: give another -o, or remove it" in done.err
    assert journal.read_text() == "mine"


def test_an_interrupted_evaluation_says_how_to_go_on(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "measure_batch", interrupted)
    done = run()
    assert done.status == 130
    assert done.err.splitlines()[-1].startswith("stopped. Finished batches are kept: run the same command again")
