"""Configurations: found by name, laid over one another, and each variant what it says."""

from pathlib import Path

import pytest
import yaml

from lincae.cli.configs import CONFIGS, find_config, load_config, overlay
from lincae.cli.main import main


def flat(config: dict, prefix: str = "") -> dict[str, object]:
    """Dotted key -> value, for the leaves of a nested mapping."""
    leaves: dict[str, object] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        leaves |= flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return leaves


def test_overlay_merges_keys_and_replaces_other_classes():
    base = {"a": 1, "part": {"class_path": "A", "init_args": {"x": 1, "y": 2}}, "list": [1, 2]}
    assert overlay(base, {"part": {"init_args": {"x": 3}}, "list": [3]}) == {
        "a": 1,
        "part": {"class_path": "A", "init_args": {"x": 3, "y": 2}},
        "list": [3],
    }
    assert overlay(base, {"part": {"class_path": "B"}})["part"] == {"class_path": "B"}
    assert overlay(base, {"part": None})["part"] is None
    assert base["part"]["init_args"]["x"] == 1


def test_names_are_looked_up_here_and_then_in_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("lincae.yaml") == CONFIGS / "lincae.yaml"
    assert find_config("lincae") == CONFIGS / "lincae.yaml"
    (tmp_path / "lincae.yaml").write_text("a: 1")
    assert load_config(find_config("lincae.yaml")) == {"a": 1}
    with pytest.raises(FileNotFoundError, match=r"'lincea'.*lincae\.yaml"):
        find_config("lincea")


