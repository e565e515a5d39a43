"""Which corpora a command line of `lincae data` names."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence

from jsonargparse import ArgumentParser

from datamodules.audio import named_corpora
from datamodules.corpus import Corpus
from datamodules.storage import is_url
from lincae.cli.configs import find_config, load_config


def sources(texts: Sequence[str], recipe: str, root: str | None) -> dict[str, Corpus]:
    """The corpora that a command line names, by the names of their folders.

    Args:
        texts: folders, URLs or configurations.
        recipe: class of the folders, in `datamodules` or by its path.
        root: folder at which relative paths in configurations begin.

    Raises:
        ValueError: if a name is taken twice, or a text is none of these.
        FileNotFoundError: if there is no such configuration.
    """
    corpora: dict[str, Corpus] = {}
    for text in texts:
        for corpus in configured(text, root) if is_config(text) else [build(recipe, text)]:
            name = folder_name(corpus.path)
            if name in corpora:
                raise ValueError(f"{corpora[name].path} and {corpus.path} are both named {name!r}: do one at a time")
            corpora[name] = corpus
    return corpora


def is_config(text: str) -> bool:
    """Whether a source is meant as a configuration."""
    return not is_url(text) and not os.path.isdir(text) and text.endswith((".yaml", ".yml"))


def folder_name(path: str) -> str:
    """The last part of a path or URL."""
    return os.path.basename(path.rstrip("/") if is_url(path) else os.path.abspath(path))


def build(recipe: str, path: str) -> Corpus:
    """A corpus of a class, at a folder or URL."""
    class_path = recipe if "." in recipe else f"datamodules.{recipe}"
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Corpus, "corpus", required=True)
    try:
        settings = parser.parse_object({"corpus": {"class_path": class_path, "init_args": {"path": path}}})
    except argparse.ArgumentError as error:
        raise ValueError(f"--recipe {recipe}: {error}") from error
    corpus = parser.instantiate_classes(settings).corpus
    if not is_url(path) and not os.path.isdir(corpus.path):
        raise ValueError(f"{path} is neither a folder nor a configuration (NAME.yaml)")
    return corpus


def configured(text: str, root: str | None) -> Iterable[Corpus]:
    """All corpora of a configuration, which is found as by `--config`.

    Raises:
        ValueError: if it names none, or not as the data module would take them.
    """
    try:
        settings = load_config(find_config(text)).get("data", {}).get("init_args", {})
        given = {key: settings[key] for key in ("train", "validation", "tracks") if settings.get(key)}
        parser = ArgumentParser(exit_on_error=False)
        parser.add_function_arguments(gather)
        corpora = gather(**parser.instantiate_classes(parser.parse_object(given)))
    except (argparse.ArgumentError, AttributeError) as error:
        raise ValueError(f"{text}: {error}") from error
    if not corpora:
        raise ValueError(f"{text} names no corpora in data.train, data.validation or data.tracks")
    return [corpus.below(root or settings.get("root")) for corpus in corpora]


def gather(
    train: str | dict[str, Corpus] | None = None,
    validation: str | dict[str, Corpus] | None = None,
    tracks: str | Corpus | None = None,
) -> list[Corpus]:
    """The corpora of a data module."""
    return [corpus for source in (train, validation, tracks) for corpus in named_corpora(source, "", None).values()]
