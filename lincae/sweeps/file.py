"""A W&B sweep file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lincae.sweeps.proposals import METHODS, Proposals
from lincae.sweeps.space import Parameter, read_parameter
from lincae.yaml_files import read_yaml

KEYS = {"program", "method", "metric", "parameters", "command", "run_cap"}
FOR_THE_SERVER = {"name", "description", "project", "entity"}
"""Keys that say where W&B keeps a sweep; here they change nothing."""


@dataclass(frozen=True)
class Sweep:
    """What is tried, and how it is judged.

    Attributes:
        method: a name in `METHODS`.
        metric: name of the figure in the log.
        maximize: whether a larger figure is better.
        space: the parameters by name.
        command: W&B's list, with `${program}` and `${args}` in it.
        cap: most runs; None if the file does not say.
    """

    method: str
    metric: str
    maximize: bool
    space: dict[str, Parameter]
    command: list[str]
    cap: int | None

    def proposals(self, seed: int) -> Proposals:
        """What chooses the configurations."""
        return METHODS[self.method](self.space, seed, self.maximize)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Raises:
        ValueError: if it asks for anything that is not known here; the message names the file and the key.
    """
    content = read_yaml(path)
    try:
        return interpret(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def interpret(content: Any) -> Sweep:
    """The sweep that a file's content describes."""
    if not isinstance(content, dict):
        raise ValueError("no sweep: it needs method, metric, parameters and command")
    if unknown := sorted(content.keys() - KEYS - FOR_THE_SERVER):
        raise ValueError(f"{', '.join(unknown)} can only be had from W&B's server: remove it to sweep on this machine")
    if missing := sorted({"method", "metric", "parameters", "command"} - content.keys()):
        raise ValueError(f"no sweep: it lacks {', '.join(missing)}")
    method, metric, command = content["method"], content["metric"], content["command"]
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, and must be one of {', '.join(METHODS)}")
    if not isinstance(metric, dict) or metric.get("goal") not in ("maximize", "minimize") or not metric.get("name"):
        raise ValueError(f"metric is {metric}, and must have a name and a goal, maximize or minimize")
    if content.get("program") != "lincae" or command[:2] != ["${program}", "fit"] or command.count("${args}") != 1:
        raise ValueError(
            f"program {content.get('program')!r} with command {command}: only 'lincae' with the command "
            '["${program}", fit, ..., "${args}"] is run here'
        )
    space = {name: read_parameter(name, given) for name, given in content["parameters"].items()}
    return Sweep(method, metric["name"], metric["goal"] == "maximize", space, command, content.get("run_cap"))
