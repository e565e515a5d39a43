"""The project's search space: commands drawn from it are commands that train."""

import json
import math
import os
from pathlib import Path

import pytest
import yaml

from lincae.cli import sweep
from lincae.cli.configs import CONFIGS
from lincae.sweeps.file import read_sweep

TINY = Path(__file__).with_name("tiny.yaml")
SWEEP = read_sweep(CONFIGS / "sweep.yaml")


def assert_configured(folder, parameters):
    """The resolved configuration of a run has the values that were drawn."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    schedule = config["model"]["init_args"]["gain_schedule"]
    mixes = config["data"]["init_args"]["mixes"]["init_args"]
    found = {
        "model.gain_schedule.low": schedule["low"],
        "model.gain_schedule.high": schedule["high"],
        "model.gain_schedule.anneal": schedule["anneal"],
        "callbacks.gain.probability": config["callbacks"]["gain"]["init_args"]["probability"],
        "data.mixes.low": mixes["low"],
        "data.mixes.high": mixes["high"],
    }
    assert found == parameters


def test_a_command_of_wandbs_agent_trains_the_tiny_model_in_a_folder_of_its_own(fit, music, tmp_path):
    """As the agent writes it: arguments of one configuration in the place of ${args}."""
    assert SWEEP.command == ["${program}", "fit", "--config", "lincae.yaml", "${args}"]
    parameters = SWEEP.proposals(seed=0)(0, [])
    arguments = [f"--{name}={value}" for name, value in parameters.items()]
    agent = {"WANDB_SWEEP_ID": "sweep", "WANDB_RUN_ID": "run0"}  # what it tells the run
    fit(f"--data.train={music}", "--trainer.max_steps=2", *arguments, **agent)
    assert_configured(tmp_path / "run0", parameters)
    assert (tmp_path / "run0" / "csv" / "version_0" / "metrics.csv").exists()


@pytest.mark.slow
def test_lincae_sweep_trains_the_tiny_model_with_wandb_offline(music, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = ["--trainer.logger=lightning.pytorch.loggers.WandbLogger", "--trainer.logger.offline=true"]
    extra = [f"--config={TINY}", f"--data.train={music}", "--trainer.max_steps=2", *logger]
    sweep.main(["sweep.yaml", "--count=2", "-o", "out", "--processes=1", "--", *extra])
    runs = json.loads(Path("out/results.json").read_text())["runs"]
    assert [run["finished"] for run in runs] == [True, True]
    for run in runs:
        folder = Path(run["folder"])
        assert_configured(folder, run["parameters"])
        assert SWEEP.metric in run["figures"]
        assert math.isfinite(run["figures"]["val/reconstruction/mss"])
        assert run["step"] == 2
        (offline,) = (folder / "wandb").glob("offline-run-*")
        assert offline.name.endswith(f"-{folder.name}")
    assert "wandb sync out/runs/*/wandb/offline-run-*" in capsys.readouterr().out
