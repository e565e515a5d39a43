"""Configuration files: found by name, and written as overlays of one another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, Namespace

CONFIGS = Path(__file__).parents[2] / "configs"


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
        ValueError: if the file does not hold a mapping.
    """
    with path.open() as file:
        config = yaml.safe_load(file)
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


class ConfigFile(ActionConfigFile):
    """`--config NAME`, looked up by `find_config` and read by `load_config`.

    A second file is laid over the first, as `overlay` does. jsonargparse would replace all callbacks of the first by
    those of the second, since they are a mapping whose keys it does not know.
    """

    @staticmethod
    def apply_config(parser, cfg, dest, value) -> None:
        try:
            path = find_config(value)
            config = load_config(path)
            if earlier := cfg.get("callbacks"):
                config["callbacks"] = overlay(plain(earlier), config.get("callbacks") or {})
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise TypeError(f'Parser key "{dest}": {error}') from error
        ActionConfigFile.apply_config(parser, cfg, dest, yaml.safe_dump(config, sort_keys=False))


def plain(callbacks: Mapping[str, Any]) -> dict[str, Any]:
    """Parsed callbacks, as they stand in a file."""
    return {name: each.as_dict() if isinstance(each, Namespace) else each for name, each in callbacks.items()}
