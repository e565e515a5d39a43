"""Autoencoders as settings, class path and arguments, from which they are built again."""

from __future__ import annotations

import dataclasses
import inspect
from argparse import ArgumentError
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from torch import nn

PLAIN = (bool, int, float, str, type(None))


def build(settings: dict[str, Any]) -> Any:
    """The module that settings describe, with initial weights.

    Args:
        settings: `class_path` and `init_args`, as under `model.init_args.autoencoder` in a configuration. Only classes
            derived from `nn.Module` are built.

    Raises:
        ValueError: if there is no such class, or its arguments are others.
    """
    parser, parsed = parse(settings)
    return parser.instantiate(parsed).autoencoder


def parse(settings: dict[str, Any]) -> tuple[ArgumentParser, Namespace]:
    """Settings with all defaults, as `autoencoder` of a namespace, and the parser that instantiates them.

    Raises:
        ValueError: as `build`.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--autoencoder", type=nn.Module)
    try:
        return parser, parser.parse_object({"autoencoder": settings})
    except ArgumentError as error:
        raise ValueError(f"the configuration of the autoencoder cannot be built: {error}") from error


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
