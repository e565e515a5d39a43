"""`lincae evaluate` a second time: nothing stale, nothing twice, nothing lost."""

import importlib
import json
import shutil
import sys
from concurrent.futures import Future

import numpy as np
import pytest
import soundfile
import torch

from lincae.cli import evaluate
from lincae.cli.locking import locked
from lincae.cli.main import main

RATE = 8_000

pytestmark = pytest.mark.filterwarnings("ignore:FAD of", "ignore:The ``compute``")


def write_audio(file, seed, seconds=2.0):
    audio = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    soundfile.write(file, audio, RATE, subtype="FLOAT")


@pytest.fixture
def clips(tmp_path):
    """Three clips of two excerpts."""
    (tmp_path / "clips").mkdir()
    for seed, name in enumerate("abc"):
        write_audio(tmp_path / "clips" / f"{name}.wav", seed)
    return tmp_path / "clips"


@pytest.fixture
def run(clips, tmp_path):
    """Evaluates models on the clips, one excerpt at a time, and gives what is in `results.json`."""

    def call(*models, more=(), out="out", data=clips):
        settings = ["--data", str(data), "--protocol", "clips", "-o", str(tmp_path / out), "--seconds", "1"]
        settings += ["--sample-rate", str(RATE), "--device", "cpu", "--batch-size", "1", "--curve", "0.5", *more]
        main(["evaluate", *models, *settings])
        return json.loads((tmp_path / out / "results.json").read_text())

    return call


@pytest.fixture
def idle(monkeypatch):
    """A function that makes all measuring an error."""

    def refuse(*_):
        raise AssertionError("this was measured")

    return lambda: monkeypatch.setattr(evaluate, "measure_batch", refuse)


