"""What figures depend on, by content: audio, a model, and code."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import packages_distributions, version
from operator import itemgetter
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import lincae
from datamodules.source import file_sha256

if TYPE_CHECKING:
    from datamodules.index import AudioFile

PROJECT = Path(lincae.__file__).parents[1]
OWN = ("lincae", "callbacks", "datamodules")
PYTHON = sysconfig.get_path("stdlib")
OF_TORCH = vars(nn.Module()).keys() - {"_parameters", "_buffers", "_modules"}
"""Attributes of every module: its mode and hooks."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""In memory, as `repr(torch.tanh)` has it: it is another one in each process."""


class Code(NamedTuple):
    """Code that was found by following imports.

    Attributes:
        sha256: of its source, but for comments, docstrings and layout.
        packages: name -> version of the installed packages that it imports, whose source is not looked at.
    """

    sha256: str
    packages: dict[str, str]


def audio_hashes(files: Iterable[AudioFile]) -> dict[str, str]:
    """Path of each file -> SHA-256 of its bytes; of audio in shards, that of its samples, as their manifest has it."""
    return {file.path: file.content if file.shard else file_sha256(file.location) for file in files}


def object_hash(thing: Any) -> str:
    """SHA-256 over a model: its classes, weights, and numbers, texts and arrays in attributes, and in theirs.

    It is the same in every process.
    """
    digest = hashlib.sha256()
    for piece in pieces_of(thing, set()):
        digest.update(piece)
        digest.update(b"\0")
    return digest.hexdigest()


def pieces_of(thing: Any, seen: set[int]) -> Iterator[bytes]:
    """All that `object_hash` counts in an object; each other object that it holds is looked into once."""
    if isinstance(thing, Tensor):
        yield f"{thing.dtype} {tuple(thing.shape)}".encode()
        yield thing.detach().cpu().to_dense().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(thing, np.ndarray):
        yield f"{thing.dtype} {thing.shape}".encode()
        if thing.dtype.hasobject:
            yield from pieces_of(thing.tolist(), seen)
        else:
            yield thing.tobytes()
    elif isinstance(thing, Mapping):
        for key, each in sorted(((ADDRESS.sub("", str(key)), each) for key, each in thing.items()), key=itemgetter(0)):
            yield key.encode()
            yield from pieces_of(each, seen)
    elif isinstance(thing, set | frozenset):
        yield from sorted(b"\0".join(pieces_of(each, seen)) for each in thing)
    elif isinstance(thing, partial):
        yield from pieces_of([thing.func, thing.args, thing.keywords], seen)
    elif isinstance(thing, MethodType):
        yield from pieces_of([thing.__func__, thing.__self__], seen)
    elif isinstance(thing, list | tuple):
        yield str(len(thing)).encode()
        for each in thing:
            yield from pieces_of(each, seen)
    elif isinstance(thing, type | FunctionType | ModuleType):
        yield f"{getattr(thing, '__module__', '')}.{thing.__name__}".encode()
    elif hasattr(thing, "__dict__"):
        yield f"{type(thing).__module__}.{type(thing).__qualname__}".encode()
        if id(thing) not in seen:
            seen.add(id(thing))
            own = {key: value for key, value in vars(thing).items() if key not in OF_TORCH}
            yield from pieces_of(own if isinstance(thing, nn.Module) else vars(thing), seen)
    elif type(thing).__repr__ is not object.__repr__:
        yield ADDRESS.sub("", repr(thing)).encode()


def classes_of(model: Any) -> set[str]:
    """The modules in which the classes of a model, of its parts, and their bases are defined."""
    parts = list(model.modules()) if isinstance(model, nn.Module) else [model, *vars(model).values()]
    return {base.__module__ for part in parts for base in type(part).__mro__}


def code_of(modules: Iterable[str]) -> Code:
    """The code of imported modules, and of what they import, wherever in them, that is not an installed package.

    Args:
        modules: names in `sys.modules`; such without a file are left out.
    """
    found: dict[Path, str] = {}
    outside: set[str] = set()
    waiting: list[tuple[str, Path]] = []
    for name in modules:
        file = Path(getattr(sys.modules.get(name), "__file__", None) or "")
        if file.suffix == ".py" and (name.split(".")[0] in OWN or not is_installed(file)):
            waiting.append((name, file))
        else:
            outside.add(name.split(".")[0])
    while waiting:
        name, file = waiting.pop()
        if file in found:
            continue
        source = file.read_bytes()
        found[file] = source_hash(source)
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        root = file.parents[name.count(".") + (file.name == "__init__.py")]
        for wanted, attribute in imports(source, package):
            place = find(wanted, attribute, root)
            if place is None:
                outside.add(wanted.split(".")[0])
            else:
                waiting.append(place)
    together = hashlib.sha256("".join(sorted(found.values())).encode()).hexdigest()
    names = {each for top in outside - sys.stdlib_module_names for each in distributions().get(top, [])}
    return Code(together, {name: version(name) for name in sorted(names)})


@cache
def distributions() -> Mapping[str, list[str]]:
    """Name of what is imported -> the installed packages that it is in."""
    return packages_distributions()


def is_installed(file: Path) -> bool:
    """Whether a file is of Python or of an installed package."""
    return file.is_relative_to(PYTHON) or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)


def find(module: str, attribute: str | None, root: Path) -> tuple[str, Path] | None:
    """Name and file of what is imported, which is defined in this project or below a folder; None if it is neither.

    Args:
        module: that is imported, or from which.
        attribute: what is imported from it, if anything: a module, or something that is defined in one.
        root: the folder.
    """
    if attribute and (inner := find(f"{module}.{attribute}", None, root)):
        return inner
    own = module.split(".")[0] in OWN
    if is_installed(root) and not own:
        return None
    base = PROJECT if own else root
    path = base.joinpath(*module.split("."))
    file = next((each for each in (path / "__init__.py", path.with_name(f"{path.name}.py")) if each.is_file()), None)
    if file is None:
        return None
    if attribute and file.name == "__init__.py":  # which may only pass it on
        for source, passed in imports(file.read_bytes(), module):
            if passed == attribute and source != module and (place := find(source, attribute, base)):
                return place
    return module, file


@cache
def imports(source: bytes, package: str) -> list[tuple[str, str | None]]:
    """The modules that a file in a package imports, and what from each."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            found += [(module, None if alias.name == "*" else alias.name) for alias in node.names]
    return found


@cache
def source_hash(source: bytes) -> str:
    """SHA-256 of a file of Python without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            del body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
