"""Which embeddings a command line names: one that needs no weights, CLAP from a folder, or a class."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence

from lincae.clap import load_clap
from lincae.cli.command_line import named
from lincae.metrics import Embedding, LogMelStatistics


def load_embeddings(sources: Sequence[str]) -> list[Embedding]:
    """The embeddings that sources name.

    Raises:
        ValueError: if two have the same name; see also `load_embedding`.
    """
    embeddings = [load_embedding(source) for source in sources]
    names = [embedding.name for embedding in embeddings]
    if len(set(names)) < len(names):
        raise ValueError(f"embeddings {names} have the same name: give them others with NAME=EMBEDDING")
    return embeddings


def load_embedding(source: str) -> Embedding:
    """The embedding that a source names.

    Args:
        source: `NAME=SOURCE` to choose the name in `kad_NAME`, or SOURCE alone: `logmel`, `clap:FOLDER`, or the path of
            a subclass of `lincae.metrics.Embedding`, or of a function that makes one, without arguments.

    Raises:
        ValueError: if there is no such embedding, or its name cannot be part of a figure's.
        ModuleNotFoundError, FileNotFoundError: see `load_clap`.
    """
    label, place = named(source)
    if place == "logmel":
        embedding: Embedding = LogMelStatistics()
    elif place.startswith("clap:"):
        embedding = load_clap(place.removeprefix("clap:"))
    elif "." in place:
        embedding = from_class(place)
    else:
        raise ValueError(f"{source!r} names no embedding: give logmel, clap:FOLDER or a class path, or NAME=EMBEDDING")
    embedding.name = label or embedding.name
    if not re.fullmatch(r"[\w-]+", embedding.name):
        raise ValueError(f"the name {embedding.name!r} in {source!r} has other than letters, digits, - and _")
    return embedding.eval().requires_grad_(False)


def from_class(path: str) -> Embedding:
    """What the class or function at a path makes."""
    module, _, name = path.rpartition(".")
    try:
        embedding = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"{path!r} names no embedding: {error}") from error
    if not isinstance(embedding, Embedding):
        raise ValueError(f"{path!r} makes a {type(embedding).__name__}: derive it from lincae.metrics.Embedding")
    return embedding