@pytest.fixture
def refused(run, tmp_path, idle, capsys):
    """Evaluates what has to be refused before anything is measured, and leaves all results alone; the error."""

    def call(*models, **settings):
        idle()
        before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")}
        with pytest.raises(SystemExit) as end:
            run(*models, **settings)
        assert end.value.code == 2
        assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")} == before
        return capsys.readouterr().err.splitlines()[-1]

    return call


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that writes a module of one's own, in the place of an earlier one."""
    (tmp_path / "own").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "own")

    def write(name, text):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "own" / f"{name}.py").write_text(text)
        shutil.rmtree(tmp_path / "own" / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()

    yield write
    for name in ("codec_of_mine", "parts_of_mine"):
        sys.modules.pop(name, None)


CODEC = "from lincae.autoencoders.controls import Identity\n"
CODEC += "class Codec(Identity):\n    def decode(self, *given):\n        return {} * super().decode(*given)\n"


# ------------------------------------------------------------------------------------------------------- stale numbers


@pytest.mark.parametrize("finished", [True, False])
def test_audio_that_was_replaced_under_its_name_is_named(run, refused, clips, tmp_path, finished):
    run("orthogonal")
    if not finished:
        (tmp_path / "out" / "results.json").unlink()
    write_audio(clips / "b.wav", seed=7)
    line = refused("orthogonal")
    assert "b.wav" in line
    assert "a.wav" not in line
    assert "another -o" in line


def test_audio_that_is_replaced_while_it_is_measured_leaves_no_numbers(run, clips, tmp_path, monkeypatch, capsys):
    measure_batch, before = evaluate.measure_batch, (clips / "b.wav").read_bytes()

    def replace_then_measure(model, measured, excerpts, *more):
        if 2 in excerpts:  # the first of the second clip
            write_audio(clips / "b.wav", 9)
        measure_batch(model, measured, excerpts, *more)

    monkeypatch.setattr(evaluate, "measure_batch", replace_then_measure)
    with pytest.raises(SystemExit) as end:
        run("identity")
    assert end.value.code == 2
    assert "b.wav" in capsys.readouterr().err
    assert not (tmp_path / "out" / "results.json").exists()
    monkeypatch.undo()
    (clips / "b.wav").write_bytes(before)
    assert run("identity")["models"] == run("identity", out="fresh")["models"]


def test_audio_at_another_place_is_the_same(run, idle, clips, tmp_path):
    found = run("orthogonal")
    shutil.move(clips, tmp_path / "moved")
    idle()
    again = run("orthogonal", data=tmp_path / "moved")
    assert again["models"] == found["models"]


def test_a_class_whose_code_changed_is_another_model(run, refused, module, tmp_path):
    module("codec_of_mine", CODEC.format("1.0"))
    run("codec_of_mine.Codec")
    module("codec_of_mine", "# a comment\n" + CODEC.format("1.0"))
    run("codec_of_mine.Codec")
    module("codec_of_mine", CODEC.format("0.5"))
    line = refused("codec_of_mine.Codec")
    assert "model.code" in line
    assert "another -o" in line


def test_what_a_class_imports_is_its_code(run, refused, module):
    module("parts_of_mine", CODEC.format("1.0"))
    module("codec_of_mine", "from parts_of_mine import Codec\nclass Mine(Codec):\n    pass\n")
    run("codec_of_mine.Mine")
    module("parts_of_mine", CODEC.format("0.5"))
    module("codec_of_mine", "from parts_of_mine import Codec\nclass Mine(Codec):\n    pass\n")
    assert "model.code" in refused("codec_of_mine.Mine")


def test_numbers_of_other_measuring_code_are_not_kept(run, refused, module):
    code = "from lincae.metrics import LogMelStatistics\nclass Space(LogMelStatistics):\n    name = 'mine'\n"
    more = ["--embedding", "codec_of_mine.Space"]
    module("codec_of_mine", code)
    run("identity", more=more)
    module("codec_of_mine", code + "    def forward(self, audio):\n        return super().forward(0.5 * audio)\n")
    line = refused("identity", more=more)
    assert "other code" in line


# ------------------------------------------------------------------------------------------------------ whole or not


def test_doubled_lines_of_a_journal_count_once(run, tmp_path):
    whole = run("orthogonal")
    journal = tmp_path / "out" / "journal" / "orthogonal.jsonl"
    first, *lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    journal.write_text("".join([first, *(line for line in lines[:3] for _ in range(2))]))
    (tmp_path / "out" / "results.json").unlink()
    assert run("orthogonal") == whole
    assert len(journal.read_text().splitlines()) == 1 + 2 * 3 + 3


def test_a_damaged_line_of_a_journal_is_named(run, refused, tmp_path):
    run("identity")
    journal = tmp_path / "out" / "journal" / "identity.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:2], lines[2][:20] + lines[3], *lines[4:]]))
    line = refused("identity")
    assert f"line 3 of {journal}" in line
    assert "delete" in line


def test_two_evaluations_of_one_folder_do_not_work_at_a_time(run, refused, tmp_path):
    run("identity")
    with locked(tmp_path / "out", "another"):
        line = refused("identity")
    assert f"at work in {tmp_path / 'out'}" in line
    assert "wait" in line


# ------------------------------------------------------------------------------------------------------- nothing lost


def test_models_that_are_evaluated_one_after_the_other_are_as_if_together(run, tmp_path):
    run("identity")
    found = run("orthogonal")
    together = run("identity", "orthogonal", out="together")
    assert found == together
    for file in ("sounds.json", "latents.json", "results.md", "results.csv"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "together" / file).read_bytes(), file
    assert run("identity") == found
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert all(f'data-model="{name}"' in page for name in ("identity", "orthogonal"))


def test_a_model_that_is_measured_otherwise_is_not_put_beside_others(run, refused):
    run("identity", more=["--gains", "0.5"])
    line = refused("orthogonal", more=["--gains", "2"])
    assert "gains" in line
    assert "another -o" in line


def test_another_model_of_the_same_name_takes_nobodys_place(run, refused, tmp_path):
    run("mine=identity")
    shutil.rmtree(tmp_path / "out" / "journal")
    line = refused("mine=orthogonal")
    assert "'mine'" in line
    assert "NAME=MODEL" in line


def test_an_evaluation_that_was_moved_goes_on(run, tmp_path):
    found = run("identity")
    (tmp_path / "out").rename(tmp_path / "moved")
    page = tmp_path / "moved" / "report" / "index.html"
    page.write_text(page.read_text() + "<!-- earlier -->")
    assert run("identity", out="moved") == found
    assert "<!-- earlier -->" not in page.read_text()


def test_a_page_of_something_else_is_seen_before_anything_is_measured(refused, tmp_path):
    page = tmp_path / "out" / "report" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>mine</p>")
    assert str(page) in refused("identity")


# ------------------------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize(
    ("more", "models", "expected"),
    [
        ([], ["identity", "orthogonal"], (2, 4)),
        ([], ["identity", "orthogonal", "saturating"], (3, 2)),
        (["--processes", "1"], ["identity", "orthogonal"], None),
        (["--processes", "16"], ["identity", "orthogonal"], (2, 4)),
    ],
)
def test_models_share_all_threads(run, monkeypatch, more, models, expected):
    asked = []

    class Pool:
        def __init__(self, processes, context, prepare, given):
            asked.append((processes, *given))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, *_):
            done = Future()
            done.set_result(None)
            return done

    monkeypatch.setattr(evaluate, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    run(*models, more=["--excerpts", "1", *more])
    assert asked == ([expected] if expected else [])
