"""`lincae fit` on files, on shards and on an object store, with nothing but `--data` changed; and on bad files."""

import csv
import shutil

import numpy as np
import pytest
import soundfile
import torch

from datamodules.corpus import Corpus
from datamodules.planning import make_plan
from datamodules.preparation import prepare

RATE = 44_100


def logged(folder, name):
    """Step -> value of one figure."""
    with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
        return {int(row["step"]): row[name] for row in csv.DictReader(file) if row.get(name)}


@pytest.fixture
def speech(tmp_path):
    """A folder of mono 16-bit files."""
    folder = tmp_path / "data" / "speech"
    folder.mkdir(parents=True)
    for number in range(3):
        audio = np.random.default_rng(number).integers(-9_000, 9_000, 20_000, np.int16)
        soundfile.write(folder / f"{number}.wav", audio, RATE)
    return folder


def test_files_shards_and_an_object_store_train_the_same_model(fit, speech, tmp_path, object_store):
    prepare(make_plan("speech", Corpus(str(speech)), tmp_path / "shards" / "speech", 10**9))
    url = object_store("training")
    object_store.upload(tmp_path / "shards", url)
    steps = ["--trainer.max_steps=2", "--data.train=speech"]
    losses = {}
    for name, root in {"files": str(tmp_path / "data"), "shards": str(tmp_path / "shards"), "bucket": url}.items():
        fit(*steps, f"--data.root={root}", f"--trainer.default_root_dir={name}", f"--trainer.logger.save_dir={name}")
        losses[name] = logged(tmp_path / name, "train/loss")
        assert list(losses[name]) == [0, 1]
    assert losses["files"] == losses["shards"] == losses["bucket"]
    fit("--trainer.max_steps=2", f"--data.train={url}/speech", "--trainer.default_root_dir=by-url")


def test_rejected_crops_are_in_the_log_the_progress_bar_and_the_checkpoint(fit, speech, tmp_path):
    audio = np.random.default_rng(9).standard_normal(20_000) * 0.1
    audio[::2000] = np.nan
    soundfile.write(speech / "nan.wav", audio, RATE, subtype="FLOAT")
    soundfile.write(speech / "mute.wav", np.zeros(10_000), RATE)
    bar = ["--trainer.enable_progress_bar=true", "--callbacks.progress=callbacks.Progress"]
    sound = shutil.copytree(speech, tmp_path / "sound", ignore=shutil.ignore_patterns("nan.wav", "mute.wav"))
    done = fit(f"--data.train={speech}", f"--data.validation={sound}", *bar, "--trainer.max_steps=12")
    assert "nan.wav is not_finite, other crops take its place" in done.stderr
    counts = {reason: logged(tmp_path, f"data/crops_{reason}") for reason in ("not_finite", "silent")}
    data = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["AudioDataModule"]
    for reason, steps in counts.items():
        values = [float(value) for value in steps.values()]
        assert values == sorted(values)
        assert data["rejected"]["train"]["crops"][reason] == values[-1]
        assert f"{reason}={values[-1]:.0f}" in done.stdout
    assert data["rejected"]["train"]["broken"] == {"nan.wav": "not_finite"}


def test_broken_validation_audio_is_found_before_training(fit, speech, tmp_path):
    audio = np.full(20_000, np.nan)
    (tmp_path / "broken").mkdir()
    soundfile.write(tmp_path / "broken" / "nan.wav", audio, RATE, subtype="FLOAT")
    done = fit(f"--data.train={speech}", f"--data.validation={tmp_path / 'broken'}", check=False)
    assert "nan.wav is not_finite: replace or delete it" in done.stderr
    assert not (tmp_path / "csv" / "version_0" / "metrics.csv").exists()


def test_a_corpus_that_is_missing_says_what_was_expected_and_where_to_get_it(fit, tmp_path):
    done = fit(f"--data.root={tmp_path}", config="five-corpora.yaml", check=False)
    assert done.returncode != 0
    message = done.stderr.splitlines()[-1]
    assert "MTG-Jamendo is not complete" in message
    assert "raw_30s.tsv" in message
    assert "github.com/MTG/mtg-jamendo-dataset" in message


def test_shards_that_are_unfinished_are_refused(fit, speech, tmp_path):
    make_plan("speech", Corpus(str(speech)), tmp_path / "shards", 10**9)
    done = fit(f"--data.train={tmp_path / 'shards'}", check=False)
    assert done.returncode != 0
    assert "unfinished: run the same `lincae data prepare` again" in done.stderr


def test_other_channels_than_the_mean_need_the_files_or_shards_that_keep_them(fit, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        audio = np.random.default_rng(number).integers(-9_000, 9_000, (20_000, 2), np.int16)
        soundfile.write(tmp_path / f"in/{number}.wav", audio, RATE)
    losses = {}
    for channels in (1, 2):
        prepare(make_plan("in", Corpus(str(tmp_path / "in")), tmp_path / f"shards{channels}", 10**9, channels))
    done = fit(f"--data.train={tmp_path / 'shards1'}", "--data.channels=left", check=False)
    assert done.returncode != 0
    assert str(tmp_path / "shards1") in done.stderr.splitlines()[-1]
    assert "--channels 2" in done.stderr.splitlines()[-1]
    for name in ("in", "shards2"):
        places = [f"--trainer.{key}={name}" for key in ("default_root_dir", "logger.save_dir")]
        fit(f"--data.train={tmp_path / name}", "--data.channels=left", "--trainer.max_steps=2", *places)
        losses[name] = logged(tmp_path / name, "train/loss")
    assert losses["in"] == losses["shards2"]
    assert len(losses["in"]) == 2