def test_an_overlay_beside_a_users_file_extends_the_projects(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: lincae.yaml\ntrainer: {max_steps: 7}")
    config = load_config(mine)
    assert config["trainer"]["max_steps"] == 7
    assert config["trainer"]["precision"] == "bf16-mixed"


def test_a_second_file_is_laid_over_the_first(tmp_path, capsys):
    changes = {
        "gain": {"init_args": {"snap": 0.1}},
        "audio": None,
        "removal": {"class_path": "callbacks.RemovalFigures"},
    }
    second, third = tmp_path / "second.yaml", tmp_path / "third.yaml"
    second.write_text(yaml.safe_dump({"callbacks": changes, "trainer": {"max_steps": 7}}))
    third.write_text("seed_everything: 5")
    files = ["--config=demo.yaml", "--callbacks.gain.probability=0.5", f"--config={second}", f"--config={third}"]
    with pytest.raises(SystemExit) as end:
        main(["fit", *files, "--callbacks.removal=null", "--print_config"])
    assert not end.value.code
    found, demo = yaml.safe_load(capsys.readouterr().out), load_config(find_config("demo.yaml"))
    assert found["callbacks"]["gain"]["init_args"] == {"probability": 0.5, "snap": 0.1}
    assert found["callbacks"]["audio"] is None
    assert found["callbacks"]["removal"] is None
    assert [*found["callbacks"]] == [*demo["callbacks"], "removal"]
    assert (found["trainer"]["max_steps"], found["seed_everything"]) == (7, 5)


OVERLAYS = {
    "another optimiser": {"model": {"init_args": {"optimizer": {"class_path": "torch.optim.Adam"}}}},
    "the same optimiser": {"model": {"init_args": {"optimizer": {"init_args": {"lr": 0.5}}}}},
    "another autoencoder": {
        "model": {
            "init_args": {
                "autoencoder": {
                    "class_path": "lincae.autoencoders.spectral.SpectralAutoencoder",
                    "init_args": {"spectrogram": {"hop": 64, "window": 256}},
                }
            }
        }
    },
    "another logger": {"trainer": {"logger": {"class_path": "lightning.pytorch.loggers.TensorBoardLogger"}}},
    "several loggers": {"trainer": {"logger": [{"class_path": "lightning.pytorch.loggers.CSVLogger"}]}},
    "other data": {"data": {"class_path": "datamodules.AudioDataModule", "init_args": {"train": {"a": {"path": "x"}}}}},
    "another callback by the same name": {"callbacks": {"gain": {"class_path": "callbacks.Polarity"}}},
    "other mixes": {"data": {"init_args": {"mixes": {"class_path": "lincae.mixing.PlainClips"}}}},
    "switched off": {"callbacks": {"gain": None}, "trainer": {"logger": False}},
}
BASE = {
    "extends": "demo.yaml",
    "model": {"init_args": {"optimizer": {"class_path": "torch.optim.RAdam", "init_args": {"lr": 0.0123}}}},
    "trainer": {
        "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "a", "name": "b"}}
    },
    "data": {"init_args": {"mixes": {"class_path": "lincae.mixing.CircularShift", "init_args": {"low": 0.25}}}},
}


def printed(capsys, *arguments: str) -> dict:
    """What a command would run."""
    with pytest.raises(SystemExit) as end:
        main(["fit", *arguments, "--print_config"])
    told = capsys.readouterr()
    assert not end.value.code, told.err
    return yaml.safe_load(told.out)


@pytest.mark.parametrize("changes", OVERLAYS.values(), ids=OVERLAYS)
def test_a_second_file_does_what_the_same_text_does_that_extends_the_first(changes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, content in {"base": BASE, "alone": changes, "extending": {"extends": "base.yaml", **changes}}.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
    at_once = printed(capsys, "--config", "extending.yaml")
    assert printed(capsys, "--config=base.yaml", "-c", "alone.yaml") == at_once
    assert at_once != printed(capsys, "--config=base.yaml")


def test_corpora_of_a_second_file_are_added_to_those_of_the_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(
        "extends: lincae.yaml\ndata: {init_args: {train: {a: {path: x, weight: 2}, b: {path: y}}}}"
    )
    Path("two.yaml").write_text("data: {init_args: {train: {a: {weight: 3}, c: {path: z}}}}")
    found = printed(capsys, "--config=one.yaml", "--config=two.yaml")["data"]["init_args"]["train"]
    corpora = {name: corpus.get("init_args", corpus) for name, corpus in found.items()}
    assert {name: (corpus["path"], corpus["weight"]) for name, corpus in corpora.items()} == {
        "a": ("x", 3),
        "b": ("y", 1),
        "c": ("z", 1),
    }


def test_the_command_line_wins_wherever_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("late.yaml").write_text("trainer: {max_steps: 5}")
    found = printed(capsys, "--trainer.max_steps=7", "--config=demo.yaml", "--config=late.yaml")
    assert found["trainer"]["max_steps"] == 7


@pytest.mark.parametrize("where", ["a file", "a base", "a sweep", "the command line"])
def test_a_key_that_is_given_twice_is_refused(where, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("twice.yaml").write_text("trainer:\n  max_steps: 5\n  precision: 32-true\n  max_steps: 7\n")
    Path("mine.yaml").write_text("extends: twice.yaml\n")
    command = {
        "a file": ["fit", "--config=twice.yaml"],
        "a base": ["fit", "--config=demo.yaml", "--config=mine.yaml"],
        "a sweep": ["sweep", "twice.yaml", "--count=1"],
        "the command line": ["fit", "--config=demo.yaml", "--trainer={max_steps: 5, max_steps: 7}"],
    }[where]
    with pytest.raises(SystemExit) as end:
        main(command)
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert "'max_steps'" in error
    assert where == "the command line" or all(text in error for text in ("twice.yaml", "line 4"))


CHANGES = {
    "lincae-2.yaml": {"model.init_args.gain_schedule.anneal": False},
    "music2latent.yaml": {"callbacks.gain": None, "callbacks.materialize.class_path": "callbacks.Materialize"},
    "without-additivity.yaml": {"data.init_args.mixes.class_path": "lincae.mixing.PlainClips"},
    "without-homogeneity.yaml": {"callbacks.gain": None},
    "segment-2s.yaml": {"data.init_args.samples": 87552},
    "constant-gains.yaml": {
        "model.init_args.gain_schedule.low": 0.5,
        "model.init_args.gain_schedule.high": 1.5,
        "model.init_args.gain_schedule.anneal": False,
    },
    "encoder-alone.yaml": {
        "callbacks.train_only.class_path": "callbacks.TrainOnly",
        "callbacks.train_only.init_args.parts": ["encoder"],
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_variant_changes_what_it_is_named_after_and_nothing_else(name):
    names = {"trainer.default_root_dir", "trainer.logger.init_args.name"}
    base, variant = flat(load_config(CONFIGS / "lincae.yaml")), flat(load_config(CONFIGS / name))
    added = {key: value for key, value in variant.items() if base.get(key, ...) != value and key not in names}
    assert added == CHANGES[name]
    replaced = tuple(key.removesuffix(".class_path") for key in CHANGES[name])
    assert all(key.startswith(replaced) for key in base.keys() - variant.keys())


TRAININGS = sorted(set(CONFIGS.glob("*.yaml")) - {CONFIGS / "sweep.yaml"})  # which is a search space


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.name)
def test_every_configuration_of_a_training_is_understood(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--config", path.name, "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["class_path"] == "lincae.module.ImplicitLinearity"


def test_the_default_configuration_is_the_papers():
    config = flat(load_config(CONFIGS / "lincae.yaml"))
    expected = {
        "trainer.precision": "bf16-mixed",
        "trainer.accelerator": "auto",
        "trainer.max_steps": 800_000,
        "data.init_args.steps_per_epoch": 25_000,
        "data.init_args.batch_size": 20,
        "data.init_args.samples": 34_304,
        "callbacks.gain.init_args.probability": 0.8,
        "model.init_args.gain_schedule.high": 3.0,
        "model.init_args.optimizer.class_path": "torch.optim.RAdam",
    }
    assert {key: config[key] for key in expected} == expected


def test_a_broken_configuration_is_named(fit, tmp_path):
    Path(tmp_path / "bad.yaml").write_text("- a\n- b\n")
    done = fit(config="bad.yaml", check=False)
    assert done.returncode == 2
    assert "bad.yaml does not hold a YAML mapping" in done.stderr
