"""Autoencoders as settings, class path and arguments, from which they are built again."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import re
import sys
from argparse import ArgumentError
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import nn

PLAIN = (bool, int, float, str, type(None))

CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")

TRUSTED = "LINCAE_TRUSTED"
"""Environment variable: packages, separated by commas, from which files may name classes, in child processes too."""


def build(settings: dict[str, Any]) -> Any:
    """The module that settings describe, with initial weights.

    Args:
        settings: `class_path` and `init_args`, as under `model.init_args.autoencoder` in a configuration. Only classes
            derived from `nn.Module` are built, and only those that `refuse_strangers` lets through.

    Raises:
        ValueError: if there is no such class, it may not be named, or its arguments are others.
    """
    parser, parsed = parse(settings)
    if parsed.autoencoder is None:
        raise ValueError(
            "the configuration of the autoencoder cannot be built: it names no class. Give it a class_path"
        )
    return parser.instantiate(parsed).autoencoder


def parse(settings: dict[str, Any]) -> tuple[ArgumentParser, Namespace]:
    """Settings with all defaults, as `autoencoder` of a namespace, and the parser that instantiates them.

    Raises:
        ValueError: as `build`.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--autoencoder", type=nn.Module)
    try:
        refuse_strangers(settings)
        return parser, parser.parse_object({"autoencoder": settings})
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"the configuration of the autoencoder cannot be built: {error}") from error


def trust(modules: Iterable[str]) -> None:
    """Lets files name classes of the packages of these modules, in this process and those that it starts."""
    packages = {name.partition(".")[0] for name in modules} - {"lincae", "torch"}
    os.environ[TRUSTED] = ",".join(sorted(trusted() | packages))


def trusted() -> set[str]:
    """The packages that the user has named."""
    return {*os.environ.get(TRUSTED, "").split(",")} - {""}


def refuse_strangers(settings: Any) -> None:
    """Refuses settings that would import what the user has not named, before anything is imported.

    Of lincae, and of modules that are already imported, classes derived from `nn.Module` may be named; of a package
    that is trusted, anything. A dotted text counts as a name wherever it stands, if there is such a package.

    Raises:
        ValueError: which name, and what lets it through.
    """
    for name in dotted(settings):
        module, _, kind = name.rpartition(".")
        package = name.partition(".")[0]
        if package in trusted() or (package not in sys.modules and find_spec(package) is None):
            continue
        if package == "lincae":
            with suppress(ImportError):
                importlib.import_module(module)
        found = getattr(sys.modules.get(module), kind, None)
        if not (inspect.isclass(found) and issubclass(found, nn.Module)):
            raise ValueError(
                f"{name} is neither a torch module of lincae's nor one of a package that you named, and nothing is "
                f"imported or called because a file names it. Cure, if you trust {package}: set {TRUSTED}={package} in "
                "the environment, or import the module first"
            )


def dotted(settings: Any) -> Iterator[str]:
    """All dotted names in settings, also in text that would be read as YAML once more."""
    if isinstance(settings, dict):
        for value in settings.values():
            yield from dotted(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from dotted(value)
    elif isinstance(settings, str):
        try:
            inner = yaml.safe_load(settings)
        except yaml.YAMLError:
            inner = settings
        if inner != settings:
            yield from dotted(inner)
        elif CLASS_PATH.fullmatch(settings):
            yield settings


def settings_of(part: Any) -> dict[str, Any]:
    """What `build` makes a part again from: the constructor's arguments, read from attributes of the same names.

    Args:
        part: an autoencoder, or an object that its constructor takes.

    Raises:
        TypeError: if an argument is no attribute, or neither plain, nor a data class, nor such a part itself.
    """
    kind = type(part)
    arguments = {}
    for name in inspect.signature(kind).parameters:
        if not hasattr(part, name):
            raise TypeError(
                f"{kind.__qualname__} cannot be saved: its argument {name!r} is no attribute. Keep it as self.{name}"
            )
        arguments[name] = _plain(getattr(part, name), f"{kind.__qualname__}.{name}")
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": arguments}


def _plain(value: Any, where: str) -> Any:
    """A value as JSON has it."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, list | tuple | nn.ModuleList):
        return [_plain(element, where) for element in value]
    if isinstance(value, dict):
        return {key: _plain(element, where) for key, element in value.items()}
    if dataclasses.is_dataclass(value):
        return _plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, where)
    if isinstance(value, nn.Module):
        return settings_of(value)
    raise TypeError(f"{where} cannot be saved: {value!r} is not a plain value, a data class or a module")
