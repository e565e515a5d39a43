"""Which model a command line names: a checkpoint, a published one, a control, or a class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from lincae.autoencoders.controls import (
    Identity,
    LoudnessNormalising,
    OrthogonalProjection,
    PowerLawSpectrogram,
    Saturating,
)
from lincae.autoencoders.foreign import stable_audio_vae
from lincae.checkpoint import load_autoencoder
from lincae.checkpoint_files import FOLDER, LAST, last_of
from lincae.cli.command_line import named
from lincae.cli.contents import classes_of, object_hash
from lincae.pretrained import CONFIG, from_class, load_pretrained
from lincae.published import RELEASES, find_weights, read_published

CONTROLS: dict[str, Callable[[int], nn.Module]] = {
    "identity": lambda rate: Identity(sample_rate=rate),
    "orthogonal": lambda rate: OrthogonalProjection(sample_rate=rate),
    "saturating": lambda rate: Saturating(sample_rate=rate),
    "loudness-normalising": lambda rate: LoudnessNormalising(sample_rate=rate),
    "stft": lambda rate: PowerLawSpectrogram(sample_rate=rate),
}
"""Models whose figures theory knows. `stft` is what the representation alone costs."""

PUBLISHED = {
    "lin-cae": "the authors' Lin-CAE",
    "lin-cae-2": "the authors' Lin-CAE-2, whose gains are not annealed",
    "m2l": "the authors' retrained Music2Latent",
    "without-additivity": "the authors' ablation without additivity, whose weights are not published",
    "without-homogeneity": "the authors' ablation without homogeneity, whose weights are not published",
    "music2latent": "Music2Latent's public weights",
    "stable-audio-vae": "the Stable Audio VAE",
}
"""The rows of the published tables."""


class NamedModel(NamedTuple):
    """A model to measure.

    Attributes:
        name: in tables and files.
        model: a `lincae.autoencoders.protocol.LatentAutoencoder`, which need not have a loss.
        sha256: of its classes, weights and settings.
        modules: in which it is defined.
    """

    name: str
    model: Any
    sha256: str
    modules: set[str]


def load_model(source: str, sample_rate: int) -> NamedModel:
    """The model that a source names.

    Args:
        source: `NAME=SOURCE` to choose a name (see `lincae.cli.command_line.named`), or SOURCE alone: a `.ckpt` file, a
            run's folder, one that `lincae export` wrote, published weights (a folder, or a file `.pth` or `.pt`), a
            name of `CONTROLS` or `PUBLISHED`, `stable-audio-vae:FOLDER`, or the path of a class or function without
            arguments.
        sample_rate: of controls, Hz.

    Raises:
        ValueError: if there is no such model, or its weights are missing: what to do.
    """
    label, place = named(source)
    path = Path(place).expanduser()
    if path.suffix in (".ckpt", ".pth", ".pt") or path.is_dir():
        name, model = from_path(path)
    elif place in CONTROLS:
        name, model = place, CONTROLS[place](sample_rate)
    elif place.startswith("stable-audio-vae:"):
        name, model = "stable-audio-vae", stable_audio_vae(place.partition(":")[2])
    elif place in PUBLISHED:
        name, model = place, from_cache(place)
    elif "." in place:
        name, model = place.rpartition(".")[2], from_class(place)
    else:
        known = ", ".join([*CONTROLS, *PUBLISHED])
        raise ValueError(
            f"{source!r} names no model: give a checkpoint, a run's folder, published weights, a class path, or one of "
            f"{known}; NAME=MODEL gives it a name, without / or :"
        )
    if isinstance(model, nn.Module):
        model = model.eval().requires_grad_(False)
    return NamedModel(label or name, model, object_hash(model), {*classes_of(model), place.rpartition(".")[0]})


def from_path(path: Path) -> tuple[str, nn.Module]:
    """The name and model of a saved folder, a run's folder or checkpoint, or of published weights."""
    if (path / CONFIG).is_file():
        return path.resolve().name, load_pretrained(path).autoencoder
    is_run = path.suffix == ".ckpt" or last_of(path)
    weights = None if is_run else find_weights(path)
    if weights is None:
        return from_checkpoint(path)
    published = read_published(weights)
    return published.name, published.autoencoder


def from_cache(name: str) -> nn.Module:
    """A published model whose weights have been downloaded before."""
    weights = RELEASES[name].downloaded() if name in RELEASES else None
    if weights is None:
        raise ValueError(missing_weights(name))
    return read_published(weights).autoencoder


def from_checkpoint(path: Path) -> tuple[str, nn.Module]:
    """The name of a run's folder, and the averaged weights of its last checkpoint or of the one given."""
    file = path if path.suffix == ".ckpt" else last_of(path) or path / FOLDER / LAST
    if not file.is_file():
        raise ValueError(f"{path} holds no run: there is no {file}, and no published weights either")
    folder = file.absolute().parent
    folder = folder.parent if folder.name == FOLDER else folder
    name = folder.resolve().name if path.is_dir() or file.name == LAST else f"{folder.resolve().name}-{file.stem}"
    return name, load_autoencoder(file)


def missing_weights(name: str) -> str:
    """What to do about a published model."""
    if name in RELEASES:
        release, config = RELEASES[name], {"lin-cae": "lincae", "lin-cae-2": "lincae-2"}.get(name, "music2latent")
        cure = (
            f"hf download {release.repository} --include '{release.files}', and ask again; or give the folder that has "
            f"them: {name}=FOLDER; or train your own: lincae fit --config {config}.yaml"
        )
    elif name == "stable-audio-vae":
        cure = "download its folder, with config.json, and give it as stable-audio-vae:FOLDER"
    else:
        cure = f"train it: lincae fit --config {name}.yaml"
    return f"{name}: the weights of {PUBLISHED[name]} are not here. Cure: {cure}"


def weights_hash(model: Any) -> str:
    """SHA-256 over a model's class, and the names and values of its parameters and buffers."""
    digest = hashlib.sha256(f"{type(model).__module__}.{type(model).__qualname__}".encode())
    if isinstance(model, nn.Module):
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
