"""`lincae experiment`: every file names what there is, and a quick form of each runs to its table."""

import json

import pytest
import yaml
from matplotlib.figure import Figure

from lincae.cli.configs import find_config, load_config, overlay
from lincae.cli.experiment import COMMON, EXPERIMENTS, MODELS, Experiment, goes_on, shown, training
from lincae.cli.journal import claim
from lincae.cli.main import main

NAMES = sorted(file.stem for file in EXPERIMENTS.glob("*.yaml") if file != COMMON)


def experiment(name):
    return Experiment(**yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", NAMES)
def test_variants_go_on_from_variants_before_them(name, tmp_path):
    one = experiment(name)
    for model in MODELS:
        folders = []
        for variant in one.variants:
            made = training(one, False, tmp_path, model, variant, 1)
            starts = [text.split("=")[1] for text in made.arguments if text.startswith("--model.init_from=")]
            assert len(starts) == goes_on(one, variant)
            assert all(start in folders for start in starts)
            assert not any("${" in text for text in made.arguments)
            folders.append(str(made.folder))
        assert len(set(folders)) == len(one.variants)


@pytest.mark.parametrize("model", MODELS)
def test_the_common_settings_leave_everything_else(model):
    base = load_config(find_config(MODELS[model][0]))
    settings = overlay(base, load_config(COMMON))
    assert settings["callbacks"].keys() == base["callbacks"].keys() | {"removal", "figures_file"}
    assert settings["model"] == base["model"]


@pytest.mark.parametrize("name", NAMES)
def test_variants_are_compared_with_others_that_there_are(name):
    one = experiment(name)
    compared = one.compared()
    assert set(compared) <= set(one.variants)
    assert set(compared.values()) <= set(one.variants)
    assert all(variant != other for variant, other in compared.items())


def test_the_first_variant_is_what_others_are_compared_with():
    one = Experiment("Why?", 2, {"a/b": "label"}, {"x": [], "y": [], "z": []})
    assert one.compared() == {"y": "x", "z": "x"}
    found = {"x": [{"val/a/b": 1.0}], "y": [{"val/a/b": 3.0}], "z": [{}]}
    assert shown(one, found) == {"a/b": {"x": [1.0], "y": [3.0], "z": [None]}}


def test_how_figures_are_shown_is_not_what_trainings_depend_on():
    one = Experiment("Why?", 2, {"a/b": "label"}, {"x": []})
    other = Experiment("Why not?", 2, {"c/d": "label"}, {"x": []}, against={"x": "y"})
    assert one.trained() == other.trained() != Experiment("Why?", 3, {"a/b": "label"}, {"x": []}).trained()


def test_runs_of_other_settings_are_not_mixed_into_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lincae.cli.experiment.train", lambda *_, **__: None)
    monkeypatch.setattr("lincae.cli.experiment.plot_seeds", lambda *_: Figure())
    command = ["experiment", NAMES[0], "-o", str(tmp_path / "out"), "--quick", "--models", "spectral"]
    main(command)
    main(command)
    config = tmp_path / "out" / "spectral.yaml"
    config.write_text(config.read_text() + "extra: 1\n")
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert str(config) in line
    assert "extra" in line
    assert "another -o" in line


def test_a_folder_of_another_experiment_is_refused(tmp_path):
    claim(tmp_path / "out" / "experiment.json", {"name": "a", "steps": 1}, "an experiment")
    claim(tmp_path / "out" / "experiment.json", {"name": "a", "steps": 1}, "an experiment")
    with pytest.raises(ValueError, match="holds an experiment with other steps"):
        claim(tmp_path / "out" / "experiment.json", {"name": "a", "steps": 2}, "an experiment")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    with pytest.raises(ValueError, match="nothing is overwritten"):
        claim(tmp_path / "notes" / "experiment.json", {"name": "a"}, "an experiment")


def test_a_seed_that_is_given_twice_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["experiment", "signs", "--seeds", "1", "2", "1", "-o", str(tmp_path / "out")])
    assert "--seeds 1 2 1 names one twice" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_quick_form_runs_to_its_table(name, tmp_path, capsys):
    main(["experiment", name, "--quick", "-o", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    one, results = experiment(name), json.loads((tmp_path / "out" / "results.json").read_text())
    assert printed.count(f"| {' | '.join(one.variants)} |") == len(MODELS)
    for model in MODELS:
        assert list(results["models"][model]) == list(one.variants)
        for (figures,) in results["models"][model].values():
            assert {f"val/{figure}" for figure in one.figures} <= figures.keys()
