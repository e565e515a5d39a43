"""The search space: commands drawn from it are commands that train."""

import random

import yaml

from lincae.cli.configs import CONFIGS

SWEEP = yaml.safe_load((CONFIGS / "sweep.yaml").read_text())


def draw(rng: random.Random) -> list[str]:
    """The arguments that W&B's agent puts in the place of ${args}, for one configuration."""
    chosen = {}
    for name, space in SWEEP["parameters"].items():
        if "values" in space:
            chosen[name] = rng.choice(space["values"])
        else:
            assert space["distribution"] == "uniform"
            chosen[name] = rng.uniform(space["min"], space["max"])
    return [f"--{name}={value}" for name, value in chosen.items()]


def test_commands_drawn_from_the_sweep_train_the_tiny_model(fit, music, tmp_path):
    program, *command = SWEEP["command"]
    assert (program, command) == ("${program}", ["fit", "--config", "lincae.yaml", "${args}"])
    rng = random.Random(0)
    for number in range(2):
        arguments = draw(rng)
        folder = f"run{number}"  # what W&B's agent tells the run it starts: one folder would not do for both
        agent = {"WANDB_SWEEP_ID": "sweep", "WANDB_RUN_ID": folder}
        fit(f"--data.train={music}", "--trainer.max_steps=2", *arguments, **agent)
        config = yaml.safe_load((tmp_path / folder / "config.yaml").read_text())
        schedule = config["model"]["init_args"]["gain_schedule"]
        drawn = dict(argument.removeprefix("--").split("=") for argument in arguments)
        assert str(schedule["high"]) == drawn["model.gain_schedule.high"]
        assert str(schedule["anneal"]) == drawn["model.gain_schedule.anneal"]
        probability = config["callbacks"]["gain"]["init_args"]["probability"]
        assert str(probability) == drawn["callbacks.gain.probability"]


def test_the_sweep_optimises_a_figure_that_is_logged(fit, music, tmp_path):
    fit(f"--data.train={music}", "--trainer.max_steps=2")
    header = (tmp_path / "csv" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert SWEEP["metric"]["name"] in header.split(",")
