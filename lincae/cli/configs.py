"""Configuration files: found by name, and written as overlays of one another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, get_loader, set_loader

from lincae.yaml_files import UniqueKeys, read_yaml

CONFIGS = Path(__file__).parents[2] / "configs"

SEPARATOR = "\n"
"""Between the names of several configurations in one argument."""


def find_config(name: str) -> Path:
    """The file that `--config NAME` means: a path, or a name (with or without .yaml) in the project's `configs/`.

    Raises:
        FileNotFoundError: if there is none; the message lists the project's configurations.
    """
    candidates = [Path(name), CONFIGS / name, CONFIGS / f"{name}.yaml"]
    for path in candidates:
        if path.is_file():
            return path
    known = ", ".join(sorted(path.name for path in CONFIGS.glob("*.yaml")))
    raise FileNotFoundError(f"no configuration {name!r} here or in {CONFIGS}, which has {known}")


def load_config(path: Path) -> dict[str, Any]:
    """Read a configuration; `extends: NAME` at its top level lays it over another one.

    Raises:
        ValueError: if the file does not hold a mapping, or names a key twice.
    """
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise ValueError(f"{path} does not hold a YAML mapping")
    base = config.pop("extends", None)
    if base is None:
        return config
    sibling = path.parent / base
    return overlay(load_config(sibling if sibling.is_file() else find_config(base)), config)


def overlay(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, key by key.

    A mapping is merged into a mapping, unless both name a class and the classes differ: another class starts from its
    own defaults. Anything else replaces what was there.
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("class_path") in (None, old.get("class_path"))
        ):
            merged[key] = overlay(old, value)
        else:
            merged[key] = value
    return merged


def split_configs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that `--config NAME`, `--config=NAME`, `-c NAME` or `-c=NAME` give, and all other arguments."""
    names, others, rest = [], list[str](), iter(arguments)
    for text in rest:
        option, equals, name = text.partition("=")
        if option not in ("--config", "-c"):
            others.append(text)
        elif (name := name if equals else next(rest, "")) == "":
            others.append(text)  # without a name, which the parser refuses
        else:
            names.append(name)
    return names, others


def one_config(arguments: Sequence[str]) -> list[str]:
    """A command line of `lincae fit` or its like with all its configurations as one argument, before all others."""
    command, *rest = arguments or [""]
    names, others = split_configs(rest)
    if command.startswith("-") or not names:
        return list(arguments)
    return [command, f"--config={SEPARATOR.join(names)}", *others]


of_jsonargparse = get_loader("yaml")


def load_value(text: str) -> Any:
    """A value of a command line as jsonargparse reads it, unless it names a key twice, which it would not notice."""
    yaml.compose(text, UniqueKeys)
    return of_jsonargparse(text)


set_loader("yaml", load_value, (yaml.YAMLError,))


class ConfigFile(ActionConfigFile):
    """`--config NAME`, looked up by `find_config` and read by `load_config`; of several, as `one_config` joins them.

    Each is laid over those before it, as `overlay` does. jsonargparse would replace all callbacks of the first by those
    of the second, since they are a mapping whose keys it does not know, and keep the arguments of a class where the
    second names another one.
    """

    @staticmethod
    def apply_config(parser, cfg, dest, value) -> None:
        try:
            config = reduce(overlay, [load_config(find_config(name)) for name in value.split(SEPARATOR)])
        except (OSError, ValueError) as error:
            raise TypeError(f'Parser key "{dest}": {error}') from error
        ActionConfigFile.apply_config(parser, cfg, dest, yaml.safe_dump(config, sort_keys=False))
